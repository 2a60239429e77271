"""Random lives of alarms: conditions, people, pauses, shifts, jumps of time and restarts, against a model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from hearthward.core.errors import RuleError
from rules import (
    Command,
    Configuration,
    Engine,
    Input,
    Readings,
    Rows,
    RuleSet,
    State,
    Tick,
    Transition,
    step,
)
from rules.conditions import Any_, Missing
from rules.model import Adopt
from rules.response.duty import Assignment, Duty, Person, Shift, Team
from rules.response.model import NEVER
from rules.response.orders import COMMANDS
from rules.response.policy import Policy, Step, Target, Timetable
from rules.rule import SECOND
from tests.unit.rules.made import at, make, threshold
from tests.unit.rules.response.ledger import Entry, Ledger

DAY = 86_400.0
WEEKS = 30 * DAY


def silence(metric: str) -> Any_:
    """A condition that counts as a silence and comes and goes by readings."""
    return Any_((threshold(metric, "below", 10), Missing("heartbeat", WEEKS)))


TECHNICAL = {"kind": "technical", "max_age_s": WEEKS, "audience": ("nurse", "engineer")}
PEOPLE: dict[str, Any] = {"max_age_s": WEEKS, "audience": ("nurse", "doctor")}
RULES = (
    make("low", threshold("spo2", "below", 90), **PEOPLE),
    make("fast", threshold("heart_rate", "above", 120), priority="medium", latching=True, **PEOPLE),
    make("quiet", silence("battery_level"), priority="medium", **TECHNICAL),
    make("dead", silence("etco2"), subject="gateway", **TECHNICAL),
    make("stopped", silence("body_weight"), subject="component", **TECHNICAL),
    make("failing", threshold("delivery_failing", "at_or_above", 1), subject="component", **TECHNICAL),
    make("unheard", threshold("walls_audible", "below", 1), subject="component", **TECHNICAL),
)
RAISED = tuple(replace(r, priority="high") if r.id == "fast" else r for r in RULES)
PLACES: dict[tuple[str, str], tuple[str, str, float, float]] = {
    **{(p, "low"): (d, "spo2", 97, 84) for p, d in (("p", "d1"), ("q", "d3"))},
    **{(p, "fast"): (d, "heart_rate", 80, 140) for p, d in (("p", "d1"), ("q", "d3"))},
    **{(p, "quiet"): (d, "battery_level", 50, 5) for p, d in (("p", "d1"), ("q", "d3"))},
    ("gateway:gw", "dead"): ("gw", "etco2", 40, 5),
    ("component:ingest", "stopped"): ("c", "body_weight", 80, 5),
    ("component:channel-sms", "failing"): ("c", "delivery_failing", 0, 1),
    ("component:wall-west", "unheard"): ("c", "walls_audible", 1, 0),
}
"""(subject, rule): the device, the signal, a value with which all is well and one with which it is not."""
ABOVE = {
    ("p", "quiet"): [("component:ingest", "stopped"), ("gateway:gw", "dead")],
    ("q", "quiet"): [("component:ingest", "stopped")],
    ("gateway:gw", "dead"): [("component:ingest", "stopped")],
}


def steps(*rows: tuple[float, list[Target], list[str]]) -> tuple[Step, ...]:
    return tuple(Step(after, tuple(targets), tuple(channels)) for after, targets, channels in rows)


WALL, ASSIGNED, NURSE = Target("wall"), Target("assigned"), Target("on_duty", "nurse")
DOCTOR, ENGINEER, POINTS = Target("on_duty", "doctor"), Target("on_duty", "engineer"), Target("endpoints")
URGENT = Timetable(
    steps(
        (0, [WALL, ASSIGNED], ["in_app", "push"]),
        (60, [ASSIGNED], ["sms"]),
        (120, [NURSE, POINTS], ["sms"]),
        (180, [DOCTOR], ["voice", "sms"]),
    ),
    repeat_s=300,
    remind_s=600,
)
POLICY = Policy(
    "default",
    1,
    {"en": "-", "zh": "-"},
    {
        "physiological.high": URGENT,
        "physiological.medium": Timetable(steps((0, [WALL], ["in_app"]), (180, [NURSE], ["push"]))),
        "technical.high": replace(URGENT, repeat_s=600),
        "technical.medium": Timetable(
            steps((0, [WALL], ["in_app"]), (300, [ENGINEER], ["sms"])), repeat_s=900, remind_s=1800
        ),
    },
)
WAYS = ("in_app", "push", "sms", "voice")
STAFF = {
    p.id: p
    for p in (
        Person("ann", "Ann", ("nurse",), None, WAYS),
        Person("bea", "Bea", ("nurse",), None, ("in_app", "sms")),
        Person("doc", "Doc", ("doctor",), None, ("sms", "voice")),
        Person("eng", "Eng", ("engineer",), None, ("in_app", "sms")),
    )
}
FULL = Duty(
    people=STAFF,
    teams={"t": Team("t", ("ann", "bea"))},
    assignments=(Assignment("p", "ann", None, 0, NEVER), Assignment("q", None, "t", 0, NEVER)),
    patients={"p": "west", "q": "west"},
    gateways={"gw": "west", "gx": "west"},
    devices={"d1": ("gw", "p"), "d3": ("gx", "q")},
    policies={"default": POLICY},
    channels=("in_app", "push", "sms", "voice"),
    endpoints={"sms": ("number-1",)},
)
SHIFTS = tuple(
    Shift(user, role, "west", at(start), at(start + 600))
    for user, role, offset in (("ann", "nurse", 0), ("bea", "nurse", 500), ("doc", "doctor", 900))
    for start in range(offset, 40_000, 1400)
)
DUTIES = {
    "all": FULL,
    "unfilled": replace(FULL, scheduled=frozenset({"west"})),
    "shifts": replace(FULL, scheduled=frozenset({"west"}), shifts=SHIFTS),
    "nobody": replace(FULL, people={}, assignments=(), endpoints={}),
    "pages only": replace(FULL, channels=("in_app",), endpoints={}),
}
JUMPS = st.sampled_from([0.001, 1, 7, 59, 60, 61, 119, 120, 121, 299, 300, 777, 3600, 20_000])
SEVERAL = st.lists(st.sampled_from(sorted(PLACES)), min_size=1, max_size=3, unique=True)
ACTORS = st.sampled_from(["ann", "bea", "doc", "eng"])
UNPAUSED = {"alarm_paused", "alarm_off", "audio_off", "acknowledged"}
"""Signals that a pause of the sound changes nothing about."""
OFF = {
    "audio_off": ("audio_off", DAY),
    "pause_alarms": ("alarm_paused", 4 * 3600.0),
    "alarms_off": ("alarm_off", 7 * DAY),
    "maintenance": ("maintenance", 30 * DAY),
}


class Life(RuleBasedStateMachine):
    """Reference and engine side by side; after each input the model says what must have come of it."""

    def __init__(self) -> None:
        super().__init__()
        self.rules = RULES
        self.state = State.empty("node", RuleSet(RULES))
        self.engine = Engine(State.empty("node", RuleSet(RULES)))
        self.ledger = Ledger(FULL, ABOVE)
        self.present: set[tuple[str, str]] = set()
        self.fine: set[tuple[str, str]] = set()
        """Where all was well when last measured."""
        self.now = self.seq = 0
        self.minted = 0

    # -- inputs

    def take(self, event: Input) -> list[Transition]:
        self.state, found = step(self.state, event)
        assert found == self.engine.step(event)
        assert self.state.responses.content() == self.engine.state.responses.content()
        self.seq = event.seq
        self.ledger.read(found, event.now)
        self.ledger.compare(self.state, self.present)
        return list(found)

    def later(self, seconds: float) -> int:
        self.now += at(seconds)
        if self.ledger.murmurs():
            self.take(Tick(self.seq + 1, self.now))
        return self.now

    @initialize(duty=st.sampled_from(sorted(DUTIES)), places=SEVERAL)
    def begin(self, duty: str, places: list[tuple[str, str]]) -> None:
        self.now = at(1000)
        self.staffed(duty)
        self.measured(places, 0.001, "wrong")

    @rule(duty=st.sampled_from(sorted(DUTIES)))
    def staffed(self, duty: str) -> None:
        self.time(0.001)  # until then the others were there
        self.ledger.duty = DUTIES[duty]
        self.take(Configuration(self.seq + 1, self.now, None, duty=DUTIES[duty]))

    @rule(
        places=SEVERAL,
        jump=JUMPS,
        are=st.sampled_from(["fine", "wrong"]),
    )
    def measured(self, places: list[tuple[str, str]], jump: float, are: str) -> None:
        now, rows = self.later(jump), Rows()
        for subject, name in places:
            device, metric, fine, wrong = PLACES[subject, name]
            rows.append(subject, device, metric, wrong if are == "wrong" else fine, now, now)
            (self.present.add if are == "wrong" else self.present.discard)((subject, name))
            (self.fine.discard if are == "wrong" else self.fine.add)((subject, name))
        self.take(Readings(self.seq + 1, now, rows, "gw", now))

    @rule(subject=st.sampled_from("pq"), depth=st.floats(1, 80), jump=JUMPS)
    def worse(self, subject: str, depth: float, jump: float) -> None:
        now = self.later(jump)
        rows = Rows.of([(subject, PLACES[subject, "low"][0], "spo2", depth, now, now, 0)])
        self.present.add((subject, "low"))
        self.fine.discard((subject, "low"))
        self.take(Readings(self.seq + 1, now, rows, "gw", now))

    @rule(fast=st.sampled_from(["medium", "high"]))
    def prioritised(self, fast: str) -> None:
        rules, now = RuleSet(RAISED if fast == "high" else RULES), self.later(0.001)
        self.take(Configuration(self.seq + 1, now, rules))

    @rule(subject=st.sampled_from("pq"))
    def left(self, subject: str) -> None:
        now = self.later(0.001)
        self.present = {place for place in self.present if place[0] != subject}
        self.take(Configuration(self.seq + 1, now, None, frozenset({subject})))
        assert not [r for r in self.state.responses.open.values() if r.subject == subject]
        assert not [i for i in self.state.responses.inactivations if i[0] == subject]

    @rule(subject=st.sampled_from("pq"))
    def adopted(self, subject: str) -> None:
        if (subject, "low") in self.fine:
            return  # it would end with the next look at what was measured here
        self.minted += 1
        ours = next((e for e in self.ledger.open.values() if (e.subject, e.rule) == (subject, "low")), None)
        name = f"edge-{self.minted}"
        now = self.later(0.001)
        self.present.add((subject, "low"))
        word = Adopt(self.seq + 1, now, name, subject, "low", now, now, {"spo2": 80.0}, rule_hash="older")
        found = self.take(word)
        if ours is None:
            assert next(t.kind for t in found if t.alarm == name) == "start"
        else:
            assert [t.detail["alias"] for t in found if t.alarm == ours.alarm and t.kind == "update"] == [
                name
            ]
            response = self.state.responses.find(name)
            assert response is not None
            assert response.alarm == ours.alarm

    # -- time

    @rule(jump=JUMPS)
    def time(self, jump: float) -> None:
        self.take(Tick(self.seq + 1, self.later(jump)))

    @rule(nanoseconds=st.sampled_from([-1, 0, 1]))
    def just_then(self, nanoseconds: int) -> None:
        wake = self.state.responses.wake
        if wake == NEVER or wake + nanoseconds <= self.now:
            return
        assert self.engine.due(wake)
        self.now = wake + nanoseconds
        found = self.take(Tick(self.seq + 1, self.now))
        assert not found or nanoseconds >= 0, "nothing happens before its time"

    @rule(back=st.sampled_from([1, 60, 900]))
    def clock_back(self, back: float) -> None:
        """The clock may be set back: nothing runs twice for it."""
        before = self.state.responses.content()
        found = self.engine_and_reference(Tick(self.seq + 1, self.now - at(back)))
        assert found == ()
        assert self.state.responses.content() == before

    def engine_and_reference(self, event: Input) -> tuple[Transition, ...]:
        self.state, found = step(self.state, event)
        assert found == self.engine.step(event)
        self.seq = event.seq
        return found

    @rule()
    def restart(self) -> None:
        """From the snapshot everything goes on as if nothing had been: the same deadlines, the same wake."""
        again = State.from_bytes(self.state.to_bytes())
        assert again.digest() == self.state.digest() == self.engine.state.digest()
        assert again.responses.content() == self.state.responses.content()
        assert again.responses.wake <= self.state.responses.wake or again.responses.wake == NEVER
        self.state, self.engine = again, Engine(State.from_bytes(self.state.to_bytes()))

    # -- people

    @rule(
        kind=st.sampled_from(sorted({*COMMANDS, "explode"} - OFF.keys() - {"resume", "pause_audio"})),
        data=st.data(),
        actor=ACTORS,
        jump=JUMPS,
        note=st.sampled_from(["", "busy"]),
        to=st.sampled_from(["bea", "doc", "nobody"]),
    )
    def command(self, kind: str, data: st.DataObject, actor: str, jump: float, note: str, to: str) -> None:
        alarm = data.draw(st.sampled_from([*self.ledger.open, *self.state.responses.aliases, "gone"]))
        entry = self.entry(alarm)
        if kind == "undelivered":
            hops = sorted(entry.pending) if entry is not None else []
            to = ":".join(data.draw(st.sampled_from([*hops, ("sms", "stranger")])))
        if entry is not None and entry.owner is not None and data.draw(st.booleans()):
            actor = entry.owner
        now = self.later(jump)
        self.act(Command(self.seq + 1, now, kind, alarm, actor, note, to=to))

    @rule(
        data=st.data(),
        actor=ACTORS,
        seconds=st.sampled_from([-1, 1, 30, 120, 121]),
        subject=st.sampled_from(["", "p", "q", "gateway:gw"]),
        jump=JUMPS,
    )
    def quieten(self, data: st.DataObject, actor: str, seconds: float, subject: str, jump: float) -> None:
        now = self.later(jump)
        alarm = "" if subject else data.draw(st.sampled_from([*self.ledger.open, "gone"]))
        until = now + at(seconds)
        self.act(Command(self.seq + 1, now, "pause_audio", alarm, actor, subject=subject, until=until))

    @rule(
        kind=st.sampled_from(sorted(OFF)),
        subject=st.sampled_from(["p", "p", "p", "q", "gateway:gw", "device:d1", "", "component:ingest"]),
        seconds=st.sampled_from([10.0, 50.0, 600.0, 4 * 3600.0, DAY, 8 * DAY, 31 * DAY, -5.0]),
        note=st.sampled_from(["washing", "washing", "washing", "washing", " "]),
        jump=JUMPS,
    )
    def switch_off(self, kind: str, subject: str, seconds: float, note: str, jump: float) -> None:
        now = self.later(jump)
        until = now + at(seconds)
        self.act(Command(self.seq + 1, now, kind, "", "ann", note, subject, until))

    @precondition(lambda self: self.ledger.off)
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        subject, kind = data.draw(st.sampled_from([*self.ledger.off, ("p", "alarm_off")]))
        to = data.draw(st.sampled_from([kind, ""]))
        now = self.later(0.001)
        self.act(Command(self.seq + 1, now, "resume", "", "ann", "", subject, to=to))

    def entry(self, alarm: str) -> Entry | None:
        return self.ledger.open.get(self.state.responses.aliases.get(alarm, alarm))

    def act(self, command: Command) -> None:
        """Time first, so that the command meets what the model knows; then it is done, or refused."""
        self.take(Tick(command.seq, command.now))
        command = replace(command, seq=self.seq + 1)
        code = self.expected(command)
        if code is None:
            self.foretell(command)
            self.take(command)
            return
        before = self.state.to_bytes()
        for apply in (lambda: step(self.state, command), lambda: self.engine.step(command)):
            with pytest.raises(RuleError) as caught:
                apply()
            assert caught.value.details["code"] == code
        assert self.state.to_bytes() == self.engine.state.to_bytes() == before, "a refusal changes nothing"

    def expected(self, c: Command) -> str | None:
        """The code of the refusal, or None."""
        entry = self.entry(c.alarm)
        if c.kind in OFF or c.kind == "resume":
            return self._switched(c)
        if c.kind not in COMMANDS:
            return "unknown"
        if c.alarm and entry is None:
            return "no_alarm"
        if c.kind in {"pause_audio", "resume_audio"}:
            return self._quietened(c, entry)
        if c.kind in {"accept", "take_over", "reject", "release", "redirect", "relearn"} and entry.latched:
            return "ended"
        taken = entry.owner not in {None, c.actor}
        mine = entry.owner == c.actor
        wrong = {
            "accept": ("taken", taken),
            "reject": ("taken", taken),
            "release": ("not_owner", not mine),
            "acknowledge": ("not_owner", not mine and not entry.latched),
            "redirect": ("unknown_user", c.to not in self.ledger.duty.people),
            "note": ("nothing", not c.note),
        }
        code, is_so = wrong.get(c.kind, ("", False))
        return code if is_so else None

    def _quietened(self, c: Command, entry: Entry | None) -> str | None:
        there = [e for e in self.ledger.open.values() if e.subject == c.subject and not e.latched]
        if (entry is None and not there) or (entry is not None and entry.latched):
            return "nothing"
        if c.kind == "resume_audio":
            return None
        return "past" if c.until <= c.now else "too_long" if c.until - c.now > 120 * SECOND else None

    def _switched(self, c: Command) -> str | None:
        if c.kind == "resume":
            found = [k for s, k in self.ledger.off if s == c.subject and c.to in {"", k}]
            return None if found else "nothing"
        equipment = c.subject.startswith(("device:", "gateway:"))
        if equipment is not (c.kind == "maintenance") or c.subject in {"", "component:ingest"}:
            return "subject"
        if not c.note.strip():
            return "reason"
        longest = at(OFF[c.kind][1])
        return "past" if c.until <= c.now else "too_long" if c.until - c.now > longest else None

    def foretell(self, c: Command) -> None:
        """What the model must know of a command that its transitions do not say."""
        entry = self.entry(c.alarm)
        if c.kind == "pause_audio":
            for e in self.ledger.open.values():
                if (e is entry or (entry is None and e.subject == c.subject)) and not (
                    e.latched or e.signal in UNPAUSED
                ):
                    e.paused = c.until
        elif c.kind == "resume_audio":
            entry.paused = 0
        elif c.kind == "acknowledge" and entry.signal in {"on", "audio_paused"}:
            entry.acknowledged, entry.paused = not entry.latched, 0

    @invariant()
    def nothing_is_overdue(self) -> None:
        if self.seq:
            assert self.state.responses.wake > self.now


PHASES = [p for p in Phase if p is not Phase.explain]
Life.TestCase.settings = settings(max_examples=120, stateful_step_count=50, deadline=None, phases=PHASES)
TestLife = Life.TestCase
