"""Batches of readings, and chunks of waveforms, into blocks of bounded size, in their order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from edge_agent.segments.accounts import accepted_in
from edge_agent.segments.store import NewBlock
from hearthward.core.model import ReadingBatch
from hearthward.core.wave_blocks import encode_waves
from hearthward.core.waves import WaveformChunk
from hearthward.core.wire import encode_block

__all__ = ["BLOCK_BYTES", "BLOCK_READINGS", "BLOCK_SAMPLES", "BLOCK_WAVES", "encode_all", "encode_all_waves"]

BLOCK_READINGS: Final = 500
BLOCK_WAVES: Final = 64
"""Chunks: of a second each, some ten kilobytes."""
BLOCK_BYTES: Final = 128 * 1024
BLOCK_SAMPLES: Final = BLOCK_BYTES // 8
"""Samples are packed into eight bytes at most."""
_UNFIT: Final = (ValueError, TypeError, OverflowError, IndexError)
"""What ``encode_block`` raises for values that no block can carry."""


def encode_all(batches: Sequence[ReadingBatch]) -> tuple[list[NewBlock], dict[int, str]]:
    """Batches -> their blocks, and index -> reason of batches no block can carry.

    Neighbours share blocks; a refused batch leaves the others as they are.
    """
    try:
        return _encode(batches), {}
    except _UNFIT:
        blocks: list[NewBlock] = []
        refused: dict[int, str] = {}
        for i, batch in enumerate(batches):
            try:
                blocks += _encode([batch])
            except _UNFIT as error:
                refused[i] = f"{type(error).__name__}: {error}"
        return blocks, refused


def _encode(batches: Iterable[ReadingBatch]) -> list[NewBlock]:
    together = ReadingBatch()
    for batch in batches:
        together.extend(batch)
    out: list[NewBlock] = []
    for start in range(0, len(together), BLOCK_READINGS):
        out += _encode_small(together.take(range(start, min(start + BLOCK_READINGS, len(together)))))
    return out


def _encode_small(batch: ReadingBatch) -> list[NewBlock]:
    """One block, or several when its bytes are too many. Raises ValueError for one too large reading."""
    n = len(batch)
    payload = encode_block(batch)
    if len(payload) <= BLOCK_BYTES:
        return [NewBlock(n, payload, counts=tuple(accepted_in(batch.device, batch.received)))]
    if n == 1:
        msg = f"a reading of {len(payload)} bytes exceeds {BLOCK_BYTES}"
        raise ValueError(msg)
    return _encode_small(batch.take(range(n // 2))) + _encode_small(batch.take(range(n // 2, n)))


def encode_all_waves(several: Sequence[Sequence[WaveformChunk]]) -> tuple[list[NewBlock], dict[int, str]]:
    """As ``encode_all``, of chunks of waveforms; they are in no account."""
    try:
        return _encode_waves([chunk for chunks in several for chunk in chunks]), {}
    except _UNFIT:
        blocks: list[NewBlock] = []
        refused: dict[int, str] = {}
        for i, chunks in enumerate(several):
            try:
                blocks += _encode_waves(chunks)
            except _UNFIT as error:
                refused[i] = f"{type(error).__name__}: {error}"
        return blocks, refused


def _encode_waves(chunks: Sequence[WaveformChunk]) -> list[NewBlock]:
    out: list[NewBlock] = []
    for start in range(0, len(chunks), BLOCK_WAVES):
        out += _encode_few_waves(chunks[start : start + BLOCK_WAVES])
    return out


def _encode_few_waves(chunks: Sequence[WaveformChunk]) -> list[NewBlock]:
    """One block, or several when its samples are too many."""
    n = len(chunks)
    if n == 1 or sum(len(chunk.samples) for chunk in chunks) <= BLOCK_SAMPLES:
        return [NewBlock(n, encode_waves(chunks))]
    return _encode_few_waves(chunks[: n // 2]) + _encode_few_waves(chunks[n // 2 :])
