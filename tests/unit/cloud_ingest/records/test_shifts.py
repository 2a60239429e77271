from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from cloud_ingest.records import Records
from cloud_ingest.records.models import Shift
from cloud_ingest.records.shifts import Hole, Shifts, Turn
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import AccessError, ConfigError
from hearthward.trust.access import Scope
from tests.unit.cloud_ingest.records.conftest import START, SYSTEM

T = TypeVar("T")
HOUR = 3600 * SECOND
DAY = 24 * HOUR
WEEK = 7 * DAY
W1 = Scope("main", frozenset({"w1"}))

pytestmark = pytest.mark.usefixtures("staffed")


@pytest.fixture
def shifts(records: Records) -> Callable[[Callable[[Shifts], T]], T]:
    def do(fn: Callable[[Shifts], T]) -> T:
        return records.run_now(lambda s: fn(records.shifts(s)))

    return do


Do = Callable[[Callable[[Shifts], Any]], Any]


def add(shifts: Do, scope: Scope = SYSTEM, **values: Any) -> Shift:
    made = {"user": "nora", "role": "nurse", "ward": "w1", "start": START + HOUR, "end": START + 9 * HOUR}
    row: Shift = shifts(lambda x: x.add(scope, **{**made, **values}))
    return row


def refused(do: Callable[[], object]) -> tuple[object, object]:
    with pytest.raises(ConfigError) as caught:
        do()
    return caught.value.details["field"], caught.value.details.get("code", caught.value.details["reason"])


def turns(
    shifts: Do, first: int = START, last: int = START + 5 * WEEK, **filters: Any
) -> list[tuple[str, int, int]]:
    found: list[Turn] = shifts(lambda x: x.turns(SYSTEM, first, last, **filters))
    return [(t.shift.user, (t.start - START) // HOUR, (t.end - START) // HOUR) for t in found]


def test_who_is_on_duty_when(shifts: Do, clock: EventClock) -> None:
    add(shifts)
    add(shifts, user="nick", start=START + 9 * HOUR, end=START + 17 * HOUR)
    add(shifts, user="dora", role="doctor", ward=None, start=START, end=START + DAY)

    def there(hour: int, role: str | None = None) -> list[str]:
        found = shifts(lambda x: x.on_duty(SYSTEM, "w1", at=START + hour * HOUR, role=role))
        return [t.shift.user for t in found]

    assert there(0) == ["dora"]
    assert there(1) == there(8) == ["dora", "nora"]
    assert there(9, "nurse") == ["nick"]
    assert there(17, "nurse") == []
    clock.follow(START + 10 * HOUR)
    assert [t.shift.user for t in shifts(lambda x: x.on_duty(SYSTEM, "w2"))] == ["dora"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"role": "cook"}, ("role", "unknown")),
        ({"role": "doctor"}, ("role", "role")),
        ({"user": "wanda"}, ("user", "ward")),
        ({"user": "ada"}, ("user", "ward")),
        ({"user": "wall"}, ("user", "ward")),
        ({"ward": None}, ("user", "ward")),
        ({"user": "nobody"}, ("user", "not_found")),
        ({"ward": "w9"}, ("ward", "not_found")),
        ({"end": START + HOUR}, ("end", "order")),
        ({"start": START - 9 * HOUR, "end": START}, ("end", "past")),
        ({"end": START + 40 * DAY}, ("end", "long")),
        ({"weekly": True, "end": START + 9 * DAY}, ("end", "long")),
        ({"until": START + DAY}, ("until", "weekly")),
        ({"weekly": True, "until": START + HOUR}, ("until", "past")),
        ({"timezone": "Mars/North"}, ("timezone", "invalid")),
    ],
)
def test_what_cannot_be_a_shift(shifts: Do, values: dict[str, Any], expected: tuple[str, str]) -> None:
    assert refused(lambda: add(shifts, **values)) == expected
    assert shifts(lambda x: x.list(SYSTEM, over=True)) == []


