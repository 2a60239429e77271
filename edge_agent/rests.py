"""Under which number each of the newest readings stands in the outbox: what an alarm rests on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hearthward.core.model import ReadingBatch

__all__ = ["KEPT", "Rests"]

KEPT: Final = 600
"""Readings of one signal of one device: ten minutes of what comes every second, days of what is rare."""
SIGNALS: Final = 4096
"""More signals than any gateway's devices have; the one that was new first makes room."""


class _Ring:
    """The newest readings of one signal: when they were measured, and their numbers."""

    __slots__ = ("at", "numbers", "times")

    def __init__(self) -> None:
        self.times, self.numbers, self.at = array("q"), array("q"), 0

    def put(self, time: int, number: int) -> None:
        if len(self.times) < KEPT:
            self.times.append(time)
            self.numbers.append(number)
            return
        self.times[self.at], self.numbers[self.at] = time, number
        self.at = (self.at + 1) % KEPT

    def find(self, time: int) -> int | None:
        try:
            return self.numbers[self.times.index(time)]
        except ValueError:
            return None


class Rests:
    """Finds readings by (device, signal, time of measurement), as transitions name them."""

    def __init__(self) -> None:
        self._rings: dict[tuple[str, str], _Ring] = {}

    def note(self, batch: ReadingBatch, first: int) -> None:
        """These readings are numbered from ``first`` on."""
        rings = self._rings
        for number, key in enumerate(zip(batch.device, batch.metric, strict=True)):
            ring = rings.get(key)
            if ring is None:
                if len(rings) >= SIGNALS:
                    del rings[next(iter(rings))]
                ring = rings[key] = _Ring()
            ring.put(batch.corrected[number], first + number)

    def of(self, inputs: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
        """The ranges of numbers of what a decision names as its inputs, as far as they are still known."""
        found = set()
        for shown in inputs:
            ring = self._rings.get((shown.get("device", ""), shown.get("metric", "")))
            number = None if ring is None else ring.find(shown.get("time", -1))
            if number is not None:
                found.add(number)
        return [(number, number) for number in sorted(found)]

    def clear(self) -> None:
        """The outbox was made anew: its numbers begin again."""
        self._rings.clear()
