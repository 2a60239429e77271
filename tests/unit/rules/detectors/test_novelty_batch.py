"""What is unusual of many streams at once is ``Novelty``, bit by bit."""

from __future__ import annotations

import math
import random
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.detectors.novelty import LASTING, VERSION, Novelty
from rules.detectors.novelty_batch import BatchedNovelties, Kind
from rules.detectors.priors import POPULATION

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
KINDS = (
    Kind("above", MINUTE, POPULATION["heart_rate"]),
    Kind("below", MINUTE, POPULATION["spo2"]),
    Kind("either", MINUTE),
    Kind("either", 7 * SECOND + 3, POPULATION["respiratory_rate"]),
)
STREAMS = 8
GROUP = [n % len(KINDS) for n in range(STREAMS)]
USUAL = [(80.0, 3.0), (97.0, 1.0), (5.0, 9.0), (18.0, 2.0)]

Pushed = list[tuple[int, int, float, bool]]


def begun(seed: int, readings: int) -> tuple[list[Novelty], BatchedNovelties, list[int]]:
    """Scalars with a past, the twin with the same by way of their states, the times reached."""
    chance = random.Random(seed)
    scalars = [Novelty(*KINDS[g]) for g in GROUP]
    now = [1_700_000_000 * SECOND + chance.randrange(SECOND) for _ in scalars]
    for stream, (scalar, g) in enumerate(zip(scalars, GROUP, strict=True)):
        for _ in range(readings):
            now[stream] += KINDS[g].pace + chance.choice((0, 0, 7))
            scalar.push(now[stream], round(chance.gauss(*USUAL[g]), 1), frozen=False)
    together = BatchedNovelties(STREAMS, KINDS, group=GROUP)
    for stream, scalar in enumerate(scalars):
        assert together.unpack(stream, msgpack.unpackb(msgpack.packb(scalar.pack())))
    return scalars, together, now


def same(together: BatchedNovelties, scalars: list[Novelty]) -> None:
    """Of every stream: state, output and terms, to the last bit and of the same types."""
    for stream, scalar in enumerate(scalars):
        assert msgpack.packb(together.pack(stream)) == msgpack.packb(scalar.pack())
        assert together.output(stream) == scalar.output
        assert together.terms(stream) == scalar.terms
        assert together.residual(stream) == scalar.residual


def outputs(scalars: list[Novelty], pushed: Pushed) -> list[float | None]:
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
        st.sampled_from([0, 1, 7, 59, 60, 60, 60, 61, 600, 5000, 90_000, -5]),
        st.sampled_from([80.0, 97.0, 120.0, 60.5, 0.0, math.nan, 1e200]) | st.floats(-1e6, 1e6),
        st.booleans(),
    ),
    min_size=1,
    max_size=120,
)


@given(st.integers(0, 2**32), st.sampled_from([0, 20, 60]), steps)
@settings(max_examples=40)
def test_a_batch_gives_the_very_same_outputs_terms_and_states(seed: int, readings: int, past: Pushed):
    chance = random.Random(seed)
    scalars, together, now = begun(seed % 7, readings)
    while past:
        size = chance.randint(1, 30)
        part, past = past[:size], past[size:]
        pushed: Pushed = []
        for stream, step, value, frozen in part:
            now[stream] += step * SECOND + chance.choice((0, 0, chance.randrange(SECOND)))
            pushed.append((stream, now[stream], value, frozen))
        streams, times, values, frozens = zip(*pushed, strict=True)
        assert plain(together.push(streams, times, values, frozen=frozens)) == outputs(scalars, pushed)
        same(together, scalars)
        stream, act = chance.randrange(STREAMS), chance.choice(("restart", "shift", "relearn", ""))
        if act == "restart":  # each as the other
            packed = msgpack.unpackb(msgpack.packb(scalars[stream].pack()))
            scalars[stream] = Novelty(*KINDS[GROUP[stream]])
            assert scalars[stream].unpack(msgpack.unpackb(msgpack.packb(together.pack(stream))))
            assert together.unpack(stream, packed)
        elif act == "shift":
            by = chance.randrange(86_400 * SECOND)
            scalars[stream].shift(by)
            together.shift(stream, by)
            now[stream] += by
        elif act == "relearn":
            scalars[stream].relearn()
            together.relearn(stream)
        same(together, scalars)