def test_nobody_is_twice_on_duty_in_one_ward_and_role(shifts: Do) -> None:
    add(shifts, weekly=True)
    add(shifts, start=START + 9 * HOUR, end=START + 12 * HOUR)  # right after
    add(shifts, role="charge")
    assert refused(
        lambda: add(shifts, start=START + 2 * WEEK + 8 * HOUR, end=START + 2 * WEEK + 10 * HOUR)
    ) == (
        "start",
        "overlap",
    )
    assert refused(lambda: add(shifts, weekly=True, start=START, end=START + 2 * HOUR)) == (
        "start",
        "overlap",
    )
    add(shifts, user="dora", role="doctor", ward=None)
    add(shifts, user="dora", role="doctor", ward="w1")


def test_a_shift_that_has_not_begun_changes_as_it_is(shifts: Do) -> None:
    row = add(shifts, weekly=True)
    changed = shifts(
        lambda x: x.change(SYSTEM, row.id, user="nick", end=START + 10 * HOUR, until=START + 8 * DAY)
    )
    assert changed.id == row.id
    assert turns(shifts) == [("nick", 1, 10), ("nick", 169, 178)]
    assert refused(lambda: shifts(lambda x: x.change(SYSTEM, row.id, user="wanda"))) == ("user", "ward")
    assert turns(shifts, user="nick")


def test_of_a_shift_that_has_begun_only_the_end_changes(shifts: Do, clock: EventClock) -> None:
    row = add(shifts)
    clock.follow(START + 8 * HOUR)
    shifts(lambda x: x.change(SYSTEM, row.id, end=START + 11 * HOUR))
    assert turns(shifts) == [("nora", 1, 11)]
    assert refused(lambda: shifts(lambda x: x.change(SYSTEM, row.id, user="nick"))) == ("shift", "begun")
    assert refused(lambda: shifts(lambda x: x.change(SYSTEM, row.id, end=START + 7 * HOUR))) == (
        "end",
        "past",
    )
    assert turns(shifts) == [("nora", 1, 11)]


def test_a_weekly_shift_that_has_begun_is_followed_by_another(shifts: Do, clock: EventClock) -> None:
    row = add(shifts, weekly=True)
    clock.follow(START + WEEK + 2 * HOUR)  # in the second time
    following = shifts(lambda x: x.change(SYSTEM, row.id, user="nick", start=START + 2 * HOUR))
    assert following.id != row.id
    assert turns(shifts, last=START + 4 * WEEK) == [
        ("nora", 1, 9),
        ("nora", 169, 177),
        ("nick", 338, 345),
        ("nick", 506, 513),
    ]
    assert [r.id for r in shifts(lambda x: x.list(SYSTEM))] == [row.id, following.id]
    assert refused(lambda: shifts(lambda x: x.change(SYSTEM, row.id, user="nick"))) == ("shift", "cancelled")
    clock.follow(START + 2 * WEEK)
    assert [r.id for r in shifts(lambda x: x.list(SYSTEM))] == [following.id]
    assert len(shifts(lambda x: x.list(SYSTEM, over=True))) == 2


def test_cancelling_keeps_what_has_been(shifts: Do, clock: EventClock) -> None:
    row, later = add(shifts, weekly=True), add(shifts, user="nick")
    clock.follow(START + 3 * HOUR)
    shifts(lambda x: x.cancel(SYSTEM, row.id))
    shifts(lambda x: x.cancel(SYSTEM, later.id))
    assert turns(shifts) == [("nick", 1, 3), ("nora", 1, 3)]
    assert refused(lambda: shifts(lambda x: x.cancel(SYSTEM, row.id))) == ("shift", "cancelled")
    assert shifts(lambda x: x.list(SYSTEM)) == []
    gone = add(shifts, start=START + 5 * HOUR)
    shifts(lambda x: x.cancel(SYSTEM, gone.id))
    assert turns(shifts, first=START + 3 * HOUR) == []
    over = add(shifts, start=START + 3 * HOUR, end=START + 4 * HOUR)
    clock.follow(START + 5 * HOUR)
    assert refused(lambda: shifts(lambda x: x.cancel(SYSTEM, over.id))) == ("shift", "ended")


