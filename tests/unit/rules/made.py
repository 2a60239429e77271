"""Rules and readings made in code, for tests of deciding."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

import pytest

from hearthward.core.errors import RuleError
from rules import (
    Command,
    Configuration,
    Context,
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
from rules.conditions import Any_, Node, Threshold, leaves
from rules.rule import SECOND, Rule

__all__ = ["Play", "Row", "at", "both", "episodes", "make", "play", "readings", "threshold", "ticked"]

Row = tuple[str, str, str, float | None, float]
"""Subject, device, signal, value, measured at (seconds)."""


def at(seconds: float) -> int:
    return round(seconds * SECOND)


def threshold(metric: str, op: Any, value: float | str, hysteresis: float = 0.0, **more: Any) -> Threshold:
    return Threshold(metric, op, value, hysteresis, **more)


def make(name: str, *conditions: Node, max_age_s: float = 120, **more: Any) -> Rule:
    """A rule that any of the conditions opens."""
    condition = conditions[0] if len(conditions) == 1 else Any_(conditions)
    signals = {m for leaf in leaves(condition) if (m := getattr(getattr(leaf, "of", leaf), "metric", None))}
    text = {"en": "{limit}", "zh": "{limit}"}
    fields: dict[str, Any] = {
        "id": name,
        "version": 1,
        "title": {"en": name, "zh": name},
        "kind": "physiological",
        "priority": "high",
        "audience": ("nurse",),
        "inputs": dict.fromkeys(sorted(signals), float(max_age_s)),
        "delay_s": 0.0,
        "max_lateness_s": 3600.0,
        "explanation": text,
        "cleared": text,
        "clinical_source": "made for a test",
    }
    return Rule(condition=condition, **{**fields, **more})


def readings(
    rows: Iterable[Row],
    *,
    seq: int = 1,
    now: float | None = None,
    source: str = "gw",
    wall: float | None = None,
) -> Readings:
    """Rows received when they were measured; ``now`` and ``wall`` are the last one's time unless given."""
    known = list(rows)
    last = max((r[4] for r in known), default=0.0)
    table = Rows.of((p, d, m, v, at(t), at(t), 0) for p, d, m, v, t in known)
    told = at(last if wall is None else wall)
    return Readings(seq, at(last if now is None else now), table, source, told)


def play(rules: Iterable[Rule], events: Sequence[Input]) -> tuple[State, list[Transition]]:
    """All inputs through the reference."""
    state, out = State.empty("node", RuleSet(tuple(rules))), []
    for event in events:
        state, transitions = step(state, event)
        out += transitions
    return state, out


def both(rules: Iterable[Rule], events: Sequence[Input]) -> list[Transition]:
    """All inputs through the reference and the engine, which must agree in everything after each of them."""
    state = State.empty("node", RuleSet(tuple(rules)))
    engine = Engine(State.empty("node", RuleSet(tuple(rules))))
    out: list[Transition] = []
    for event in events:
        state, transitions = step(state, event)
        assert engine.step(event) == transitions
        assert engine.state.to_bytes() == state.to_bytes()
        out += transitions
    return out


def episodes(transitions: Iterable[Transition]) -> list[tuple[str, str, int, int | None]]:
    """(subject, rule, onset, end) of all alarms, as the last word on each has it."""
    found: dict[str, tuple[str, str, int, int | None]] = {}
    for t in transitions:
        if t.kind in {"start", "update", "end", "reset"}:
            found[t.alarm] = t.patient, t.rule, t.onset, t.at if t.kind in {"end", "reset"} else None
    return sorted(found.values(), key=lambda e: (e[0], e[1], e[2], e[3] or 0))


def ticked(events: Iterable[Input], until: float) -> list[Input]:
    """The inputs numbered in order, and a tick at the end."""
    numbers = count(1)
    known = list(events)
    return [*known, Tick(next(numbers) + len(known), at(until))]


class Play:
    """Reference and engine side by side, and everything that was told so far.

    Times are seconds. A reading is received when it was measured unless said otherwise; its source has then
    told as far as that (``wall``).
    """

    def __init__(self, *rules: Rule) -> None:
        self.state = State.empty("node", RuleSet(rules))
        self.engine = Engine(State.empty("node", RuleSet(rules)))
        self.seq = 0
        self.told: list[Transition] = []

    def take(self, event: Input) -> list[Transition]:
        self.state, out = step(self.state, event)
        assert self.engine.step(event) == out
        assert self.engine.state.to_bytes() == self.state.to_bytes()
        self.told += out
        return list(out)

    def read(
        self,
        measured: float,
        *,
        received: float | None = None,
        now: float | None = None,
        wall: float | None = None,
        source: str = "gw",
        device: str = "d",
        patient: str = "p",
        quality: int = 0,
        **values: float | None,
    ) -> list[Transition]:
        """One measurement, alone in its frame."""
        self.seq += 1
        received = measured if received is None else received
        now = received if now is None else now
        rows = Rows.of(
            (patient, device, m, v, at(measured), at(received), int(quality)) for m, v in values.items()
        )
        return self.take(Readings(self.seq, at(now), rows, source, at(now if wall is None else wall)))

    def rows(
        self,
        *rows: Row,
        now: float,
        source: str = "gw",
        wall: float | None = None,
        received: float | None = None,
    ) -> list[Transition]:
        """Several readings in one frame."""
        self.seq += 1
        table = Rows.of(
            (p, d, m, v, at(t), at(t if received is None else received), 0) for p, d, m, v, t in rows
        )
        return self.take(Readings(self.seq, at(now), table, source, at(now if wall is None else wall)))

    def tick(self, now: float) -> list[Transition]:
        self.seq += 1
        return self.take(Tick(self.seq, at(now)))

    def configure(
        self,
        *rules: Rule,
        now: float = 0,
        closed: Iterable[str] = (),
        contexts: dict[str, Context | None] | None = None,
        same_rules: bool = False,
    ) -> list[Transition]:
        """Put these rules in force, or keep those there are."""
        self.seq += 1
        found = None if same_rules else RuleSet(rules)
        return self.take(Configuration(self.seq, at(now), found, frozenset(closed), contexts or {}))

    def context(self, now: float, context: Context | None, patient: str = "p") -> list[Transition]:
        return self.configure(now=now, contexts={patient: context}, same_rules=True)

    def accept(self, alarm: str, actor: str, note: str = "", now: float = 99) -> list[Transition]:
        """Raises RuleError when it is refused, by both alike; then nothing may have changed."""
        return self.command("accept", alarm, actor, note, now)

    def command(self, kind: str, alarm: str, actor: str, note: str = "", now: float = 99) -> list[Transition]:
        command = Command(self.seq + 1, at(now), kind, alarm, actor, note)
        before = self.engine.state.to_bytes()
        try:
            out = self.take(command)
        except RuleError as error:
            refusal = error
        else:
            self.seq += 1
            return out
        with pytest.raises(RuleError, match=re.escape(str(refusal))):
            self.engine.step(command)
        assert self.engine.state.to_bytes() == before
        raise refusal

    @property
    def kinds(self) -> list[str]:
        return [t.kind for t in self.told]

    @property
    def active(self) -> list[str]:
        """The rules whose alarms are present."""
        return [a.rule for a in self.state.active()]
