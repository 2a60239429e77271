from __future__ import annotations

from cloud_ingest.heartbeats import MAX_GATEWAYS, Heartbeats
from hearthward.core.clock import SECOND
from rules.model import Rows

T0 = 1_800_000_000 * SECOND


def told(rows: Rows) -> dict[str, int]:
    assert set(rows.metric) <= {"heartbeat"}
    return {name: (at - T0) // SECOND for name, at in zip(rows.patient, rows.time, strict=True)}


def test_a_gateway_is_told_of_at_most_once_in_ten_seconds():
    beats = Heartbeats()
    assert not beats.due(T0)
    beats.heard("gw-1", T0)
    beats.heard("gw-1", T0 + SECOND)
    assert beats.due(T0 + SECOND)
    assert told(beats.take(T0 + SECOND)) == {"gateway:gw-1": 1}
    beats.heard("gw-1", T0 + 2 * SECOND)
    assert not beats.due(T0 + 10 * SECOND)
    assert beats.due(T0 + 11 * SECOND)


def test_nobody_can_invent_more_gateways_than_there_is_room_for():
    beats = Heartbeats()
    for n in range(MAX_GATEWAYS + 5):
        beats.heard(f"gw-{n}", T0)
    assert len(beats.take(T0)) == MAX_GATEWAYS


def test_devices_that_are_expected_are_told_of_twice_a_minute_and_others_never():
    beats = Heartbeats()
    beats.delivered({"d1": T0, "d2": T0})
    assert not beats.due(T0)
    beats.expect(["d1"])
    beats.delivered({"d1": T0, "d2": T0})
    assert told(beats.take(T0 + SECOND)) == {"device:d1": 0}
    beats.delivered({"d1": T0 + 20 * SECOND})
    assert not beats.due(T0 + 29 * SECOND)
    beats.delivered({"d1": T0 + 30 * SECOND})
    assert told(beats.take(T0 + 30 * SECOND)) == {"device:d1": 30}
    assert not beats.due(T0 + 90 * SECOND), "nothing new came"
    beats.expect([])
    beats.delivered({"d1": T0 + 100 * SECOND})
    assert not beats.due(T0 + 100 * SECOND)


def test_what_was_delivered_long_ago_does_not_make_a_device_alive_now():
    beats = Heartbeats()
    beats.expect(["d1"])
    beats.delivered({"d1": T0 + 50 * SECOND})
    assert told(beats.take(T0 + 51 * SECOND)) == {"device:d1": 50}
    beats.delivered({"d1": T0 + 10 * SECOND})  # a backlog
    assert not beats.due(T0 + 200 * SECOND)


def test_a_device_ahead_of_us_is_told_of_as_of_now():
    beats = Heartbeats()
    beats.expect(["d1"])
    beats.delivered({"d1": T0 + 50 * SECOND})
    assert told(beats.take(T0)) == {"device:d1": 0}
