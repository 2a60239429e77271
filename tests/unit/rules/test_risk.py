"""The learned risk among the readings: one code for both ways of deciding, kept, shown, never loud."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from hearthward.core.model import Quality
from rules import (
    Configuration,
    Context,
    Engine,
    Readings,
    Rows,
    RuleFileError,
    RuleSet,
    State,
    Tick,
    load_rules,
)
from rules.conditions import RISK
from rules.loader import LIBRARY
from rules.model import Input, Transition
from rules.models.deterioration import shipped
from rules.risk import DEVICE
from rules.shifting import shifted
from rules.step import step
from tests.unit.rules.made import at, both, make, threshold
from tests.unit.rules.models.courses import HOUR, course_of, stay

RULES = (
    make("risk", threshold(RISK, "at_or_above", 0.2, 0.05), max_age_s=14400, priority="medium", delay_s=60.0),
    make("spo2-low", threshold("spo2", "below", 88, 2), max_age_s=7200),
)
WORSE, FINE = stay(7, died=True), stay(8, died=False)


def events(*, every: int = 1) -> list[Input]:
    """Both patients' stays, an hour (or several) to each input, and ticks."""
    found = [
        (time, patient, metric, value)
        for patient, known in (("p", WORSE), ("q", FINE))
        for time, metric, value in known.readings
    ]
    out: list[Input] = []
    for first in range(0, 48, every):
        part = [f for f in found if first * HOUR <= f[0] < (first + every) * HOUR]
        rows = Rows.of((p, f"m-{p}", m, v, at(t), at(t), 0) for t, p, m, v in sorted(part))
        now = at((first + every - 1) * HOUR)
        out += [Readings(len(out) + 1, now, rows, "gw", now), Tick(len(out) + 2, now + at(120))]
    return out


def risk_of(state: State, subject: str) -> float:
    return state.subjects[subject].series[RISK][DEVICE].value


def played(inputs: list[Input]) -> tuple[Engine, list[Transition]]:
    engine = Engine(State.empty("node", RuleSet(RULES)))
    return engine, [t for event in inputs for t in engine.step(event)]


def test_the_reference_and_the_engine_decide_the_same():
    transitions = both(RULES, events())
    started = [t for t in transitions if t.kind == "start" and t.rule == "risk"]
    assert [t.patient for t in started] == ["p"]


def test_it_is_what_the_model_says_of_the_same_values():
    engine, _ = played(events())
    last = max(time for time, _, _ in WORSE.readings)
    risk = shipped().risk(course_of(WORSE), last)
    assert risk is not None
    assert risk_of(engine.state, "p") == round(risk.value, 2)
    assert risk_of(engine.state, "q") < 0.2 < risk.value


def test_more_hours_in_one_input_come_to_the_same():
    one, other = played(events())[0], played(events(every=6))[0]
    for name in "pq":
        assert other.state.subjects[name].watch.pack() == one.state.subjects[name].watch.pack()


def test_a_restart_in_between_changes_nothing():
    inputs = events()
    whole, all_of_them = played(inputs)
    engine, transitions = played(inputs[:40])
    engine = Engine(State.from_bytes(engine.state.to_bytes()))
    transitions += [t for event in inputs[40:] for t in engine.step(event)]
    assert transitions == all_of_them
    assert engine.state.to_bytes() == whole.state.to_bytes()


def test_what_one_patient_takes_is_a_few_kilobytes():
    with_it, _ = played(events())
    without = Engine(State.empty("node", RuleSet(RULES[1:])))
    for event in events():
        without.step(event)
    assert len(with_it.state.to_bytes()) - len(without.state.to_bytes()) < 2 * 4096


def test_without_a_rule_that_looks_at_it_nothing_is_computed():
    engine = Engine(State.empty("node", RuleSet(RULES[1:])))
    for event in events()[:20]:
        engine.step(event)
    assert all(s.watch is None for s in engine.state.subjects.values())


@pytest.mark.parametrize("flag", [Quality.SENSOR_OFF, Quality.TIME_UNKNOWN, Quality.INVALID, Quality.FUTURE])
def test_what_no_rule_may_look_at_leaves_no_trace(flag: Quality):
    rows = Rows.of(
        [
            ("p", "d", "spo2", 50.0, at(10), at(10), int(flag)),
            ("p", "d", "pulse_rate", None, at(10), at(10), 0),
        ]
    )
    engine = Engine(State.empty("node", RuleSet(RULES)))
    engine.step(Readings(1, at(10), rows, "gw", at(10)))
    assert all(s.watch is None for s in engine.state.subjects.values())


