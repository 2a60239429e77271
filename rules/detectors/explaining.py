"""Why a score is what it is: terms that add up, each with the value, what is usual and the record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

from rules.detectors.parameters import STATISTICS
from rules.detectors.record_stack import DAY, Moment, RecordStack
from rules.telling import Text, lasting, said, signal, with_unit

__all__ = ["Explanation", "Term", "explain", "sentences"]


@dataclass(frozen=True, slots=True)
class Term:
    """One statistic that exceeded its record.

    ``ratio`` is how many times the record it was (inf: there was none), ``points`` what it adds to the total.
    ``value`` is compared with ``usual``; their distance is what has the record. For ``range`` the usual is
    the lowest or highest known, the record the width of that range; for ``spread`` both are standard
    deviations, the record is in doublings of the variance; for ``hours`` they are mean departures from the
    time of day's level.
    """

    name: str
    direction: Literal["above", "below"]
    ratio: float
    weight: float
    points: float
    value: float
    usual: float
    record: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """A score and its parts: ``(sum of points - calmed) * share`` is the evidence.

    ``calmed`` is what had been told just before; ``share`` is less than 1 for a young stream, or one that
    tells much.
    """

    score: float
    terms: tuple[Term, ...]
    calmed: float
    share: float


def explain(stack: RecordStack) -> Explanation | None:
    """What the newest reading's score was made of, the weightiest term first; None before there was one."""
    moment, parameters = stack.moment, stack.parameters
    if moment is None:
        return None
    excesses = [moment.beyond, *(map(_excess, moment.statistics, moment.records))]
    records = (moment.before.high - moment.before.low, *moment.records)
    terms = []
    for name, weight, excess, record, (value, usual) in zip(
        STATISTICS, parameters.weights, excesses, records, _compared(moment), strict=True
    ):
        if excess > 0.0 and weight > 0.0 and moment.heard:
            points = weight * min(parameters.cap, excess)
            direction: Literal["above", "below"] = "above" if value >= usual else "below"
            terms.append(Term(name, direction, 1.0 + excess, weight, points, value, usual, record))
    terms.sort(key=lambda term: -term.points)
    calmed = min(moment.total, parameters.calm * moment.before.calm)
    evidence = (moment.total - calmed) * moment.share
    return Explanation(evidence / (evidence + parameters.threshold), tuple(terms), calmed, moment.share)


def _excess(statistic: float, record: float) -> float:
    if statistic <= record:
        return 0.0
    return statistic / record - 1.0 if record > 0.0 else math.inf


def _compared(moment: Moment) -> tuple[tuple[float, float], ...]:
    """For each statistic what was measured, and what that is compared with."""
    before, after = moment.before, moment.after
    bound = before.high if moment.value > before.high else before.low
    hour = moment.value if math.isnan(moment.hour_level) else moment.hour_level
    return (
        (moment.value, bound),
        (after.short, before.slow),
        (after.medium, before.slow),
        (after.long, before.slow),
        (after.short, after.medium),
        (math.sqrt(after.variance), 2.0 ** (before.usual_log / 2.0)),
        (moment.value, hour),
        (after.hours, 0.0),
    )


_EN: Final = {
    "range": "{signal} {value}: {direction} all that is known ({usual})",
    "mean": "{signal}: mean of {span} {value}, usually {usual}; {ratio} times its largest departure so far",
    "step": "{signal}: mean of {span} {value} after {usual}; {ratio} times its largest step so far",
    "spread": "{signal}: spread {value}, usually {usual}",
    "hour": "{signal} {value}: usually {usual} at this time of day; {ratio} times the largest departure",
    "hours": "{signal}: for {span} off by {value} on average from the usual at this time of day",
    "hour of day one": "{signal} {value}: {usual} earlier in this hour; {ratio} times the largest departure",
    "hours of day one": "{signal}: for {span} off by {value} on average from each hour's course",
}
_ZH: Final = {
    "range": "{signal} {value}: {direction}已知的全部值 ({usual})",
    "mean": "{signal}: {span}均值 {value}, 通常 {usual}; 为以往最大偏离的 {ratio} 倍",
    "step": "{signal}: {span}均值由 {usual} 变为 {value}; 为以往最大变化的 {ratio} 倍",
    "spread": "{signal}: 波动 {value}, 通常 {usual}",
    "hour": "{signal} {value}: 此时段通常 {usual}; 为以往最大偏离的 {ratio} 倍",
    "hours": "{signal}: {span}内平均偏离此时段通常值 {value}",
    "hour of day one": "{signal} {value}: 本小时此前 {usual}; 为以往最大偏离的 {ratio} 倍",
    "hours of day one": "{signal}: {span}内平均偏离各小时水平 {value}",
}
_MANY: Final = {"en": "many", "zh": "许多"}
_DIRECTIONS: Final = {"above": {"en": "above", "zh": "高于"}, "below": {"en": "below", "zh": "低于"}}


def sentences(metric: str, stack: RecordStack) -> list[Text]:
    """The newest score's terms in words, the weightiest first, for the signal ``metric``."""
    explanation, pace = explain(stack), stack.pace
    if explanation is None:
        return []
    out = []
    for term in explanation.terms:
        kind = "mean" if term.name in {"short", "medium", "long"} else term.name
        if kind in {"hour", "hours"} and stack.watched < DAY:
            kind += " of day one"
        tau = getattr(stack.parameters, f"tau_{'short' if kind == 'step' else term.name}", 1.0)
        ratio = _MANY if math.isinf(term.ratio) else f"{term.ratio:.1f}"
        out.append(
            said(
                _EN[kind],
                _ZH[kind],
                signal=signal(metric),
                value=with_unit(metric, _rounded(term.value)),
                usual=with_unit(metric, _rounded(term.usual)),
                direction=_DIRECTIONS[term.direction],
                span=lasting(round(tau * pace)),
                ratio=ratio,
            )
        )
    return out


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
