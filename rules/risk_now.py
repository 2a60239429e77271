"""What there is to say of a patient's learned risk at a moment, for those who look: it decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from rules.conditions import RISK, Calibration, Threshold, leaves
from rules.models.deterioration import Reason
from rules.models.recalibration import recalibrated
from rules.models.score_course import ScoreChange
from rules.models.watch import Trend
from rules.rule import SECOND, Rule
from rules.state import State

__all__ = ["RiskNow", "RiskState", "risk_now"]

RiskState: TypeAlias = Literal["known", "stale", "unknown"]


@dataclass(frozen=True, slots=True)
class RiskNow:
    """A risk as told to the rules, when (UTC ns), what it was ``before`` (then), and of what it is made.

    ``unknown``: the model has not seen enough of the patient. ``stale``: it rests on values that no rule
    would count any more. A site's calibration is in it. ``score``: how NEWS2 went in the last hours, None
    where nothing of then is known.
    """

    state: RiskState
    value: float | None = None
    at: int | None = None
    trend: Trend | None = None
    before: tuple[int, float] | None = None
    reasons: tuple[Reason, ...] = ()
    conscious: bool = False
    score: ScoreChange | None = None


_UNKNOWN: Final = RiskNow("unknown")


def risk_now(state: State, patient: str, now: int) -> RiskNow | None:
    """The patient's risk at ``now`` (UTC ns); None: no rule in force on it is meant for such a patient."""
    context = state.context(patient)
    known = [r for r in state.rules.by_metric.get(RISK, ()) if not r.shadow and context.applies(r)]
    if not known:
        return None
    counts = max(r.inputs[RISK] for r in known)
    calibration = next((c for r in known if (c := _calibration(r)) is not None), None)
    subject = state.subjects.get(patient)
    watch = None if subject is None else subject.watch
    if watch is None:
        return _UNKNOWN
    score = watch.score.change(now / SECOND, context.spo2_scale)
    value = None if watch.value is None else _at_site(calibration, watch.value)
    if value is None:
        return replace(_UNKNOWN, score=score)
    at, before = round(watch.judged * SECOND), watch.before()
    reasons = watch.reasons
    if calibration is not None:
        reasons = tuple(r._replace(term=calibration.slope * r.term) for r in reasons)
    return RiskNow(
        state="stale" if now - at > counts * SECOND else "known",
        value=value,
        at=at,
        trend=watch.trend(),
        before=None
        if before is None
        else (round(before[0] * SECOND), _at_site(calibration, before[1]) or 0.0),
        reasons=reasons,
        conscious=watch.course.conscious,
        score=score,
    )


def _calibration(rule: Rule) -> Calibration | None:
    """What a site has found the risk to be worth, if the rule says so."""
    found = (x for x in leaves(rule.condition) if isinstance(x, Threshold) and x.metric == RISK)
    return next((x.calibration for x in found if x.calibration is not None), None)


def _at_site(calibration: Calibration | None, risk: float) -> float | None:
    return risk if calibration is None else recalibrated(calibration, risk)
