"""The learned risk of deterioration as the web shows it."""

from __future__ import annotations

from math import exp
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Instant
from rules.conditions import RISK
from rules.models.score_course import ScoreChange
from rules.risk_now import RiskNow
from rules.rule import SECOND, amount

__all__ = ["Risk", "RiskReason", "ScoreMove", "ScoreTrend", "risk_view"]

SHOWN: Final = 0.05
"""What moves the log-odds by less is not shown."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RiskReason(_View):
    """What one vital sign does to the odds; multiplied, they are what the model makes of the patient."""

    name: str = Field(description="a vital sign, `news2`, or `stay_h`: the hours since the first value")
    odds: float = Field(description="what it multiplies the odds by", examples=[1.8])
    value: float | None = Field(None, description="its newest value; null: it is its absence that counts")


class ScoreMove(_View):
    """A parameter of NEWS2 whose points are others than before."""

    name: str = Field(description="as NEWS2's chart calls it", examples=["respiratory_rate"])
    then: int
    now: int


class ScoreTrend(_View):
    """How NEWS2 went since some hours before, as far as the same parameters are known now and then."""

    since: Instant
    change: int | None = Field(description="points; null: no parameter is known at both times", examples=[3])
    moved: list[ScoreMove] = Field(default_factory=list, description="what rose most first")
    left_out: list[str] = Field(default_factory=list, description="parameters not known at both times")

    @property
    def signed(self) -> str:
        """The change as people read it."""
        return f"{self.change:+d}".replace("-", "−") if self.change else "±0"  # noqa: RUF001 - a minus


class Risk(_View):
    """The risk as it was last told to the rules."""

    state: Literal["known", "stale", "unknown"] = Field(
        description="`stale`: it rests on values too old to count; `unknown`: too little was seen"
    )
    value: float | None = Field(None, description="calibrated probability, 0 to 1", examples=[0.34])
    at: Instant | None = Field(None, description="as of when")
    trend: Literal["up", "down", "steady"] | None = Field(None, description="against `before`")
    before: float | None = Field(None, description="the risk some hours before")
    before_at: Instant | None = None
    conscious: bool = Field(False, description="whether consciousness is known, without which it is weaker")
    reasons: list[RiskReason] = Field(default_factory=list, description="what raises it most first")
    news2: ScoreTrend | None = Field(None, description="null: nothing is known of some hours before")

    @staticmethod
    def percent(value: float) -> str:
        """A risk as people read it."""
        return amount(RISK, value)


def risk_view(risk: RiskNow) -> Risk:
    """What the rules' state has of a patient."""
    return Risk(
        state=risk.state,
        value=risk.value,
        at=risk.at,
        trend=risk.trend,
        before=None if risk.before is None else risk.before[1],
        before_at=None if risk.before is None else risk.before[0],
        conscious=risk.conscious,
        reasons=[
            RiskReason(name=r.name, odds=round(exp(r.term), 2), value=_known(r.value))
            for r in risk.reasons
            if abs(r.term) >= SHOWN
        ],
        news2=None if risk.score is None else _trend(risk.score),
    )


def _trend(score: ScoreChange) -> ScoreTrend:
    return ScoreTrend(
        since=round(score.since * SECOND),
        change=score.change,
        moved=[ScoreMove(name=name, then=then, now=now) for name, then, now in score.moved],
        left_out=list(score.left_out),
    )


def _known(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124 - NaN
