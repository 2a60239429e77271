"""Under which number each of the newest readings stands in the outbox: what an alarm rests on."""

from __future__ import annotations

import contextlib
from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from hearthward.core.errors import DecodeError
from hearthward.core.model import ReadingBatch
from hearthward.core.wire import Block, decode_block

__all__ = ["KEPT", "Rests"]

KEPT: Final = 600
"""Readings of one signal of one device: ten minutes of what comes every second, days of what is rare."""
SIGNALS: Final = 4096
"""More signals than any gateway's devices have; the one that was new first makes room."""
RECALLED: Final = 60_000
"""Readings noted again after a start: the last minutes of what a large gateway accepts."""
CHUNK: Final = 4000


class Waiting(Protocol):
    """What is asked of an outbox here."""

    async def pending(
        self, after: int, max_readings: int, max_bytes: int = ..., until: int | None = None
    ) -> list[Block]:
        """Unreceipted blocks from ``after + 1`` on, in order."""
        ...


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

    def shift(self, by: int) -> None:
        self.times = array("q", [time + by for time in self.times])

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

    async def recall(self, outbox: Waiting, upto: int, right: Callable[[ReadingBatch], ReadingBatch]) -> None:
        """Note the newest readings that wait in the outbox, up to that number, with their right times."""
        after = max(0, upto - RECALLED)
        while after < upto:
            blocks = await outbox.pending(after, CHUNK, until=upto)
            if not blocks:
                return
            for block in blocks:
                if not (block.decisions or block.waves):
                    with contextlib.suppress(DecodeError):  # told when it was decided on
                        self.note(right(decode_block(block.payload)), block.first)
                after = block.last

    def of(self, inputs: Iterable[Mapping[str, Any]]) -> list[tuple[int, int]]:
        """The ranges of numbers of what a decision names as its inputs, as far as they are still known."""
        found = set()
        for shown in inputs:
            ring = self._rings.get((shown.get("device", ""), shown.get("metric", "")))
            number = None if ring is None else ring.find(shown.get("time", -1))
            if number is not None:
                found.add(number)
        return [(number, number) for number in sorted(found)]

    def shift(self, by: int) -> None:
        """The clock has been set by so much (ns): from now on transitions name its new times."""
        for ring in self._rings.values():
            ring.shift(by)

    def clear(self) -> None:
        """The outbox was made anew: its numbers begin again."""
        self._rings.clear()
