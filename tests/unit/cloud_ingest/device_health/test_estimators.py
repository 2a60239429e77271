"""What is found of a device, by examples worked out by hand."""

from __future__ import annotations

import pytest

from bench.battery import KINDS, judged
from cloud_ingest.device_health.battery import Battery, battery_finding, battery_of, level_of
from cloud_ingest.device_health.bias import bias_finding, bias_of, paired
from cloud_ingest.device_health.drift import ALONE, drift_finding, link_finding
from cloud_ingest.device_health.dropouts import binomial_tail, dropout_finding, poisson_tail
from cloud_ingest.device_health.due import (
    calibration_finding,
    firmware_finding,
    offline_finding,
    version_of,
)
from cloud_ingest.device_health.findings import date_of
from cloud_ingest.device_health.ordering import RULES
from cloud_ingest.device_health.slopes import slope_of
from cloud_ingest.device_health.sums import DAY_NS, DaySums, SignalDay
from hearthward.core.clock import SECOND

TODAY = 20_000


def falling(first: int, start: float, per_day: float, n: int) -> list[tuple[int, float]]:
    return [(first + i, start + per_day * i) for i in range(n)]


class TestSlopes:
    def test_a_line_has_its_slope_and_no_width(self) -> None:
        slope = slope_of(falling(10, 50.0, -2.0, 8))
        assert slope is not None
        assert (slope.per_day, slope.low, slope.high, slope.level) == (-2.0, -2.0, -2.0, 36.0)
        assert slope.falls
        assert not slope.rises

    def test_one_wild_value_of_nine_does_not_move_it(self) -> None:
        points = falling(0, 80.0, -1.0, 9)
        points[4] = (4, 5.0)
        slope = slope_of(points)
        assert slope is not None
        assert slope.per_day == pytest.approx(-1.0)
        assert slope.high < 0

    def test_no_trend_is_neither(self) -> None:
        slope = slope_of([(i, 50.0 + (i % 2)) for i in range(10)])
        assert slope is not None
        assert not slope.falls
        assert not slope.rises

    def test_its_interval_is_as_wide_as_the_exact_one(self) -> None:
        # three of the 15 pairs rise: chance shows that or less in 49 of 720 orders, which is no one in twenty
        slope = slope_of(list(enumerate([60.0, 50.0, 40.0, 10.0, 20.0, 30.0])))
        assert slope is not None
        assert not slope.falls

    def test_fewer_than_five_points_say_nothing(self) -> None:
        assert slope_of(falling(0, 50.0, -2.0, 4)) is None


