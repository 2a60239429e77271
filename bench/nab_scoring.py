"""The score of the Numenta Anomaly Benchmark, standard profile, from its published description.

A file has rows and windows around its true anomalies. A detection is a row whose score reaches the threshold.
Of the detections within a window the earliest counts, the more the earlier; every other row detected costs,
the less the closer it follows a window; a window without a detection costs once. Rows of the probationary
period do not count. Normalised, a detector that finds every window at its first row and nothing else has 100,
and one that finds nothing has 0. Source: Lavin, Ahmad: Evaluating Real-Time Anomaly Detection Algorithms
(2015), sections II.B-D.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, TypeAlias

__all__ = [
    "NEVER",
    "STANDARD",
    "Curve",
    "Labelled",
    "Profile",
    "best",
    "deltas",
    "normalised",
    "probation",
    "raw_at",
    "worth",
]

NEVER: Final = math.inf
"""The threshold that no score reaches."""
Deltas: TypeAlias = list[tuple[float, float]]
"""(score, what reaching down to it adds to the raw score), from the highest score to the lowest."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a window found, a row wrongly detected and a window missed are worth."""

    hit: float = 1.0
    false_alarm: float = 0.11
    miss: float = 1.0


STANDARD: Final = Profile()


@dataclass(frozen=True, slots=True)
class Labelled:
    """A file's number of rows and its windows: first and last row of each, in order."""

    rows: int
    windows: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """The raw score over the threshold that is best for it."""

    threshold: float
    raw: float


def probation(rows: int) -> int:
    """How many rows at the start of a file do not count: 15 %, 750 at most."""
    return int(min(0.15 * rows, 0.15 * 5000))


def _sigmoid(position: float) -> float:
    """Worth of a detection: 1 at the start of a window (-1), 0 at its end (0), -1 far behind it."""
    return -1.0 if position > 3.0 else 2.0 / (1.0 + math.exp(5.0 * position)) - 1.0


def worth(file: Labelled, row: int, profile: Profile = STANDARD) -> tuple[int, float]:
    """(window that the row lies in or -1, what its detection is worth)."""
    n = bisect_right(file.windows, (row, file.rows)) - 1
    if n < 0:
        return -1, -profile.false_alarm
    left, right = file.windows[n]
    if row <= right:
        position = -(right - row + 1) / (right - left + 1)
        return n, profile.hit * _sigmoid(position) / _sigmoid(-1.0)
    return -1, profile.false_alarm * _sigmoid((row - right) / max(1, right - left))


def deltas(file: Labelled, scores: Sequence[float], profile: Profile = STANDARD) -> Deltas:
    """What each further row adds to the file's raw score as the threshold comes down to its score.

    The raw score starts at minus one miss a window. Raises ValueError when there is not a score for each row.
    """
    if len(scores) != file.rows:
        msg = f"{len(scores)} scores for {file.rows} rows"
        raise ValueError(msg)
    found = dict.fromkeys(range(len(file.windows)), -profile.miss)
    out: Deltas = []
    for row in sorted(range(probation(file.rows), file.rows), key=lambda r: (-scores[r], r)):
        window, gain = worth(file, row, profile)
        if window < 0:
            out.append((scores[row], gain))
        elif gain > found[window]:
            out.append((scores[row], gain - found[window]))
            found[window] = gain
    return out


def _null(files: Iterable[Labelled], profile: Profile) -> float:
    return -profile.miss * sum(len(f.windows) for f in files)


def best(parts: Iterable[Deltas]) -> Curve:
    """The threshold at which the sum over all files is highest; the highest such threshold on a tie.

    The raw score is counted from that of a detector which finds nothing.
    """
    rows = sorted((d for part in parts for d in part), key=lambda d: -d[0])
    found, total = Curve(NEVER, 0.0), 0.0
    for score, group in groupby(rows, key=lambda d: d[0]):
        total += math.fsum(gain for _, gain in group)
        if total > found.raw:
            found = Curve(score, total)
    return found


def raw_at(parts: Iterable[Deltas], threshold: float) -> float:
    """The raw score at a threshold, counted from that of a detector which finds nothing."""
    total = []
    for part in parts:
        end = bisect_left(part, -threshold, key=lambda d: -d[0])
        while end < len(part) and part[end][0] >= threshold:
            end += 1
        total += [gain for _, gain in part[:end]]
    return math.fsum(total)


def normalised(raw: float, files: Iterable[Labelled], profile: Profile = STANDARD) -> float:
    """0 for a detector that finds nothing, 100 for a perfect one; ``raw`` is counted from the former."""
    files = list(files)
    perfect = profile.hit * sum(len(f.windows) for f in files)
    return 100.0 * raw / (perfect - _null(files, profile))
