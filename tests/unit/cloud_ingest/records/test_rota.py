from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_ingest.records.models import Shift
from cloud_ingest.records.rota import WEEK_NS, Interval, holes, overlap, times
from hearthward.core.clock import SECOND

HOUR = 3600 * SECOND
DAY = 24 * HOUR
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Shanghai",
    "Africa/Casablanca",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ns(text: str, zone: str = "UTC") -> int:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))
    return int((moment - _EPOCH).total_seconds()) * SECOND


def shift(start: int, end: int, **values: Any) -> Shift:
    made = {"weekly": False, "until": None, "timezone": "UTC", "cancelled": None, "skipped": []}
    return Shift(start=start, end=end, **{**made, **values})


def shown(found: list[Interval], zone: str) -> list[tuple[str, str]]:
    def local(at: int) -> str:
        return f"{(_EPOCH + timedelta(seconds=at // SECOND)).astimezone(ZoneInfo(zone)):%m-%d %H:%M}"

    return [(local(a), local(b)) for a, b in found]


def test_a_night_shift_keeps_its_local_hours_when_the_clocks_change() -> None:
    zone = "Europe/Berlin"
    night = shift(ns("2027-03-20T21:30", zone), ns("2027-03-21T06:30", zone), weekly=True, timezone=zone)
    found = times(night, night.start, night.start + 3 * WEEK_NS - DAY)
    assert shown(found, zone) == [
        ("03-20 21:30", "03-21 06:30"),
        ("03-27 21:30", "03-28 06:30"),
        ("04-03 21:30", "04-04 06:30"),
    ]
    assert [(b - a) // HOUR for a, b in found] == [9, 8, 9]


def test_a_time_that_the_clocks_skip_is_the_moment_they_are_put_forward() -> None:
    zone = "Europe/Berlin"
    early = shift(ns("2027-03-21T02:30", zone), ns("2027-03-21T08:00", zone), weekly=True, timezone=zone)
    second = times(early, early.start, early.start + 2 * WEEK_NS)[1]
    assert second == (ns("2027-03-28T01:00"), ns("2027-03-28T06:00"))
    within = shift(ns("2027-03-21T02:15", zone), ns("2027-03-21T02:45", zone), weekly=True, timezone=zone)
    assert len(times(within, within.start, within.start + 3 * WEEK_NS - DAY)) == 2, (
        "that night it is not there"
    )


def test_until_skipped_and_cancelled() -> None:
    start = ns("2027-01-04T08:00")
    plain = shift(start, start + 8 * HOUR, weekly=True)
    week = [(start + n * WEEK_NS, start + n * WEEK_NS + 8 * HOUR) for n in range(4)]
    far = start + 4 * WEEK_NS
    assert times(plain, start, far) == week
    assert times(plain, week[1][1] - 1, week[2][0] + 1) == week[1:3]
    plain.until = week[2][0] + 1
    assert times(plain, start, far) == week[:3], "one that has begun by then is whole"
    plain.skipped = [[week[0][0], week[0][0]], [week[1][0], week[1][0] + HOUR]]
    assert times(plain, start, far) == [(week[1][0], week[1][0] + HOUR), week[2]]
    plain.cancelled = week[2][0] + 2 * HOUR
    assert times(plain, start, far)[-1] == (week[2][0], week[2][0] + 2 * HOUR)
    plain.cancelled = start
    assert times(plain, start, far) == []


@given(
    zone=st.sampled_from(ZONES),
    day=st.integers(0, 800),
    cuts=st.lists(st.integers(0, 7 * 24 * 12 - 1), min_size=1, max_size=6, unique=True),
    weeks=st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_shifts_that_follow_each_other_by_the_clock_do_so_in_utc(
    zone: str, day: int, cuts: list[int], weeks: int
) -> None:
    """A week cut into shifts at 5-minute marks of the local clock: no hole and no overlap, ever."""
    monday = datetime(2026, 1, 5, tzinfo=UTC).replace(tzinfo=None) + timedelta(days=day)
    marks = [monday + timedelta(minutes=5 * c) for c in sorted(cuts)]
    marks.append(marks[0] + timedelta(days=7))

    def instant(local: datetime) -> int:
        """Later local times are later here; the rule for skipped times, by search."""
        at = int((local.replace(tzinfo=UTC) - _EPOCH).total_seconds()) - 16 * 3600
        while (_EPOCH + timedelta(seconds=at)).astimezone(ZoneInfo(zone)).replace(tzinfo=None) < local:
            at += 300
        return at * SECOND

    rows = [
        shift(instant(a), instant(b), weekly=True, timezone=zone)
        for a, b in pairwise(marks)
        if instant(a) < instant(b)
    ]
    genuine = all(
        (_EPOCH + timedelta(seconds=instant(m) // SECOND)).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        == m
        for m in marks
    )
    if not genuine:
        return  # the first week has a skipped mark itself: then the local times are others
    first = rows[0].start
    last = first + weeks * WEEK_NS
    found = sorted(t for row in rows for t in times(row, first, last))
    assert holes(found, first, last) == []
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    assert all(overlap(a, b) is None for a in rows for b in rows if a is not b)


@given(
    starts=st.lists(st.integers(0, 28 * 24), min_size=2, max_size=2),
    lengths=st.lists(st.integers(1, 100), min_size=2, max_size=2),
    weekly=st.lists(st.booleans(), min_size=2, max_size=2),
    until=st.lists(st.none() | st.integers(1, 2000), min_size=2, max_size=2),
    zones=st.lists(st.sampled_from(ZONES), min_size=2, max_size=2),
)
@settings(max_examples=200, deadline=None)
def test_overlap_finds_what_looking_hour_by_hour_finds(
    starts: list[int], lengths: list[int], weekly: list[bool], until: list[int | None], zones: list[str]
) -> None:
    base = ns("2026-10-05T00:00")
    rows = [
        shift(
            base + starts[i] * HOUR,
            base + (starts[i] + lengths[i]) * HOUR,
            weekly=weekly[i],
            until=base + (starts[i] + extra) * HOUR if weekly[i] and (extra := until[i]) else None,
            timezone=zones[i],
        )
        for i in (0, 1)
    ]
    last = base + 380 * DAY
    one, two = (times(row, base, last) for row in rows)
    slow = next((True for a in one for b in two if a[0] < b[1] and b[0] < a[1]), False)
    found = overlap(*rows)
    assert (found is not None) == slow == (overlap(rows[1], rows[0]) is not None)
    if found is not None:
        assert found[0] < found[1]


@pytest.mark.parametrize(
    ("covered", "expected"),
    [
        ([], [(0, 10)]),
        ([(0, 10)], []),
        ([(2, 4), (3, 6), (8, 20)], [(0, 2), (6, 8)]),
        ([(-5, 1), (12, 15)], [(1, 10)]),
    ],
)
def test_holes(covered: list[Interval], expected: list[Interval]) -> None:
    assert holes(covered, 0, 10) == expected
