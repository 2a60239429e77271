"""Random lives of two stages: as one alarm nothing is silent, or quieter, that two alarms would have told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.errors import RuleError
from rules import Command, Engine, Readings, Rows, RuleSet, State, Tick, Transition
from rules.model import Adopt, Input
from rules.response.rising import graver_first
from tests.unit.rules.made import at, make, readings, threshold, ticked
from tests.unit.rules.response.scenes import DUTY, Scene

LOW = make("low", threshold("spo2", "below", 90, 2.0), priority="medium", max_age_s=1e6)
DEEP = make("deep", threshold("spo2", "below", 80, 4.0), max_age_s=1e6, raises="low", clear_after_s=30.0)
SLOW = replace(LOW, delay_s=20.0, clear_after_s=60.0)
OTHER = make("other", threshold("heart_rate", "above", 120), max_age_s=1e6, latching=True)
GRAVER = ("low", "medium", "high")
VALUES = st.sampled_from([70.0, 78.0, 81.0, 85.0, 89.0, 91.0, 95.0, 97.0])
MOVES = st.lists(
    st.tuples(
        st.sampled_from([1.0, 5.0, 31.0, 61.0, 200.0]),
        st.one_of(
            st.tuples(st.just("spo2"), VALUES),
            st.tuples(st.just("accept"), st.just("")),
            st.tuples(st.just("heart_rate"), st.sampled_from([80.0, 150.0])),
            st.tuples(st.sampled_from(["acknowledge", "reject", "release", "pause_audio"]), st.just("")),
            st.tuples(st.just("tick"), st.just("")),
            st.tuples(st.sampled_from(["word", "over"]), st.sampled_from(["low", "deep"])),
        ),
    ),
    min_size=12,
    max_size=30,
)


class Two:
    """The same inputs to the stages as one alarm and as two; commands are given to the one only."""

    def __init__(self, low: Any, deep: Any) -> None:
        self.one = Scene(low, deep, OTHER, duty=DUTY)
        self.two = Scene(low, replace(deep, raises=""), OTHER, duty=DUTY)
        self.now = 10.0
        self.words: dict[str, tuple[str, float]] = {}

    def both(self, event: Input) -> tuple[list[Transition], list[Transition]]:
        self.one.seq = self.two.seq = event.seq
        return self.one.take(event), self.two.take(event)

    def next(self) -> int:
        return max(self.one.seq, self.two.seq) + 1

    def act(self, kind: str) -> None:
        for response in list(self.one.state.responses.open.values()):
            until = at(self.now + 60) if kind == "pause_audio" else 0
            try:
                self.one.take(Command(self.next(), at(self.now), kind, response.alarm, "ann", until=until))
            except RuleError:
                continue
            self.one.seq = self.two.seq = self.next()

    def word(self, rule: str, *, over: bool) -> tuple[list[Transition], list[Transition]]:
        name, (alarm, onset) = rule, self.words.get(rule, ("", 0.0))
        if not alarm:
            alarm, onset = f"edge-{rule}-{self.next()}", self.now - 0.5
        self.words[name] = ("", 0.0) if over else (alarm, onset)
        ended = at(self.now) if over else None
        fields: dict[str, Any] = {
            "values": {"spo2": 75.0},
            "source": "gw",
            "last": at(self.now),
            "ended": ended,
        }
        return self.both(
            Adopt(self.next(), at(self.now), alarm, "p", rule, at(onset), at(onset), told=False, **fields)
        )


def begun(found: list[Transition]) -> list[Transition]:
    return [t for t in found if t.kind == "start" and t.rule in {"low", "deep"}]


def loud(found: list[Transition]) -> list[set[tuple[str, str]]]:
    """Whom each start or rise calls."""
    called = [t for t in found if t.kind == "start" or t.detail.get("why") == "raised"]
    return [{tuple(hop) for hop in t.detail.get("told", ())} for t in called if t.rule in {"low", "deep"}]


@settings(max_examples=80, deadline=None)
@given(moves=MOVES, slow=st.booleans(), latching=st.booleans())
def test_nothing_is_silent_that_was_told_and_what_is_open_is_one_alarm(
    *, moves: list[tuple[float, tuple[str, Any]]], slow: bool, latching: bool
):
    world = Two(SLOW if slow else LOW, replace(DEEP, latching=latching))
    known: set[str] = set()
    for pause, (what, value) in moves:
        world.now += pause
        before = {r.rule for r in world.one.state.responses.open.values() if r.condition == "active"}
        if what in {"spo2", "heart_rate"}:
            time = at(world.now)
            rows = Rows.of([("p", "d", what, value, time, time, 0)])
            one, two = world.both(Readings(world.next(), time, rows, "gw", time))
        elif what == "tick":
            one, two = world.both(Tick(world.next(), at(world.now)))
        elif what in {"word", "over"}:
            one, two = world.word(value, over=what == "over")
        else:
            world.act(what)
            one, two = [], []
        known |= {t.alarm for t in world.one.told if t.kind in {"start", "late"}}
        assert {t.alarm for t in world.one.told if t.alarm} <= known, "every line is of an alarm that began"
        check_begun(before, one, two)
        check_unanswered(world, two)
        check_present(world, latching=latching)


def check_begun(before: set[str], one: list[Transition], two: list[Transition]) -> None:
    """Each graver stage calls those whom an alarm of its own calls; a lower one does where it is alone."""
    for start in begun(two):
        hops = {tuple(hop) for hop in start.detail.get("told", ())}
        if start.rule == "deep" or not before & {"low", "deep"}:
            graver = start.rule == "low" and any(t.rule == "deep" for t in begun(two))
            assert graver or hops in loud(one)


def check_unanswered(world: Two, two: list[Transition]) -> None:
    """Nobody has answered what has just become grave. (Told late of a gateway it is an alarm of its own.)"""
    responses = world.one.state.responses
    for start in begun(two):
        found = responses.open.get(responses.joined.get(start.alarm, start.alarm))
        assert start.rule != "deep" or found is None or not found.owner


def check_present(world: Two, *, latching: bool) -> None:
    one = [a for a in world.one.state.active() if a.rule != "other"]
    two = [a for a in world.two.state.active() if a.rule != "other"]
    assert bool(one) == bool(two)
    assert len(one) <= 1
    if not one:
        return
    worst = max((a.priority for a in two), key=GRAVER.index)
    assert one[0].priority == worst or (latching and one[0].priority == "high")
    assert one[0].onset <= min(a.onset for a in two)
    response = world.one.state.responses.open[one[0].id]
    assert {p.alarm for p in response.parts if p.state == "active"} in ({a.id for a in two}, set())
    again = State.from_bytes(world.one.state.to_bytes())
    assert again.digest() == world.one.state.digest()


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(VALUES, min_size=5, max_size=60),
    cuts=st.lists(st.integers(1, 12), min_size=1, max_size=8),
)
def test_any_cut_into_frames_gives_the_same_life(values: list[float], cuts: list[int]):
    """Frames of many readings by the engine, single ones by the reference."""
    rows = [("p", "d", "spo2", v, 10.0 * i + 10.0) for i, v in enumerate(values)]
    rules = RuleSet((LOW, DEEP, OTHER))
    frames, i = [], 0
    while i < len(rows):
        size = cuts[len(frames) % len(cuts)]
        frames.append(rows[i : i + size])
        i += size

    def told(parts: list[list[tuple[str, str, str, float, float]]]) -> list[tuple[Any, ...]]:
        engine = Engine(State.empty("node", rules))
        events = ticked([readings(part, seq=n + 1) for n, part in enumerate(parts)], 10.0 * len(values) + 400)
        found = [t for event in events for t in engine.step(event)]
        kinds = {"start", "escalate", "de-escalate", "end"}
        return [(t.kind, t.rule, t.priority, t.at, t.onset) for t in found if t.kind in kinds]

    assert told(frames) == told([[row] for row in rows])


def test_of_one_moment_the_graver_comes_first_and_all_else_stays_in_order():
    play = Scene(LOW, replace(DEEP, raises=""), duty=DUTY)
    decided = play.read(10, patient="p", spo2=70)
    assert [t.rule for t in decided] == ["deep", "low"]
    rules = RuleSet((LOW, DEEP))
    assert [t.rule for t in graver_first(decided[::-1], rules)] == ["deep", "low"]
    later = replace(decided[0], at=decided[0].at + 1)
    assert graver_first([decided[1], later], rules) == [decided[1], later]
    shadow = replace(decided[0], shadow=True)
    assert graver_first([decided[1], shadow], rules) == [decided[1], shadow]
