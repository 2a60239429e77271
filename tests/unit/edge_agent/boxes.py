"""What the outbox's tests ask of an outbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from edge_agent.outbox import Outbox
from hearthward.core.model import ReadingBatch
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import StoredBlock, decode_block

Opener = Callable[..., Awaitable[Outbox]]
Batcher = Callable[..., ReadingBatch]


async def digests(box: Outbox) -> list[int]:
    blocks = await box.pending(0, 10**9, 10**12)
    return [d for b in blocks for d in decode_block(b.payload).digest]


def books_balance(box: Outbox) -> bool:
    state = box._store.state
    parts = [p for s in box._store.shelf.segments.values() for p in s.live]
    parts += [*state.done, *((g.first, g.last) for g in state.gaps)]
    whole = RangeSet(parts)
    size = sum(last - first + 1 for first, last in parts)
    return len(whole) == size == box.accepted and whole.missing(1, box.accepted) == []


async def stored(box: Outbox, *firsts: int) -> list[StoredBlock]:
    return [b.stored() for b in await box.pending(0, 10**9, 10**12) if not firsts or b.first in firsts]
