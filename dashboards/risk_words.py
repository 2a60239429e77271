"""What a learned risk is made of, in words."""

from __future__ import annotations

from typing import Final, NamedTuple

from dashboards.risk_models import Risk
from rules.telling import shown
from rules.words import REASON_TEXT

__all__ = ["Factor", "factors"]

STAY: Final = {"en": "hours since the first value", "zh": "距首个数值的小时数"}
UNKNOWN: Final = {"en": " (not known)", "zh": "(未知)"}


class Factor(NamedTuple):
    """A vital sign with its newest value, and what it multiplies the odds by."""

    name: str
    odds: str
    raises: bool


def factors(risk: Risk | None, tongue: str) -> list[Factor]:
    """What raises the risk most first, then what lowers it; none where no risk is known."""
    found = []
    for reason in risk.reasons if risk is not None else ():
        name = (STAY if reason.name == "stay_h" else REASON_TEXT[reason.name])[tongue]
        value = UNKNOWN[tongue]
        if reason.value is not None:
            value = f" {shown(reason.name, round(reason.value, 1), tongue)}"
        found.append(Factor(name + value, f"{reason.odds:.2g}", reason.odds > 1))
    return found
