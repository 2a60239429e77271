"""The personal baseline on made-up patients of whom the truth is known."""

from __future__ import annotations

import json
import random
from math import cos, inf, nan, pi

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.detectors.baseline import VERSION, Asked, Baseline, Prior, Terms

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
PRESSURE = Prior(130.0, 12.0, 4.0, 43_200.0)
Row = tuple[int, float]


def made(asked: Asked = "spreads", *, tau: float = 14, learn: float = 0, prior: Prior = PRESSURE) -> Baseline:
    return Baseline(asked, round(tau * DAY), round(learn * DAY), prior)


def fed(baseline: Baseline, rows: list[Row]) -> Terms:
    for time, value in rows:
        baseline.push(time, value, frozen=False)
    assert baseline.terms is not None
    return baseline.terms


def patient(
    seed: int, days: int = 40, *, level: float = 150, week: float = 0, rhythm: float = 0, spread: float = 5
) -> list[Row]:
    """Twice a day, not at the same minute, now and then not at all."""
    chance, rows = random.Random(seed), []
    for half in range(2 * days):
        if chance.random() < 0.15:
            continue
        time = half * DAY / 2 + 7 * 3600 * SECOND + chance.gauss(0, 2400) * SECOND
        usual = level + week * time / DAY / 7 + rhythm * cos(2 * pi * (time / DAY))
        rows.append((round(time), usual + chance.gauss(0, spread)))
    return rows


@pytest.mark.parametrize("seed", range(5))
def test_level_spread_and_rhythm_are_found(seed: int):
    terms = fed(made(), patient(seed, rhythm=10))
    assert terms.level == pytest.approx(150, abs=4)
    assert terms.hour == pytest.approx(10 * cos(2 * pi * 19 / 24), abs=4)  # measured last at 19 h
    assert terms.spread == pytest.approx(5, rel=0.4)
    assert abs(terms.trend) < 3 * terms.error


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("week", [-12.0, 12.0])
def test_a_change_over_days_is_found_and_told_as_far_as_it_is_certain(seed: int, week: float):
    baseline = made("trend")
    terms = fed(baseline, patient(seed, week=week))
    assert terms.trend == pytest.approx(week, abs=3 * terms.error)
    assert baseline.output == pytest.approx((abs(terms.trend) - terms.error) * (1 if week > 0 else -1))
    assert abs(baseline.output or 0) > 6


@pytest.mark.parametrize("seed", range(5))
def test_what_does_not_change_has_no_trend(seed: int):
    baseline = made("trend", tau=7)
    for time, value in patient(seed, spread=8, rhythm=4):
        baseline.push(time, value, frozen=False)
        assert abs(baseline.output or 0) < 5


