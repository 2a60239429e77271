"""A small ward with people, rules and a timetable, for scenes of answering alarms."""

from __future__ import annotations

from typing import Any

from rules import Command, Configuration, Rule, Transition
from rules.response.duty import Assignment, Duty, Person
from rules.response.model import NEVER, Response
from rules.response.policy import Policy, Step, Target, Timetable
from tests.unit.rules.made import Play, at, make, threshold

__all__ = ["DUTY", "FAILING", "FAST", "LOW", "TABLE", "TABLES", "UNHEARD", "Scene", "told"]

WALL, ASSIGNED, DOCTOR = Target("wall"), Target("assigned"), Target("on_duty", "doctor")
TABLE = Timetable(
    (
        Step(0, (WALL, ASSIGNED), ("in_app",)),
        Step(60, (ASSIGNED,), ("sms",)),
        Step(180, (DOCTOR,), ("voice", "sms")),
    ),
    repeat_s=300,
    remind_s=600,
    redirect_s=45,
)
TABLES = {f"{kind}.{p}": TABLE for kind in ("physiological", "technical") for p in ("high", "medium", "low")}
WAYS = ("in_app", "sms", "voice")
DUTY = Duty(
    people={
        "ann": Person("ann", "Ann", ("nurse",), None, WAYS),
        "bea": Person("bea", "Bea", ("nurse",), None, WAYS),
        "doc": Person("doc", "Doc", ("doctor",), None, WAYS),
    },
    assignments=(Assignment("p", "ann", None, 0, NEVER),),
    patients={"p": "west", "q": "west"},
    gateways={"gw": "west"},
    devices={"d": ("gw", "p")},
    policies={"default": Policy("default", 1, {"en": "-", "zh": "-"}, TABLES)},
    channels=WAYS,
)
LOW = make("low", threshold("spo2", "below", 90), max_age_s=1e6)
FAST = make("fast", threshold("heart_rate", "above", 120), max_age_s=1e6, latching=True)
LOST = {"subject": "component", "kind": "technical", "max_age_s": 1e6}
UNHEARD = make("unheard", threshold("walls_audible", "below", 1), **LOST)
FAILING = make("failing", threshold("delivery_failing", "at_or_above", 1), **LOST)


class Scene(Play):
    """A play with people; times are seconds."""

    def __init__(self, *rules: Rule, duty: Duty = DUTY) -> None:
        super().__init__(*(rules or (LOW, FAST, UNHEARD, FAILING)))
        self.staff(duty)

    def staff(self, duty: Duty, now: float = 0) -> list[Transition]:
        self.seq += 1
        return self.take(Configuration(self.seq, at(now), None, duty=duty))

    def begin(self, now: float = 10, patient: str = "p", **values: float) -> str:
        found = self.read(now, patient=patient, **(values or {"spo2": 80}))
        return next(t.alarm for t in found if t.kind == "start")

    def do(self, kind: str, now: float, alarm: str = "", actor: str = "ann", **more: Any) -> list[Transition]:
        self.seq += 1
        if "until" in more:
            more["until"] = at(more["until"])
        return self.take(Command(self.seq, at(now), kind, alarm, actor, **more))

    def answer(self, alarm: str) -> Response:
        found = self.state.responses.find(alarm)
        assert found is not None
        return found


def told(transitions: list[Transition]) -> list[tuple[str, float, set[str]]]:
    """(kind, at, channel:who) of all that somebody is told of."""
    return [
        (t.kind, t.at / 1e9, {":".join(hop) for hop in t.detail["told"]})
        for t in transitions
        if t.detail.get("told")
    ]
