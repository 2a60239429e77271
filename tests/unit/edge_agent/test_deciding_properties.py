"""Whatever is read, and whenever it is killed: the edge decides what the cloud's engine decides, once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.clock import SECOND
from hearthward.core.model import Reading
from rules import Configuration, Context, Engine, Readings, Rows, RuleSet, State, Tick, Transition
from rules.conditions import Missing, Repeat, Smoothing
from tests.unit.edge_agent.decided import GATEWAY, T0, Edge, knowledge, reading
from tests.unit.rules.made import make, threshold

RULES = RuleSet(
    (
        make("spo2-low", threshold("spo2", "below", 90, 2)),
        make("spo2-very-low", threshold("spo2", "below", 85, 2), clear_after_s=20.0),
        make(
            "hr",
            threshold("heart_rate", "below", 40, 2),
            threshold("heart_rate", "above", 120, 5),
            delay_s=10.0,
        ),
        make("mean", threshold("ibp_mean", "below", 65, 5, smoothing=Smoothing("mean", 60, 2)), delay_s=5.0),
        make("bp", Repeat(threshold("nibp_systolic", "above", 160, 5), 10.0, 60.0), max_age_s=400),
        make("silent", Missing("spo2", 30.0), kind="technical"),
    )
)
PEOPLE = {f"pat_{n}": Context(expected={"spo2": T0}) for n in (1, 2)}
KNOWN = knowledge(RULES, contexts=PEOPLE)
SENT = {"start", "update", "escalate", "de-escalate", "end", "reset"}
VALUES = {
    "spo2": [82, 86, 89, 91, 93, 97],
    "heart_rate": [38, 60, 110, 130],
    "ibp_mean": [50, 62, 70, 90],
    "nibp_systolic": [120, 158, 170],
}


@dataclass(frozen=True)
class Happening:
    """So much later a block comes; ``kill``: it is killed after that, ``keep``: having kept its decisions."""

    after: float
    readings: tuple[tuple[str, str, float], ...]
    keep: bool
    kill: bool


@st.composite
def happenings(draw: st.DrawFn) -> Happening:
    metric = st.sampled_from(sorted(VALUES))
    one = st.tuples(st.sampled_from(["dev_1", "dev_2"]), metric).flatmap(
        lambda dm: st.tuples(st.just(dm[0]), st.just(dm[1]), st.sampled_from(VALUES[dm[1]]))
    )
    found = draw(st.lists(one, min_size=1, max_size=3, unique_by=lambda x: x[:2]))
    return Happening(
        draw(st.sampled_from([0.5, 1, 1, 3, 7, 12])),
        tuple((d, m, float(v)) for d, m, v in found),
        draw(st.booleans()),
        draw(st.sampled_from([False, False, False, True])),
    )


def blocks(history: list[Happening]) -> list[list[Reading]]:
    out, at = [], 0.0
    for happening in history:
        at += happening.after
        out.append([reading(at, v, d, m) for d, m, v in happening.readings])
    return out


def by_the_engine(history: list[Happening]) -> list[Transition]:
    """What the cloud's own engine, responses and all, decides on the same blocks in one go."""
    engine = Engine(State.empty(GATEWAY))
    out = list(engine.step(Configuration(0, T0, RULES, contexts=PEOPLE)))
    seq = 0
    for rows in blocks(history):
        came = rows[0].received
        out += engine.step(Readings(seq, came, Rows(), GATEWAY, came))
        if engine.due(came):
            out += engine.step(Tick(seq, came))
        seq += 1
        made = Rows.of(
            (r.device.replace("dev", "pat"), r.device, r.metric, r.value, r.corrected, r.received, 0)
            for r in rows
        )
        out += engine.step(Readings(seq, came, made, GATEWAY, came))
        seq += len(rows) - 1
    started = {t.alarm for t in out if t.kind == "start"}
    return [t for t in out if t.kind in SENT and t.alarm in started]


def told(t: Any) -> tuple[Any, ...]:
    """All but its name: decisions take numbers, by which the edge's are named."""
    names = ("kind", "rule", "at", "onset", "condition", "limit")
    return (*(getattr(t, name) for name in names), tuple(sorted(t.values.items())))


async def by_the_edge(history: list[Happening]) -> Edge:
    edge = await Edge(None, KNOWN).start()
    for happening, rows in zip(history, blocks(history), strict=True):
        await edge.read(*rows, keep=happening.keep)
        if happening.kill:
            await edge.start()
    await edge.decider.keep()
    return edge


@settings(max_examples=25, deadline=None)
@given(st.lists(happenings(), min_size=1, max_size=25))
def test_it_decides_what_the_clouds_engine_decides(history: list[Happening]):
    history = [replace(h, kill=False) for h in history]
    edge = asyncio.run(by_the_edge(history))
    assert [told(t) for t in edge.sent] == [told(t) for t in by_the_engine(history)]


@settings(max_examples=40, deadline=None)
@given(st.lists(happenings(), min_size=1, max_size=25))
def test_killed_at_any_time_it_doubles_and_orphans_nothing_and_decides_the_same(history: list[Happening]):
    """But for silence, which is counted from the restart, and when a worsening is told: once a minute."""
    edge = asyncio.run(by_the_edge(history))
    keys = [(t.alarm, t.kind, t.at) for t in edge.sent]
    assert len(set(keys)) == len(keys)
    alarms = [t.alarm for t in edge.sent if t.kind == "start"]
    assert len(set(alarms)) == len(alarms)
    ended = {t.alarm for t in edge.sent if t.kind in {"end", "reset"}}
    assert {a.id for a in edge.decider.alarms} == set(alarms) - ended

    def steady(found: Iterable[Any]) -> set[tuple[Any, ...]]:
        return {told(t)[:-1] for t in found if t.rule != "silent" and t.kind != "update"}

    assert steady(edge.sent) == steady(by_the_engine(history))


def test_times_are_of_the_block_not_of_the_clock():
    async def play() -> list[int]:
        edge = await Edge(None, KNOWN).start()
        edge.clock.advance(5)
        await edge.read(reading(1, 82))
        return [t.decided for t in edge.sent]

    assert set(asyncio.run(play())) == {T0 + SECOND}
