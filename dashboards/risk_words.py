"""What a learned risk is made of, in words."""

from __future__ import annotations

from typing import Final, NamedTuple

from dashboards.risk_models import Risk
from rules.telling import shown
from rules.words import PARAMETER_TEXT, REASON_TEXT

__all__ = ["Factor", "Went", "factors", "went"]

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


class Went(NamedTuple):
    """How NEWS2 went: by how much (empty: not known), by what, and what could not be compared."""

    change: str
    moved: str
    left_out: str
    since: int


def went(risk: Risk | None, tongue: str) -> Went | None:
    """The trend of the score in words; None: nothing is known of some hours before."""
    if risk is None or risk.news2 is None:
        return None
    trend, comma = risk.news2, {"en": ", ", "zh": "、"}[tongue]
    moved = (f"{PARAMETER_TEXT[m.name][tongue]} {m.then} → {m.now}" for m in trend.moved)
    left_out = (PARAMETER_TEXT[name][tongue] for name in trend.left_out)
    change = "" if trend.change is None else trend.signed
    return Went(change, comma.join(moved), comma.join(left_out), trend.since)
