"""A learned risk as a site has found it: judged, told and shown at the site's percentages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rules import Configuration, Context, Engine, RuleFileError, RuleSet, State, load_rules
from rules.conditions import RISK, Calibration, Threshold, leaves
from rules.explain import explain
from rules.loader import LIBRARY, load_rule
from rules.model import Transition
from rules.models.deterioration import shipped
from rules.models.recalibration import log_odds, recalibrated
from rules.models.trees import probability
from rules.report import show_text
from rules.risk_now import risk_now
from rules.rule import Rule
from rules.rule_words import about
from rules.shifting import shifted
from rules.step import step
from tests.unit.rules.made import at, both, make, threshold
from tests.unit.rules.models.courses import HOUR
from tests.unit.rules.test_risk import events, played, risk_of

OWN = Calibration(shipped().version, 0.8, -1.5)
TEXT = (LIBRARY / "deterioration.yaml").read_text(encoding="utf-8")
CONDITION = "condition: {detector: deterioration, op: at_or_above, value: trigger, hysteresis: 0.1}"


def rule(calibration: Calibration | None, limit: float, back: float, **more: object) -> Rule:
    leaf = threshold(RISK, "at_or_above", limit, back, calibration=calibration)
    return make("risk", leaf, max_age_s=14400, **{"priority": "medium", "delay_s": 60.0, **more})  # type: ignore[arg-type]


AS_SHIPPED = rule(None, 0.2, 0.05)
AT_SITE = rule(OWN, recalibrated(OWN, 0.2), 0.02)  # type: ignore[arg-type]


def written(calibration: str) -> str:
    return TEXT.replace(CONDITION, CONDITION[:-1] + f", calibration: {calibration}}}")


def test_it_moves_and_stretches_the_log_odds_of_its_own_training_only():
    assert recalibrated(OWN, 0.3) == round(probability(0.8 * log_odds(0.3) - 1.5), 4)
    assert recalibrated(Calibration(shipped().version, 1.0, 0.0), 0.3) == 0.3
    assert recalibrated(Calibration(shipped().version + 1, 0.8, -1.5), 0.3) is None
    for risk in (0.0, 1.0):
        found = recalibrated(OWN, risk)
        assert found is not None
        assert 0 < found < 1, "no risk is certain"


def test_reference_and_engine_decide_alike_and_the_same_patients_alarm():
    transitions = both((AT_SITE,), events())
    started = [t for t in transitions if t.kind == "start"]
    assert [t.patient for t in started] == ["p"]
    usual = [t for t in both((AS_SHIPPED,), events()) if t.kind == "start"]
    assert [(t.patient, t.onset, t.at) for t in usual] == [(t.patient, t.onset, t.at) for t in started]


def test_a_restart_and_a_clock_that_was_set_change_nothing():
    inputs = events()
    engine = Engine(State.empty("node", RuleSet((AT_SITE,))))
    for event in inputs[:60]:
        engine.step(event)
    again = State.from_bytes(engine.state.to_bytes())
    assert again.rules.by_id["risk"] == AT_SITE
    assert again.to_bytes() == engine.state.to_bytes()
    assert shifted(engine.state, at(3600)).subjects["p"].series[RISK].keys() == {"model:deterioration"}


def test_put_in_force_it_counts_at_once_for_what_is_known_already():
    """Not only from the next reading on: a chart may have none for hours."""
    engine, _ = played(events())
    now = at(48 * HOUR)
    before = risk_now(engine.state, "p", now)
    found = engine.step(Configuration(9_999, now, RuleSet((AT_SITE,))))
    after = risk_now(engine.state, "p", now)
    assert before is not None
    assert after is not None
    assert before.value == risk_of(engine.state, "p")
    assert after.value == recalibrated(OWN, before.value or 0.0)
    assert after.before is not None
    assert before.before is not None
    assert after.before[1] == recalibrated(OWN, before.before[1])
    assert [r.term for r in after.reasons] == pytest.approx([0.8 * r.term for r in before.reasons])
    assert not [t for t in found if t.kind == "start" and t.patient == "q"], "nobody else alarms"


def test_on_trial_it_is_judged_by_its_own_percentages_beside_the_one_in_force():
    transitions = both((AS_SHIPPED, replace(AT_SITE, shadow=True)), events())
    started = [(t.rule, t.shadow, t.patient, t.onset) for t in transitions if t.kind == "start"]
    assert len(started) == 2
    assert started[0][2:] == started[1][2:]
    assert {shadow for _, shadow, _, _ in started} == {False, True}


def test_of_another_training_nothing_is_known():
    other = rule(Calibration(shipped().version + 1, 1.0, 0.0), 0.01, 0.0)
    assert not [t for t in both((other,), events()) if t.kind == "start"]
    engine = Engine(State.empty("node", RuleSet((other,))))
    for event in events():
        engine.step(event)
    found = risk_now(engine.state, "p", at(47 * HOUR))
    assert found is not None
    assert found.state == "unknown"


def test_the_alarm_says_the_sites_percentages_and_why_says_that_they_are_its_own():
    text = written(f"{{training: {OWN.training}, slope: 0.8, intercept: -1.5}}").replace(
        "trigger: {value: 0.3, low: 0.1, high: 0.8}", "trigger: {value: 0.1, low: 0.1, high: 0.8}"
    )
    known = load_rule(text.replace("hysteresis: 0.1", "hysteresis: 0.03"), "x").rule
    state = State.empty("node", RuleSet((known,)))
    state, _ = step(state, Configuration(1, 0, None, contexts={"p": Context(setting="ward", adult=True)}))
    found: list[Transition] = []
    for n, event in enumerate(events()):
        state, transitions = step(state, replace(event, seq=n + 2))
        found += transitions
    start = next(t for t in found if t.kind == "start" and t.patient == "p")
    assert start.limit == "≥ 10 %"
    assert "(limit ≥ 10 %)" in start.text["en"]
    said = explain(known, state.subjects["p"], state.context("p"), at(47 * HOUR))
    assert "risk of deterioration, recalibrated" in said.text["en"]
    assert "本站校准" in said.text["zh"]
    words = " ".join(w["en"] for w in about(known))
    assert "Recalibrated by this site: log-odds times 0.8, plus -1.5." in words
    assert "recalibrated: slope 0.8, intercept -1.5" in show_text(RuleSet((known,)), "deterioration")


def test_a_rule_without_one_is_the_rule_it_ever_was():
    known = next(r for r in load_rules() if r.id == "deterioration")
    assert known.hash == "18c0d64c0d4deb36", "of the release before there were any"
    content = known.content()
    assert "calibration" not in str(content)
    assert Rule.from_content(content) == known
    own = load_rule(written("{training: 1, slope: 0.8, intercept: -1.5}"), "x").rule
    assert own.hash != known.hash
    assert Rule.from_content(own.content()) == own
    assert [x.calibration for x in leaves(own.condition) if isinstance(x, Threshold)] == [
        Calibration(1, 0.8, -1.5)
    ]


@pytest.mark.parametrize(
    ("calibration", "words"),
    [
        ("{training: 9, slope: 1, intercept: 0}", "training 1: recalibrate it for that"),
        ("{training: 1, slope: 9, intercept: 0}", "slope"),
        ("{training: 1, slope: 1, intercept: -7}", "intercept"),
        ("{training: 1, slope: 1}", "intercept: is missing"),
    ],
)
def test_a_file_that_says_something_else_is_refused(calibration: str, words: str):
    with pytest.raises(RuleFileError, match=words):
        load_rule(written(calibration), "x")


def test_only_the_risk_has_one_and_it_is_not_smoothed():
    own = written("{training: 1, slope: 1, intercept: 0}")
    other = own.replace("deterioration,", "sepsis,").replace("detector:deterioration", "detector:sepsis")
    with pytest.raises(RuleFileError, match="only detector:deterioration has one"):
        load_rule(other, "x")
    smooth = own.replace("delay_s: 900", "smoothing: {kind: mean, window_s: 3600}\ndelay_s: 900")
    with pytest.raises(RuleFileError, match="is not smoothed"):
        load_rule(smooth, "x")
