"""Which findings a rule opens a work order for: from what confidence, how lasting and how urgent on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from cloud_ingest.device_health.asking import FindingKind
from cloud_ingest.device_health.sums import DAY_NS
from hearthward.core.errors import ConfigError
from hearthward.core.fleet_settings import WorkOrderRule

__all__ = ["RULES", "OrderRule", "OrderRules", "opens_order", "rules_of"]


@dataclass(frozen=True, slots=True)
class OrderRule:
    """When a finding of a kind opens a work order by itself.

    From this ``confidence`` on, once it was found in each round for ``held_days``, and not before its date is
    at most ``within_days`` away (None: at once; a finding without a date does not wait for one).
    """

    confidence: float
    held_days: float = 0.0
    within_days: int | None = None
    opens: bool = True


OrderRules = Mapping[FindingKind, OrderRule]
RULES: Final[OrderRules] = {
    "battery": OrderRule(0.9),
    "temperature": OrderRule(0.9),
    "voltage": OrderRule(0.9),
    # the place may be weak for some days, and a bed moves: what lasts a week is the device or its gateway
    "link": OrderRule(0.9, held_days=7),
    "dropouts": OrderRule(0.99),
    "bias": OrderRule(0.95),
    "calibration": OrderRule(0.9),
    "service": OrderRule(0.9),
    # others of its profile may have got it first on purpose: after a month it was forgotten
    "firmware": OrderRule(0.9, held_days=30),
    "life": OrderRule(0.9),
    "offline": OrderRule(1.0),
}
"""As shipped; a site changes them by ``cloud.work_orders``."""


def rules_of(own: Mapping[str, WorkOrderRule]) -> OrderRules:
    """The shipped rules with what a site sets instead. Raises ConfigError for a kind that there is not."""
    found = dict(RULES)
    for name, said in own.items():
        if name not in RULES:
            msg = f"cloud.work_orders.{name}: there are no such findings; there are {', '.join(RULES)}"
            raise ConfigError(msg, key=f"cloud.work_orders.{name}")
        kind = cast("FindingKind", name)
        found[kind] = replace(RULES[kind], **said.model_dump(exclude_unset=True))
    return found


def opens_order(rule: OrderRule, confidence: float, proposed: int | None, since: int, now: int) -> bool:
    """Whether it opens one ``now`` for what is found ``since`` then; times are UTC ns."""
    urgent = rule.within_days is None or proposed is None or proposed - now <= rule.within_days * DAY_NS
    return rule.opens and confidence >= rule.confidence and now - since >= rule.held_days * DAY_NS and urgent
