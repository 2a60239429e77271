"""Blocks of waveforms on their way in: what may be stored of them, and what may not and why. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from cloud_ingest.entry import manual_patient
from cloud_ingest.waves.base import LONGEST_NS, WaveParcel
from hearthward.core.clock import SECOND, iso
from hearthward.core.codes import METRICS, Metric
from hearthward.core.errors import DecodeError
from hearthward.core.wave_blocks import decode_waves, encode_waves
from hearthward.core.waves import WaveformChunk

__all__ = ["BadChunks", "WavePart", "read_waves"]

_MAX_INT = 2**63 - 1
_MAX_TEXT = 512


@dataclass(frozen=True, slots=True)
class WavePart:
    """Chunks of one block that may be stored, numbered by ``seqs``."""

    source: tuple[str, str]
    topic: str
    chunks: Sequence[WaveformChunk]
    seqs: Sequence[int]

    def parcel(self) -> WaveParcel:
        """As the store takes it."""
        return WaveParcel(self.source[0], self.chunks)

    def each(self) -> list[WavePart]:
        """The same as one part a chunk."""
        return [
            replace(self, chunks=[chunk], seqs=[seq])
            for chunk, seq in zip(self.chunks, self.seqs, strict=True)
        ]


@dataclass(slots=True)
class BadChunks:
    """Those that are refused for one reason: their places in the block, and what is wrong with the first."""

    reason: str
    detail: str
    places: list[int] = field(default_factory=list)
    chunks: list[WaveformChunk] = field(default_factory=list)

    def payload(self) -> bytes:
        """As a block of their own."""
        return encode_waves(self.chunks)


def read_waves(
    payload: bytes, count: int, latest: int, offset: int = 0
) -> tuple[list[tuple[int, WaveformChunk]], list[BadChunks]]:
    """A block of ``count`` chunks -> those that may be stored, by their places, and the others by reason.

    ``latest`` is the last time (UTC ns) that is not in the future, ``offset`` is added to times of the
    gateway's clock (ns; receive times stay). Raises DecodeError when nothing of it can be read.
    """
    chunks = decode_waves(payload)
    if len(chunks) != count:
        msg = f"a block announced as {count} chunks of waveforms has {len(chunks)}"
        raise DecodeError(msg, reason="malformed")
    good: list[tuple[int, WaveformChunk]] = []
    bad: dict[str, BadChunks] = {}
    for i, chunk in enumerate(chunks):
        moved = replace(chunk, corrected=max(0, chunk.corrected + offset)) if offset else chunk
        wrong = _wrong(moved, latest)
        if wrong is None:
            good.append((i, moved))
        else:
            together = bad.setdefault(wrong[0], BadChunks(*wrong))
            together.places.append(i)
            together.chunks.append(moved)
    return good, list(bad.values())


def _wrong(chunk: WaveformChunk, latest: int) -> tuple[str, str] | None:
    """Why a chunk must not be stored: the reason, and what is wrong with it."""
    texts = chunk.device, chunk.metric, chunk.profile, chunk.unit or ""
    if not (chunk.device and chunk.metric) or max(map(len, texts)) > _MAX_TEXT:
        return "malformed", f"empty or overlong text (more than {_MAX_TEXT} characters)"
    if not (0 <= chunk.received <= _MAX_INT and 0 <= chunk.corrected <= _MAX_INT):
        return "malformed", "a time outside 0..2^63-1"
    if manual_patient(chunk.device) is not None:
        return "reserved", "a waveform of what only people enter by hand"
    metric = METRICS.get(chunk.metric)
    if metric is None or metric.kind != "wave":
        return "unknown_metric", f"no waveform {chunk.metric[:64]!r}"
    return _not_true(chunk, metric, latest)


def _not_true(chunk: WaveformChunk, metric: Metric, latest: int) -> tuple[str, str] | None:
    """What cannot be true of it."""
    if (len(chunk.samples) - 1) * SECOND > LONGEST_NS * chunk.rate_hz:
        longest = LONGEST_NS // SECOND
        return "implausible", f"{len(chunk.samples)} samples of {chunk.rate_hz:g} Hz: longer than {longest} s"
    if chunk.unit not in {None, metric.unit}:
        return "implausible", f"{chunk.metric} in {str(chunk.unit)[:64]!r}: it comes in {metric.unit!r}"
    for sample in (min(chunk.samples), max(chunk.samples)):
        value = sample * chunk.scale
        if not (math.isfinite(value) and metric.low <= value <= metric.high):
            return "implausible", f"{chunk.metric} {value:g} is outside {metric.low:g}..{metric.high:g}"
    if chunk.corrected > latest:
        return "future", f"{chunk.metric} measured {iso(chunk.corrected)}, after {iso(latest)}"
    return None
