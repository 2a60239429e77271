"""Why a score is what it is: terms that add up, each with the value, what is usual and the record."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rules.detectors.parameters import STATISTICS, Parameters
from rules.detectors.record_stack import Moment, RecordStack

__all__ = ["Explanation", "Term", "explain", "explained"]


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
    return None if stack.moment is None else explained(stack.moment, stack.parameters)


def explained(moment: Moment, parameters: Parameters) -> Explanation:
    """What the score of a moment was made of."""
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
