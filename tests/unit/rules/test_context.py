from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules import Context, Limit
from rules.conditions import Threshold
from rules.rule import SECOND, Parameter
from tests.unit.rules.made import make, threshold

BERLIN = ZoneInfo("Europe/Berlin")
RULE = make("low", threshold("spo2", "below", "limit", 1), parameters={"limit": Parameter(90, 80, 95)})
MINUTE = 60 * SECOND


def limit(value: float = 88, **more: object) -> Limit:
    fields: dict[str, object] = {"by": "Dr Li", "start": 0, "reason": "COPD", **more}
    return Limit("low", "limit", value, **fields)  # type: ignore[arg-type]


def when(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).timestamp()) * SECOND


def value_of(context: Context, at: int) -> float:
    condition = context.resolve(RULE, at).condition
    assert isinstance(condition, Threshold)
    return float(condition.value)


# -- one limit


def test_a_limit_holds_from_its_start_until_it_expires():
    one = limit(start=100, expires=200)
    assert [one.holds(at) for at in (99, 100, 199, 200)] == [False, True, True, False]
    assert [one.next_change(at) for at in (99, 100, 199, 200)] == [100, 200, 200, None]


def test_a_limit_without_expiry_holds_until_changed():
    assert limit().holds(10**30 // 10**12)
    assert limit().next_change(5) is None


def test_by_night_it_holds_from_the_evening_over_midnight_to_the_morning():
    night = limit(daily=(22 * 60, 6 * 60), timezone="Europe/Berlin")
    hours = {
        h: night.holds(when(f"2025-01-15T{h}"))
        for h in ("21:59", "22:00", "23:59", "00:00", "05:59", "06:00")
    }
    assert hours == {
        "21:59": False,
        "22:00": True,
        "23:59": True,
        "00:00": True,
        "05:59": True,
        "06:00": False,
    }
    assert night.next_change(when("2025-01-15T12:00")) == when("2025-01-15T22:00")
    assert night.holds(when("2025-07-15T22:00"))  # by the local clock in summer too


def test_by_day_it_holds_between_its_minutes():
    day = limit(daily=(8 * 60, 20 * 60), timezone="Europe/Berlin")
    assert [day.holds(when(f"2025-01-15T{h}")) for h in ("07:59", "08:00", "19:59", "20:00")] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("day", "what"), [("2025-03-30", "02:00 becomes 03:00"), ("2025-10-26", "03:00 becomes 02:00")]
)
@pytest.mark.parametrize("daily", [(150, 360), (1320, 150), (120, 180), (170, 130), (1320, 360), (0, 1439)])
def test_it_changes_by_the_local_clock_on_the_days_when_that_is_changed(
    day: str, what: str, daily: tuple[int, int]
):
    """Looked at minute by minute: between two moments that ``next_change`` gives, nothing changes."""
    assert what
    one = limit(daily=daily, timezone="Europe/Berlin")
    at = when(f"{day}T00:00") - 6 * 60 * MINUTE
    end = at + 36 * 60 * MINUTE
    announced = one.next_change(at)
    for minute in range(at, end, MINUTE):
        assert announced is not None
        if minute == announced:
            announced = one.next_change(minute)
            assert announced is not None
            assert announced > minute
        elif minute > at:
            assert one.holds(minute) == one.holds(minute - MINUTE), datetime.fromtimestamp(
                minute / SECOND, UTC
            )


def test_what_begins_at_a_time_that_the_clock_leaps_over_begins_with_the_leap():
    one = limit(daily=(150, 360), timezone="Europe/Berlin")
    leap = when("2025-03-30T03:00")
    assert not one.holds(leap - 1)
    assert one.holds(leap)
    assert one.next_change(leap - MINUTE) == leap


