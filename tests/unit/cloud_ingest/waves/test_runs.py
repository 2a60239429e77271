"""Chunks as runs and envelopes: nothing is made up, nothing is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_ingest.waves.runs import Envelope, cut, runs_of
from hearthward.core.clock import SECOND
from hearthward.core.model import Quality
from hearthward.core.waves import WaveformChunk
from tests.unit.cloud_ingest.waves.made import T0, chunk

FEW = settings(max_examples=40)


def numbered(n: int, size: int = 10, **changes: object) -> WaveformChunk:
    """The ``n``-th second at ``size`` Hz; each sample is its number in the run."""
    samples = tuple(range(n * size, (n + 1) * size))
    return chunk(n, size=size, rate_hz=float(size), first=n * size, samples=samples, **changes)


@FEW
@given(
    st.sets(st.integers(0, 12)),
    st.integers(1, 40),
    st.lists(st.integers(-3, 15 * 40), min_size=2, max_size=2),
)
def test_what_is_cut_is_what_lies_between(seconds: set[int], size: int, edges: list[int]):
    a, b = (T0 + edge * SECOND // 40 for edge in sorted(edges))
    chunks = [numbered(n, size) for n in sorted(seconds)]
    runs = runs_of(part for c in chunks if (part := cut(c, a, b)) is not None)
    taken = [i for n in sorted(seconds) for i in range(n * size, (n + 1) * size)]
    expected = [i for i in taken if (a - T0) * size <= i * SECOND < (b - T0) * size]
    assert [round(x) for run in runs for x in run.values] == expected
    for run in runs:
        for i, x in enumerate(run.values):
            assert abs(run.at(i) - T0 - round(x) * SECOND // size) <= 2


def test_a_run_ends_where_a_chunk_is_missing_or_anything_else_changes():
    changes: list[dict[str, object]] = [
        {"run": 8},
        {"quality": int(Quality.MOTION)},
        {"scale": 2.0},
        {"unit": None},
        {"device": "dev_2"},
    ]
    for change in changes:
        assert len(runs_of([numbered(0), replace(numbered(1), **change)])) == 2, change
    assert len(runs_of([numbered(0), numbered(1), numbered(2)])) == 1
    assert len(runs_of([numbered(0), numbered(2)])) == 2
    moved = replace(numbered(1), corrected=numbered(1).corrected + 2 * SECOND)
    assert len(runs_of([numbered(0), moved])) == 2, "a clock was moved"


def test_a_run_begins_where_its_promptest_chunk_puts_it():
    late = [
        replace(numbered(n), corrected=numbered(n).corrected + ms * 10**6)
        for n, ms in enumerate((90, 20, 40))
    ]
    (run,) = runs_of(late)
    assert run.start == T0 + 20 * 10**6
    assert len(run.values) == 30


@FEW
@given(st.sets(st.integers(0, 9)), st.integers(1, 30), st.integers(1, 25))
def test_an_envelope_has_the_lowest_and_highest_of_each_bucket(seconds: set[int], size: int, buckets: int):
    end = T0 + 10 * SECOND
    step = -(-10 * SECOND // buckets)
    envelope = Envelope(T0, end, step)
    for run in runs_of(numbered(n, size) for n in seconds):
        envelope.add(run)
    assert len(envelope.low) == len(envelope.high) == -(-10 * SECOND // step)
    found = [x for x in (*envelope.low, *envelope.high) if x is not None]
    taken = [float(i) for n in seconds for i in range(n * size, (n + 1) * size)]
    assert set(found) <= set(taken)
    if taken:
        assert (min(found), max(found)) == (min(taken), max(taken))
    for k, (low, high) in enumerate(zip(envelope.low, envelope.high, strict=True)):
        inside = [x for x in taken if k * step + 2 <= x * SECOND / size < (k + 1) * step - 2]
        assert not inside or (
            low is not None and high is not None and low <= min(inside) and max(inside) <= high
        )


def test_slow_samples_last_until_the_next_in_narrow_buckets():
    envelope = Envelope(T0, T0 + 4 * SECOND, SECOND // 2)
    (run,) = runs_of([numbered(0, 1), numbered(1, 1), numbered(2, 1)])
    envelope.add(run)
    assert envelope.low == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, None, None]


def test_what_a_radio_held_back_and_gave_at_once_is_one_run():
    whole = [chunk(0, size=63, rate_hz=62.5, first=0)]
    came = T0 + 5 * SECOND
    for n, size in enumerate((63, 20, 63, 63)):
        first = whole[-1].end
        ends = came + n * SECOND // 100
        begins = ends - round((size - 1) * SECOND / 62.5)
        whole.append(chunk(size=size, rate_hz=62.5, first=first, begins=begins))
    before, burst = runs_of(reversed(whole))
    assert before.values == list(whole[0].samples)
    assert burst.values == [x for c in whole[1:] for x in c.samples]
    assert burst.end == pytest.approx(whole[-1].corrected, abs=10)


def test_a_clock_that_was_put_back_begins_a_run():
    back = chunk(1, begins=T0 - 2 * SECOND)
    assert len(runs_of([chunk(0), back])) == 2