class TestBattery:
    def test_days_left_until_five_percent(self) -> None:
        found = battery_of(falling(TODAY - 9, 53.0, -2.0, 10), TODAY)  # 35 % today
        assert found is not None
        assert (found.level, found.left, found.low, found.high) == (35.0, 15.0, 15.0, 15.0)
        assert battery_finding(found, TODAY) is None  # two weeks and a day

    def test_a_day_later_it_is_told(self) -> None:
        made = battery_finding(battery_of(falling(TODAY - 9, 50.0, -2.0, 10), TODAY), TODAY)  # 32 % today
        assert made is not None
        assert (made.evidence["left"], made.proposed) == (13.5, (TODAY + 13) * DAY_NS)

    def test_a_recharge_begins_anew(self) -> None:
        before = falling(TODAY - 20, 60.0, -5.0, 10)  # down to 15 %
        after = falling(TODAY - 10, 100.0, -1.0, 11)
        found = battery_of(before + after, TODAY)
        assert found is not None
        assert (found.since, found.points, found.per_day, found.left) == (TODAY - 10, 11, -1.0, 85.0)
        assert battery_finding(found, TODAY) is None

    def test_low_without_a_trend_is_told_for_today(self) -> None:
        made = battery_finding(battery_of([(TODAY, 12.0)], TODAY), TODAY)
        assert made is not None
        assert (made.proposed, made.text["en"]) == (TODAY * DAY_NS, "Battery at 12 %")
        assert battery_of([], TODAY) is None
        assert battery_finding(None, TODAY) is None

    def test_a_trend_goes_on_until_today_for_a_week(self) -> None:
        line = falling(TODAY - 15, 60.0, -2.0, 11)  # 40 % five days ago: 17.5 days were left then
        assert battery_of(line, TODAY - 5) != battery_of(line, TODAY)
        made = battery_finding(battery_of(line, TODAY), TODAY)
        assert made is not None
        assert (made.evidence["left"], made.proposed) == (12.5, (TODAY + 12) * DAY_NS)

    def test_what_was_told_long_ago_is_no_trend_of_now(self) -> None:
        found = battery_of(falling(TODAY - 40, 60.0, -2.0, 11), TODAY)  # off for a month, at 40 % then
        assert found is not None
        assert found.left is None
        assert battery_finding(found, TODAY) is None

    def test_a_cell_that_is_new_since_an_hour_counts_today(self) -> None:
        spent = SignalDay(24, 12.0, 9.0, 100.0, 100.0)
        assert level_of(spent) == 100.0
        assert level_of(SignalDay(24, 12.0, 9.0, 15.0, 9.0)) == 12.0
        assert (
            battery_finding(battery_of([(TODAY - 1, 12.0), (TODAY, level_of(spent))], TODAY), TODAY) is None
        )

    def test_an_interval_holds_the_guess(self) -> None:
        noise = (1.5, -0.5, 0.3, -1.2, 0.9, 0.0, -0.8, 1.1, -0.2, 0.6, -1.4, 0.4, 1.3, -0.7)
        line = falling(0, 60.0, -3.0, 14)
        wobbly = [(day, level + more) for (day, level), more in zip(line, noise, strict=True)]
        found = battery_of(wobbly, 13)
        assert found is not None
        assert found.left is not None
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.left < found.high

    def test_the_interval_is_told_rounded_outwards(self) -> None:
        found = Battery(13.0, TODAY - 60, 60, -0.92, 8.7, 8.4, 9.1)
        made = battery_finding(found, TODAY)
        assert made is not None
        assert "lasts about 9 days (8 to 10)" in made.text["en"]
        assert made.proposed == (TODAY + 8) * DAY_NS

    def test_who_is_spent_lately_at_another_rate_has_both_in_the_interval(self) -> None:
        line = falling(TODAY - 40, 100.0, -0.5, 27) + falling(TODAY - 13, 86.0, -2.0, 14)  # 60 % today
        found = battery_of(line, TODAY)
        assert found is not None
        assert found.left is not None
        assert found.low == pytest.approx(27.5)  # as lately
        assert found.high is not None
        assert found.high > 70.0  # as before
        assert 27.5 < found.left < 70.0

    @pytest.mark.parametrize("kind", KINDS, ids=range(len(KINDS)))
    def test_the_interval_holds_for_devices_that_are_used_unevenly(self, kind: str) -> None:
        found = judged(kind, lives=60, seed=3)
        assert found.count > 50
        assert found.within >= 0.8
        assert found.before <= 0.1

    def test_the_end_is_nothing_to_walk_to(self) -> None:
        found = battery_of(falling(TODAY - 9, 20.0, -2.0, 10), TODAY)  # 2 % today
        assert found is not None
        assert (found.left, found.low, found.high) == (0.0, 0.0, 0.0)


