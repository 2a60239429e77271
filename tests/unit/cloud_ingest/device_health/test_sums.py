"""Daily sums: hours, use and the four shares of quality, worked out by hand."""

from __future__ import annotations

from cloud_ingest.device_health.standing import own_metric, standing_of
from cloud_ingest.device_health.sums import DaySums, Totals, quality_of, span_of, use_of


def test_a_span_is_from_the_first_hour_to_the_last() -> None:
    assert [span_of(0), span_of(1), span_of(0b1011000), span_of(1 << 23 | 1)] == [0, 1, 4, 24]


def test_use_adds_hours_and_counts_devices_that_were_used() -> None:
    of_a = Totals.of([DaySums("a", 1, hours=0b1111), DaySums("a", 2, hours=0b11)])
    use = use_of([of_a, Totals.of([DaySums("b", 1)]), Totals()], days=2)
    assert (use.devices, use.used, use.hours, use.possible) == (3, 1, 6, 144)
    assert use.share == 6 / 144
    assert use_of([], days=7).share == 0.0


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
