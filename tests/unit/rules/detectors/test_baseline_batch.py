"""Baselines of many streams at once are ``Baseline``, bit by bit."""

from __future__ import annotations

import json
import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.detectors.baseline import VERSION, Baseline, Prior
from rules.detectors.baseline_batch import BatchedBaselines, Kind

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
KINDS = (
    Kind("spreads", 14 * DAY, 3 * DAY, Prior(130.0, 12.0, 4.0, 43_200.0)),
    Kind("trend", 7 * DAY, 0, Prior(75.0, 9.0, 3.0)),
    Kind("trend", DAY // 90, 0, Prior(0.1, 0.3, 0.7, 61.3)),
    Kind("spreads", 400 * DAY, 0, Prior(1.7, 0.01, 1000.0, 86_400.0 * 300)),
)
STREAMS = 8
GROUP = [n % len(KINDS) for n in range(STREAMS)]


def same(together: BatchedBaselines, scalars: list[Baseline]) -> None:
    """Of every stream: state, output and terms, to the last bit and of the same types."""
    for stream, scalar in enumerate(scalars):
        assert json.dumps(together.pack(stream)) == json.dumps(scalar.pack())
        assert together.output(stream) == scalar.output
        assert together.terms(stream) == scalar.terms


def outputs(scalars: list[Baseline], pushed: list[tuple[int, int, float, bool]]) -> list[float | None]:
    found = []
    for stream, time, value, frozen in pushed:
        scalars[stream].push(time, value, frozen=frozen)
        found.append(scalars[stream].output)
    return found


def plain(batch: Any) -> list[float | None]:
    return [None if math.isnan(x) else x for x in batch.tolist()]


steps = st.lists(
    st.tuples(
        st.integers(0, STREAMS - 1),
        st.sampled_from([0, 1, 59, 61, 240, 301, 3600, 21_600, 43_200, 86_400, 900_000, 13_000_000])
        | st.integers(0, 200_000),
        st.sampled_from([130.0, 131.5, 75.0, 300.0, -40.0, math.nan, math.inf]) | st.floats(-1000, 1000),
        st.booleans(),
    ),
    min_size=1,
    max_size=120,
)


@given(st.integers(0, 2**32), steps)
@settings(max_examples=50)
def test_a_batch_gives_the_very_same_outputs_terms_and_states(
    seed: int, past: list[tuple[int, int, float, bool]]
):
    chance = random.Random(seed)
    scalars = [Baseline(*KINDS[g]) for g in GROUP]
    together = BatchedBaselines(STREAMS, KINDS, group=GROUP)
    now = [1_700_000_000 * SECOND + chance.randrange(SECOND) for _ in range(STREAMS)]
    while past:
        size = chance.randint(1, 30)
        part, past = past[:size], past[size:]
        pushed = []
        for stream, step, value, frozen in part:
            now[stream] += step * SECOND + chance.choice((0, 0, chance.randrange(SECOND)))
            pushed.append((stream, now[stream], value, frozen))
        streams, times, values, frozens = zip(*pushed, strict=True)
        assert plain(together.push(streams, times, values, frozen=frozens)) == outputs(scalars, pushed)
        same(together, scalars)
        stream = chance.randrange(STREAMS)
        if chance.random() < 0.5:  # a restart, as the other
            packed = json.loads(json.dumps(scalars[stream].pack()))
            scalars[stream] = Baseline(*KINDS[GROUP[stream]])
            assert scalars[stream].unpack(json.loads(json.dumps(together.pack(stream))))
            assert together.unpack(stream, packed)
        else:
            by = chance.randrange(DAY)
            scalars[stream].shift(by)
            together.shift(stream, by)
            now[stream] += by
        same(together, scalars)


def test_many_streams_over_months():
    chance = random.Random(3)
    count, kind = 3000, KINDS[0]
    together, ours = BatchedBaselines(count, kind), range(0, count, 300)
    scalars = [Baseline(*kind) for _ in ours]
    for half in range(250):
        at = (1_700_000_000 + 43_200 * half) * SECOND
        times = [at + chance.randrange(7200 * SECOND) for _ in range(count)]
        values = [chance.gauss(140.0, 9.0) for _ in range(count)]
        found = together.push(np.arange(count), times, values)
        pushed = [(n, times[s], values[s], False) for n, s in enumerate(ours)]
        assert plain(found[list(ours)]) == outputs(scalars, pushed)
        assert np.array_equal(found, together.outputs, equal_nan=True)
    assert [together.pack(s) for s in ours] == [one.pack() for one in scalars]


def test_another_version_begins_anew_and_nothing_is_pushed_by_nothing():
    together = BatchedBaselines(2, KINDS[1])
    together.push([0, 1], [DAY, DAY], [70.0, 71.0], frozen=True)
    packed = together.pack(0)
    assert not together.unpack(0, [*packed[:2], VERSION + 1, *packed[3:]])
    assert together.pack(0) == Baseline(*KINDS[1]).pack()
    assert together.terms(0) is None
    assert together.push([], [], []).tolist() == []
    assert together.unpack(0, packed)
    assert together.pack(0) == packed


@pytest.mark.parametrize("stream", [-1, 2])
def test_a_stream_that_there_is_not_is_refused_and_nothing_is_learned(stream: int):
    together = BatchedBaselines(2, KINDS[0])
    with pytest.raises(ValueError, match=f"stream {stream}; there are 2"):
        together.push([0, stream], [DAY, DAY], [130.0, 130.0])
    assert together.pack(0) == Baseline(*KINDS[0]).pack()
