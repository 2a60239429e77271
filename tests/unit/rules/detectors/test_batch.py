from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.detectors import DEFAULTS, Prior, RecordStack
from rules.detectors.batch import BatchedStacks

OTHER = replace(DEFAULTS, tau_short=3.0, calm=0.7, weights=DEFAULTS.weights._replace(long=0.0, hour=1.0))
STREAMS = 6


@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(0, STREAMS - 1),
            st.sampled_from([60.0, 60.0, 60.0, 61.3, 0.0, -5.0, 1e5]),
            st.sampled_from([0.0, 1.0, 2.0, 2.5, 9.0, -40.0, math.nan, 1e200]) | st.floats(-100, 100),
        ),
        min_size=1,
        max_size=150,
    ),
    st.sampled_from([None, 60.0]),
)
@settings(max_examples=40)
def test_a_batch_gives_the_very_same_scores_and_states(
    seed: int, steps: list[tuple[int, float, float]], pace: float | None
):
    chance = random.Random(seed)
    kinds = [(DEFAULTS, OTHER)[n % 2] for n in range(STREAMS)]
    scalars = [RecordStack(pace=pace, parameters=kind) for kind in kinds]
    together = BatchedStacks(STREAMS, pace=pace, parameters=[DEFAULTS, OTHER], group=[0, 1] * (STREAMS // 2))
    for stream in range(STREAMS):
        for n in range(40):
            scalars[stream].update(60.0 * n, float(n * n % 7))
        together.load(stream, scalars[stream].to_bytes())
    now = [2400.0] * STREAMS
    while steps:
        size = chance.randint(1, 40)
        part, steps = steps[:size], steps[size:]
        frozen = chance.randrange(STREAMS)
        scalars[frozen].frozen = not scalars[frozen].frozen
        together.frozen[frozen] = scalars[frozen].frozen
        times = []
        for stream, step, _ in part:
            now[stream] += step
            times.append(now[stream])
        one_by_one = [scalars[s].update(t, v) for (s, _, v), t in zip(part, times, strict=True)]
        at_once = together.update([s for s, _, _ in part], times, [v for _, _, v in part])
        assert at_once.tolist() == one_by_one
    assert [together.to_bytes(n) for n in range(STREAMS)] == [s.to_bytes() for s in scalars]


def test_streams_from_their_first_reading_on_one_setting():
    chance = random.Random(4)
    count = 5000
    together, scalars = BatchedStacks(count), [RecordStack() for _ in range(0, count, 500)]
    for n in range(60):
        values = [chance.gauss(0, 1) for _ in range(count)]
        times = [1e9 + s + (60.0 + s % 3) * n for s in range(count)]
        scores = together.update(np.arange(count), times, values)
        ours = range(0, count, 500)
        assert scores[ours].tolist() == [
            one.update(times[s], values[s]) for one, s in zip(scalars, ours, strict=True)
        ]
    assert scores.max() > 0.0


def test_what_a_population_knows_is_loaded_into_a_batch():
    prior = RecordStack(pace=60.0, prior=Prior(75.0, 10.0))
    together = BatchedStacks(2)
    together.load(1, prior.to_bytes())
    assert together.update([0, 1], [0.0, 0.0], [170.0, 170.0]).tolist() == [0.0, prior.update(0.0, 170.0)]
    assert together.update([], [], []).tolist() == []