def test_at_first_the_population_is_all_that_is_known():
    baseline = made()
    first = fed(baseline, [(0, 160.0)])
    assert (first.level, first.hour, first.trend) == (130, 0, 0)
    assert first.spread == pytest.approx(12 * (1 + 1 / 4 + 1 / 4) ** 0.5)  # the level's doubt, and the hour's
    levels = [fed(baseline, [(n * DAY // 2, 160.0)]).level for n in range(1, 60)]
    assert levels == sorted(levels)
    assert levels[-1] == pytest.approx(160, abs=1)
    assert abs(fed(baseline, [(30 * DAY, 160.0)]).trend) < 0.5  # the prior has no place in time


def test_a_patient_is_measured_by_the_own_spread():
    steady, lively = (fed(made(), [*patient(1, spread=s), (41 * DAY, 175.0)]) for s in (3.0, 15.0))
    assert steady.spreads > 5
    assert lively.spreads < 2.5


def test_one_value_far_off_moves_little():
    rows = patient(2)
    terms = fed(made(), [*rows, (40 * DAY, 300.0), (40 * DAY + DAY // 2, 150.0)])
    assert terms.level == pytest.approx(fed(made(), [*rows, (40 * DAY + DAY // 2, 150.0)]).level, abs=1.5)
    assert abs(terms.spreads) < 2


@pytest.mark.parametrize("asked", ["spreads", "trend"])
def test_values_that_come_together_are_one_measurement(asked: Asked):
    """A monitor that tells each second leaves the same mark as a nurse who writes down the mean."""
    rows, last = patient(2), (41 * DAY, 150.0)
    night = [(t + n * SECOND, v + n % 3 - 1) for t, v in rows for n in range(60)]
    alone, many = made(asked), made(asked)
    assert fed(many, [*night, last]) == pytest.approx(fed(alone, [*rows, last]))
    for n in range(1, 200):
        many.push(last[0] + n * SECOND, 150.0 + n, frozen=False)
    terms = many.terms
    assert terms is not None
    assert terms.level == pytest.approx(fed(alone, []).level)
    assert terms.spreads * terms.spread == pytest.approx(349 - terms.expected)


def test_a_value_after_those_that_came_together_is_judged_by_them():
    many, mean = made(), made()
    together = [(n * 60 * SECOND, 130.0 + n) for n in range(4)]
    assert fed(many, [*together, (DAY, 140.0)]) == pytest.approx(fed(mean, [(0, 131.5), (DAY, 140.0)]))


def test_a_new_level_becomes_usual_in_time():
    rows = [*patient(3), *((t + 41 * DAY, v + 40) for t, v in patient(4))]
    assert fed(made(tau=7), rows).level == pytest.approx(190, abs=6)


def test_nothing_is_learned_while_frozen_and_the_level_does_not_follow_its_trend():
    baseline = made()
    before = fed(baseline, patient(5, week=15))
    for n in range(20):
        baseline.push(41 * DAY + n * DAY // 2, 330.0, frozen=True)
    assert baseline.terms is not None
    assert baseline.terms.level == pytest.approx(before.level, abs=3)
    assert baseline.terms.spreads > 8


def test_missed_measurements_are_counted_and_forgotten():
    daily = Prior(80.0, 1.0, 3.0, 86_400.0)
    rows = [(n * DAY, 80.0) for n in range(10)]
    assert fed(made(prior=daily, tau=1000), rows).missed == 0
    gap = [*rows, (13 * DAY, 80.0), (13 * DAY + 300 * SECOND, 80.1)]  # three were missed; twice is once
    terms = fed(made(prior=daily, tau=1000), gap)
    assert (round(terms.missed, 1), round(terms.due, 1)) == (3.0, 13.9)
    later = [*gap, *((n * DAY, 80.0) for n in range(14, 40))]
    assert fed(made(prior=daily, tau=7), later).missed < 0.1
    assert fed(made(prior=Prior(80.0, 1.0, 3.0)), gap).due == 0


def test_it_is_judged_once_it_has_learned_for_long_enough():
    baseline = made(learn=3)
    outputs = []
    for n in range(8):
        baseline.push(n * DAY // 2, 130.0, frozen=False)
        outputs.append(baseline.output is not None)
    assert outputs == [False] * 6 + [True] * 2


def test_a_number_that_is_none_is_passed_over():
    baseline = made()
    fed(baseline, [(0, 130.0)])
    packed = baseline.pack()
    for value in (nan, inf):
        baseline.push(DAY, value, frozen=False)
    assert baseline.pack() == packed


def test_another_version_is_not_read():
    baseline = made()
    fed(baseline, patient(6))
    packed = baseline.pack()
    assert packed[2] == VERSION
    packed[2] = VERSION + 1
    again = made()
    assert not again.unpack(packed)
    assert again.pack() == made().pack()


def test_times_are_moved_together():
    rows = patient(7)
    moved, late = made(), made()
    fed(moved, rows)
    moved.shift(DAY)
    fed(late, [(t + DAY, v) for t, v in rows])
    assert moved.pack() == late.pack()


pasts = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 60, 3600, 40_000, 86_400, 900_000, 90_000_000]),
        st.floats(-1000, 1000) | st.integers(110, 150).map(float),
        st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


@settings(max_examples=60)
@given(pasts, st.sampled_from(["spreads", "trend"]), st.sampled_from([0.01, 1.0, 30.0]))
def test_a_restart_changes_nothing_and_the_state_stays_small(
    past: list[tuple[int, float, bool]], asked: Asked, tau: float
):
    through, broken, time = made(asked, tau=tau), made(asked, tau=tau), 1_700_000_000 * SECOND
    for step, value, frozen in past:
        time += step * SECOND
        packed = json.dumps(broken.pack())
        assert len(packed) <= 1024
        broken = made(asked, tau=tau)
        broken.unpack(json.loads(packed))
        through.push(time, value, frozen=frozen)
        broken.push(time, value, frozen=frozen)
        assert broken.pack() == through.pack()
        terms = through.terms
        assert terms is not None
        assert terms.spread >= 0.2 * PRESSURE.spread
        assert terms.spreads * terms.spread == pytest.approx(value - terms.expected, abs=1e-6)


def test_a_trend_is_learned_on_while_its_alarm_is_open():
    baseline = made("trend")
    fed(baseline, patient(8, week=15))
    for n in range(60):
        baseline.push(41 * DAY + n * DAY // 2, 235.0, frozen=True)
    assert (baseline.output or 0) < 4
