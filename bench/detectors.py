"""What scoring a reading costs: one stream, 100,000 interleaved ones singly and in batches; bytes each."""

from __future__ import annotations

import random
import time
import tracemalloc
from statistics import median
from typing import Final

from bench.figures import Outcome
from rules.detectors import RecordStack

__all__ = ["measure"]

STREAMS: Final = 100_000
READINGS: Final = 100_000
BATCHES: Final = 10
ROUNDS: Final = 5


def measure() -> Outcome:
    """CPU time, the median of a few rounds."""
    outcome = Outcome(
        "detectors",
        f"record stack; {STREAMS:,} streams interleaved, one reading of each in turn; CPU of one core",
    )
    outcome.add("one stream, pure Python", median(_one() for _ in range(ROUNDS)), "us", target=20.0)
    outcome.add(f"{STREAMS:,} streams, pure Python", _interleaved(), "us", target=20.0)
    for name, jitter in (("on time", 0.0), ("each at its own time, in any order", 0.2)):
        outcome.add(
            f"{STREAMS:,} streams, in batches, {name}",
            median(_batched(jitter) for _ in range(ROUNDS)),
            "readings/s",
            target=1_000_000.0,
            at_least=True,
        )
    outcome.add("state of a stream, stored", len(RecordStack().to_bytes()), "B", target=1024.0)
    outcome.add("memory of a stream, pure Python", _memory(), "B")
    return outcome


def _one() -> float:
    chance = random.Random(1)  # noqa: S311 - the same each time
    values = [chance.gauss(80.0, 3.0) for _ in range(READINGS)]
    update = RecordStack(pace=1.0).update
    begun = time.process_time()
    for n, value in enumerate(values):
        update(float(n), value)
    return (time.process_time() - begun) / READINGS * 1e6


def _interleaved() -> float:
    stacks = [RecordStack(pace=1.0) for _ in range(STREAMS)]
    for n in range(2):
        for stack in stacks:
            stack.update(float(n), 80.0 + n)
    begun = time.process_time()
    for stack in stacks:
        stack.update(2.0, 81.0)
    return (time.process_time() - begun) / STREAMS * 1e6


def _batched(jitter: float) -> float:
    import numpy as np

    from rules.detectors.batch import BatchedStacks

    chance = np.random.default_rng(1)
    stacks, streams = BatchedStacks(STREAMS, pace=1.0), np.arange(STREAMS)
    spent = 0.0
    for n in range(BATCHES + 1):
        order = chance.permutation(STREAMS) if jitter else streams
        times = n + chance.uniform(-jitter, jitter, STREAMS)
        values = chance.normal(80.0, 3.0, STREAMS)
        begun = time.process_time()
        stacks.update(order, times, values)
        spent += time.process_time() - begun if n else 0.0
    return STREAMS * BATCHES / spent


def _memory() -> float:
    """Bytes that 1,000 streams take more than none, once each has its own values."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    stacks = [RecordStack(pace=1.0) for _ in range(1000)]
    for n in range(50):
        for k, stack in enumerate(stacks):
            stack.update(float(n), 80.0 + n % 5 + k / 7.0)
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return taken / len(stacks)
