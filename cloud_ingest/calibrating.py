"""What the learned risk was worth at a site: a course's risk beside its outcome, and what is learned of it.

The stay's risk a day after its first value, or at its end if that was sooner, and whether it ended badly:
one case a stay. They are learned one after the other, in the order in which the stays ended, each predicted
before it is learned; that is what "after" is measured on. Of too few, or when it is no better, nothing comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Final, Literal, NamedTuple, Protocol

from rules.conditions import INTERCEPTS, SLOPES, Calibration
from rules.model import Rows
from rules.models.deterioration import CHANNEL_OF, Course, Deterioration
from rules.models.trees import probability
from rules.risk import LEFT_OUT
from rules.rule import SECOND

__all__ = [
    "LEAST",
    "LEAST_EACH",
    "Calibrated",
    "Calibrator",
    "Case",
    "Learned",
    "Learner",
    "Refusal",
    "Score",
    "learn",
    "risk_of_stay",
]

LEAST: Final = 100
"""Of fewer stays nothing is learned."""
LEAST_EACH: Final = 10
"""Nor where fewer of them ended badly, or well."""
GAIN_LEAST: Final = 0.005
"""By how much (a part of the log loss) it must be better than what was shipped."""
JUDGED_AT_S: Final = 24 * 3600.0
_SURE: Final = 1e-3
"""No prediction is held to be surer than this, so that a single stay cannot outweigh all others."""


Refusal = Literal["few", "ends", "bounds", "no_gain"]
"""Why nothing is to be changed, for pages in other languages."""


class Case(NamedTuple):
    """One stay: when it ended (UTC ns), its risk's log-odds as shipped, and whether it ended badly."""

    ended: int
    log_odds: float
    bad: bool


class Learner(Protocol):
    """Something that learns a slope and an intercept case by case; untaught it changes nothing."""

    @property
    def slope(self) -> float:
        """What the log-odds are multiplied by."""
        ...

    @property
    def intercept(self) -> float:
        """What is added."""
        ...

    def learn(self, log_odds: float, *, bad: bool) -> None:
        """Take one more case."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """How well risks fitted: Brier score and log loss (the lower the better), and their mean."""

    brier: float
    loss: float
    mean: float


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of it; ``refused`` (in words) and ``why`` say why nothing is to be changed (None: it may)."""

    cases: int
    bad: int
    before: Score
    after: Score
    calibration: Calibration
    refused: str | None
    why: Refusal | None = None


@dataclass(slots=True)
class Calibrated:
    """What was learned of a site's stays, how many had no part in it (by reason), and the rule's file.

    ``text`` is empty where nothing is to be changed.
    """

    learned: Learned
    left_out: dict[str, int] = field(default_factory=dict)
    text: str = ""


class Calibrator(Protocol):
    """Learns of a site's stored stays, wherever that is done."""

    async def __call__(self) -> Calibrated:
        """What came of it. Raises ConfigError, StoreUnavailable. May be cancelled."""
        ...


def risk_of_stay(model: Deterioration, rows: Rows, end: int) -> float | None:
    """The risk (in hundredths, as it is told to rules) a day into a stay, or at its end (UTC ns) if sooner.

    ``rows`` are the patient's readings. None: too little was measured.
    """
    taken = sorted(
        (time, metric, value)
        for time, metric, value, quality in zip(rows.time, rows.metric, rows.value, rows.quality, strict=True)
        if value is not None and metric in CHANNEL_OF and not quality & LEFT_OUT
    )
    if not taken:
        return None
    at = min(taken[0][0] + round(JUDGED_AT_S * SECOND), end)
    course = Course()
    for time, metric, value in taken:
        if time <= at:
            course.push(time / SECOND, metric, float(value))
    risk = model.risk(course, at / SECOND)
    return None if risk is None else round(risk.value, 2)


def learn(cases: Iterable[Case], learner: Learner, training: int) -> Learned:
    """Learn all cases in the order in which the stays ended, and say how it would have gone."""
    known = sorted(cases)
    before, after = [], []
    for _, odds, bad in known:
        before.append((probability(odds), bad))
        after.append((probability(learner.intercept + learner.slope * odds), bad))
        learner.learn(odds, bad=bad)
    ended_badly = sum(case.bad for case in known)
    found = Calibration(training, round(learner.slope, 3), round(learner.intercept, 3))
    was, would = _score(before), _score(after)
    refused = _refused(len(known), ended_badly, was, would, found)
    return Learned(len(known), ended_badly, was, would, found, *(refused or (None, None)))


def _score(predicted: Sequence[tuple[float, bool]]) -> Score:
    if not predicted:
        return Score(0.0, 0.0, 0.0)
    count = len(predicted)
    brier = sum((p - bad) ** 2 for p, bad in predicted) / count
    loss = -sum(log(max(p if bad else 1.0 - p, _SURE)) for p, bad in predicted) / count
    return Score(brier, loss, sum(p for p, _ in predicted) / count)


def _refused(
    cases: int, bad: int, was: Score, would: Score, found: Calibration
) -> tuple[str, Refusal] | None:
    """Why nothing is to be changed."""
    if cases < LEAST:
        return f"{cases} stays are too few: {LEAST} are needed", "few"
    if min(bad, cases - bad) < LEAST_EACH:
        return f"{bad} of {cases} stays ended badly: {LEAST_EACH} of each are needed", "ends"
    if not (SLOPES[0] <= found.slope <= SLOPES[1] and INTERCEPTS[0] <= found.intercept <= INTERCEPTS[1]):
        text = f"slope {found.slope:g}, intercept {found.intercept:g}: the model is of no use here as it is"
        return text, "bounds"
    if would.loss > was.loss * (1.0 - GAIN_LEAST):
        return "it is no better than what is shipped", "no_gain"
    return None