class TestDrift:
    def test_four_degrees_in_a_month_are_told(self) -> None:
        made = drift_finding("temperature", falling(TODAY - 20, 30.0, 0.2, 21), TODAY)
        assert made is not None
        assert (made.evidence["change"], made.evidence["per_day"]) == (4.0, 0.2)
        assert drift_finding("temperature", falling(TODAY - 20, 30.0, 0.1, 21), TODAY) is None
        assert drift_finding("temperature", falling(TODAY - 70, 30.0, 0.2, 21), TODAY) is None  # long ago

    def test_voltage_goes_by_a_twentieth(self) -> None:
        assert drift_finding("voltage", falling(TODAY - 20, 3.0, -0.007, 21), TODAY) is None  # 0.14 V
        made = drift_finding("voltage", falling(TODAY - 20, 3.0, -0.008, 21), TODAY)  # 0.16 V
        assert made is not None
        assert made.kind == "voltage"

    def test_a_weak_link_and_one_that_fades(self) -> None:
        weak = link_finding([(TODAY - i, -88.0) for i in (2, 1, 0)], TODAY)
        assert weak is not None
        assert weak.text["en"] == "Radio signal is weak: -88 dBm"
        fading = link_finding(falling(TODAY - 20, -55.0, -0.5, 21), TODAY)
        assert fading is not None
        assert fading.evidence["fall"] == 10.0
        assert link_finding([(TODAY - i, -60.0) for i in range(9, -1, -1)], TODAY) is None
        assert link_finding([(TODAY, -99.0)], TODAY) is None  # one day is not enough

    def test_what_a_heat_wave_does_to_all_is_no_ones_drift(self) -> None:
        warm = falling(TODAY - 20, 24.0, 0.3, 21)
        place = {day: [("a", value), ("b", value + 2), ("c", value + 1)] for day, value in warm}
        assert drift_finding("temperature", warm, TODAY, device="a", place=place) is None
        own = [(day, value + 0.2 * n) for n, (day, value) in enumerate(warm)]
        made = drift_finding("temperature", own, TODAY, device="a", place=place)
        assert made is not None
        assert (made.evidence["change"], made.evidence["others"]) == (pytest.approx(4.0), 2)
        assert (
            made.text["en"] == "Temperature changed by +4 °C within 20 days, to 34 °C, unlike 2 others there"
        )
        cool = [(day, 24.0) for day, _ in warm]  # the only one that does not warm up
        made = drift_finding("temperature", cool, TODAY, device="d", place=place)
        assert made is not None
        assert made.evidence["change"] == pytest.approx(-6.0)

    @pytest.mark.parametrize("warming", [0.0, 0.2])
    @pytest.mark.parametrize("there", ["left", "came"])
    def test_that_a_warmer_one_came_or_went_is_no_ones_drift(self, warming: float, there: str) -> None:
        own = falling(TODAY - 29, 24.0, warming, 30)
        place = {
            day: [("a", value), ("b", value + 6.0), ("e", value + 0.5)]
            + [("c", value + 9.0), ("d", value + 9.0)] * ((n < 15) == (there == "left"))
            for n, (day, value) in enumerate(own)
        }
        assert drift_finding("temperature", own, TODAY, device="a", place=place) is None
        hot = [(day, value + 0.2 * n) for n, (day, value) in enumerate(own)]
        made = drift_finding("temperature", hot, TODAY, device="a", place=place)
        assert made is not None
        assert made.evidence["change"] == pytest.approx(5.8, abs=1.0)

    def test_who_was_there_on_a_few_days_is_no_witness(self) -> None:
        warm = falling(TODAY - 20, 24.0, 0.3, 21)
        place = {day: [("b", value), (f"c{day // 3}", value + 5.0)] for day, value in warm}
        made = drift_finding("temperature", warm, TODAY, device="a", place=place)
        assert made is not None
        assert made.evidence["others"] == 0

    def test_alone_it_is_told_with_doubt_and_opens_no_order(self) -> None:
        warm = falling(TODAY - 20, 24.0, 0.3, 21)
        for place in ({}, {day: [("a", value), ("b", value)] for day, value in warm}):
            made = drift_finding("temperature", warm, TODAY, device="a", place=place)
            assert made is not None
            assert (made.confidence, made.evidence["others"]) == (ALONE, 0)
            assert "no other device is there" in made.text["en"]
        assert RULES["temperature"].confidence > ALONE

    def test_days_without_others_are_left_out_where_most_have_some(self) -> None:
        warm = falling(TODAY - 20, 24.0, 0.3, 21)
        place = {day: [("b", value), ("c", value)] for day, value in warm[::2]}
        assert drift_finding("temperature", warm, TODAY, device="a", place=place) is None
        made = drift_finding("temperature", warm, TODAY, device="a", place=dict(list(place.items())[:6]))
        assert made is not None
        assert made.evidence["others"] == 0


