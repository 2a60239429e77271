from __future__ import annotations

from itertools import product

import pytest

from rules import Context, Limit, RuleSet
from rules.compiled import PLANS_KEPT, Compiled, Planner, Result
from rules.conditions import All, Any_, DeviceFlag, Missing, Node, Not, Repeat, Score, Smoothing
from rules.rule import Parameter
from tests.unit.rules.made import make, threshold

TRUTHS = (True, False, None)
A, B = threshold("spo2", "below", 90), threshold("heart_rate", "below", 40)


def compiled(node: Node, **more: object) -> Compiled:
    rule = make("x", node, **more)
    return Compiled(rule, rule.hash, {})


def opening(node: Node, *truths: bool | None) -> bool | None:
    return compiled(node).opens([Result(t, t) for t in truths])


@pytest.mark.parametrize(("a", "b"), list(product(TRUTHS, TRUTHS)))
def test_three_valued_logic(a: bool | None, b: bool | None):  # noqa: FBT001
    """Kleene's: unknown only where the unknown part could still decide."""

    def possible(value: bool | None) -> set[bool]:  # noqa: FBT001
        return {True, False} if value is None else {value}

    for node, join in ((All((A, B)), all), (Any_((A, B)), any)):
        found = {join(pair) for pair in product(possible(a), possible(b))}
        assert opening(node, a, b) is (found.pop() if len(found) == 1 else None)
    assert opening(Not(A), a) is (None if a is None else not a)


def test_nested_parts_find_their_own_results():
    node = Any_((All((A, Not(B))), B))
    assert opening(node, True, False, None) is True
    assert opening(node, True, True, False) is False
    assert opening(node, True, None, False) is None


def test_what_is_unknown_and_had_no_part_in_the_breach_does_not_hold_it():
    rule = compiled(Any_((A, B)))
    clear, unknown = Result(opens=False, holds=False), Result(None, None)
    assert rule.holds([clear, unknown], (84.0, None)) is False
    assert rule.holds([clear, unknown], (84.0, 30.0)) is None
    assert rule.holds([unknown, clear], (84.0, None)) is None


def test_a_not_needs_its_part_known_to_begin_and_to_end():
    rule = compiled(All((A, Not(B))))
    within = Result(opens=False, holds=True)  # back within the limit, not yet beyond the hysteresis
    breach = Result(opens=True, holds=True)
    assert rule.opens([breach, within]) is False  # the part still holds: what denies it does not begin
    assert rule.opens([breach, Result(None, None)]) is None
    assert rule.holds([breach, within], (84.0, 80.0)) is True  # but it stays
    assert rule.holds([breach, breach], (84.0, 80.0)) is False
    assert rule.holds([breach, Result(None, None)], (84.0, 80.0)) is None
    assert rule.negative == (False, True)


def test_only_limits_without_any_delay_signal_out_of_turn():
    mean = threshold("spo2", "below", 90, smoothing=Smoothing("mean", 60))
    assert compiled(A).prompt is not None
    assert compiled(Any_((A, B))).prompt is not None
    assert compiled(A, delay_s=1.0).prompt is None
    for node in (mean, All((A, B)), Not(A), Missing("spo2", 60), Score("news2", 7, 5), Repeat(A, 10, 60)):
        assert compiled(node, inputs={"spo2": 60.0, "heart_rate": 60.0}).prompt is None


def test_the_parts_of_a_repeat_decide_apart():
    rule = compiled(Repeat(Any_((A, B)), 60, 600, threshold("spo2", "below", 80)))
    assert len(rule.leaves) == 3
    assert (rule.needs_after, rule.timeout) == (60 * 10**9, 600 * 10**9)
    yes, no = Result(opens=True, holds=True), Result(opens=False, holds=False)
    assert rule.opens([no, no, yes]) is False
    assert rule.critical is not None
    assert rule.critical([yes, yes, no]) is False
    assert rule.critical([no, no, yes]) is True


def test_a_cell_tells_between_which_limits_a_value_lies():
    rules = RuleSet((make("a", threshold("spo2", "below", 90, 1)), make("b", threshold("spo2", "below", 85))))
    filtered = Planner(rules).plan("p", Context(), 0).filters["spo2"]
    assert filtered.cuts == (85, 90, 91)
    cells = [filtered.cell(v) for v in (84, 85, 86, 90, 90.5, 91, 97)]
    assert cells == sorted(set(cells))
    assert filtered.cell(97) == filtered.cell(100)


LIMITED = make("low", threshold("spo2", "below", "limit"), parameters={"limit": Parameter(90, 80, 95)})


def limits(value: float) -> Context:
    return Context(limits=(Limit("low", "limit", value, "Dr Li", 0, "x"),))


def test_patients_with_the_same_limits_share_a_plan():
    planner = Planner(RuleSet((LIMITED,)))
    plain = planner.plan("p", Context(), 5)
    assert planner.plan("q", Context(), 9) is plain
    own = planner.plan("p", limits(85), 5)
    assert own is not plain
    assert planner.plan("q", limits(85), 5) is own
    assert own.rules["low"].limit == "< 85"
    assert own.rules["low"].hash == LIMITED.hash == plain.rules["low"].hash


def test_plans_are_not_kept_without_end():
    planner = Planner(RuleSet((LIMITED,)))
    for i in range(PLANS_KEPT + 10):
        planner.plan("p", limits(80 + i / 1000), 5)
    assert len(planner._plans) <= PLANS_KEPT
    assert len(planner._compiled) <= PLANS_KEPT + 1


def test_a_rule_is_for_its_kind_of_subject():
    rules = RuleSet(
        (
            make("patient", A),
            make("device", DeviceFlag("sensor_off", "spo2"), subject="device"),
            make("gateway", Missing("heartbeat", 60), subject="gateway"),
            make("component", Missing("heartbeat", 60), subject="component"),
        )
    )
    planner = Planner(rules)
    found = {
        name: set(planner.plan(name, Context(), 0).rules)
        for name in ("p", "device:d-1", "gateway:gw-1", "component:broker")
    }
    assert found == {
        "p": {"patient", "device"},
        "device:d-1": {"device"},
        "gateway:gw-1": {"gateway"},
        "component:broker": {"component"},
    }
