"""The engine decides what the reference decides; arrival order, batching and repeats change no episode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.model import Quality
from rules import Configuration, Context, Input, Limit, Readings, Rows, RuleSet, State, Tick, load_rules, step
from rules.conditions import (
    All,
    Any_,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Missing,
    Not,
    Repeat,
    Score,
    Smoothing,
    Unusual,
    leaves,
)
from rules.detectors.baseline import Prior
from rules.model import Adopt
from rules.news2 import METRICS_OF
from rules.rule import Parameter, Rule
from tests.unit.rules.made import at, both, episodes, make, play, readings, threshold

SCORED = {m: 600.0 for metrics in METRICS_OF.values() for m in metrics}
RULES = (
    make(
        "spo2-low",
        threshold("spo2", "below", "low", 1),
        delay_s=10.0,
        parameters={"low": Parameter(90, 80, 95)},
    ),
    make("hr", threshold("heart_rate", "below", 40, 2), threshold("heart_rate", "above", 130, 5)),
    make("mean", threshold("ibp_mean", "below", 65, 5, smoothing=Smoothing("mean", 60, 2)), delay_s=5.0),
    make(
        "median", threshold("ibp_mean", "below", 60, 5, smoothing=Smoothing("median", 60)), clear_after_s=20.0
    ),
    make("gain", Change("body_weight", "rise", 2, 300, 0.5), max_age_s=600),
    make("fall", Change("spo2", "fall", 6, 40, 1), max_age_s=60),
    make("own", Deviation("heart_rate", "above", 30, 100, 60, 5)),
    make("news", Score("news2", 7, 5), inputs=SCORED),
    make("three", Score("news2_three", 3, 3), inputs=SCORED),
    make("silent", Missing("spo2", 30), kind="technical"),
    make("off", DeviceFlag("sensor_off", "spo2"), kind="technical"),
    make("often", Count(threshold("spo2", "below", 92), 3, 60)),
    make(
        "pulse",
        All((threshold("pulse_rate", "above", 120, 5), Missing("heart_rate", 20, unseen=True))),
    ),
    make("calm", All((threshold("heart_rate", "above", 120, 5), Not(threshold("spo2", "above", 95, 1))))),
    make(
        "bp",
        Repeat(
            Any_(
                (
                    threshold("nibp_systolic", "at_or_above", 180, 5),
                    threshold("nibp_diastolic", "at_or_above", 110),
                )
            ),
            10,
            60,
            threshold("nibp_systolic", "at_or_above", 200),
        ),
        max_age_s=400,
    ),
    make("shadow", threshold("spo2", "below", 94, 1), shadow=True),
    make("usual", Deviation("heart_rate", "either", 2, 200, 30, 1, "spreads", Prior(80, 15, 3, 10))),
    make(
        "odd",
        Unusual("heart_rate", "above", 0.5, 0.3, 1),
        Unusual("spo2", "below", "odd", 0.2, 5),
        clear_after_s=20.0,
        parameters={"odd": Parameter(0.6, 0.4, 0.9)},
    ),
    make("odd-either", Unusual("ibp_mean", "either", 0.4, 0.4, 2)),
    make("rising", Deviation("ibp_mean", "above", 20, 200, 30, 5, "trend", Prior(70, 8, 3))),
)
VALUES = {
    "spo2": [0, 84, 89, 90, 91, 91.5, 92, 93, 96, 97],
    "heart_rate": [0, 38, 41, 60, 91, 119, 126, 131, 140],
    "pulse_rate": [0, 39, 60, 111, 121, 131],
    "respiratory_rate": [8, 9, 14, 22, 25],
    "ibp_mean": [400, 50, 59, 62, 66, 71, 80],
    "nibp_systolic": [88, 120, 176, 181, 205, 225],
    "nibp_diastolic": [80, 105, 110, 112],
    "body_weight": [80, 81.9, 82, 82.1, 83],
    "body_temperature": [34.9, 37, 39.1],
    "consciousness": [0, 1],
    "supplemental_oxygen": [0, 1],
}
GATED = (0, 400)
"""What the quality gate may put aside, by what came before: it takes values as they arrive."""
DEVICES = {
    "spo2": "ab",
    "heart_rate": "cb",
    "nibp_systolic": "de",
    "nibp_diastolic": "de",
}
GROUPS = (("nibp_systolic", "nibp_diastolic"), ("spo2", "pulse_rate"), *((m,) for m in VALUES))
FullRow = tuple[str, str, str, float | None, int, int, int]


@st.composite
def rows(draw: st.DrawFn, most: int = 40, *, tidy: bool = False) -> list[FullRow]:
    """Rows of two patients in order of time; ``tidy``: all fit, received when measured, no time twice."""
    out: list[FullRow] = []
    time = at(1000)
    for _ in range(draw(st.integers(1, most))):
        time += at(draw(st.sampled_from([1, 1, 2, 5, 11, 31, 70] if tidy else [0, 0, 1, 2, 5, 11, 31, 70])))
        patient, group = draw(st.sampled_from("pq")), draw(st.sampled_from(GROUPS))
        device = draw(st.sampled_from(DEVICES.get(group[0], "x")))
        late = 0 if tidy else draw(st.sampled_from([0, 0, 0, 0, 61, 4000]))
        for metric in group:
            quality = 0 if tidy else draw(st.sampled_from([0] * 8 + [8, 16, 32, 3072, 3076, 4096]))
            values = [v for v in VALUES[metric] if not (tidy and v in GATED)]
            value: float | None = float(draw(st.sampled_from(values)))
            if quality == Quality.SENSOR_OFF and draw(st.booleans()):
                value = None
            out.append((patient, device, metric, value, time, time + at(late), quality))
    return out


@st.composite
def histories(draw: st.DrawFn) -> list[Input]:
    """Inputs of all kinds: frames of two gateways that lag and overtake, ticks, limits that come and go."""
    known = draw(rows())
    if draw(st.booleans()):
        known = draw(st.permutations(known))
    events: list[Input] = []
    while known:
        size = draw(st.integers(1, 12))
        part, known = known[:size], known[size:]
        now = max(r[5] for r in part) + at(draw(st.sampled_from([0, 1, 30])))
        lag = at(draw(st.sampled_from([0, 0, 0, 3, 40])))
        source = draw(st.sampled_from(["gw-1", "gw-1", "gw-2"]))
        events.append(Readings(len(events) + 1, now, Rows.of(part), source, now - lag))
        if draw(st.integers(0, 2)) == 0:
            events.append(_adopted(draw, len(events) + 1, now))
        if draw(st.booleans()):
            events.append(Tick(len(events) + 1, now + at(draw(st.sampled_from([1, 20, 400])))))
        if draw(st.integers(0, 5)) == 0:
            events.append(_configuration(draw, len(events) + 1, now))
    return events


def _adopted(draw: st.DrawFn, seq: int, now: int) -> Adopt:
    """A gateway says something of an alarm, true or not."""
    rule = draw(st.sampled_from(RULES[1:9]))  # in force whatever is configured
    metric = draw(st.sampled_from(sorted(rule.inputs.keys() & VALUES)))
    onset = now - at(draw(st.sampled_from([0, 1, 12, 70, 500])))
    started = onset + at(draw(st.sampled_from([0, 5])))
    ended = draw(st.sampled_from([None, None, started, started + at(9), now]))
    value = float(draw(st.sampled_from(VALUES[metric])))
    seen = {
        "metric": metric,
        "device": draw(st.sampled_from(DEVICES.get(metric, "x"))),
        "time": draw(st.sampled_from([onset, started, now])),
        "value": value,
        "received": now,
    }
    return Adopt(
        seq,
        now,
        alarm=draw(st.sampled_from(["edge-1", "edge-2", f"edge-{seq}"])),
        subject=draw(st.sampled_from("pq")),
        rule=rule.id,
        onset=onset,
        at=started,
        values={metric: value},
        text={"en": "told there", "zh": "-"},
        inputs=draw(st.sampled_from([(), (seen,)])),
        cleared=draw(st.sampled_from([(), ({**seen, "time": now},)])),
        last=started,
        ended=ended,
        closing=draw(st.sampled_from(["end", "reset"])),
        source=draw(st.sampled_from(["gw-1", "gw-2"])),
        rule_hash=draw(st.sampled_from(["", "older"])),
        told=draw(st.booleans()),
        terms=draw(st.sampled_from([None, {}, _unusual(metric, 0.8), _unusual(metric, 0.95)])),
    )


def _unusual(metric: str, score: float) -> dict[str, Any]:
    parts = [["range", "below", 3.0, 1.0, 84.0, 95.0]]
    return {
        "unusual": {metric: {"score": score, "device": "a", "value": 1.0, "known_s": 1.0, "parts": parts}}
    }


def _configuration(draw: st.DrawFn, seq: int, now: int) -> Configuration:
    limit = Limit(
        "spo2-low", "low", draw(st.sampled_from([85.0, 92.0, 99.0])), "Dr Li", now, "COPD", now + at(60)
    )
    context = Context(
        draw(st.sampled_from([None, "home"])),
        spo2_scale=draw(st.sampled_from([1, 2])),
        limits=draw(st.sampled_from([(), (limit,)])),
        expected=draw(st.sampled_from([None, {"spo2": now}])),
    )
    rules = draw(st.sampled_from([None, RuleSet(RULES), RuleSet(RULES[:9]), RuleSet(CHANGED)]))
    closed = draw(st.sampled_from([frozenset[str](), frozenset({"q"})]))
    known = {"p": draw(st.sampled_from([context, None]))}
    relearn = draw(st.sampled_from([{}, {"p": ("heart_rate", "spo2"), "x": ("spo2",)}, {"q": ("spo2",)}]))
    return Configuration(seq, now, rules, closed, known, relearn=relearn)


CHANGED: tuple[Rule, ...] = (
    replace(RULES[1], condition=threshold("heart_rate", "above", 118, 5), priority="low"),
    *RULES[2:],
)


SHIPPED: tuple[Rule, ...] = tuple(load_rules())


@settings(max_examples=100)
@given(histories())
def test_the_engine_equals_the_reference(events: list[Input]):
    both(RULES, events)


@given(rows(), st.data())
def test_a_backlog_behind_the_newest_equals_the_reference(known: list[FullRow], data: st.DataObject):
    """A gateway that was away sends its newest readings first, and what it has from before beside them."""
    cut = data.draw(st.integers(0, len(known)))
    backlog, live = known[:cut], known[cut:]
    end = max(r[5] for r in known)
    events: list[Input] = []
    while backlog or live:
        lane = live if live and (not backlog or data.draw(st.booleans())) else backlog
        size = data.draw(st.integers(1, 9))
        part, lane[:size] = lane[:size], []
        events.append(Readings(len(events) + 1, end, Rows.of(part), "gw-1", end))
    both(RULES, events)
    both(SHIPPED, events)


@given(histories(), st.data())
def test_a_snapshot_anywhere_changes_nothing(events: list[Input], data: st.DataObject):
    from rules import Engine

    cut = data.draw(st.integers(0, len(events)))
    engine = Engine(State.empty("node", RuleSet(RULES)))
    straight = [engine.step(event) for event in events]
    again = Engine(State.empty("node", RuleSet(RULES)))
    found = [again.step(event) for event in events[:cut]]
    again = Engine(State.from_bytes(again.state.to_bytes()))
    if data.draw(st.booleans()) and events[:cut]:
        again.due(events[cut - 1].now)  # as whoever runs it asks first of all
    found += [again.step(event) for event in events[cut:]]
    assert found == straight
    assert again.state.digest() == engine.state.digest()
    assert again.state.active() == engine.state.active()


@given(histories())
def test_a_step_leaves_the_state_before_alone(events: list[Input]):
    from rules import step

    state = State.empty("node", RuleSet(RULES))
    for event in events:
        before = state.to_bytes()
        after, _ = step(state, event)
        assert state.to_bytes() == before
        state = after


@settings(max_examples=100)
@given(rows(tidy=True), st.data())
def test_order_batching_and_repeats_within_the_watermark_change_no_episode(
    known: list[FullRow], data: st.DataObject
):
    """All come while the source has told nothing beyond the first one yet.

    The quality gate doubts values in the order of arrival (ADR 34), and what it doubts no novelty is given:
    rules on that are left out.
    """
    rules = tuple(r for r in RULES if not any(isinstance(leaf, Unusual) for leaf in leaves(r.condition)))
    assert 0 < len(rules) < len(RULES)
    end = known[-1][4] + at(1)
    _, straight = play(rules, [Readings(1, end, Rows.of(known), "gw", end), Tick(2, end)])
    shuffled = data.draw(st.permutations([*known, *data.draw(st.lists(st.sampled_from(known), max_size=5))]))
    events: list[Input] = []
    while shuffled:
        size = data.draw(st.integers(1, len(shuffled)))
        part, shuffled = shuffled[:size], shuffled[size:]
        events.append(Readings(len(events) + 1, end, Rows.of(part), "gw", known[0][4] - 1))
    events.append(Readings(len(events) + 1, end, Rows(), "gw", end))
    events.append(Tick(len(events) + 1, end))
    out = both(rules, events)
    assert episodes(out) == episodes(straight)


@given(rows(tidy=True))
def test_at_most_one_alarm_per_subject_and_rule(known: list[FullRow]):
    present: set[tuple[str, str]] = set()
    events = [Readings(i, r[4], Rows.of([r]), "gw", r[4]) for i, r in enumerate(known)]
    for t in both(RULES, events):
        where = t.patient, t.rule, t.shadow
        if t.kind == "start":
            assert where not in present
            present.add(where)
        elif t.kind == "end" and where in present:
            present.remove(where)


def test_readings_made_here_are_played():
    out = both(RULES, [readings([("p", "a", "heart_rate", 30, 5)])])
    assert [t.kind for t in out if t.rule == "hr"] == ["start"]


def test_what_a_second_measurement_by_another_device_refuted_is_looked_at_again_by_both():
    rows = [("p", "e", "nibp_systolic", 181.0, 1)]
    for time in (5, 8, 11, 14):
        rows += [("p", "d", "nibp_systolic", 88.0, time), ("p", "d", "nibp_diastolic", 80.0, time)]
    out = both(RULES, [readings([row], seq=i) for i, row in enumerate(rows)])
    assert [(t.kind, t.at) for t in out if t.rule == "bp"] == [
        ("ask", at(1)),
        ("end", at(11)),
        ("ask", at(11)),
    ]


def test_a_gateway_that_gives_one_name_to_alarms_of_two_rules_confuses_neither():
    now = at(1000)
    low = Readings(1, now, Rows.of([("q", "a", "spo2", 84.0, now, now, 0)]), "gw-1", now)
    said = [
        Adopt(
            seq,
            now,
            alarm="edge-2",
            subject="q",
            rule=rule,
            onset=now,
            at=now,
            values={"heart_rate": 0.0},
            text={"en": "told there", "zh": "-"},
            last=now,
            source="gw-1",
            told=True,
        )
        for seq, rule in ((2, "hr"), (3, "three"), (4, "mean"))
    ]
    both(RULES, [low, *said])
    state = State.empty("node", RuleSet(RULES))
    for event in (low, *said):
        state, _ = step(state, event)
    shown = state.active()
    assert State.from_bytes(state.to_bytes()).active() == shown
    assert {(a.rule, a.id == "edge-2") for a in shown} >= {("hr", True), ("three", False), ("mean", False)}


def test_an_alarm_of_a_score_holds_no_signal_back_and_one_of_a_signal_does():
    from rules import Engine

    rules = (
        make("news", Score("news2", 5, 3), inputs=SCORED),
        make("fast", threshold("heart_rate", "above", 150)),
    )
    engine = Engine(State.empty("node", RuleSet(rules)))
    for second, pulse in ((1, 120.0), (2, 160.0)):
        now = at(second)
        rows = [("p", "d", m, v, now, now, 0) for m, v in (("respiratory_rate", 26.0), ("heart_rate", pulse))]
        engine.step(Readings(second, now, Rows.of(rows), "gw", now))
        watched = engine.state.subjects["p"].watched
        assert watched["respiratory_rate"].frozen is False
        assert watched["heart_rate"].frozen is (pulse > 150)
    assert len(engine.state.alarms) == 2
