"""Remaining useful life on C-MAPSS FD001's training engines, cross-validated by engine.

An engine that is held out is cut off at ten places, with 7 to 145 cycles left (as the set's own test engines
are), but not before its 31st cycle; nothing of it was learned from. The errors are those of the answers
there. The file of test engines is kept back for judging and not used.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

from bench.figures import Outcome
from bench.real_data import recordings
from cloud_ingest.device_health.remaining_life import Learned, learn
from cloud_ingest.device_health.run_to_failure import Run, read_runs

FOLDS: Final = 5
CUTS: Final = 10
FEWEST_LEFT, MOST_LEFT, FEWEST_CYCLES = 7, 145, 31
CAP: Final = 125
SEED: Final = 20081001

Predictor = Callable[[Sequence[Sequence[float]]], list[float]]


def measure() -> Outcome:
    outcome = Outcome("rul", "C-MAPSS FD001, 5-fold by engine, each held-out engine cut off at 10 places")
    folder = recordings("cmapss")
    if folder is None:
        outcome.add("RMSE", None, "cycles", note="the recordings are not here: set HEARTHWARD_DATA")
        return outcome
    found = scores(read_runs(Path(folder) / "train_FD001.txt.gz"))
    trees, ridge, mean = found["trees"], found["ridge"], found["mean"]
    outcome.add(
        "RMSE raw", trees.rmse, "cycles", target=13.0, note="floor 17; published: LSTM 14.9-16.1, CNN 12.6"
    )
    outcome.add("RMSE, both capped at 125", trees.capped, "cycles")
    outcome.add("within the interval (nine in ten)", 100 * trees.inside, "%", target=80.0, at_least=True)
    outcome.add("RMSE raw, ridge on the same features", ridge.rmse, "cycles")
    outcome.add("RMSE raw, always the mean", mean.rmse, "cycles")
    return outcome


class Score:
    """Errors of one way of answering."""

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._capped: list[float] = []
        self._inside: list[bool] = []

    def take(self, told: float, true: float, *, inside: bool = True) -> None:
        """Add one answer."""
        self._errors.append(told - true)
        self._capped.append(min(told, CAP) - min(true, CAP))
        self._inside.append(inside)

    @property
    def rmse(self) -> float:
        """Of the answers as they are."""
        return math.sqrt(fmean(e * e for e in self._errors))

    @property
    def capped(self) -> float:
        """The root mean square when both sides are cut off at 125."""
        return math.sqrt(fmean(e * e for e in self._capped))

    @property
    def inside(self) -> float:
        """The share of truths in the interval."""
        return fmean(self._inside)


def scores(runs: Sequence[Run]) -> dict[str, Score]:
    """Of our trees, of a ridge regression on the same features, and of the mean."""
    order = list(runs)
    random.Random(SEED).shuffle(order)  # noqa: S311 - a draw, no secret
    rng = random.Random(SEED + 1)  # noqa: S311 - a draw, no secret
    out = {"trees": Score(), "ridge": Score(), "mean": Score()}
    for fold in range(FOLDS):
        held, rest = order[fold::FOLDS], [r for i, r in enumerate(order) if i % FOLDS != fold]
        learned = learn(rest, band=True)
        ridge, mean = _ridge(rest, learned)
        for run in held:
            rows = learned.features(run)
            places = [_left(rng, len(run)) for _ in range(CUTS)]
            cut = [rows[len(run) - 1 - left] for left in places]
            for left, told, straight in zip(places, learned.at(cut), ridge(cut), strict=True):
                inside = told.low is not None and told.high is not None and told.low <= left <= told.high
                out["trees"].take(told.cycles, left, inside=inside)
                out["ridge"].take(straight, left)
                out["mean"].take(mean, left)
    return out


def _left(rng: random.Random, cycles: int) -> int:
    return rng.randint(FEWEST_LEFT, max(FEWEST_LEFT, min(MOST_LEFT, cycles - FEWEST_CYCLES)))


def _ridge(runs: Sequence[Run], learned: Learned) -> tuple[Predictor, float]:
    from sklearn.linear_model import Ridge

    rows = [row for run in runs for row in learned.features(run)]
    left = [float(min(learned.horizon, len(run) - 1 - i)) for run in runs for i in range(len(run))]
    model = Ridge(1.0).fit(rows, left)
    seen = [x for run in runs for x in range(FEWEST_LEFT, min(MOST_LEFT, len(run) - FEWEST_CYCLES) + 1)]
    return (lambda found: [float(p) for p in model.predict(found)]), fmean(seen)