def test_order_within_an_input_does_not_matter():
    inputs = events()
    mixed = []
    for event in inputs:
        if isinstance(event, Readings):
            order = list(range(len(event.rows)))
            random.Random(1).shuffle(order)
            columns = zip(
                *(
                    getattr(event.rows, c)
                    for c in ("patient", "device", "metric", "value", "time", "received", "quality")
                ),
                strict=True,
            )
            known = list(columns)
            mixed.append(replace(event, rows=Rows.of(known[i] for i in order)))
        else:
            mixed.append(event)
    assert (
        played(mixed)[0].state.subjects["p"].watch.pack()
        == played(inputs)[0].state.subjects["p"].watch.pack()
    )


def test_a_clock_that_was_set_moves_the_watch():
    engine, _ = played(events()[:60])
    moved = Engine(shifted(engine.state, at(3600)))
    here, there = (e.state.subjects["p"].watch for e in (engine, moved))
    assert there.judged == here.judged + 3600
    assert there.course.since == here.course.since + 3600


# -- the rule that is shipped


def shipped_rule() -> RuleSet:
    return RuleSet(tuple(r for r in load_rules() if r.id == "deterioration"))


def test_its_alarm_names_the_greatest_reasons_in_both_languages():
    rules = shipped_rule()
    state = State.empty("node", rules)
    state, _ = step(state, Configuration(1, 0, None, contexts={"p": Context(setting="ward", adult=True)}))
    transitions: list[Transition] = []
    for n, event in enumerate(events()):
        state, found = step(state, replace(event, seq=n + 2))
        transitions += found
    start = next(t for t in transitions if t.kind == "start" and t.patient == "p")
    assert start.priority == "medium"
    assert start.limit == "≥ 30 %"
    assert "(limit ≥ 30 %)" in start.text["en"]
    assert "(限值 ≥ 30 %)" in start.text["zh"]
    assert "--" not in start.text["en"] + start.text["zh"]
    reasons = {
        "en": start.text["en"].partition("most by: ")[2],
        "zh": start.text["zh"].partition("主要因素")[2],
    }
    assert reasons["en"].count(",") == reasons["zh"].count("、") in {0, 1, 2}
    assert any(char.isdigit() for char in reasons["en"])


def test_no_file_can_make_it_loud(tmp_path: Path):
    text = (
        (LIBRARY / "deterioration.yaml")
        .read_text(encoding="utf-8")
        .replace("priority: medium", "priority: high")
    )
    (tmp_path / "deterioration.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RuleFileError, match="medium priority at most"):
        load_rules(tmp_path, replace=True)


@pytest.mark.parametrize(
    "condition",
    [
        "{metric: 'detector:deterioration', op: at_or_above, value: trigger, hysteresis: 0.1}",
        "{any: [{metric: 'detector:deterioration', op: at_or_above, value: trigger, hysteresis: 0.1}]}",
        "{rise: 'detector:deterioration', by: trigger, within_s: 3600}",
    ],
    ids=["limit", "any", "rise"],
)
def test_nor_by_asking_for_it_as_for_any_reading(tmp_path: Path, condition: str):
    text = (LIBRARY / "deterioration.yaml").read_text(encoding="utf-8")
    for before, after in (
        ("priority: medium", "priority: high"),
        ("{detector: deterioration, op: at_or_above, value: trigger, hysteresis: 0.1}", condition),
        ("{risk} (limit {limit}), most by: {reasons}", "is high"),
        ("{risk}, ended (limit {limit})", "ended"),
        ("{risk} (限值 {limit})，主要因素：{reasons}", "高"),  # noqa: RUF001 - Chinese punctuation
        ("{risk}，已恢复 (限值 {limit})", "已恢复"),  # noqa: RUF001 - Chinese punctuation
    ):
        assert before in text
        text = text.replace(before, after)
    (tmp_path / "deterioration.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(RuleFileError, match="medium priority at most"):
        load_rules(tmp_path, replace=True)
