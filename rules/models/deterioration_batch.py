"""The courses and risks of many patients at once: those of ``deterioration``, bit by bit, from numpy.

The edge goes without; the cloud decides by the scalar ones, too, reading by reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Any, Final

import numpy as np

from rules.detectors.exactly import Array, mapped, numbered, rounded
from rules.models.deterioration import (
    BELIEVED,
    CHANNEL_OF,
    CHANNELS,
    CHANNELS_LEAST,
    PLACES,
    SCORED,
    STAY_KNOWN_H,
    STAY_LEAST_H,
    Course,
    Deterioration,
)
from rules.models.trees import probability
from rules.models.trees_batch import BatchedTrees
from rules.models.vital_memory import SHAPES
from rules.models.vital_memory_batch import BatchedMemories
from rules.news2 import CUTS, METRICS_OF, points

__all__ = ["BatchedCourses", "BatchedDeterioration", "channels_of"]

_NUMBER: Final = {channel: n for n, channel in enumerate(CHANNELS)}
_CONSCIOUSNESS: Final = len(CHANNELS) - 1
_LOW, _HIGH = np.array([BELIEVED[channel] for channel in CHANNELS], np.float64).T


def _bands(parameter: str) -> tuple[Array, Array]:
    """NEWS2's cut points of a parameter, and the points of the bands that they part."""
    cuts = CUTS[1][METRICS_OF[parameter][0]]
    return np.array(cuts), np.array([float(points(parameter, at)) for at in (-inf, *cuts)])


_POINTS: Final[Mapping[str, tuple[Array, Array]]] = {parameter: _bands(parameter) for parameter in SCORED}


def channels_of(metrics: Iterable[str]) -> Array:
    """The number of each metric's channel, as ``BatchedCourses.push`` takes it; -1: it does not count."""
    return np.array([_NUMBER.get(CHANNEL_OF.get(metric, ""), -1) for metric in metrics], np.intp)


class BatchedCourses:
    """What is remembered of as many patients as asked for, numbered from 0.

    >>> courses = BatchedCourses(1000)
    >>> courses.push([0, 7], [0.0, 0.0], channels_of(["heart_rate", "fio2"]), [80.0, 0.3]).tolist()
    [True, False]
    """

    def __init__(self, patients: int) -> None:
        self.since = np.full(patients, np.nan)
        self._vitals = BatchedMemories(patients * len(CHANNELS))

    def push(self, patients: Array, times: Array, channels: Array, values: Array) -> Array:
        """Take values (s, canonical units) one after the other; which of them count.

        Raises ValueError for a patient that there is not.
        """
        patients = numbered(patients, len(self.since))
        times, values = np.asarray(times, np.float64), np.asarray(values, np.float64)
        channels = np.asarray(channels, np.intp)
        taken = np.zeros(len(patients), bool)
        vital = np.flatnonzero((channels >= 0) & (_LOW[channels] <= values) & (values <= _HIGH[channels]))
        memories = patients[vital] * len(CHANNELS) + channels[vital]
        taken[vital] = self._vitals.push(memories, times[vital], values[vital])
        np.fmin.at(self.since, patients[taken], times[taken])
        return taken

    @property
    def conscious(self) -> Array:
        """Whose consciousness was ever entered."""
        return self._known()[:, _CONSCIOUSNESS]

    def _known(self) -> Array:
        return self._vitals.known.reshape(-1, len(CHANNELS))

    def enough(self, now: Array) -> Array:
        """Of whom a risk can be told at ``now`` (s, one for all or one each)."""
        return (now - self.since >= STAY_LEAST_H * 3600.0) & (self._known().sum(axis=1) >= CHANNELS_LEAST)

    def features(self, now: Array, *, conscious: bool) -> Array:
        """A row for each patient: ``FEATURES_ALERT`` (or without consciousness ``FEATURES``) at ``now``."""
        now, wide = np.broadcast_to(np.asarray(now, np.float64), self.since.shape), len(CHANNELS)
        shapes = self._vitals.shapes(np.repeat(now, wide)).reshape(-1, wide, len(SHAPES))
        channels = CHANNELS if conscious else CHANNELS[:-1]
        scored = [p for p in SCORED if p in channels]
        scores = np.stack([_points(p, shapes[:, _NUMBER[p], PLACES]) for p in scored])
        sums = scores.sum(axis=0)  # of small whole numbers
        known = self._known()[:, [_NUMBER[p] for p in scored]]
        stay = np.minimum((now - self.since) / 3600.0, STAY_KNOWN_H)
        seen = shapes[:, : len(channels)].reshape(len(now), -1)
        own = np.where(known, scores[:, :, 0].T, np.nan)
        return np.column_stack([stay, seen, own, sums, sums[:, 0] - sums[:, -1]])

    def pack(self, patient: int) -> list[Any]:
        """One patient's course, as ``Course.pack`` gives it."""
        first = patient * len(CHANNELS)
        known = np.flatnonzero(self._known()[patient]).tolist()
        vitals = sorted([CHANNELS[n], self._vitals.pack(first + n)] for n in known)
        version, *_ = Course().pack()
        return [version, float(self.since[patient]), vitals]

    def load(self, patient: int, packed: list[Any]) -> None:
        """Go on from a course, of here or of a ``Course``. Raises ValueError as ``Course.unpacked``."""
        _, since, vitals = Course.unpacked(packed).pack()
        known = dict(vitals)
        self.since[patient] = since
        for n, channel in enumerate(CHANNELS):
            self._vitals.load(patient * len(CHANNELS) + n, known.get(channel))


class BatchedDeterioration:
    """A trained model, to be asked for many patients."""

    def __init__(self, model: Deterioration) -> None:
        self.alert, self.plain = BatchedTrees(model.alert), BatchedTrees(model.plain)

    def risks(self, courses: BatchedCourses, now: Array) -> Array:
        """The value of each patient's ``Risk`` at ``now`` (s); NaN while too little is known to tell one."""
        found = np.full(len(courses.since), np.nan)
        enough, conscious = courses.enough(now), courses.conscious
        for trees, whose in ((self.alert, enough & conscious), (self.plain, enough & ~conscious)):
            if whose.any():
                rows = courses.features(now, conscious=trees is self.alert)[whose]
                found[whose] = rounded(mapped(probability, trees.log_odds(rows)))
        return found


def _points(parameter: str, values: Array) -> Array:
    """NEWS2's points; of what is not known none."""
    cuts, worth = _POINTS[parameter]
    return np.where(np.isnan(values), 0.0, worth[np.searchsorted(cuts, values, side="right")])
