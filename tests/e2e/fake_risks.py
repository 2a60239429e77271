"""Learned risks of the fake ward's patients in beds: known, stale, not known yet; none at home."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.risk_models import Risk, RiskReason, ScoreMove, ScoreTrend

if TYPE_CHECKING:
    from tests.e2e.fake_ward import Ward

__all__ = ["begin", "rise"]

S = 1_000_000_000
MADE_OF = [
    RiskReason(name="respiratory_rate", odds=1.94, value=26),
    RiskReason(name="pulse", odds=1.31, value=104),
    RiskReason(name="consciousness", odds=1.2, value=2),
    RiskReason(name="stay_h", odds=1.1, value=31),
    RiskReason(name="temperature", odds=0.93, value=None),
    RiskReason(name="systolic", odds=0.78, value=124),
]


def begin(ward: Ward) -> None:
    """A risk for everybody in a bed."""
    for i in range(ward.beds):
        put(ward, i, (3 + 5 * i) % 40 / 100, before=None if i % 3 == 1 else 0.08)


def put(ward: Ward, place: int, value: float, *, before: float | None) -> None:
    """One patient's; of every eleven one is stale, and one not known."""
    now = ward.clock.now_ns()
    risk = Risk(state="unknown")
    if place % 11 != 4:
        aged = place % 11 == 9
        change = 0.0 if before is None else value - before
        risk = Risk(
            state="stale" if aged else "known",
            value=value,
            at=now - (5 * 3600 if aged else 120) * S,
            trend=None
            if before is None
            else "up"
            if change > 0.049
            else "down"
            if change < -0.049
            else "steady",
            before=before,
            before_at=None if before is None else now - 6 * 3600 * S,
            conscious=place % 2 == 0,
            reasons=MADE_OF,
            news2=_went(place, now),
        )
    ward.backend.put_risk("main", ward.patients[place], risk)


def _went(place: int, now: int) -> ScoreTrend | None:
    """How the score went: of every seven for one it is not known, for one nothing was known before."""
    since, others = now - 6 * 3600 * S, ["supplemental_oxygen", "consciousness"]
    if place % 7 == 5:
        return None
    if place % 7 == 3:
        return ScoreTrend(since=since, change=None, left_out=[*others, "pulse"])
    moved = [ScoreMove(name="respiratory_rate", then=0, now=2), ScoreMove(name="pulse", then=0, now=1)]
    return ScoreTrend(
        since=since, change=(3, 0)[place % 2], moved=moved[: 2 * (1 - place % 2)], left_out=others
    )


def rise(ward: Ward) -> None:
    """The first patient's risk rises."""
    put(ward, 0, 0.47, before=0.08)
