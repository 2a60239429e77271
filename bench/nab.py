"""The Numenta Anomaly Benchmark on the files that are here: standard, leave-one-folder-out, nested.

Standard: the one threshold that is best on all files. Leave one folder out: each folder is scored at the
threshold that is best on the others. Nested: each folder is scored with the parameters and the threshold that
were searched on the others (``bench.nab_search``); what a folder's own anomalies are like had no say in its
score.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from bench.figures import Outcome
from bench.nab_data import Series, read_series
from bench.nab_scoring import Deltas, best, deltas, normalised, raw_at
from bench.real_data import recordings
from rules.detectors import DEFAULTS, Parameters, RecordStack

__all__ = ["measure"]

Detector = Callable[[Series], Sequence[float]]
ALPHA: Final = 0.01
WINDOW: Final = 1000
PUBLISHED: Final = (
    "published, all of the benchmark: ARTime 74.9, Numenta HTM 70.1, CAD OSE 69.9, KNN-CAD 58.0"
)


def ewma_z(one: Series) -> list[float]:
    """Distance from an exponentially weighted mean, in standard deviations."""
    mean, variance, out = one.values[0], 0.0, []
    for value in one.values:
        away = value - mean
        out.append(abs(away) / math.sqrt(variance) if variance > 0.0 else 0.0)
        mean += ALPHA * away
        variance = (1.0 - ALPHA) * (variance + ALPHA * away * away)
    return out


def range_novelty(one: Series) -> list[float]:
    """How far beyond the lowest and highest so far, in widths of that range."""
    low = high = one.values[0]
    out = []
    for value in one.values:
        width = high - low
        out.append(max(value - high, low - value, 0.0) / width if width > 0.0 else 0.0)
        low, high = min(low, value), max(high, value)
    return out


def windowed_gaussian(one: Series) -> list[float]:
    """The benchmark's own baseline: how unlikely a value is, going by the thousand before it."""
    import numpy as np

    out = []
    for n, value in enumerate(one.values):
        before = np.array(one.values[max(0, n - WINDOW) : n] or (value,))
        away = abs(value - before.mean()) / (before.std() or 1e-6)
        out.append(1.0 - 0.5 * math.erfc(away / 1.4142))  # so rounded there
    return out


def standard_absolute_deviation(one: Series) -> list[float]:
    """The detector of that name in river."""
    from river.anomaly import StandardAbsoluteDeviation

    return _of_river(StandardAbsoluteDeviation(), one)


def gaussian_scorer(one: Series) -> list[float]:
    """The detector of that name in river."""
    from river.anomaly import GaussianScorer

    return _of_river(GaussianScorer(), one)  # type: ignore[no-untyped-call, unused-ignore]


def _of_river(detector: Any, one: Series) -> list[float]:
    out = []
    for value in one.values:
        out.append(float(detector.score_one(None, value)))
        detector.learn_one(None, value)
    return out


def half_space_trees(one: Series) -> list[float]:
    """The detector of that name in river, on values between the lowest and the highest so far."""
    from river.anomaly import HalfSpaceTrees
    from river.preprocessing import MinMaxScaler

    detector, out = MinMaxScaler() | HalfSpaceTrees(seed=1), []
    for value in one.values:
        out.append(float(detector.score_one({"value": value})))
        detector.learn_one({"value": value})
    return out


def record_stack(one: Series, parameters: Parameters = DEFAULTS) -> list[float]:
    """Ours; it learns the time between readings by itself."""
    stack = RecordStack(parameters=parameters)
    return [stack.update(time, value) for time, value in zip(one.times, one.values, strict=True)]


DETECTORS: Final[dict[str, Detector]] = {
    "EWMA z": ewma_z,
    "range novelty": range_novelty,
    "windowed Gaussian": windowed_gaussian,
    "river GaussianScorer": gaussian_scorer,
    "river HalfSpaceTrees": half_space_trees,
    "river StandardAbsoluteDeviation": standard_absolute_deviation,
    "record stack": record_stack,
}


def measure() -> Outcome:
    """All detectors under the first two protocols, then the nested search (about five minutes)."""
    folder = recordings("nab")
    outcome = Outcome("nab", PUBLISHED)
    if folder is None:
        outcome.about = "not measured: the benchmark's files are not here (HEARTHWARD_DATA)"
        return outcome
    series = read_series(folder)
    windows = sum(len(s.labelled.windows) for s in series)
    outcome.about = f"{len(series)} files, {windows} windows; {PUBLISHED}"
    for name, detector in DETECTORS.items():
        _standard_and_lofo(outcome, name, detector, series)
    outcome.add("record stack, nested", nested(series), "", target=60.0, at_least=True, note="aim 67")
    return outcome


def _standard_and_lofo(outcome: Outcome, name: str, detector: Detector, series: Sequence[Series]) -> None:
    begun = time.process_time()
    scores = [detector(one) for one in series]
    spent = time.process_time() - begun
    parts = [deltas(one.labelled, found) for one, found in zip(series, scores, strict=True)]
    labelled = [one.labelled for one in series]
    outcome.add(f"{name}, standard", normalised(best(parts).raw, labelled), "")
    outcome.add(f"{name}, leave one folder out", normalised(lofo(series, parts), labelled), "")
    ours = {"target": 20.0} if detector is record_stack else {}
    outcome.add(f"{name}, CPU per reading", spent / sum(len(s) for s in scores) * 1e6, "us", **ours)


def lofo(series: Sequence[Series], parts: Sequence[Deltas]) -> float:
    """The raw score when each folder's threshold is the best of the others'."""
    total = 0.0
    for held_out, rest in folds(series):
        threshold = best(parts[n] for n in rest).threshold
        total += raw_at([parts[n] for n in held_out], threshold)
    return total


def folds(series: Sequence[Series]) -> Iterator[tuple[list[int], list[int]]]:
    """(the files of a folder, those of the others) as numbers, for each folder."""
    for folder in sorted({one.folder for one in series}):
        held_out = [n for n, one in enumerate(series) if one.folder == folder]
        yield held_out, [n for n in range(len(series)) if n not in held_out]


def nested(series: Sequence[Series]) -> float:
    """The score when each folder's parameters and threshold are searched on the others."""
    from bench.nab_search import Search

    search = Search.over(series)
    total = 0.0
    for held_out, rest in folds(series):
        parameters = search.best(rest)
        scores = [record_stack(series[n], parameters) for n in held_out]
        parts = [deltas(series[n].labelled, s) for n, s in zip(held_out, scores, strict=True)]
        total += raw_at(parts, 0.5)
    return normalised(total, [one.labelled for one in series])
