"""Two versions of a rule over the same readings: what is lost, gained, later, short, and by whose limits."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rules.amend import amended
from rules.context import Context, Limit
from rules.loader import LIBRARY, load_rule
from rules.replay import Track
from rules.rule import SECOND, Rule
from rules.whatif import LISTED, Trial, try_one

TEXT = (LIBRARY / "spo2-low.yaml").read_text("utf-8")
OLD = load_rule(TEXT, "spo2-low").rule
T0 = 1_767_225_600 * SECOND


def changed(**moved: float) -> Rule:
    paths = {"limit": "parameters/limit/value", "delay_s": "delay_s"}
    return load_rule(amended(TEXT, {paths[k]: v for k, v in moved.items()}), "draft").rule


def track_of(*values: float, every: int = 10, patient: str = "pat") -> Track:
    track = Track(patient)
    for n, value in enumerate(values):
        track.add("oxi", "spo2", value, T0 + n * every * SECOND)
        track.seen(T0 + n * every * SECOND)
    return track


def tried(new: Rule, track: Track, context: Context | None = None, zone: str = "UTC") -> Trial:
    out = Trial(T0, T0 + 86_400 * SECOND)
    try_one((OLD, new), track, context, out, zone=zone)
    out.settle()
    return out


def test_a_lower_limit_loses_the_mild_one_and_names_its_worst_value():
    found = tried(changed(limit=86), track_of(97, 89, 88, 89, 97, 97, 84, 83, 84, 97, 97))
    assert (found.before.alarms, found.after.alarms) == (2, 1)
    (lost,) = found.lost
    assert (lost.peak, lost.of, lost.text["en"]) == (88, "spo2", "SpO2 89 < 90")
    assert (lost.started, lost.ended) == (T0 + 20 * SECOND, T0 + 40 * SECOND)
    assert (found.lost_count, found.gained_count, found.gained) == (1, 0, [])
    assert found.before.short == 2
    assert found.before.by_day == {"2026-01-01": 2}


def test_a_higher_limit_gains_one_and_a_longer_delay_tells_later():
    values = (97, 91, 91, 91, 97, 84, 84, 84, 84, 84, 84, 84, 84, 97, 97)
    gained = tried(changed(limit=93), track_of(*values))
    assert (gained.gained_count, gained.lost_count) == (1, 0)
    later = tried(changed(delay_s=60), track_of(*values))
    assert (later.later, later.latest_s, later.lost_count) == (1, 50, 0)
    assert (later.before.alarms, later.after.alarms) == (1, 1)


def test_days_are_those_of_the_zone():
    found = tried(changed(limit=86), track_of(97, 84, 84, 84, 97), zone="America/New_York")
    assert found.before.by_day == {"2025-12-31": 1}


def test_an_alarm_that_goes_on_at_the_end_has_no_end():
    found = tried(changed(limit=80), track_of(97, 84, 84, 84))
    assert [t.ended for t in found.lost] == [None]
    assert found.before.short == 0


def test_a_patient_s_own_limit_takes_the_place_of_the_moved_one():
    own = Context(limits=(Limit("spo2-low", "limit", 88, "Li", 0, "COPD"),))
    found = tried(changed(limit=92), track_of(97, 89, 89, 89, 97), own)
    assert found.patients[0].limits
    assert (found.before.alarms, found.after.alarms) == (0, 0)
    assert not tried(changed(delay_s=30), track_of(97), own).patients[0].limits


def test_what_is_listed_is_bounded_and_all_are_counted():
    values = [97, 89, 89, 97, 97] * (LISTED + 20)
    found = tried(changed(limit=85), track_of(*values))
    assert (len(found.lost), found.lost_count) == (LISTED, LISTED + 20)
    assert found.lost == sorted(found.lost, key=lambda t: t.started)


@given(
    st.lists(st.integers(min_value=78, max_value=99), min_size=1, max_size=80),
    st.integers(min_value=80, max_value=94),
)
def test_lost_and_gained_account_for_the_difference(values: list[int], limit: int):
    found = tried(changed(limit=limit), track_of(*values))
    if limit <= 90:
        assert found.gained_count <= found.after.alarms
        assert found.lost_count <= found.before.alarms
    if limit == 90:
        assert (found.lost_count, found.gained_count, found.later) == (0, 0, 0)
    if limit >= 90:
        assert found.lost_count == 0, "a tighter limit loses nothing"
    assert math.isclose(found.days, found.patients[0].days)
