from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.errors import RuleError
from rules.detectors import DEFAULTS, Prior, RecordStack, Weights
from rules.detectors.explaining import explain, sentences
from rules.detectors.record_stack import LATE_IN_A_ROW
from rules.detectors.stored import SIZE

MINUTE = 60.0
readings = st.lists(
    st.tuples(
        st.sampled_from([60.0, 60.0, 60.0, 59.5, 0.0, -30.0, 7200.0, 1e6]),
        st.one_of(
            st.floats(-50, 50),
            st.sampled_from([0.0, 1.0, math.nan, math.inf, 1e300, -1e99, 5e-324]),
            st.floats(),
        ),
    ),
    max_size=60,
)


def usual(count: int, *, seed: int = 1, spacing: float = MINUTE) -> list[tuple[float, float]]:
    """Readings of a signal that keeps within its bounds."""
    chance = random.Random(seed)
    return [(spacing * n, 80.0 + chance.gauss(0, 2)) for n in range(count)]


def taught(*, frozen: bool = False, count: int = 600) -> RecordStack:
    stack = RecordStack(pace=MINUTE)
    for time, value in usual(count):
        stack.update(time, value)
    stack.frozen = frozen
    return stack


def timed(steps: list[tuple[float, float]]) -> list[tuple[float, float]]:
    now, out = 1e9, []
    for step, value in steps:
        now += step
        out.append((now, value))
    return out


def test_what_is_usual_scores_little_and_what_never_was_scores_high():
    stack = taught()
    assert stack.update(600 * MINUTE, 81.0) == 0.0
    assert stack.update(601 * MINUTE, 130.0) > 0.9


def test_a_gap_while_frozen_longer_than_the_stream_is_old_leaves_a_variance_that_can_be_shown():
    stack = RecordStack(pace=MINUTE)
    stack.update(0.0, 1.0)
    stack.frozen = True
    for n, value in enumerate((0.0, 5.0, 0.0, 9.0)):
        stack.update(6_000.0 * (n + 1), value)
    assert stack.moment is not None
    assert stack.moment.after.variance >= 0.0
    assert explain(stack) is not None


@given(readings, st.lists(st.sampled_from(["peek", "freeze", "shift", ""]), max_size=60))
def test_what_was_foreseen_is_learned_as_if_it_had_not_been(
    steps: list[tuple[float, float]], acts: list[str]
):
    plain, foreseen = RecordStack(pace=MINUTE), RecordStack(pace=MINUTE)
    by = 0.0
    for (time, value), act in zip(timed(steps), acts + [""] * len(steps), strict=False):
        foreseen.peek(time + by, value)
        foreseen.score_one(
            {"time": time + by + 1.0, "value": 3.0} if act == "peek" else {"time": 0, "value": 1}
        )
        foreseen.peek(time + by, value)
        if act == "freeze":
            plain.frozen = foreseen.frozen = not plain.frozen
        if act == "shift":
            plain.shift(60.0)
            foreseen.shift(60.0)
            by += 60.0
        assert plain.update(time + by, value) == foreseen.update(time + by, value)
        assert repr(plain.moment) == repr(foreseen.moment)
        assert plain.to_bytes() == foreseen.to_bytes()


def test_a_repeat_is_not_told_again():
    stack = taught()
    told = [stack.update((600 + n) * MINUTE, 130.0) for n in range(30)]
    assert told[0] > 0.9
    assert sum(score > 0.5 for score in told) <= 3
    assert told[-1] < 0.5


def test_a_spread_that_changes_is_told_though_no_value_is_out_of_the_range():
    stack = RecordStack(pace=MINUTE)
    for n in range(2000):
        stack.update(n * MINUTE, 80.0 + (3.0 if n % 2 else -3.0))
    told = [stack.update((2000 + n) * MINUTE, 80.0) for n in range(200)]
    assert max(told) > 0.5
    explained = RecordStack.from_bytes(stack.to_bytes())
    assert explained.readings == 2200


def test_a_day_that_lacks_its_usual_peak_is_told():
    stack = RecordStack(pace=300.0)
    scores = []
    for n in range(288 * 12):
        hour = n % 288 // 12
        peak = 9 <= hour < 18 and n < 288 * 11
        scores.append(stack.update(n * 300.0, (80.0 if peak else 20.0) + n % 3))
    assert max(scores[288 * 8 : 288 * 11]) < 0.5
    assert max(scores[288 * 11 :]) > 0.5


