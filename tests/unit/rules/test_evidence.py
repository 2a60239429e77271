"""Readings that a gateway's decision rests on count until our own are as new."""

from __future__ import annotations

from rules.conditions import DeviceFlag
from rules.context import Context
from rules.evaluate import evaluate
from rules.evidence import measured, seen_at, still_needed
from rules.model import Measured
from rules.shared import NOTHING
from rules.state import Subject
from tests.unit.rules.made import Play, at, make, threshold

LOW = make("low", threshold("spo2", "below", 90, 1))
OFF = make("low", DeviceFlag("sensor_off", "spo2"), kind="technical")


def low(time: float, device: str = "d", value: float = 84.0) -> Measured:
    return Measured("spo2", device, at(time), value, at(time))


def subject(*rules: object) -> tuple[Play, Subject]:
    it = Play(*rules)  # type: ignore[arg-type]
    it.read(10, spo2=97)
    return it, it.state.subjects["p"]


def test_the_newest_of_each_device_counts():
    it, own = subject(LOW)
    compiled = it.engine.state.subjects["p"].plan.rules["low"]  # type: ignore[union-attr]

    def opens(*seen: Measured, now: float = 20, upto: int | None = None) -> bool:
        view = seen_at(own, compiled, seen, at(now), upto=upto)
        return evaluate(compiled, view, Context(), at(now)).opens

    assert not opens()
    assert opens(low(12))
    assert not opens(low(9)), "ours is newer"
    assert not opens(low(25)), "that is still to come"
    assert opens(low(9, "other")), "of another device"
    assert not opens(low(9, "")), "of no device: any newer one of ours will do"
    assert opens(low(9), upto=at(9)), "as it was known before ours"
    assert own.series["spo2"]["d"].value == 97, "nothing was changed"


def test_it_is_forgotten_when_it_is_not_needed():
    it, own = subject(LOW)
    compiled = it.engine.state.subjects["p"].plan.rules["low"]  # type: ignore[union-attr]
    shared = NOTHING.with_seen([low(9), low(12, "e"), low(30, "f")])
    assert [m.device for m in still_needed(own, compiled, shared, at(40))] == ["e", "f"]
    assert [m.device for m in still_needed(own, compiled, shared, at(140))] == ["f"], "too old to count"


def test_a_device_says_what_is_wrong_with_it():
    it, own = subject(OFF)
    compiled = it.engine.state.subjects["p"].plan.rules["low"]  # type: ignore[union-attr]
    view = seen_at(own, compiled, [low(12, value=8.0)], at(20))
    assert evaluate(compiled, view, Context(), at(20)).opens


def test_a_decision_without_readings_rests_on_its_values():
    assert measured((), {"spo2": 84.0}, 5, 9) == [Measured("spo2", "", 5, 84.0, 5)]
    assert measured((), {"spo2": 84.0}, 10, 9) == [], "dated in the future"
    (found,) = measured((low(3).shown(),), {"heart_rate": 1.0}, 5, at(9))
    assert found == low(3)
