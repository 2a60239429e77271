"""What is derived from a signal's past, against the same said in one line over all of it."""

from __future__ import annotations

from fractions import Fraction
from math import exp
from statistics import median
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.conditions import Change, Count, Deviation, Missing, Smoothing, Threshold
from rules.rule import SECOND
from rules.signals import REMEMBERED, RESUM_EVERY, Feature, Series, breaches, feature_key, make_feature

VALUES = [60.0, 64.5, 65.0, 65.25, 71.0, 90.0]
Past = list[tuple[int, float]]


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    time, out = 0, []
    for _ in range(draw(st.integers(1, 25))):
        time += draw(st.sampled_from([1, 2, 9, 10, 11, 30])) * SECOND
        out.append((time, draw(st.sampled_from(VALUES))))
    return out


def fed(key: str, past: Past, *, restarts: bool = False) -> list[float | None]:
    feature, out = make_feature(key), []
    for time, value in past:
        if restarts:
            packed = feature.pack()
            feature = make_feature(key)
            feature.unpack(packed)
        feature.push(time, value, frozen=False)
        out.append(feature.output)
    return out


def window(past: Past, seconds: int, *, edge: bool = False) -> list[float]:
    now = past[-1][0]
    return [v for t, v in past if now - t < seconds * SECOND or (edge and now - t == seconds * SECOND)]


def prefixes(past: Past) -> list[Past]:
    return [past[: i + 1] for i in range(len(past))]


@given(pasts(), st.sampled_from([1, 3]))
def test_a_mean_is_that_of_the_window_once_it_holds_enough(past: Past, least: int):
    expected = [
        float(sum(map(Fraction, w)) / len(w)) if len(w) >= least else None
        for w in (window(p, 20) for p in prefixes(past))
    ]
    assert fed(f"mean 20.0 {least}", past) == pytest.approx(expected, abs=1e-9)


@given(pasts(), st.sampled_from([1, 3]))
def test_a_median_is_that_of_the_window_once_it_holds_enough(past: Past, least: int):
    expected = [median(w) if len(w) >= least else None for w in (window(p, 20) for p in prefixes(past))]
    assert fed(f"median 20.0 {least}", past) == expected


@given(pasts())
def test_a_rise_and_a_fall_are_from_the_lowest_and_the_highest_of_the_window_its_edge_included(past: Past):
    windows = [window(p, 20, edge=True) for p in prefixes(past)]
    assert fed("rise 20.0", past) == [w[-1] - min(w) for w in windows]
    assert fed("fall 20.0", past) == [max(w) - w[-1] for w in windows]


@given(pasts(), st.sampled_from(["below", "at_or_above"]))
def test_a_count_is_of_the_values_beyond_the_limit_in_the_window(past: Past, op: Any):
    expected = [sum(breaches(op, 65.0, v) for v in window(p, 20)) for p in prefixes(past)]
    assert fed(f"count {op} 65.0 20.0", past) == expected


@given(
    pasts(),
    st.sampled_from(
        ["mean 20.0 2", "median 20.0 2", "rise 20.0", "fall 9.0", "level 50.0 20.0", "count below 65.0 20.0"]
    ),
)
@settings(max_examples=60)
def test_packed_and_unpacked_anywhere_it_goes_on_with_equal_numbers(past: Past, key: str):
    assert fed(key, past, restarts=True) == fed(key, past)


def test_rounding_does_not_pile_up_in_a_mean():
    feature = make_feature("mean 10.0 1")
    for i in range(5 * RESUM_EVERY):
        feature.push(i * SECOND, 0.1 if i % 2 else 1e9, frozen=False)
    for i in range(10):
        feature.push((5 * RESUM_EVERY + i) * SECOND, 0.1, frozen=False)
    assert feature.output == pytest.approx(0.1, abs=1e-6)


def level(feature: Feature, past: Past, *, frozen: bool = False) -> float | None:
    for time, value in past:
        feature.push(time, value, frozen=frozen)
    return feature.output


def test_a_level_is_judged_once_it_was_learned_long_enough():
    feature = make_feature("level 100.0 60.0")
    assert level(feature, [(0, 70.0)]) is None
    assert level(feature, [(60 * SECOND, 90.0)]) is None  # learned for a moment so far
    assert level(feature, [(61 * SECOND, 90.0)]) is not None


def test_a_level_forgets_with_its_time_constant():
    feature = make_feature("level 100.0 10.0")
    level(feature, [(0, 60.0), (100 * SECOND, 80.0)])
    assert level(feature, [(101 * SECOND, 100.0)]) == pytest.approx(100 - (80 - 20 * exp(-1)), abs=1e-6)


def test_of_an_open_alarm_nothing_is_learned():
    feature = make_feature("level 100.0 10.0")
    level(feature, [(i * SECOND, 60.0) for i in range(20)])
    assert level(feature, [(i * SECOND, 120.0) for i in range(20, 1000)], frozen=True) == 60.0
    assert level(feature, [(i * SECOND, 120.0) for i in range(1000, 1100)]) < 40  # type: ignore[operator]


@pytest.mark.parametrize(
    ("op", "beyond"),
    [
        ("below", [True, False, False]),
        ("at_or_below", [True, True, False]),
        ("above", [False, False, True]),
        ("at_or_above", [False, True, True]),
    ],
)
def test_what_is_beyond_a_limit(op: Any, beyond: list[bool]):
    assert [breaches(op, 90, v) for v in (89.9, 90.0, 90.1)] == beyond


def test_leaves_that_look_at_the_same_share_one_quantity():
    mean = Smoothing("mean", 60, 2)
    low, high = Threshold("ibp_mean", "below", 65, 5, mean), Threshold("ibp_mean", "above", 110, 0, mean)
    assert feature_key(low) == feature_key(high) == "mean 60.0 2"
    assert feature_key(Change("w", "rise", 2, 60)) == feature_key(Change("w", "rise", 3, 60, 1))
    assert feature_key(Deviation("h", "above", 30, 100, 60)) == feature_key(
        Deviation("h", "below", 9, 100, 60)
    )
    assert feature_key(Count(Threshold("s", "below", 92), 3, 60)) == "count below 92.0 60.0"
    assert feature_key(Threshold("s", "below", 92)) is None
    assert feature_key(Missing("s", 60)) is None


def test_a_series_packed_and_unpacked_is_the_same():
    series = Series()
    series.need(("mean 20.0 1", "rise 20.0"))
    for i in range(40):
        series.time, series.value, series.received = i, float(i), i
        series.recent.append((i, float(i)))
        for feature in series.features.values():
            feature.push(i, float(i), frozen=False)
    assert len(series.recent) == REMEMBERED
    assert Series.unpacked(series.pack()).pack() == series.pack() == series.copy().pack()


def test_a_quantity_that_is_newly_wanted_begins_with_the_newest_value():
    series = Series()
    series.time, series.value = 5, 90.0
    series.need(("mean 20.0 1",))
    assert series.features["mean 20.0 1"].output == 90.0
    kept = series.features["mean 20.0 1"]
    series.need(("mean 20.0 1", "rise 20.0"))
    assert series.features["mean 20.0 1"] is kept
    series.need(())
    assert series.features == {}
