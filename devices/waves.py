"""Samples of payloads -> chunks of waveforms about a second long; their numbers show the gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from firmware_profiles import DecodedWave
from hearthward.core.clock import SECOND
from hearthward.core.waves import MAX_SAMPLES, WaveformChunk

__all__ = ["CHUNK_S", "PAUSE_S", "WaveStamper"]

CHUNK_S: Final = 1.0
"""A chunk is so long, unless something ends it before: small payloads are joined, long ones cut."""
PAUSE_S: Final = 2.0
"""Where the next samples come so much later than they should, those between were lost."""


@dataclass(slots=True)
class _Line:
    """One waveform of a run: what it is like now, and its samples that are in no chunk yet.

    ``first`` is the number of the first of them, ``at`` when the last one was taken, ``usual`` how many
    samples came last, ``broken`` whether a payload could not be read since.
    """

    like: DecodedWave
    profile: str
    first: int = 0
    at: int = 0
    received: int = 0
    usual: int = 0
    broken: bool = False
    samples: list[int] = field(default_factory=list)

    def size(self) -> int:
        """Samples in a chunk."""
        return max(1, min(MAX_SAMPLES, round(self.like.rate_hz * CHUNK_S)))

    def same(self, wave: DecodedWave, profile: str) -> bool:
        """Whether these samples may stand in one chunk with those before."""
        like = self.like
        return (like.rate_hz, like.scale, like.unit, like.quality, self.profile) == (
            wave.rate_hz,
            wave.scale,
            wave.unit,
            wave.quality,
            profile,
        )

    def missing(self, at: int, n: int) -> int:
        """How many samples were lost before the ``n`` that end ``at``: by the time, or a payload's."""
        late_s = (at - self.at) / SECOND - n / self.like.rate_hz
        late = round(late_s * self.like.rate_hz) if self.usual and late_s > PAUSE_S else 0
        return max(late, self.usual if self.broken else 0)


class WaveStamper:
    """Makes the chunks of one run of a device's session: a connection, from its beginning to its end.

    ``run`` is that run's id, never used before (0 or more). ``last`` is the last receive time given (UTC ns).
    """

    __slots__ = ("_device", "_lines", "_run", "last")

    def __init__(self, device: str, run: int, last: int = 0) -> None:
        self._device = device
        self._run = run
        self._lines: dict[str, _Line] = {}
        self.last = last

    def take(
        self, waves: Sequence[DecodedWave], received: int, corrected: int, profile: str
    ) -> list[WaveformChunk]:
        """The chunks that one payload's samples complete.

        ``received`` is when the payload came, ``corrected`` the best estimate of when its last sample was
        taken (UTC ns), ``profile`` the hash of what decoded it.
        """
        out: list[WaveformChunk] = []
        for wave in waves:
            if not wave.samples:
                continue
            line = self._lines.setdefault(wave.metric, _Line(wave, profile))
            lost = line.missing(corrected, len(wave.samples))
            if lost or not line.same(wave, profile):
                out += self._rest(wave.metric, line)
                line.first += lost
                line.like, line.profile, line.broken = wave, profile, False
            line.samples.extend(wave.samples)
            line.at, line.received, line.usual = corrected, received, len(wave.samples)
            size = line.size()
            while len(line.samples) >= size:
                out.append(self._cut(wave.metric, line, size))
        return out

    def lost(self) -> list[WaveformChunk]:
        """Payloads could not be read: at least as many samples as the one before had are taken for lost."""
        for line in self._lines.values():
            line.broken = True
        return self.flush()

    def flush(self) -> list[WaveformChunk]:
        """The samples that are in no chunk yet, as chunks shorter than usual."""
        return [chunk for metric, line in self._lines.items() for chunk in self._rest(metric, line)]

    def _rest(self, metric: str, line: _Line) -> list[WaveformChunk]:
        return [self._cut(metric, line, len(line.samples))] if line.samples else []

    def _cut(self, metric: str, line: _Line, size: int) -> WaveformChunk:
        """The first ``size`` samples as a chunk; those behind were taken later."""
        samples, line.samples = line.samples[:size], line.samples[size:]
        self.last = max(line.received, self.last + 1)
        chunk = WaveformChunk(
            device=self._device,
            metric=metric,
            received=self.last,
            corrected=line.at - round(len(line.samples) * SECOND / line.like.rate_hz),
            run=self._run,
            first=line.first,
            rate_hz=line.like.rate_hz,
            scale=line.like.scale,
            unit=line.like.unit,
            samples=tuple(samples),
            quality=int(line.like.quality),
            profile=line.profile,
        )
        line.first = chunk.end
        return chunk