def test_days_of_many_streams_with_news_alarms_and_what_lasts():
    scalars, together, now = begun(1, 100)
    chance, told, minutes = random.Random(5), 0, LASTING // MINUTE + 400
    for n in range(minutes):
        pushed: Pushed = []
        for stream, g in enumerate(GROUP):
            now[stream] += MINUTE
            level, spread = USUAL[g]
            far = stream < 4 and 200 <= n < minutes - 100
            value = chance.gauss(level + (9 * spread if far else 0.0), spread)
            pushed.append((stream, now[stream], value, far and n > 200))
        streams, times, values, frozens = zip(*pushed, strict=True)
        assert plain(together.push(streams, times, values, frozen=frozens)) == outputs(scalars, pushed)
        told += sum(scalar.terms is not None for scalar in scalars)
        if n % 50 == 0:
            same(together, scalars)
            scalars[n % STREAMS].shift(7 * SECOND + 1)
            together.shift(n % STREAMS, 7 * SECOND + 1)
            now[n % STREAMS] += 7 * SECOND + 1
    same(together, scalars)
    assert told > 1000


def test_another_version_or_a_damaged_state_begins_anew_and_says_so():
    scalars, together, _ = begun(2, 60)
    packed = scalars[0].pack()
    for wrong in ([*packed[:2], VERSION + 1, *packed[3:]], [*packed[:3], packed[3][:-1], *packed[4:]]):
        assert not together.unpack(0, wrong)
        assert together.pack(0) == Novelty(*KINDS[0]).pack()
        assert together.unpack(0, packed)
        assert together.pack(0) == packed
    assert together.push([], [], []).tolist() == []


@pytest.mark.parametrize("stream", [-1, STREAMS])
def test_a_stream_that_there_is_not_is_refused_and_nothing_is_learned(stream: int):
    together = BatchedNovelties(STREAMS, KINDS[2])
    with pytest.raises(ValueError, match=f"stream {stream}; there are {STREAMS}"):
        together.push([0, stream], [MINUTE, MINUTE], [80.0, 80.0])
    assert together.pack(0) == Novelty(*KINDS[2]).pack()


def test_more_streams_than_a_cache_holds_some_of_them_twice_in_a_batch():
    count, chance = 9000, np.random.default_rng(2)
    group = [n % len(KINDS) for n in range(count)]
    together, ours = BatchedNovelties(count, KINDS, group=group), range(0, count, 601)
    scalars = {stream: Novelty(*KINDS[group[stream]]) for stream in ours}
    usual = np.array(USUAL)[group]
    for n in range(40):
        streams = np.concatenate([chance.permutation(count), chance.integers(0, count, 300)])
        times = (1_700_000_000 + 60 * n) * SECOND + np.sort(chance.integers(0, 40 * SECOND, len(streams)))
        values = usual[streams, 0] + usual[streams, 1] * chance.normal(size=len(streams)) * (1 + 5 * (n > 35))
        frozen = (n > 37) & (streams % 3 == 0)
        found = together.push(streams, times, values, frozen=frozen).tolist()
        for place in np.flatnonzero(streams % 601 == 0).tolist():
            scalar = scalars[int(streams[place])]
            scalar.push(int(times[place]), float(values[place]), frozen=bool(frozen[place]))
            assert plain(np.array(found[place : place + 1])) == [scalar.output]
    assert [together.pack(stream) for stream in ours] == [scalars[stream].pack() for stream in ours]
    assert sum(together.terms(stream) is not None for stream in ours) > 3
