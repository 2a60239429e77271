"""Daily sums: hours, use and the four shares of quality, worked out by hand."""

from __future__ import annotations

from cloud_ingest.device_health.standing import own_metric, standing_of
from cloud_ingest.device_health.sums import DAY_NS, DaySums, Totals, hours_begun, quality_of, span_of, use_of


def test_a_span_is_from_the_first_hour_to_the_last() -> None:
    assert [span_of(0), span_of(1), span_of(0b1011000), span_of(1 << 23 | 1)] == [0, 1, 4, 24]


def test_use_adds_hours_and_counts_devices_that_were_used() -> None:
    of_a = Totals.of([DaySums("a", 1, hours=0b1111), DaySums("a", 2, hours=0b11)])
    every = Totals.together([of_a, Totals.of([DaySums("b", 1)]), Totals()])
    use = use_of(every, devices=3, used=1, hours=48)
    assert (use.devices, use.used, use.hours, use.possible) == (3, 1, 6, 144)
    assert use.share == 6 / 144
    assert use_of(Totals(), devices=0, used=0, hours=168).share == 0.0


def test_hours_of_today_that_are_still_to_come_could_not_be_used() -> None:
    midnight, hour = 20_000 * DAY_NS, DAY_NS // 24
    assert [hours_begun(7, midnight + at) for at in (0, hour - 1, hour, DAY_NS - 1)] == [169, 169, 170, 192]
    all_the_time = Totals.of([DaySums("a", 20_000 - ago, hours=(1 << 24) - 1) for ago in range(1, 8)])
    today = Totals.of([DaySums("a", 20_000, hours=0b1)])
    assert use_of(Totals.together([all_the_time, today]), 1, 1, hours_begun(7, midnight)).share == 1.0


def test_the_four_shares() -> None:
    sums = [
        DaySums("a", 1, hours=0b1011, span=4, stored=80, rejected=20, repeated=20, late=8),
        DaySums("b", 1, hours=0b1, span=0, stored=20),
    ]
    found = quality_of(Totals.of(sums))
    assert found.completeness == 3 / 4  # of b it is not expected
    assert found.plausibility == 100 / 120
    assert found.consistency == 100 / 120
    assert found.timeliness == 92 / 100
    assert found.worst == 3 / 4
    nothing = quality_of(Totals.of([DaySums("c", 1)]))
    assert (nothing.readings, nothing.worst) == (0, None)


def test_what_the_gate_said_of_stored_readings_counts_once_a_reading() -> None:
    doubts = {"implausible": 10, "suspect": 12, "bad": 4, "jump": 6, "zero": 7, "disagrees": 5}
    sums = [
        DaySums("a", 1, stored=90, rejected=10, doubts=doubts),
        DaySums("a", 2, stored=100, repeated=10, doubts={"disagrees": 15}),
    ]
    totals = Totals.of(sums)
    assert totals.doubts == {**doubts, "disagrees": 20}
    found = quality_of(totals)
    assert found.plausibility == (190 - 10) / 200
    assert found.consistency == (190 - 20) / 200
    # never less than nothing, whatever was counted
    assert quality_of(Totals(stored=1, doubts={"implausible": 2, "disagrees": 2})).worst == 0.0


def test_where_a_device_stands() -> None:
    told = [
        (None, "streaming", "none"),
        (False, "streaming", "none"),
        (True, "backoff", "link_lost"),
        (True, "streaming", "none"),
        (True, "connecting", "none"),
        (True, "", "none"),
    ]
    stands = [standing_of(online=online, state=state, cause=cause) for online, state, cause in told]
    assert stands == ["unknown", "offline", "trouble", "streaming", "idle", "unknown"]


def test_what_is_of_the_device_itself() -> None:
    own = ["battery_level", "battery_state", "device_firmware", "clock_skew", "sensor_status"]
    assert all(own_metric(m) for m in own)
    assert not any(own_metric(m) for m in ("spo2", "body_temperature", "sensor_quality"))
