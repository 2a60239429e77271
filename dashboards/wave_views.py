"""Runs and envelopes of waveforms as views, with the gaps between them. Pure, for fake and real."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from cloud_ingest.waves.runs import Envelope, Run
from dashboards.wave_models import WaveGap, WavePiece
from hearthward.core.clock import SECOND
from hearthward.core.model import quality_names

__all__ = ["envelope_pieces", "gaps_between", "in_order", "piece_of"]

JOINED: Final = 1.5
"""Values that are no more than so many steps apart have no gap between them."""


def piece_of(run: Run) -> WavePiece:
    """A run with all its values."""
    return WavePiece(
        device=run.device,
        unit=run.unit,
        start=run.start,
        end=run.end,
        step=SECOND / run.rate_hz,
        quality=quality_names(run.quality),
        values=run.values,
    )


def envelope_pieces(envelope: Envelope) -> list[WavePiece]:
    """Buckets that follow each other and are known to be equally good, as pieces."""
    return [
        WavePiece(
            start=envelope.start + first * envelope.step,
            end=envelope.start + after * envelope.step,
            step=envelope.step,
            quality=quality_names(envelope.quality[first]),
            low=[x for x in envelope.low[first:after] if x is not None],
            high=[x for x in envelope.high[first:after] if x is not None],
        )
        for first, after in _stretches(envelope)
    ]


def _stretches(envelope: Envelope) -> Iterator[tuple[int, int]]:
    first: int | None = None
    for k, low in enumerate(envelope.low):
        if first is not None and (low is None or envelope.quality[k] != envelope.quality[first]):
            yield first, k
            first = None
        if first is None and low is not None:
            first = k
    if first is not None:
        yield first, len(envelope.low)


def gaps_between(pieces: Iterable[WavePiece], start: int, end: int) -> list[WaveGap]:
    """Where there is no sample in ``start <= time < end``; a sample lasts until the next one is due."""
    found, at = list[WaveGap](), start
    slack = 0
    for piece in in_order(pieces):
        step = 0 if piece.low else round(piece.step)
        slack = round((JOINED if at == start else JOINED - 1) * step)
        if piece.start - at > slack:
            found.append(WaveGap(start=at, end=piece.start))
        at, slack = max(at, piece.end + step), round((JOINED - 1) * step)
    if end - at > slack:
        found.append(WaveGap(start=at, end=end))
    return found


def in_order(pieces: Iterable[WavePiece]) -> Sequence[WavePiece]:
    """By the time of their beginnings."""
    return sorted(pieces, key=lambda p: (p.start, p.device or ""))