@given(readings)
def test_scores_lie_within_0_and_1_whatever_comes(steps: list[tuple[float, float]]):
    stack = RecordStack()
    for time, value in timed(steps):
        assert 0.0 <= stack.update(time, value) <= 1.0
    for time in (math.nan, math.inf):
        assert stack.update(time, 1.0) == 0.0
    usable = sum(abs(value) <= 1e100 for _, value in steps)
    assert (stack.readings, stack.rejected) == (usable, len(steps) - usable + 2)


@given(steps=readings, given_pace=st.booleans())
def test_scoring_leaves_no_trace_and_update_is_both(steps: list[tuple[float, float]], *, given_pace: bool):
    one, two = (RecordStack(pace=MINUTE if given_pace else None) for _ in range(2))
    for time, value in timed(steps):
        before = one.to_bytes()
        score = one.score_one({"time": time, "value": value})
        assert one.to_bytes() == before
        one.learn_one({"time": time, "value": value})
        assert two.update(time, value) == score
        assert two.to_bytes() == one.to_bytes()


@given(readings, st.integers(0, 60))
def test_a_restart_changes_no_score(steps: list[tuple[float, float]], cut: int):
    whole, parted = RecordStack(), RecordStack()
    for n, (time, value) in enumerate(timed(steps)):
        if n == cut:
            stored = parted.to_bytes()
            assert len(stored) == SIZE <= 1024
            parted = RecordStack.from_bytes(stored)
            assert parted.to_bytes() == stored
        assert whole.update(time, value) == parted.update(time, value)


@pytest.mark.parametrize("spacing", [1.0, 8 * 3600.0])
def test_1_hz_and_three_a_day_are_scored_alike(spacing: float):
    no_clock = replace(DEFAULTS, weights=DEFAULTS.weights._replace(hour=0.0, hours=0.0))
    course = [(n, value) for n, (_, value) in enumerate(usual(400))]
    course += [(n, 95.0 - n % 7) for n in range(400, 420)]
    minutes, others = (RecordStack(pace=pace, parameters=no_clock) for pace in (MINUTE, spacing))
    scores = [minutes.update(n * MINUTE, value) for n, value in course]
    assert [others.update(n * spacing, value) for n, value in course] == scores
    assert max(scores) > 0.5


def test_memory_is_in_time_not_in_samples():
    parameters = replace(DEFAULTS, weights=Weights(0, 0, 1, 0, 0, 0, 0, 0))
    level = {}
    for spacing in (1.0, 10.0):
        stack = RecordStack(pace=MINUTE, parameters=parameters)
        for n in range(round(36_000 / spacing)):
            stack.update(n * spacing, 0.0 if n * spacing < 32_400 else 1.0)
        assert stack.moment is not None
        level[spacing] = stack.moment.after.medium
    assert level[1.0] == pytest.approx(level[10.0], abs=0.01)
    assert level[1.0] == pytest.approx(1 - math.exp(-60 / parameters.tau_medium), abs=0.01)


def test_the_pace_is_learned_from_the_first_intervals():
    stack = RecordStack()
    time = 0.0
    for interval in (300.0, 300.0, 4000.0, 300.0, 300.0, 300.0, 1.0, 300.0, 300.0, 9.0, 9.0, 9.0):
        time += interval
        stack.update(time, 1.0)
    assert stack.pace == 300.0
    with pytest.raises(ValueError, match="the pace is 0"):
        RecordStack(pace=0.0)


def test_a_silence_of_weeks_is_no_anomaly():
    stack = taught()
    assert stack.update(600 * MINUTE + 20 * 86_400, 81.0) < 0.5


def test_a_clock_set_back_stops_the_memory_for_a_moment_only():
    stack, away = taught(), 30 * 86_400.0
    for n in range(LATE_IN_A_ROW):
        stack.update(n * MINUTE - away, 80.0)
    assert stack.moment is not None
    before = stack.moment.after.slow
    stack.update(LATE_IN_A_ROW * MINUTE - away, 84.0)
    assert stack.moment.after.slow > before