@given(
    st.sampled_from(
        ["Europe/Berlin", "UTC", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Shanghai"]
    ),
    st.integers(0, 1439),
    st.integers(0, 1439),
    st.integers(1_700_000_000, 1_800_000_000),
    st.lists(st.integers(0, 86_400), min_size=8, max_size=8),
)
@settings(max_examples=60)
def test_nothing_changes_before_the_next_change(
    zone: str, first: int, last: int, start: int, steps: list[int]
):
    one = limit(daily=(first, last), timezone=zone)
    at = start * SECOND
    change = one.next_change(at)
    assert change is not None
    assert change > at
    for step in steps:
        between = at + step * SECOND
        if between < change:
            assert one.holds(between) == one.holds(at)


# -- several


def test_of_several_limits_the_one_set_last_counts():
    both = Context(limits=(limit(85, start=200), limit(88, start=100)))
    assert value_of(both, 150) == 88
    assert value_of(both, 250) == 85
    assert value_of(both, 50) == 90
    assert both.next_change(50) == 100


def test_a_limit_for_some_hours_goes_before_one_for_all_day():
    night = limit(82, daily=(22 * 60, 6 * 60), timezone="Europe/Berlin")
    day = limit(88, start=1)
    both = Context(limits=(night, day))
    assert value_of(both, when("2025-01-15T23:00")) == 82
    assert value_of(both, when("2025-01-15T12:00")) == 88


@pytest.mark.parametrize(("value", "counts"), [(79.9, False), (80, True), (95, True), (95.1, False)])
def test_only_a_limit_within_the_rules_bounds_counts(value: float, counts: bool):  # noqa: FBT001
    context = Context(limits=(limit(value),))
    assert value_of(context, 5) == (value if counts else 90)
    assert set(context.limits_of(RULE, context.limits_at(5))) == ({"limit"} if counts else set())


def test_a_limit_of_another_rule_or_of_no_parameter_changes_nothing():
    other = Limit("high", "limit", 85, "Dr Li", 0, "x")
    unknown = Limit("low", "unheard-of", 85, "Dr Li", 0, "x")
    assert value_of(Context(limits=(other, unknown)), 5) == 90


# -- whom a rule is for


@pytest.mark.parametrize("setting", ["any", "ward", "home"])
@pytest.mark.parametrize("where", [None, "ward", "home"])
def test_a_rule_for_one_setting_applies_there_and_where_nobody_knows(setting: str, where: str | None):
    rule = make("x", threshold("spo2", "below", 90), setting=setting)
    assert Context(setting=where).applies(rule) is (setting == "any" or where in {None, setting})  # type: ignore[arg-type]


def test_a_rule_for_adults_leaves_out_children_and_the_pregnant():
    rule = make("x", threshold("spo2", "below", 90), adults=True)
    assert Context().applies(rule)
    assert Context(adult=True).applies(rule)
    assert not Context(adult=False).applies(rule)
    assert not Context(adult=True, pregnant=True).applies(rule)
    everyone = make("y", threshold("spo2", "below", 90))
    assert Context(adult=False, pregnant=True).applies(everyone)


# -- as plain data


@st.composite
def contexts(draw: st.DrawFn) -> Context:
    limits = draw(
        st.lists(
            st.builds(
                Limit,
                st.text(max_size=3),
                st.text(max_size=3),
                st.floats(allow_nan=False, allow_infinity=False),
                st.text(max_size=3),
                st.integers(0, 2**62),
                st.text(max_size=5),
                st.none() | st.integers(0, 2**62),
                st.none() | st.tuples(st.integers(0, 1439), st.integers(0, 1439)),
                st.sampled_from(["UTC", "Europe/Berlin"]),
            ),
            max_size=3,
        )
    )
    return Context(
        draw(st.sampled_from([None, "ward", "home"])),
        draw(st.sampled_from([None, True, False])),
        draw(st.booleans()),
        draw(st.sampled_from([1, 2])),
        tuple(limits),
        draw(st.none() | st.dictionaries(st.text(max_size=3), st.integers(0, 2**62), max_size=3)),
    )


@given(contexts())
def test_its_content_is_the_whole_of_it(context: Context):
    assert Context.of(context.content()) == context
