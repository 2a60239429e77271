"""What is committed of each gateway and boot: which blocks are new, which came again, which are a clone's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

import msgpack
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import FrameRow, GapRow
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, Gap

__all__ = ["BlockState", "Committed", "Ledger", "compact", "load_ledger", "write_blocks", "write_gaps"]

REMEMBERED: Final = 4_096
"""Digests kept per boot in memory: a resend comes soon, a clone shows soon."""
FRAME_ROWS_KEPT: Final = 512
"""Rows per boot with digests; older ones are merged into plain ranges."""
Source = tuple[str, str]
"""Gateway and boot."""


class BlockState(Enum):
    """How a block relates to what is committed."""

    NEW = "new"
    COMMITTED = "committed"
    CLONED = "cloned"
    """The same sequence numbers with other content: two gateways share one identity."""


@dataclass(slots=True)
class Committed:
    """One boot: ranges of readings, ranges declared lost, and the last blocks' digests by first number."""

    blocks: RangeSet = field(default_factory=RangeSet)
    gaps: RangeSet = field(default_factory=RangeSet)
    digests: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def judge(self, block: Block) -> BlockState:
        """Compare a block with what is there."""
        missing = self.blocks.missing(block.first, block.last)
        if missing == [(block.first, block.last)]:
            return BlockState.NEW
        known = self.digests.get(block.first)
        if known is not None:
            return BlockState.COMMITTED if known == (block.last, block.digest()) else BlockState.CLONED
        # an edge never cuts its blocks differently; where the digests are forgotten the range must do
        cut = any(first <= block.last and block.first <= last for first, (last, _) in self.digests.items())
        return BlockState.CLONED if missing or cut else BlockState.COMMITTED

    def add(self, block: Block) -> None:
        """The block is (about to be) committed."""
        self.remember(block.first, block.last, block.digest())

    def remember(self, first: int, last: int, digest: bytes) -> None:
        """The same for a block known by its digest only."""
        self.blocks.add(first, last)
        self.digests[first] = last, digest
        while len(self.digests) > REMEMBERED:
            del self.digests[next(iter(self.digests))]

    def declare(self, gap: Gap) -> list[Gap]:
        """Add a gap; returns the parts of it that are news."""
        parts = [
            Gap(first, last, gap.reason)
            for lost in self.gaps.missing(gap.first, gap.last)
            for first, last in self.blocks.missing(*lost)
        ]
        self.gaps.add(gap.first, gap.last)
        return parts


class Ledger:
    """All gateways and boots of one tenant."""

    def __init__(self) -> None:
        self._of: dict[Source, Committed] = {}

    def of(self, gateway: str, boot: str) -> Committed:
        """One boot's account, made when asked for the first time."""
        return self._of.setdefault((gateway, boot), Committed())

    def __iter__(self) -> Any:
        return iter(self._of.items())


def load_ledger(session: Session, tenant: str) -> Ledger:
    """What the tables know."""
    ledger = Ledger()
    rows = select(FrameRow).where(FrameRow.tenant == tenant).order_by(FrameRow.gateway, FrameRow.boot)
    for row in session.scalars(rows.order_by(FrameRow.first)):
        account = ledger.of(row.gateway, row.boot)
        if row.blocks is None:
            account.blocks.add(row.first, row.last)
            continue
        first = row.first
        for count, digest in msgpack.unpackb(row.blocks):
            account.remember(first, first + count - 1, digest)
            first += count
    for gap in session.scalars(select(GapRow).where(GapRow.tenant == tenant)):
        ledger.of(gap.gateway, gap.boot).gaps.add(gap.first, gap.last)
    return ledger


def write_blocks(session: Session, tenant: str, source: Source, blocks: Iterable[Block]) -> None:
    """Record blocks as committed, one row for each run of adjoining ones."""
    runs: list[list[Block]] = []
    for block in sorted(blocks, key=lambda b: b.first):
        if runs and runs[-1][-1].last + 1 == block.first:
            runs[-1].append(block)
        else:
            runs.append([block])
    gateway, boot = source
    session.add_all(
        FrameRow(
            tenant=tenant,
            gateway=gateway,
            boot=boot,
            first=run[0].first,
            last=run[-1].last,
            digest=_digest(run),
            blocks=msgpack.packb([[b.count, b.digest()] for b in run]),
        )
        for run in runs
    )


def write_gaps(session: Session, tenant: str, source: Source, gaps: Iterable[Gap], at: int) -> None:
    """Record ranges that will never come."""
    gateway, boot = source
    session.add_all(
        GapRow(
            tenant=tenant,
            gateway=gateway,
            boot=boot,
            first=gap.first,
            last=gap.last,
            reason=gap.reason[:64],
            at=at,
        )
        for gap in gaps
    )


def compact(session: Session, tenant: str, source: Source, keep: int = FRAME_ROWS_KEPT) -> int:
    """Merge all but the newest ``keep`` rows of a boot into plain ranges; returns the rows saved."""
    gateway, boot = source
    mine = (FrameRow.tenant == tenant, FrameRow.gateway == gateway, FrameRow.boot == boot)
    rows = session.execute(
        select(FrameRow.first, FrameRow.last).where(*mine).order_by(FrameRow.first.desc()).offset(keep)
    ).all()
    merged = RangeSet((first, last) for first, last in rows)
    ranges = list(merged)
    if len(rows) <= len(ranges):
        return 0
    edge = rows[0].first
    session.execute(delete(FrameRow).where(*mine, FrameRow.first <= edge))
    session.add_all(
        FrameRow(tenant=tenant, gateway=gateway, boot=boot, first=first, last=last, digest=0, blocks=None)
        for first, last in ranges
    )
    session.flush()
    return len(rows) - len(ranges)


def _digest(run: list[Block]) -> int:
    whole = hashlib.blake2b(b"".join(b.digest() for b in run), digest_size=8).digest()
    return int.from_bytes(whole, "big") >> 1