def test_one_time_of_a_weekly_shift_is_cancelled_or_given_away(shifts: Do, clock: EventClock) -> None:
    row = add(shifts, weekly=True, until=START + 3 * WEEK)
    second = row.start + WEEK
    shifts(lambda x: x.cancel(SYSTEM, row.id, at=second))
    assert turns(shifts) == [("nora", 1, 9), ("nora", 337, 345)]
    assert refused(lambda: shifts(lambda x: x.cancel(SYSTEM, row.id, at=second))) == ("at", "no_turn")
    assert refused(lambda: shifts(lambda x: x.cancel(SYSTEM, row.id, at=second + 1))) == ("at", "no_turn")
    given = shifts(lambda x: x.give(SYSTEM, row.id, at=row.start + 2 * WEEK, to="nick"))
    assert not given.weekly
    assert turns(shifts) == [("nora", 1, 9), ("nick", 337, 345)]
    clock.follow(START + 4 * HOUR)
    shifts(lambda x: x.give(SYSTEM, row.id, at=row.start, to="nick"))
    assert turns(shifts) == [("nora", 1, 4), ("nick", 4, 9), ("nick", 337, 345)]
    clock.follow(START + 10 * HOUR)
    assert refused(lambda: shifts(lambda x: x.give(SYSTEM, given.id, at=given.start, to="wanda"))) == (
        "user",
        "ward",
    )
    assert turns(shifts)[-1] == ("nick", 337, 345), "taken back with the refusal"


def test_holes_in_a_wards_coverage(shifts: Do, records: Records) -> None:
    day = START, START + DAY
    assert shifts(lambda x: x.holes(SYSTEM, "w1", *day, roles=["nurse"])) == [], "no schedule, no holes"
    add(shifts)
    add(shifts, user="nick", start=START + 8 * HOUR, end=START + 20 * HOUR)
    found = shifts(lambda x: x.holes(SYSTEM, "w1", *day))
    assert found == [
        Hole("w1", "nurse", START, START + HOUR),
        Hole("w1", "nurse", START + 20 * HOUR, START + DAY),
    ]
    asked = shifts(lambda x: x.holes(SYSTEM, "w1", *day, roles=["nurse", "doctor"]))
    assert [(h.role, (h.end - h.start) // HOUR) for h in asked] == [
        ("doctor", 24),
        ("nurse", 1),
        ("nurse", 4),
    ]
    add(shifts, user="dora", role="doctor", ward=None, start=START, end=START + DAY)
    assert len(shifts(lambda x: x.holes(SYSTEM, "w1", *day, roles=["nurse", "doctor"]))) == 2
    records.run_now(lambda s: records.users(s).disable(SYSTEM, "nick"))
    assert shifts(lambda x: x.holes(SYSTEM, "w1", *day))[-1].start == START + 9 * HOUR


def test_a_wards_own_manager_sees_the_houses_shifts_and_changes_the_wards(shifts: Do) -> None:
    house = add(shifts, user="dora", role="doctor", ward=None)
    own = add(shifts, W1)
    add(shifts, user="wanda", ward="w2")
    assert [r.user for r in shifts(lambda x: x.list(W1))] == ["dora", "nora"]
    shifts(lambda x: x.cancel(W1, own.id))
    with pytest.raises(AccessError, match="whole organisation"):
        shifts(lambda x: x.cancel(W1, house.id))
    with pytest.raises(AccessError, match="whole organisation"):
        add(shifts, W1, user="dora", role="doctor", ward=None)
    assert refused(lambda: add(shifts, W1, user="wanda", ward="w2")) == ("ward", "not_found")
    assert shifts(lambda x: x.list(Scope("main", None, "p1"))) == []
    assert shifts(lambda x: x.list(Scope.system("other"))) == []
