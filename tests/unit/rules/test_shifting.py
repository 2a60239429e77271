"""Decisions go on as if the clock that was set had been right before."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.clock import SECOND
from rules import Configuration, Context, Engine, Readings, Rows, RuleSet, State, Tick, Transition
from rules.shifting import shifted
from tests.unit.rules.made import at
from tests.unit.rules.test_engine_properties import RULES, FullRow, histories, rows

DAY = 86_400 * SECOND
BASE = 10 * DAY
Moment = tuple[list[FullRow], int]


def later(row: FullRow, by: int) -> FullRow:
    return (*row[:4], row[4] + by, row[5] + by, row[6])


@st.composite
def moments(draw: st.DrawFn) -> list[Moment]:
    """What comes together, and how long after the last of it the timers run."""
    known, out = [later(row, BASE) for row in draw(rows(12))], []
    while known:
        size = draw(st.integers(1, 6))
        part, known = known[:size], known[size:]
        out.append((part, draw(st.sampled_from([0, 1, 40, 400]))))
    return out


def told(known: list[Moment], turn: int, by: int) -> tuple[list[tuple[object, ...]], State]:
    """What an edge decides whose clock is set by so much after ``turn`` moments."""
    engine = Engine(State.empty("gw", RuleSet(RULES)), responding=False)
    found: list[Transition] = []
    contexts = dict.fromkeys("pq", Context())
    found += engine.step(Configuration(0, BASE + at(1000), RuleSet(RULES), frozenset(), contexts))
    names: dict[str, int] = {}
    out: list[tuple[object, ...]] = []

    def tell(off: int) -> None:
        for t in found:
            name = names.setdefault(t.alarm, len(names))
            shown = [{**i, "time": i["time"] - off, "received": i["received"] - off} for i in t.inputs]
            out.append((t.kind, name, t.rule, t.patient, t.at - off, t.onset - off, t.values, shown, t.text))
        found.clear()

    for n, (part, wait) in enumerate(known):
        if n == turn:
            tell(0)
            engine = Engine(shifted(engine.state, by), responding=False)
        off = by if n >= turn else 0
        now = max(r[5] for r in part) + off
        found += engine.step(Readings(2 * n + 1, now, Rows.of(later(r, off) for r in part), "gw", now))
        found += engine.step(Tick(2 * n + 2, now + at(wait)))
        tell(off)
    return out, engine.state


@settings(max_examples=60, deadline=None)
@given(moments(), st.integers(0, 9), st.sampled_from([-DAY, -60 * SECOND, 3600 * SECOND, DAY * 20_000]))
def test_a_clock_that_is_set_changes_no_decision(known: list[Moment], turn: int, by: int):
    decided, state = told(known, turn % len(known), by)
    assert decided == told(known, len(known), 0)[0]
    if by > 0:
        assert shifted(shifted(state, -by), by).to_bytes() == state.to_bytes()


@given(histories(), st.sampled_from([60 * SECOND, DAY]))
@settings(max_examples=10, deadline=None)
def test_there_and_back_nothing_has_changed(events: list[Readings], by: int):
    engine = Engine(State.empty("cloud", RuleSet(RULES)))
    for event in events:
        engine.step(event)
    state = State.from_bytes(engine.state.to_bytes())
    assert shifted(shifted(state, by), -by).to_bytes() == state.to_bytes()
    assert [a.id for a in shifted(state, by).active()] == [a.id for a in state.active()]
