"""Levels that the cloud has found to be usual now: each is put in force here once, in the order of readings.

The document names them with the time at which the cloud decided so. What was put in force is kept with the
rules' state that has it: after a kill neither is there, or both are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias

__all__ = ["KEPT", "Level", "Relearning"]

KEPT: Final = 4096
"""So many levels are known to be in force already: a document names those of the last day."""

Level: TypeAlias = tuple[str, str, int]
"""Patient, signal, and when the cloud decided so (UTC ns, its clock)."""


class Relearning:
    """Which levels the state has, and which wait for their turn."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], int] = {}
        self._done: dict[tuple[str, str], int] = {}
        self._refused: set[Level] = set()
        self.waiting: list[Level] = []

    def tell(self, relearned: Mapping[str, Mapping[str, int]]) -> None:
        """This is what the document in force says."""
        self._told = {(p, m): at for p, levels in relearned.items() for m, at in levels.items()}
        self._look()

    def resume(self, kept: Iterable[Level]) -> None:
        """The state in use is another one, which has these."""
        self._done = {(patient, metric): at for patient, metric, at in kept}
        self._look()

    def _look(self) -> None:
        news = [(at, *key) for key, at in self._told.items() if at > self._done.get(key, -1)]
        known = [(patient, metric, at) for at, patient, metric in sorted(news)]
        self.waiting = [level for level in known if level not in self._refused]

    def refuse(self, patients: Mapping[str, tuple[str, ...]]) -> None:
        """The rules failed on these, just taken: they are not tried again before the next start."""
        self._refused |= {(p, m, self._done[p, m]) for p, metrics in patients.items() for m in metrics}

    def take(self, until: int | None = None) -> dict[str, tuple[str, ...]]:
        """Patient -> signals to be learned anew now: those decided up to ``until`` (UTC ns; None: all)."""
        out: dict[str, tuple[str, ...]] = {}
        while self.waiting and (until is None or self.waiting[0][2] <= until):
            patient, metric, at = self.waiting.pop(0)
            self._done[patient, metric] = at
            out[patient] = (*out.get(patient, ()), metric)
        return out

    def kept(self) -> tuple[Level, ...]:
        """What the state has, sorted: the newest ``KEPT``, far more than a document names."""
        newest = sorted(self._done.items(), key=lambda x: (x[1], x[0]))[-KEPT:]
        return tuple(sorted((patient, metric, at) for (patient, metric), at in newest))
