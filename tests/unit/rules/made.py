"""Rules and readings made in code, for tests of deciding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from rules import Engine, Input, Readings, Rows, RuleSet, State, Tick, Transition, step
from rules.conditions import Any_, Node, Threshold, leaves
from rules.rule import SECOND, Rule

__all__ = ["Row", "at", "both", "episodes", "make", "play", "readings", "threshold"]

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
