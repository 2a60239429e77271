"""What a replay comes to: days watched, burden, events caught, two sets side by side."""

from __future__ import annotations

import pytest

from rules.replay import Episode, Track
from rules.rule import SECOND
from rules.tally import (
    Caught,
    Event,
    active_days,
    catch,
    days_by_patient,
    median_warning,
    top_share,
    unmatched,
)

MINUTE = 60 * SECOND
DAY = 86_400 * SECOND


def episode(
    started: float, end: float | None, patient: str = "p", rule: str = "r", onset: float | None = None
) -> Episode:
    """Times in minutes."""
    return Episode(
        alarm=f"{patient}{rule}{started}",
        patient=patient,
        rule=rule,
        version=1,
        hash="0" * 16,
        kind="physiological",
        priority="high",
        title={"en": rule, "zh": rule},
        text={"en": "", "zh": ""},
        limit="",
        onset=round((started if onset is None else onset) * MINUTE),
        started=round(started * MINUTE),
        inputs=(),
        detail={},
        end=None if end is None else round(end * MINUTE),
    )


def track(patient: str, *minutes: float) -> Track:
    out = Track(patient)
    for minute in minutes:
        out.add("d", "spo2", 97, round(minute * MINUTE))
        out.seen(round(minute * MINUTE))
    return out


def test_days_are_the_span_and_one_typical_interval():
    regular = track("a", *range(660))
    once = track("b", 5)
    other_things = Track("c")
    other_things.seen(0)
    other_things.seen(60 * MINUTE)
    days = days_by_patient([regular, once, other_things, Track("d")])
    assert {p: round(d * 1440) for p, d in days.items()} == {"a": 660, "b": 1, "c": 61}
    assert days_by_patient([track("b", 5)]) == {"b": 0}


def warned(*episodes: Episode, at: float = 100, before: float = 60, after: float = 30) -> float | None:
    """Minutes of warning of one event, None when it is lost."""
    event = Event("p", round(at * MINUTE), "x")
    (caught,) = catch(episodes, [event], round(before * MINUTE), round(after * MINUTE))
    assert isinstance(caught, Caught)
    return None if caught.warning is None else caught.warning / MINUTE


def test_the_alarm_that_is_active_has_caught_it():
    assert warned(episode(90, None)) == 10
    assert warned(episode(90, 101)) == 10
    assert warned(episode(-500, None)) == 600
    assert warned(episode(100, 105)) == 0


def test_of_several_active_ones_people_knew_by_the_first():
    assert warned(episode(80, None), episode(95, None, rule="s")) == 20
    assert warned(episode(50, 99), episode(95, None, rule="s")) == 5


def test_one_that_has_ended_counts_within_the_horizon_the_last_one_told():
    assert warned(episode(50, 60), episode(80, 90)) == 20
    assert warned(episode(39, 60)) is None
    assert warned(episode(40, 60)) == 60
    assert warned(episode(10, 20), before=95) == 90


def test_else_the_first_one_told_after_it_began():
    assert warned(episode(130, None), episode(120, 125)) == -20
    assert warned(episode(131, None)) is None
    assert warned(episode(20, 30), episode(110, 120)) == -10
    assert warned(episode(90, 95), episode(101, None)) == 10


def test_others_alarms_catch_nothing():
    assert warned(episode(90, None, patient="q")) is None


def test_the_median_is_over_those_caught():
    events = [Event(p, 100 * MINUTE, "x") for p in "abc"]
    found = catch([episode(90, None, "a"), episode(70, None, "b")], events, MINUTE, MINUTE)
    assert median_warning(found) == 20 * MINUTE
    assert [c.event.patient for c in found if c.episode is None] == ["c"]
    assert median_warning(catch([], events, MINUTE, MINUTE)) is None


def test_the_top_tenth_is_of_all_patients():
    episodes = [episode(n, n + 1, "a") for n in range(6)] + [episode(0, 1, "b"), episode(0, 1, "c")]
    assert top_share(episodes, 10) == 0.75
    assert top_share(episodes, 11) == pytest.approx(7 / 8)
    assert top_share([], 10) is None


def test_time_with_an_alarm_counts_overlapping_ones_once():
    episodes = [episode(0, 60), episode(30, 90, rule="s"), episode(40, 50, rule="t"), episode(600, None, "q")]
    tracks = [track("p", 0, 1440), track("q", 0, 630)]
    assert active_days(episodes, tracks) == pytest.approx(120 / 1440)


def test_episodes_are_the_same_when_they_overlap():
    ours = [episode(0, 10), episode(20, None), episode(0, 10, rule="s")]
    theirs = [episode(9, 15), episode(30, 40), episode(0, 10, "q", rule="s")]
    assert unmatched(ours, theirs) == [ours[2]]
    assert unmatched(theirs, ours) == [theirs[2]]
    assert unmatched([episode(20, 30, onset=12)], [episode(0, 13)]) == []
    assert len(unmatched([episode(20, 30, onset=14)], [episode(0, 13)])) == 1
