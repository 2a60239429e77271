"""Which findings open a work order: from what confidence, how lasting, how urgent, and as the site has it."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from cloud_ingest.device_health.asking import FINDING_KINDS
from cloud_ingest.device_health.ordering import RULES, OrderRule, opens_order, rules_of
from cloud_ingest.device_health.sums import DAY_NS
from hearthward.core.errors import ConfigError
from hearthward.core.fleet_settings import WorkOrderRule
from hearthward.core.settings import CloudSettings

T0 = 20_000 * DAY_NS


def test_there_is_a_rule_for_every_kind_of_finding_and_each_opens_some_time():
    assert set(RULES) == set(FINDING_KINDS)
    assert all(rule.opens and rule.confidence <= 1 for rule in RULES.values())


@pytest.mark.parametrize(
    ("rule", "confidence", "proposed", "days", "opens"),
    [
        (OrderRule(0.9), 0.9, None, 0, True),
        (OrderRule(0.9), 0.89, None, 99, False),
        (OrderRule(0.9, held_days=7), 1.0, None, 6.9, False),
        (OrderRule(0.9, held_days=7), 1.0, None, 7, True),
        (OrderRule(0.9, within_days=3), 1.0, 4, 0, False),
        (OrderRule(0.9, within_days=3), 1.0, 3, 0, True),
        (OrderRule(0.9, within_days=3), 1.0, -5, 0, True),
        (OrderRule(0.9, within_days=3), 1.0, None, 0, True),
        (OrderRule(0.9, opens=False), 1.0, 0, 99, False),
    ],
)
def test_a_rule_looks_at_confidence_at_how_long_it_holds_and_how_soon_it_is_due(
    rule: OrderRule,
    confidence: float,
    proposed: int | None,
    days: float,
    opens: bool,  # noqa: FBT001 - a case
):
    now = T0 + round(days * DAY_NS)
    due = None if proposed is None else now + proposed * DAY_NS
    assert opens_order(rule, confidence, due, T0, now) is opens


def test_a_site_changes_what_it_sets_and_nothing_else():
    settings = CloudSettings.model_validate(
        {"work_orders": {"link": {"held_days": 14}, "life": {"opens": False}}}
    )
    own = rules_of(settings.work_orders)
    assert own["link"] == OrderRule(RULES["link"].confidence, held_days=14)
    assert not own["life"].opens
    assert {kind: own[kind] for kind in RULES if kind not in {"link", "life"}} == {
        kind: RULES[kind] for kind in RULES if kind not in {"link", "life"}
    }


def test_what_there_is_not_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match=r"cloud\.work_orders\.radio: .* there are battery, temperature"):
        rules_of({"radio": WorkOrderRule()})
    for wrong in ({"confidence": 2}, {"held_days": -1}, {"hold": 3}):
        with pytest.raises(ValidationError):
            CloudSettings.model_validate({"work_orders": {"link": wrong}})
