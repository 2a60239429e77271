"""Chunks of a waveform as runs of samples without a gap, or as the lowest and highest of many. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from hearthward.core.clock import SECOND
from hearthward.core.waves import WaveformChunk

__all__ = ["APART_NS", "Envelope", "Run", "cut", "runs_of"]

APART_NS: Final = SECOND
"""A chunk that begins so much after the end of the one before belongs to another run: a clock was moved.

Before that end it may begin by its own length, too: what was held back comes all at once.
"""
NEAR_NS: Final = 1000
"""What rounding may move a sample."""
DIGITS: Final = 9
"""Of a value after the point: what a product of two floats has beyond that is noise."""


@dataclass(slots=True)
class Run:
    """Values of a device one after the other, the first one at ``start`` (UTC ns)."""

    device: str
    start: int
    rate_hz: float
    unit: str | None
    quality: int
    values: list[float] = field(default_factory=list)

    def at(self, place: int) -> int:
        """When the value at a place was taken (UTC ns)."""
        return self.start + round(place * SECOND / self.rate_hz)

    @property
    def end(self) -> int:
        """When the last value was taken (UTC ns)."""
        return self.at(len(self.values) - 1)

    def within(self, start: int, end: int) -> Run | None:
        """Its values with ``start <= time < end``; None when there is none."""
        i = max(0, math.ceil((start - NEAR_NS - self.start) * self.rate_hz / SECOND))
        j = min(len(self.values), max(0, math.ceil((end - self.start) * self.rate_hz / SECOND)))
        if i >= j:
            return None
        if i == 0 and j == len(self.values) and self.start >= start:
            return self
        return replace(self, start=max(start, self.at(i)), values=self.values[i:j])


def cut(chunk: WaveformChunk, start: int, end: int) -> WaveformChunk | None:
    """Its samples with ``start <= time < end``; None when there is none."""
    first, n = chunk.begins, len(chunk.samples)
    i = min(n, max(0, math.ceil((start - first) * chunk.rate_hz / SECOND)))
    j = min(n, max(0, math.ceil((end - first) * chunk.rate_hz / SECOND)))
    if i >= j:
        return None
    if (i, j) == (0, n):
        return chunk
    left = round((n - j) * SECOND / chunk.rate_hz)
    return replace(chunk, corrected=chunk.corrected - left, first=chunk.first + i, samples=chunk.samples[i:j])


def runs_of(chunks: Iterable[WaveformChunk]) -> list[Run]:
    """The runs of one device's chunks, by time.

    What comes over a radio is received late now and then, never early: the samples of a run are evenly spaced
    from where the chunk that came with the least delay puts them.
    """
    found: list[Run] = []
    before: WaveformChunk | None = None
    begun = 0
    for chunk in sorted(chunks, key=lambda c: (c.corrected, c.first)):
        values = [round(sample * chunk.scale, DIGITS) for sample in chunk.samples]
        if before is not None and found and _follows(before, chunk):
            run = found[-1]
            ahead = round((chunk.first - begun) * SECOND / chunk.rate_hz)
            run.start = min(run.start, chunk.begins - ahead)
            run.values += values
        else:
            found.append(Run(chunk.device, chunk.begins, chunk.rate_hz, chunk.unit, chunk.quality, values))
            begun = chunk.first
        before = chunk
    return found


def _follows(before: WaveformChunk, chunk: WaveformChunk) -> bool:
    same = (before.run, before.rate_hz, before.scale, before.unit, before.quality, before.device)
    off = chunk.begins - before.corrected - round(SECOND / before.rate_hz)
    return (
        chunk.first == before.end
        and (chunk.run, chunk.rate_hz, chunk.scale, chunk.unit, chunk.quality, chunk.device) == same
        and -(chunk.corrected - chunk.begins + APART_NS) <= off <= APART_NS
    )


class Envelope:
    """The lowest and highest value of each bucket of ``step`` ns from ``start`` on; none where nothing is."""

    def __init__(self, start: int, end: int, step: int) -> None:
        self.start, self.step = start, step
        n = max(1, -(-(end - start) // step))
        self.low: list[float | None] = [None] * n
        self.high: list[float | None] = [None] * n
        self.quality = [0] * n

    def add(self, run: Run) -> None:
        """Take a run in; a sample lasts until the next where buckets are narrower than that."""
        apart = SECOND / run.rate_hz
        last = run.end + (round(apart) if apart > self.step else 0)
        begin = max(0, (run.start - self.start) // self.step)
        for k in range(begin, min(len(self.low), (last - self.start) // self.step + 1)):
            part = self._in_bucket(run, k, apart)
            if part:
                self._widen(k, min(part), max(part), run.quality)

    def _in_bucket(self, run: Run, k: int, apart: float) -> Sequence[float]:
        first, after = (self.start + n * self.step - run.start for n in (k, k + 1))
        i = max(0, math.floor(first / apart) if apart > self.step else math.ceil(first / apart))
        return run.values[i : max(0, math.ceil(after / apart))]

    def _widen(self, k: int, low: float, high: float, quality: int) -> None:
        old_low, old_high = self.low[k], self.high[k]
        self.low[k] = low if old_low is None else min(low, old_low)
        self.high[k] = high if old_high is None else max(high, old_high)
        self.quality[k] |= quality
