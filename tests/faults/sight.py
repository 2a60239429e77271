"""Reads the project's own formats: which lines a frame or dead letter carries, how much an outbox's file."""

from __future__ import annotations

from collections.abc import Iterable

from edge_agent.segments.records import Kind, scan
from hearthward.core.errors import DecodeError
from hearthward.core.wire import Frame, carries_decisions, decode_block

__all__ = ["lines_in", "lines_of", "numbers_in"]


def lines_of(frames: Iterable[bytes]) -> set[tuple[str, int]]:
    """Instrument and serial of each line in whole frames; what is no frame has none."""
    found: set[tuple[str, int]] = set()
    for payload in frames:
        try:
            frame = Frame.decode(payload)
        except DecodeError:
            continue
        for block in frame.blocks:
            found |= lines_in(block.payload)
    return found


def lines_in(block: bytes) -> set[tuple[str, int]]:
    """The same of one block; what is no block of readings has none."""
    if carries_decisions(block):
        return set()
    try:
        batch = decode_block(block)
    except DecodeError:
        return set()
    return {
        (device, round(value * 100))
        for device, metric, value in zip(batch.device, batch.metric, batch.value, strict=True)
        if metric == "perfusion_index" and value is not None
    }


def numbers_in(file: bytes) -> int:
    """How many numbers (readings and decisions) stand in a file of the outbox; in one of its books: none."""
    return sum(row.count for row in scan(file) if row.kind == Kind.BLOCK)
