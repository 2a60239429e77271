"""What the rules have open is told by place, and of what is nobody's by the device."""

from __future__ import annotations

from edge_agent.annunciation.present import present
from rules import Engine, Readings, Rows, RuleSet, State
from rules.model import Configuration
from tests.unit.edge_agent.decided import T0
from tests.unit.rules.made import make, threshold

RULE = make("spo2-low", threshold("spo2", "below", 90, 2), max_lateness_s=3600)
BATTERY = make("low-battery", threshold("battery_level", "below", 20, 5), subject="device")


def test_alarms_are_told_by_place():
    engine = Engine(State.empty("gw-1"), responding=False)
    engine.step(Configuration(1, T0, RuleSet((RULE, BATTERY)), frozenset(), {}))
    read = ("pat_1", "spo2", 84.0), ("pat_2", "spo2", 84.0), ("device:dev_3", "battery_level", 10.0)
    rows = Rows.of([(who, "d", what, value, T0, T0, 0) for who, what, value in read])
    engine.step(Readings(2, T0, rows, "gw-1", T0))
    told = present(engine.state, {"pat_1": "ICU 3"})
    assert sorted(a.place for a in told.values()) == ["ICU 3", "dev_3", "pat_2"]
    alarm = next(a for a in told.values() if a.place == "ICU 3")
    assert told[alarm.id] is alarm
    assert (alarm.rule, alarm.kind, alarm.onset, alarm.values) == ("spo2-low", RULE.kind, T0, {"spo2": 84.0})
    assert dict(alarm.title) == dict(RULE.title)
    assert alarm.text["en"]