def test_while_frozen_nothing_abnormal_becomes_usual():
    frozen, learning = taught(frozen=True), taught()
    for stack in (frozen, learning):
        for n in range(600, 900):
            stack.update(n * MINUTE, 130.0)
    assert frozen.moment is not None
    assert learning.moment is not None
    assert frozen.moment.after.slow == pytest.approx(80.0, abs=0.5)
    assert frozen.moment.after.high < 90.0
    assert frozen.moment.after.short == pytest.approx(130.0)
    assert learning.moment.after.slow > 105.0
    frozen.frozen = False
    assert max(frozen.update(n * MINUTE, 81.0) for n in range(900, 1300)) < 0.5
    assert frozen.update(1300 * MINUTE, 130.0) > 0.5


def test_the_population_is_heard_before_the_patient_is_known():
    prior = Prior(level=75.0, spread=10.0)
    assert RecordStack(pace=MINUTE, prior=prior).update(0.0, 80.0) == 0.0
    assert RecordStack(pace=MINUTE, prior=prior).update(0.0, 170.0) > 0.5
    assert RecordStack(pace=MINUTE).update(0.0, 170.0) == 0.0


def test_the_day_begins_where_the_patient_is():
    utc, local = RecordStack(pace=3600.0), RecordStack(pace=3600.0, day_starts=3600.0)
    for n in range(100):
        utc.update(n * 3600.0, n % 24)
        local.update(n * 3600.0 + 3600.0, n % 24)
    assert utc.to_bytes()[-4 - 24 * 8 : -4] == local.to_bytes()[-4 - 24 * 8 : -4]


def test_what_is_no_state_is_refused():
    stack, good = taught(), taught().to_bytes()
    damaged = bytes([*good[:100], good[100] ^ 1, *good[101:]])
    newer = good[:4] + b"\x02\x00" + good[6:]
    for data, why in ((b"", "not the state"), (b"x" * 512, "not the state"), (newer, "version 2")):
        with pytest.raises(RuleError, match=why):
            RecordStack.from_bytes(data)
    for data in (damaged, good[:-1]):
        with pytest.raises(RuleError, match="damaged"):
            RecordStack.from_bytes(data)
    with pytest.raises(RuleError, match="other parameters"):
        RecordStack.from_bytes(good, parameters=replace(DEFAULTS, tau_short=6.0))
    assert RecordStack.from_bytes(good).to_bytes() == stack.to_bytes()


@given(readings)
@settings(max_examples=30)
def test_an_explanation_adds_up_to_the_score(steps: list[tuple[float, float]]):
    stack = RecordStack(prior=Prior(0.0, 10.0))
    assert explain(stack) is None
    for time, value in timed(steps):
        if not abs(value) <= 1e100:
            continue
        score = stack.update(time, value)
        explained = explain(stack)
        assert explained is not None
        evidence = (math.fsum(t.points for t in explained.terms) - explained.calmed) * explained.share
        assert evidence / (evidence + DEFAULTS.threshold) == pytest.approx(score, abs=1e-6)
        assert explained.score == score


def test_an_explanation_says_what_beat_which_record():
    stack = taught()
    stack.update(600 * MINUTE, 130.0)
    explained = explain(stack)
    assert explained is not None
    by_name = {term.name: term for term in explained.terms}
    assert by_name["range"].value == 130.0
    assert by_name["range"].usual < 90.0
    assert by_name["range"].direction == "above"
    assert by_name["short"].ratio > 1.0
    told = sentences("respiratory_rate", stack)
    assert any(t["en"].startswith("respiratory rate 130 /min: above all that is known (8") for t in told)
    assert any(t["zh"].startswith("呼吸频率 130") and "高于" in t["zh"] for t in told)
    assert all(t["en"] and t["zh"] for t in told)
    assert sentences("spo2", RecordStack()) == []


@pytest.mark.parametrize(
    ("days", "en", "zh"),
    [
        (0.52, "earlier in this hour", "本小时此前"),
        (3, "at this time of day", "此时段通常"),
    ],
    ids=["first day", "later"],
)
def test_the_time_of_day_is_spoken_of_once_a_day_has_been_seen(days: float, en: str, zh: str):
    stack = RecordStack(pace=300.0)
    count = round(288 * days)
    for n in range(count):
        stack.update(n * 300.0, 80.0 + n % 5)
    stack.update(count * 300.0, 120.0)
    told = sentences("heart_rate", stack)
    assert any(en in text["en"] for text in told)
    assert any(zh in text["zh"] for text in told)
    others = {"earlier in this hour", "at this time of day"} - {en}
    assert not any(other in text["en"] for text in told for other in others)
