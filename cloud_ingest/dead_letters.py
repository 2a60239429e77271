"""Dead letters: what was refused is written down, with what it takes to let it in later; and counted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgpack
from sqlalchemy.orm import Session

from cloud_ingest.intake import Dead
from cloud_ingest.records.models import DeadLetter
from hearthward.core.ranges import RangeSet

__all__ = ["State", "numbers_of", "pack_numbers", "ranges_of", "write_dead"]

_MAX_TOPIC: Final = 256


class State(StrEnum):
    """What became of a dead letter."""

    KEPT = "kept"
    REPLAYED = "replayed"
    """All of it is stored and judged by now."""
    REFUSED = "refused"
    """A replay refused it (or a part of it) again."""


def write_dead(session: Session, tenant: str, dead: Sequence[Dead], at: int) -> None:
    """Add dead letters within the caller's transaction."""
    session.add_all(
        DeadLetter(
            tenant=tenant,
            at=at,
            gateway=letter.gateway,
            topic=letter.topic[:_MAX_TOPIC],
            reason=letter.reason,
            detail=letter.detail,
            payload=letter.payload,
            size=len(letter.payload),
            boot=letter.boot,
            seqs=pack_numbers(letter.seqs) if letter.seqs else None,
            readings=letter.holds,
            state=State.KEPT,
        )
        for letter in dead
    )


def pack_numbers(numbers: Iterable[int]) -> bytes:
    """Ascending integers -> bytes of their ranges."""
    ranges = RangeSet((n, n) for n in numbers)
    return bytes(msgpack.packb([edge for pair in ranges for edge in pair]))


def ranges_of(packed: bytes | None) -> RangeSet:
    """What ``pack_numbers`` has packed; None: the empty set."""
    edges = msgpack.unpackb(packed) if packed else []
    return RangeSet(zip(edges[::2], edges[1::2], strict=True))


def numbers_of(packed: bytes | None) -> list[int]:
    """The same as a list."""
    return [n for first, last in ranges_of(packed) for n in range(first, last + 1)]
