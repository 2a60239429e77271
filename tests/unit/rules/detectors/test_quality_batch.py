"""The batched gate against the scalar one: the same verdicts, reasons and states, whatever comes."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.model import Quality, quality_names
from rules import Rows
from rules.detectors.quality import Gate, refine
from rules.detectors.quality_batch import BatchedGate, Signal
from rules.rule import SECOND

METRICS = ("heart_rate", "pulse_rate", "spo2", "ibp_systolic", "ibp_mean", "ibp_diastolic", "etco2", "fio2")
STREAMS = [
    Signal(subject, device, metric)
    for subject in "pqr"
    for device in ("b", "a", "manual:x")
    for metric in METRICS
]
USUAL = {"heart_rate": 75.0, "pulse_rate": 75.0, "spo2": 97.0, "ibp_systolic": 120.0, "ibp_mean": 90.0}
USUAL |= {"ibp_diastolic": 70.0, "etco2": 38.0, "fio2": 0.3}
FACTORS = [0.0, 0.0, 0.3, 0.92, 1.04, 1.5, 2.1, 5.0, -1.0, math.nan, math.inf]
LAST = 10**18
Reading = tuple[int, int, float, int]
"""Number of the stream, time (ns), value, known quality."""


def told(chance: random.Random, count: int, at: int) -> Iterator[tuple[Reading, bool]]:
    """Readings of all streams, each with whether a batch ends with it: well, then worse, in any order."""
    factor = dict.fromkeys(range(len(STREAMS)), 1.0)
    steps = chance.choice([[1], [1, 1, 1, 1, 20, 30, 61], [1, 20, 30, 61, 90, 1200, 3600, 3601, 9000]])
    of, restless = chance.sample(range(len(STREAMS)), chance.choice([3, 12, 48])), chance.choice([0.05, 0.3])
    for _ in range(count):
        at += SECOND * chance.choice(steps)
        kept = chance.sample(of, chance.randint(1, min(len(of), 16)))
        for n in kept if chance.random() < 0.8 else [*kept, *kept]:
            if factor[n] != 1.0 and chance.random() < 0.5:
                factor[n] = 1.0
            elif chance.random() < restless:
                factor[n] = chance.choice(FACTORS)
            time = at - chance.choice([0] * 12 + [SECOND, 40 * SECOND, at + 1, -LAST])
            value = USUAL[STREAMS[n].metric] * factor[n] + chance.choice([0, 0, 0, 1])
            yield (n, time, value, chance.choice([0] * 15 + [1, 8, 2048, 8192])), False
        yield (kept[0], at, USUAL[STREAMS[kept[0]].metric], 0), chance.random() < 0.2


def one_by_one(gate: Gate, readings: list[Reading], keep: int) -> list[int]:
    rows = Rows.of((*STREAMS[n], value, time, time, quality) for n, time, value, quality in readings)
    refined = refine(gate, rows, keep, LAST)
    return [now & ~before for now, (*_, before) in zip(refined.quality, readings, strict=True)]


def at_once(gate: BatchedGate, readings: list[Reading], keep: int) -> list[int]:
    numbers, times, values, quality = zip(*readings, strict=True)
    said: list[int] = (gate.judge(numbers, times, values, quality=quality, keep=keep, until=LAST)).tolist()
    return [now & ~before for now, before in zip(said, quality, strict=True)]


def packed(gate: Gate) -> dict[str, list[Any]]:
    return {subject: known.pack() for subject, known in gate.items()}


def compared(seed: int, count: int, start: int) -> Counter[str]:
    """How often each was said, where both said the same."""
    chance = random.Random(seed)
    scalar, batched = Gate(), BatchedGate(STREAMS)
    keep = chance.choice([0, 2 * 3600 * SECOND])
    batch: list[Reading] = []
    found: Counter[str] = Counter()
    for reading, ends in told(chance, count, start):
        batch.append(reading)
        if not ends:
            continue
        said = one_by_one(scalar, batch, keep)
        assert at_once(batched, batch, keep) == said
        found.update(name for bits in said for name in quality_names(bits))
        batch = []
        if chance.random() < 0.1:  # each goes on from what the other one knows
            scalar, other = batched.gate(), scalar
            batched = BatchedGate(STREAMS)
            batched.load(other)
    assert packed(batched.gate()) == packed(scalar)
    return found


@given(st.integers(0, 2**32), st.sampled_from([0, 10**9, 1_700_000_000 * SECOND]))
@settings(max_examples=25)
def test_a_batch_gives_the_very_same_verdicts_and_states(seed: int, start: int):
    compared(seed, 60, start)


def test_what_is_compared_has_every_verdict_in_it():
    found: Counter[str] = Counter()
    for seed in range(15):
        found += compared(seed, 120, 10**9)
    wanted = {"suspect", "bad", "impossible", "dropout", "zero", "jump", "spikes", "disagrees"}
    assert wanted <= set(found)


def test_what_stays_flat_is_doubted_by_both():
    numbers = [n for n, names in enumerate(STREAMS) if names.device == "a" and names.metric == "heart_rate"]
    batch = [(n, minute * 60 * SECOND, 80.0, 0) for minute in range(40) for n in numbers]
    scalar = one_by_one(Gate(), batch, 0)
    assert at_once(BatchedGate(STREAMS), batch, 0) == scalar
    assert scalar[-1] == Quality.SUSPECT | Quality.FLAT


Scene = list[tuple[int, str, str, float]]
"""(second, device, metric, value), each in a batch of its own."""
SINKING: Scene = [(t, "a", "spo2", 97.0 - 0.5 * max(0, t - 60)) for t in range(70)]
APART: Scene = [
    (t, "a", metric, value)
    for t in range(35)
    for metric, value in (("heart_rate", 70.0), ("pulse_rate", 120.0))
]
LATER: Scene = [(100, "a", "heart_rate", 70.0), *((t, "b", "pulse_rate", 120.0) for t in range(50, 95))]
BACK: Scene = [(at + 121 * n, "b", "etco2", value) for n in range(4) for at, value in ((0, 38.0), (1, 90.0))]


@pytest.mark.parametrize(
    ("scene", "last"),
    [
        ([*SINKING, (70, "a", "spo2", 0.0)], "suspect zero"),
        (APART[:60], ""),
        (APART[:62], "suspect disagrees"),
        (LATER, ""),
        (BACK, "suspect spikes"),
    ],
    ids=[
        "sinking",
        "apart for a while",
        "apart",
        "not compared with what came later",
        "back as late as counts",
    ],
)
def test_what_lies_on_an_edge_is_judged_as_there(scene: Scene, last: str):
    scalar, batched = Gate(), BatchedGate(STREAMS)
    said = [0]
    for second, device, metric, value in scene:
        reading = (STREAMS.index(Signal("p", device, metric)), second * SECOND, value, 0)
        said = one_by_one(scalar, [reading], 0)
        assert at_once(batched, [reading], 0) == said
    assert " ".join(quality_names(said[0])) == last
    assert packed(batched.gate()) == packed(scalar)


def test_many_streams_in_parts_on_time_and_at_times_of_their_own():
    metrics = ("heart_rate", "spo2", "pulse_rate", "ibp_mean")
    streams = [Signal(f"p{bed}", "monitor", metric) for bed in range(3000) for metric in metrics]
    chance = np.random.default_rng(5)
    batched, scalar = BatchedGate(streams), Gate()
    ours = range(4 * 2990, 4 * 3000)
    for second in range(40):
        times = np.full(len(streams), second * SECOND) + (
            chance.integers(0, 10**8, len(streams)) if second % 2 else 0
        )
        values = np.array([75.0, 97.0, 75.0, 90.0] * 3000) + chance.integers(-2, 3, len(streams))
        values[chance.random(len(streams)) < 0.02] = 0.0
        said = batched.judge(np.arange(len(streams)), times, values)
        rows = Rows.of((*streams[n], float(values[n]), int(times[n]), 0, 0) for n in ours)
        assert [int(said[n]) for n in ours] == refine(scalar, rows, 0, LAST).quality
    assert {subject: packed(batched.gate())[subject] for subject in scalar} == packed(scalar)


def test_nothing_comes_of_nothing():
    assert BatchedGate([]).judge([], [], []).tolist() == []
    gate = BatchedGate(STREAMS)
    assert gate.judge([], [], []).tolist() == []
    assert gate.gate() == {}


def test_a_stream_is_named_once_and_a_state_has_only_streams_that_are_named():
    with pytest.raises(ValueError, match="1 of 2 streams of a gate are named more than once"):
        BatchedGate([STREAMS[0], STREAMS[0]])
    known = Gate()
    one_by_one(known, [(0, 5, 80.0, 0)], 0)
    other = BatchedGate(STREAMS[1:])
    with pytest.raises(ValueError, match="1 of 1 streams have no number here"):
        other.load(known)
    assert other.gate() == {}
