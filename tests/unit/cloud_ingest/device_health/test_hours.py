"""When a service or calibration is due by hours of use: worked out by hand, and tried out."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.device_health.due import calibration_finding
from cloud_ingest.device_health.findings import date_of
from cloud_ingest.device_health.hours import (
    LONGEST,
    ByHours,
    by_hours,
    hours_after,
    pace_of,
    service_finding,
    used_since,
)
from cloud_ingest.device_health.judging import Known, Upkeep, judged
from cloud_ingest.device_health.ordering import RULES
from cloud_ingest.device_health.sums import DAY_NS, DaySums
from dashboards.fleet_words import EVIDENCE

TODAY = 20_000
HOUR = DAY_NS // 24


def used(day: int, hours: int) -> DaySums:
    return DaySums("d", day, hours=(1 << hours) - 1)


def every_day(n: int, *hours: int) -> list[DaySums]:
    """The last ``n`` days before today, with these hours in turn (none: no row)."""
    days = [used(TODAY - n + i, hours[i % len(hours)]) for i in range(n)]
    return [day for day in days if day.used]


class TestCounting:
    @given(st.integers(0, (1 << 24) - 1), st.integers(-2 * DAY_NS, 3 * DAY_NS))
    def test_hours_after_an_instant_are_those_that_begin_after_it(self, bits: int, at: int) -> None:
        begin = [h * HOUR for h in range(24) if bits >> h & 1]
        assert hours_after(bits, 0, at) == sum(start > at for start in begin)

    def test_use_since_a_service_leaves_out_what_was_before_it(self) -> None:
        days = [used(TODAY - 1, 10), used(TODAY, 10), used(TODAY + 1, 10)]
        assert used_since(days, None) == 30
        assert used_since(days, TODAY * DAY_NS + 4 * HOUR + 1) == 15  # at 04:00: 05:00 to 09:00 of that day
        assert used_since(days, (TODAY + 2) * DAY_NS) == 0


class TestPace:
    def test_nothing_is_known_before_a_whole_day(self) -> None:
        assert pace_of([], TODAY) is None
        assert pace_of([used(TODAY, 5)], TODAY) is None

    def test_of_fewer_than_three_weeks_there_is_a_mean_and_no_spread(self) -> None:
        pace = pace_of([used(TODAY - 10, 6), used(TODAY - 5, 4)], TODAY)
        assert pace is not None
        assert (pace.per_day, pace.weeks, pace.spread) == (1.0, 0, None)  # 10 h in 10 days

    def test_weekends_make_no_spread_and_weeks_in_a_drawer_do(self) -> None:
        steady = pace_of(every_day(60, 8, 8, 8, 8, 8, 0, 0), TODAY)
        assert steady is not None
        assert (steady.per_day, steady.weeks, steady.spread) == (40 / 7, 8, 0.0)
        fits = pace_of(every_day(28, *[10] * 7, *[0] * 7), TODAY)
        assert fits is not None
        assert fits.weeks == 4
        assert fits.spread == pytest.approx((4 * 35**2 / 3) ** 0.5)  # 70, 0, 70, 0


class TestDue:
    def test_steady_use_leaves_an_exact_date(self) -> None:
        found = by_hours(920, 1000, every_day(60, 8), TODAY)
        assert (found.left, found.low, found.high) == pytest.approx((10.0, 10.0, 10.0))
        assert found.due in {TODAY + 9, TODAY + 10}
        assert (found.soon, found.over, found.confidence) == (True, False, 0.9)

    def test_the_interval_is_worked_out_from_the_spread_of_weeks(self) -> None:
        found = by_hours(0, 140, every_day(28, *[10] * 7, *[0] * 7), TODAY)
        assert found.left == 28.0
        assert found.low is not None
        low = (
            found.low / 7
        )  # 35 h a week, 40.4 h spread, t 2.353 of four weeks: 105 h in the first are possible
        assert 0.9 < low < 1.1
        assert (140 - 35 * low) ** 2 == pytest.approx((2.353 * 40.415) ** 2 * (low + low**2 / 4), rel=1e-4)
        assert found.high == LONGEST  # four such weeks do not rule out that it is hardly used any more

    def test_the_date_holds_nine_times_in_ten(self) -> None:
        chance, missed = random.Random(7), 0
        for _ in range(400):
            days = [used(TODAY - i, chance.choice((0, 0, 4, 8, 12))) for i in range(56, 0, -1)]
            found = by_hours(0, 200, days, TODAY)
            total, day = 0, 0
            while total < 200:
                total, day = total + chance.choice((0, 0, 4, 8, 12)), day + 1
            assert found.low is not None
            assert found.high is not None
            missed += not found.low - 1 <= day <= found.high + 1
        assert missed <= 0.15 * 400

    def test_hours_that_are_over_were_so_on_a_day(self) -> None:
        found = by_hours(1016, 1000, every_day(60, 8), TODAY)
        assert (found.over, found.due, found.confidence) == (
            True,
            TODAY - 3,
            1.0,
        )  # 1000 after three days ago
        assert by_hours(1000, 1000, every_day(60, 8), TODAY).due == TODAY - 1
        assert by_hours(1000, 1000, [], TODAY).due == TODAY  # nothing is known of when

    def test_what_is_not_used_is_not_due(self) -> None:
        idle = by_hours(990, 1000, [used(TODAY - 80, 8), used(TODAY - 79, 8)], TODAY)
        assert not idle.soon
        assert service_finding(idle, None) is None
        assert not by_hours(10, 1000, [], TODAY).soon


class TestFindings:
    def test_a_service_has_its_evidence_and_both_languages(self) -> None:
        found = service_finding(by_hours(920, 1000, every_day(60, 8), TODAY), (TODAY - 115) * DAY_NS)
        assert found is not None
        day = date_of(TODAY - 115)
        assert found.evidence == {
            "hours": 920,
            "every_hours": 1000,
            "weeks": 8,
            "hours_a_day": 8.0,
            "left": 10.0,
            "left_low": 10.0,
            "left_high": 10.0,
            "serviced": day,
        }
        assert found.evidence.keys() <= EVIDENCE.keys(), "the pages have words for all of it"
        assert (
            found.text["en"] == f"Service is due in about 10 days (10 to 10): used 920 of 1000 h since {day}"
        )
        assert "约 10 天后（10 至 10 天）保养到期" in found.text["zh"]  # noqa: RUF001 - Chinese punctuation
        assert found.confidence >= RULES["service"].confidence

    def test_of_a_short_past_it_is_said_and_no_order_is_opened_until_it_is_over(self) -> None:
        short = service_finding(by_hours(80, 100, every_day(10, 8), TODAY), None)
        assert short is not None
        assert short.confidence < RULES["service"].confidence
        assert short.text["en"] == "Service is due in about 2 days: used 80 of 100 h"
        over = service_finding(by_hours(108, 100, every_day(10, 8), TODAY), None)
        assert over is not None
        assert over.confidence >= RULES["service"].confidence
        assert over.text["en"] == f"Service was due on {date_of(TODAY - 2)}: used 108 of 100 h"

    def test_a_calibration_is_due_by_what_comes_first(self) -> None:
        made = (TODAY - 300) * DAY_NS
        hours = by_hours(460, 500, every_day(60, 8), TODAY)  # in five days
        first = calibration_finding(made, 365, TODAY, hours)
        assert first is not None
        assert (first.proposed, first.confidence) == ((TODAY + 5) * DAY_NS, 0.9)
        assert first.text["en"].startswith(
            "Calibration is due in about 5 days (5 to 5): used 460 of 500 h since"
        )
        assert first.evidence["due"] == date_of(TODAY + 65)  # by the calendar
        assert calibration_finding(made, 365, TODAY, by_hours(0, 500, every_day(60, 8), TODAY)) is None
        calendar = calibration_finding(made, 302, TODAY, hours)
        assert calendar is not None
        assert (calendar.proposed, calendar.confidence) == ((TODAY + 2) * DAY_NS, 1.0)
        assert calendar.evidence["hours"] == 460
        assert calibration_finding(made, 365, TODAY) is None

    def test_a_short_interval_has_a_short_notice(self) -> None:
        days = every_day(60, 8)  # 80 h last ten days
        assert [by_hours(n, 80, days, TODAY).soon for n in (0, 59, 61, 80)] == [False, False, True, True]
        made = (TODAY - 10) * DAY_NS
        assert [calibration_finding(made, n, TODAY) is None for n in (14, 13, 12)] == [True, False, False]
        assert calibration_finding(TODAY * DAY_NS, 1, TODAY) is None

    def test_after_a_service_what_is_found_is_another_finding(self) -> None:
        over = by_hours(100, 100, every_day(60, 8), TODAY)
        found = [service_finding(over, at and at * DAY_NS) for at in (None, TODAY - 9, TODAY - 2)]
        assert [f and f.about for f in found] == ["", date_of(TODAY - 9), date_of(TODAY - 2)]
        calibrated = [calibration_finding((TODAY - n) * DAY_NS, 1, TODAY) for n in (2, 3)]
        assert [f and f.about for f in calibrated] == [date_of(TODAY - 2), date_of(TODAY - 3)]

    def test_a_device_is_judged_by_both(self) -> None:
        days = every_day(60, 8)
        known = Known(
            "d",
            calibrated=Upkeep((TODAY - 60) * DAY_NS, 3650, 480, 480),
            serviced=Upkeep(None, every_hours=500, used=480),
        )
        found, _ = judged(known, days, TODAY * DAY_NS)
        assert [f.kind for f in found] == ["calibration", "service"]
        none, _ = judged(Known("d", serviced=Upkeep(None, used=480)), days, TODAY * DAY_NS)
        assert none == []


@given(st.integers(1, 5000), st.lists(st.integers(0, 24), max_size=90))
def test_whatever_the_days_the_date_lies_within_its_interval(left: int, hours: list[int]) -> None:
    days = [used(TODAY - len(hours) + i, n) for i, n in enumerate(hours)]
    found = by_hours(100, 100 + left, days, TODAY)
    assert isinstance(found, ByHours)
    if found.low is not None:
        assert found.left is not None
        assert found.high is not None
        assert 0 <= found.low <= found.left + 1e-6
        assert found.left <= found.high + 1e-6 <= LONGEST + 1e-6
