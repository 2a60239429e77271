from __future__ import annotations

from pathlib import Path

from cloud_ingest.heartbeats import MAX_GATEWAYS, Heartbeats
from hearthward.core.clock import SECOND
from rules.context import Context
from rules.loader import load_rules
from rules.model import Rows
from rules.rule import RuleSet
from tests.unit.cloud_ingest.ward import T0, HandClock, Ward, block, live, reading

SILENT = RuleSet((load_rules().by_id["device-silent"],))


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


async def test_a_device_that_stops_in_a_ward_is_an_alarm_until_it_is_heard_again(tmp_path: Path):
    ward = Ward(tmp_path / "records.db", clock=HandClock(T0), rules=SILENT)
    await ward.start()
    await ward.pipeline.know({"device:dev_1": Context(expected={"heartbeat": T0})})
    ward.pipeline.heartbeats.expect(["dev_1"])

    async def goes_by(seconds: int) -> list[str]:
        ward.clock.advance(seconds)
        await ward.pipeline.tick()
        return [alarm.patient for alarm in ward.pipeline.state.active()]

    for n in range(4):
        at = 100 * n
        await ward.take(live(block(n + 1, reading(at)), at=at))
        assert await goes_by(100) == []
    assert await goes_by(199) == []
    assert await goes_by(2) == ["device:dev_1"]
    await ward.take(live(block(5, reading(601)), at=601))
    assert await goes_by(1) == []
    ward.records.close_now()
