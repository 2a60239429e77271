"""When tasks are due, what counts for them, how much of a plan was kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.careplan import (
    Mark,
    Slot,
    Task,
    adherence,
    dues,
    midnight,
    next_due,
    occurrences,
    slots,
)
from hearthward.core.clock import SECOND

HOUR = 3600 * SECOND
DAY = 24 * HOUR
T0 = 1_767_225_600 * SECOND
"""2026-01-01T00:00Z, a Thursday."""
TASK = Task("t", "measure", "nibp_systolic", "", ("08:00", "20:00"), None, "UTC", 7200, True, T0)


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def test_a_task_is_due_at_its_times_of_day_while_it_holds():
    assert dues(TASK, T0, T0 + 2 * DAY) == [T0 + h * HOUR for h in (8, 20, 32, 44)]
    ended = replace(TASK, end=T0 + 20 * HOUR)
    assert dues(ended, T0 - DAY, T0 + 9 * DAY) == [T0 + 8 * HOUR]
    later = replace(TASK, start=T0 + 9 * HOUR)
    assert dues(later, T0, T0 + DAY) == [T0 + 20 * HOUR]
    mondays = replace(TASK, weekdays=(1,), times=("08:00",))
    assert dues(mondays, T0, T0 + 14 * DAY) == [at("2026-01-05T08:00"), at("2026-01-12T08:00")]
    assert next_due(mondays, T0) == at("2026-01-05T08:00")
    assert next_due(ended, T0 + 8 * HOUR) is None


def test_local_times_go_through_summer_time():
    berlin = replace(TASK, timezone="Europe/Berlin", times=("02:30", "08:00"), start=0)
    first, last = midnight(date(2026, 3, 28), "Europe/Berlin"), at("2026-03-30T12:00")
    shown = [datetime.fromtimestamp(d / SECOND, UTC).isoformat()[:16] for d in dues(berlin, first, last)]
    assert shown == [
        "2026-03-28T01:30",
        "2026-03-28T07:00",
        "2026-03-29T01:30",  # 02:30 is skipped that night: the moment after
        "2026-03-29T06:00",
        "2026-03-30T00:30",
        "2026-03-30T06:00",
    ]
    autumn = dues(replace(berlin, times=("02:30",)), at("2026-10-24T12:00"), at("2026-10-25T12:00"))
    assert autumn == [at("2026-10-25T00:30")]  # the first of the two


def test_windows_do_not_overlap():
    often = replace(TASK, times=("08:00", "09:00"))
    first, second = slots([often], T0, T0 + DAY)
    assert (first.opens, first.closes) == (T0 + 6 * HOUR, T0 + 17 * HOUR // 2)
    assert (second.opens, second.closes) == (T0 + 17 * HOUR // 2, T0 + 11 * HOUR)
    assert slots([often], T0 + 9 * HOUR, T0 + 9 * HOUR + 1) == [second]


def test_what_became_of_each_time():
    early, late = slots([TASK], T0, T0 + DAY)

    def states(now: int, **what: object) -> list[str]:
        marks = what.get("marks", {})
        measured = what.get("measured", {})
        return [o.state for o in occurrences([early, late], marks, measured, now)]  # type: ignore[arg-type]

    assert states(T0) == ["later", "later"]
    assert states(early.opens) == ["now", "later"]
    assert states(early.closes) == ["missed", "later"]
    skip = {("t", early.due): Mark("skipped", "asleep", early.due, "usr")}
    assert states(T0 + DAY, marks=skip) == ["skipped", "missed"]
    assert states(T0 + DAY, marks=skip, measured={("t", early.due): early.due + 1}) == ["done", "missed"]
    done = occurrences([early, late], {}, {("t", early.due): early.due + 1}, late.opens)
    kept = adherence(done)
    assert (kept.done, kept.asked, kept.percent) == (1, 1, 100)
    assert adherence([]).percent is None


@pytest.mark.parametrize("zone", ["UTC", "Asia/Shanghai", "America/St_Johns", "Pacific/Apia"])
@given(
    start=st.integers(0, 400 * 86_400), length=st.integers(1, 20 * 86_400), cut=st.integers(0, 20 * 86_400)
)
def test_a_period_cut_in_two_has_the_same_times(zone: str, start: int, length: int, cut: int):
    task = replace(TASK, timezone=zone, start=T0, times=("00:00", "07:45", "23:59"))
    first, last = T0 + start * SECOND, T0 + (start + length) * SECOND
    middle = min(last, first + cut * SECOND)
    assert dues(task, first, last) == dues(task, first, middle) + dues(task, middle, last)
    found: list[Slot] = slots([task], first, last)
    assert [s.due for s in found] == dues(task, first, last)
    assert all(s.opens < s.due < s.closes for s in found)
    assert all(a.closes <= b.opens for a, b in pairwise(found))
