"""Damage to what an outbox has on the disk."""

from __future__ import annotations

from pathlib import Path

from edge_agent.outbox import Outbox

__all__ = ["damage_block", "flip", "segment_of"]


def segment_of(box: Outbox, first: int) -> Path:
    """The file of the segment in which the number waits."""
    for segment in box._store.shelf.segments.values():
        if first in segment.live:
            return box.path / segment.name
    raise LookupError(first)


def damage_block(box: Outbox, first: int) -> None:
    """Flip a bit in the row of the block that begins with ``first``, and have it read from the disk."""
    row = box._store.shelf.row_at(first)
    assert row is not None
    flip(segment_of(box, first), row.end - 1)
    box._recent.clear()


def flip(path: Path, at: int, bit: int = 0) -> None:
    """Flip a bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)[0]
        file.seek(at)
        file.write(bytes([old ^ 1 << bit]))