def in_use(day: int, dropouts: int, hours: int = 24) -> DaySums:
    return DaySums("a", day, hours=(1 << hours) - 1, dropouts=dropouts)


class TestDropouts:
    def test_tails_by_hand(self) -> None:
        assert binomial_tail(2, 3, 0.5) == 0.5  # 3/8 + 1/8
        assert binomial_tail(0, 3, 0.1) == pytest.approx(1.0)
        assert poisson_tail(1, 1.0) == pytest.approx(1 - 0.36787944)
        assert poisson_tail(0, 0.0) == 1.0

    def test_more_than_its_own_past(self) -> None:
        past = [in_use(TODAY - 7 - i, int(i % 7 == 0)) for i in range(28)]  # four in 28 days
        now = [in_use(TODAY - i, 3) for i in range(7)]  # 21 in a week
        made = dropout_finding(past + now, [], TODAY)
        assert made is not None
        assert (made.evidence["losses"], made.evidence["losses_before"]) == (21, 4)
        assert made.confidence == 0.99
        assert dropout_finding(past + [in_use(TODAY - i, int(i == 0)) for i in range(7)], [], TODAY) is None

    def test_as_ever_is_not_told_unless_others_do_better(self) -> None:
        days = [in_use(TODAY - i, 2) for i in range(35)]
        assert dropout_finding(days, [], TODAY) is None
        assert dropout_finding(days, [(14, 168)] * 5, TODAY) is None
        made = dropout_finding(days, [(1, 100)] * 5, TODAY)  # 1.68 expected, 14 came
        assert made is not None
        assert made.evidence["peers"] == 0.01
        assert dropout_finding(days, [(1, 100)] * 4, TODAY) is None  # too few others

    def test_peers_that_were_hardly_used_prove_nothing(self) -> None:
        days = [in_use(TODAY - i, int(i < 5)) for i in range(7)]  # five losses in 168 h
        assert dropout_finding(days, [(0, 168)] * 5, TODAY) is not None
        assert dropout_finding(days, [(0, 3)] * 5, TODAY) is None
        assert dropout_finding(days, [(0, 30)] * 5, TODAY) is None  # ln 2 / 30 h: four could have come here

    def test_many_losses_in_few_hours_of_use_are_a_rate(self) -> None:
        past = [in_use(TODAY - 7 - i, 1, hours=24) for i in range(28)]
        now = [in_use(TODAY, 6, hours=2)]
        assert dropout_finding(past + now, [], TODAY) is not None


class TestBias:
    def test_pairs_are_nearest_within_a_minute_and_used_once(self) -> None:
        s = SECOND
        own = [(0, 10.0), (30 * s, 11.0), (200 * s, 12.0)]
        other = [(5 * s, 9.0), (140 * s, 7.0), (230 * s, 8.0)]
        assert paired(own, other) == [1.0, 4.0]

    def test_minutes_of_movement_are_no_pairs_of_a_day(self) -> None:
        own = [(n * SECOND, 90.0) for n in range(600)]
        other = [(n * SECOND, 98.0) for n in range(600)]
        assert len(paired(own, other)) == 10  # of ten minutes ten

    def test_the_interval_of_twenty_pairs_is_from_the_sixth_to_the_fifteenth(self) -> None:
        found = bias_of([float(i) for i in range(1, 21)])  # the table of the sign test: 6 and 15 for 95 %
        assert found is not None
        assert (found.difference, found.low, found.high, found.pairs) == (10.5, 6.0, 15.0, 20)
        assert bias_of([1.0] * 19) is None

    def test_only_what_two_good_devices_may_not_differ_is_told(self) -> None:
        made = bias_finding("heart_rate", bias_of([12.0] * 30), "b", TODAY)
        assert made is not None
        assert (made.about, made.evidence["difference"], made.evidence["other"]) == ("heart_rate", 12.0, "b")
        assert bias_finding("heart_rate", bias_of([9.0] * 30), "b", TODAY) is None
        assert bias_finding("spo2", bias_of([-4.5] * 30), "b", TODAY) is not None
        mixed = [12.0] * 18 + [0.0] * 12
        assert bias_finding("heart_rate", bias_of(mixed), "b", TODAY) is None
        assert bias_finding("body_weight", bias_of([12.0] * 30), "b", TODAY) is None


