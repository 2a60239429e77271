"""What there is to say of a patient's learned risk at a moment, for those who look: it decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rules.conditions import RISK
from rules.models.deterioration import Reason
from rules.models.watch import Trend
from rules.rule import SECOND
from rules.state import State

__all__ = ["RiskNow", "RiskState", "risk_now"]

RiskState: TypeAlias = Literal["known", "stale", "unknown"]


@dataclass(frozen=True, slots=True)
class RiskNow:
    """A risk as told to the rules, when (UTC ns), what it was ``before`` (then), and of what it is made.

    ``unknown``: the model has not seen enough of the patient. ``stale``: it rests on values that no rule
    would count any more.
    """

    state: RiskState
    value: float | None = None
    at: int | None = None
    trend: Trend | None = None
    before: tuple[int, float] | None = None
    reasons: tuple[Reason, ...] = ()
    conscious: bool = False


_UNKNOWN: Final = RiskNow("unknown")


def risk_now(state: State, patient: str, now: int) -> RiskNow | None:
    """The patient's risk at ``now`` (UTC ns); None: no rule in force on it is meant for such a patient."""
    context = state.context(patient)
    known = (r for r in state.rules.by_metric.get(RISK, ()) if not r.shadow and context.applies(r))
    counts = max((r.inputs[RISK] for r in known), default=None)
    if counts is None:
        return None
    subject = state.subjects.get(patient)
    watch = None if subject is None else subject.watch
    if watch is None or watch.value is None:
        return _UNKNOWN
    at, before = round(watch.judged * SECOND), watch.before()
    return RiskNow(
        state="stale" if now - at > counts * SECOND else "known",
        value=watch.value,
        at=at,
        trend=watch.trend(),
        before=None if before is None else (round(before[0] * SECOND), before[1]),
        reasons=watch.reasons,
        conscious=watch.course.conscious,
    )
