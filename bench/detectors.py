"""What scoring a reading costs: one stream, 100,000 interleaved ones singly and in batches; bytes each.

Twins that are pushed as the scalars are (``push``) are measured beside them in one run on the same readings.
"""

from __future__ import annotations

import random
import time
import tracemalloc
from collections.abc import Callable
from statistics import median
from typing import Any, Final

from bench.figures import Outcome
from bench.twins import gated, risks
from rules.detectors import RecordStack
from rules.detectors.baseline import DAY, SECOND, Baseline, Prior
from rules.detectors.novelty import Novelty
from rules.detectors.priors import POPULATION

__all__ = ["measure"]

STREAMS: Final = 100_000
READINGS: Final = 100_000
BATCHES: Final = 10
ROUNDS: Final = 5
MANY: Final = 20_000
"""Streams that are pushed in batches."""
ONE_BY_ONE: Final = 1_000
"""Of which so many are pushed singly, too."""
WARM: Final = 60
"""Rounds until the detectors are heard."""
HELD: Final = 20
"""Rounds that are measured then."""
MINUTE: Final = 60 * SECOND
PRESSURE: Final = Prior(130.0, 12.0, 4.0, 43_200.0)


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
    _pushed(outcome, "personal baseline, twice a day", *_baselines(), DAY // 2, DAY // 12)
    _pushed(outcome, "unusual, each minute", *_novelties(), MINUTE, SECOND)
    gated(outcome)
    risks(outcome)
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


def _baselines() -> tuple[Any, Callable[[], Any]]:
    from rules.detectors.baseline_batch import BatchedBaselines, Kind

    kind = Kind("spreads", 14 * DAY, 3 * DAY, PRESSURE)
    return BatchedBaselines(MANY, kind), lambda: Baseline(*kind)


def _novelties() -> tuple[Any, Callable[[], Any]]:
    from rules.detectors.novelty_batch import BatchedNovelties, Kind

    kind = Kind("above", MINUTE, POPULATION["ibp_systolic"])
    return BatchedNovelties(MANY, kind), lambda: Novelty(*kind)


def _pushed(outcome: Outcome, name: str, twin: Any, make: Callable[[], Any], every: int, jitter: int) -> None:
    """Readings a second of the twin and of the scalar, each reading within ``jitter`` ns of its time."""
    import numpy as np

    chance = np.random.default_rng(1)
    streams, scalars = np.arange(MANY), [make() for _ in range(ONE_BY_ONE)]
    batched, singly = [], []
    for n in range(WARM + HELD):
        times = 1_700_000_000 * SECOND + n * every + chance.integers(0, jitter, MANY)
        values = chance.normal(125.0, 4.0, MANY)
        begun = time.process_time()
        twin.push(streams, times, values)
        batched.append(time.process_time() - begun)
        few = list(zip(scalars, times.tolist(), values.tolist(), strict=False))
        begun = time.process_time()
        for scalar, at, value in few:
            scalar.push(at, value, frozen=False)
        singly.append(time.process_time() - begun)
    alone, together = ONE_BY_ONE / median(singly[WARM:]), MANY / median(batched[WARM:])
    outcome.add(f"{name}: pure Python", alone, "readings/s")
    outcome.add(f"{name}: {MANY:,} streams in batches", together, "readings/s")
    outcome.add(f"{name}: as many times as fast", together / alone, "", target=5.0, at_least=True)


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