class TestDue:
    def test_a_calibration_is_told_a_month_ahead(self) -> None:
        made = TODAY * DAY_NS
        assert calibration_finding(made, 365, TODAY + 334) is None
        due = calibration_finding(made, 365, TODAY + 335)
        assert due is not None
        assert (due.proposed, due.confidence) == ((TODAY + 365) * DAY_NS, 1.0)
        assert due.text["en"] == f"Calibration is due on {date_of(TODAY + 365)}"
        over = calibration_finding(made, 365, TODAY + 366)
        assert over is not None
        assert over.text["en"].startswith("Calibration was due")

    def test_silence_of_more_than_a_day_or_three_intervals(self) -> None:
        now = TODAY * DAY_NS
        assert offline_finding(now - DAY_NS, 0, None, "none", now) is None
        made = offline_finding(now - 2 * DAY_NS, 0, None, "link_lost", now)
        assert made is not None
        assert made.confidence == 0.7  # nobody knows how often it should
        assert made.evidence == {"days": 2, "since": date_of(TODAY - 2), "cause": "link_lost"}
        assert offline_finding(now - 2 * DAY_NS, 0, 86_400.0, "none", now) is None
        hourly = offline_finding(now - 2 * DAY_NS, 0, 3600.0, "none", now)
        assert hourly is not None
        assert hourly.confidence == 1.0
        away = offline_finding(now - 2 * DAY_NS, 0, 3600.0, "gateway_offline", now)
        assert away is not None
        rule = RULES["offline"].confidence
        assert away.confidence < rule <= hourly.confidence  # it would be one for each device of a gateway
        never = offline_finding(None, now - 5 * DAY_NS, None, "none", now)
        assert never is not None
        assert never.text["en"].startswith("Not heard since it was put on")

    def test_versions_are_compared_by_their_numbers(self) -> None:
        assert version_of("V1.02b3") == (1, 2, 3)
        made = firmware_finding("1.9.0", ["1.10.0", "1.10.0", "1.9.0", "2.0.0"], TODAY)
        assert made is not None
        assert made.proposed == (TODAY + 90) * DAY_NS
        assert (made.evidence["newest"], made.evidence["devices"]) == ("1.10.0", 2)
        assert firmware_finding("1.10.0", ["1.10.0", "1.9.0"], TODAY) is None
        assert firmware_finding("", ["1.0", "1.0"], TODAY) is None
        assert firmware_finding("1.0", ["nightly", "nightly"], TODAY) is None

    def test_a_radio_that_is_not_heard_any_more_is_not_called_weak_for_it(self) -> None:
        weak = falling(TODAY - 5, -90.0, 0.0, 3)  # the last three days ago
        assert link_finding(weak, TODAY) is not None
        assert link_finding(weak, TODAY + 1) is None


def test_every_finding_is_told_in_both_languages() -> None:
    now = TODAY * DAY_NS
    made = [
        battery_finding(battery_of(falling(TODAY - 9, 40.0, -3.0, 10), TODAY), TODAY),
        drift_finding("temperature", falling(TODAY - 20, 30.0, 0.2, 21), TODAY),
        link_finding(falling(TODAY - 20, -55.0, -0.5, 21), TODAY),
        dropout_finding([in_use(TODAY - i, 2) for i in range(35)], [(1, 100)] * 5, TODAY),
        bias_finding("spo2", bias_of([-6.0] * 30), "b", TODAY),
        calibration_finding(0, 365, TODAY),
        offline_finding(0, 0, None, "none", now),
        firmware_finding("1.0", ["1.1", "1.1"], TODAY),
    ]
    for finding in made:
        assert finding is not None
        assert finding.proposed is not None
        assert finding.text.keys() == {"en", "zh"}
        assert any(ord(letter) > 0x4E00 for letter in finding.text["zh"])
        assert 0 < finding.confidence <= 1
