"""What is said of a risk at a moment: to whom it is meant, since when it is stale."""

from __future__ import annotations

from dataclasses import replace

from rules import Context, RuleSet, State
from rules.risk_now import RiskNow, risk_now
from tests.unit.rules.made import at
from tests.unit.rules.models.courses import HOUR
from tests.unit.rules.test_risk import RULES, played, risk_of
from tests.unit.rules.test_risk import events as stays

LAST = 47 * HOUR


def state() -> State:
    return played(stays())[0].state


def test_it_is_the_newest_that_the_rules_were_told_with_all_that_it_is_made_of():
    made = state()
    found = risk_now(made, "p", at(LAST + HOUR))
    assert found is not None
    assert (found.state, found.value) == ("known", risk_of(made, "p"))
    assert found.at is not None
    assert at(LAST - HOUR) <= found.at <= at(LAST + HOUR)
    assert found.before is not None
    assert found.at - at(7 * HOUR) <= found.before[0] <= found.at - at(3 * HOUR)
    assert found.trend in {"up", "down", "steady"}
    assert found.reasons == made.subjects["p"].watch.reasons  # type: ignore[union-attr]
    assert found.conscious


def test_it_has_how_the_score_went_by_the_scale_of_the_patient():
    """What the rules were told is what is compared: the same after a restart, and in a replay."""
    made = state()
    found = risk_now(made, "p", at(LAST))
    assert found is not None
    assert found.score is not None
    assert 3 * HOUR <= LAST - found.score.since <= 7 * HOUR
    assert {"respiratory_rate", "pulse", "systolic"} <= found.score.now.keys()
    assert "supplemental_oxygen" in found.score.left_out
    assert found.score.change == sum(now - then for _, then, now in found.score.moved)
    again = risk_now(State.from_bytes(made.to_bytes()), "p", at(LAST))
    assert again is not None
    assert again.score == found.score
    made.contexts["p"] = Context(spo2_scale=2)
    by_two = risk_now(made, "p", at(LAST))
    assert by_two is not None
    assert by_two.score == made.subjects["p"].watch.score.change(LAST, 2)  # type: ignore[union-attr]


def test_it_is_stale_once_no_rule_counts_it_any_more():
    made = state()
    known = risk_now(made, "p", at(LAST))
    assert known is not None
    assert known.at is not None
    kept = known.at + at(14_400)
    assert [risk_now(made, "p", t).state for t in (kept, kept + 1)] == ["known", "stale"]  # type: ignore[union-attr]


def test_who_was_not_measured_enough_is_not_known():
    made = state()
    assert risk_now(made, "somebody new", at(LAST)) == RiskNow("unknown")
    early = played(stays()[:4])[0].state
    assert risk_now(early, "p", at(2 * HOUR)) == RiskNow("unknown")
    scored = risk_now(early, "p", at(4 * HOUR))
    assert scored is not None
    assert scored.score is not None, "a score is known before a risk is"
    assert replace(scored, score=None) == RiskNow("unknown")


def test_nothing_is_said_where_no_rule_in_force_is_meant_for_the_patient():
    made = state()
    made.rules = RuleSet((replace(RULES[0], setting="ward", adults=True), RULES[1]))
    assert risk_now(made, "p", at(LAST)) is not None, "not known where: every rule applies"
    made.contexts["p"] = Context(setting="home", adult=True)
    assert risk_now(made, "p", at(LAST)) is None
    made.contexts["p"] = Context(setting="ward", adult=False)
    assert risk_now(made, "p", at(LAST)) is None
    made.contexts["p"] = Context(setting="ward", adult=True)
    assert risk_now(made, "p", at(LAST)) is not None
    made.rules = RuleSet((replace(RULES[0], shadow=True), RULES[1]))
    assert risk_now(made, "p", at(LAST)) is None, "on trial it is not shown"
    made.rules = RuleSet(RULES[1:])
    assert risk_now(made, "p", at(LAST)) is None
