"""What is committed of each gateway and boot: which blocks are new, which came again, which are a clone's."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgpack
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import FrameRow, GapRow
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, Gap

__all__ = [
    "BlockState",
    "Committed",
    "Ledger",
    "Unsure",
    "Written",
    "compact",
    "load_account",
    "load_ledger",
    "write_blocks",
    "write_gaps",
    "written",
]

REMEMBERED: Final = 4_096
"""Digests kept per boot in memory: a resend comes soon, a clone shows soon. Others are looked up."""
MAX_ACCOUNTS: Final = 10_000
"""Boots in memory: several of each gateway of a large hospital."""
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
    UNSURE = "unsure"
    """The numbers are committed; by this content? No receipt before that is known."""


@dataclass(frozen=True, slots=True)
class Unsure:
    """A block that is UNSURE, of one session, with its ingest time and the offset of its gateway's clock."""

    source: Source
    session: str
    topic: str
    block: Block
    now: int
    offset: int = 0


@dataclass(slots=True)
class Written:
    """Digests of one boot's blocks in the tables, by first number, and the numbers that these blocks have."""

    digests: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    numbers: RangeSet = field(default_factory=RangeSet)

    def judge(self, block: Block) -> BlockState:
        """Compare a block whose numbers are committed: COMMITTED, CLONED, or UNSURE still."""
        known = self.digests.get(block.first)
        if known is not None:
            return BlockState.COMMITTED if known == (block.last, block.digest()) else BlockState.CLONED
        whole = [(block.first, block.last)]
        return BlockState.UNSURE if self.numbers.missing(*whole[0]) == whole else BlockState.CLONED


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
        # an edge never cuts its blocks differently: what is new in a part is another's
        return BlockState.CLONED if missing else BlockState.UNSURE

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
    """Gateways and boots of one tenant in memory: at most ``most``, those used last; the tables have all.

    ``whole`` is whether all that the tables have is here: names of boots can be invented, and then it is not.
    """

    def __init__(self, most: int = MAX_ACCOUNTS) -> None:
        self._of: dict[Source, Committed] = {}
        self._most = most
        self.whole = True

    def of(self, gateway: str, boot: str) -> Committed:
        """One boot's account, made when asked for the first time."""
        account = self._of.pop((gateway, boot), None) or Committed()
        self._of[gateway, boot] = account
        return account

    def known(self, source: Source) -> Committed | None:
        """The same; None: it is not in memory. Changes nothing."""
        return self._of.get(source)

    def put(self, source: Source, account: Committed) -> None:
        """Take an account from the tables."""
        self._of[source] = account

    def trim(self, keep: Container[Source] = ()) -> None:
        """Forget accounts that are too many, none of ``keep``; what is not committed may not be forgotten."""
        over = len(self._of) - self._most
        for source in [s for s in itertools.islice(self._of, max(0, over)) if s not in keep]:
            del self._of[source]
            self.whole = False

    def __len__(self) -> int:
        return len(self._of)


def load_ledger(session: Session, tenant: str, most: int = MAX_ACCOUNTS) -> Ledger:
    """What the tables know."""
    ledger = Ledger(most)
    rows = select(FrameRow).where(FrameRow.tenant == tenant).order_by(FrameRow.gateway, FrameRow.boot)
    for row in session.scalars(rows.order_by(FrameRow.first)):
        _remember(ledger.of(row.gateway, row.boot), row)
        ledger.trim()
    gaps = select(GapRow).where(GapRow.tenant == tenant).order_by(GapRow.gateway, GapRow.boot)
    for gap in session.scalars(gaps):
        if (account := ledger.known((gap.gateway, gap.boot))) is not None or ledger.whole:
            (account or ledger.of(gap.gateway, gap.boot)).gaps.add(gap.first, gap.last)
            ledger.trim()
    return ledger


def load_account(session: Session, tenant: str, source: Source) -> Committed:
    """What the tables know of one boot."""
    gateway, boot = source
    account, row, gap = Committed(), FrameRow, GapRow
    mine = row.tenant == tenant, row.gateway == gateway, row.boot == boot
    for found in session.scalars(select(row).where(*mine).order_by(row.first)):
        _remember(account, found)
    lost = gap.tenant == tenant, gap.gateway == gateway, gap.boot == boot
    for first, last in session.execute(select(gap.first, gap.last).where(*lost)):
        account.gaps.add(first, last)
    return account


def _remember(account: Committed, row: FrameRow) -> None:
    if row.blocks is None:
        account.blocks.add(row.first, row.last)
        return
    for first, last, digest in _blocks_of(row.first, row.blocks):
        account.remember(first, last, digest)


def _blocks_of(first: int, packed: bytes) -> Iterator[tuple[int, int, bytes]]:
    for count, digest in msgpack.unpackb(packed):
        yield first, first + count - 1, digest
        first += count


def written(session: Session, tenant: str, source: Source, first: int, last: int) -> Written:
    """The digests of one boot's blocks among these numbers, as far as the tables still have them."""
    row, found, (gateway, boot) = FrameRow, Written(), source
    mine = row.tenant == tenant, row.gateway == gateway, row.boot == boot, row.blocks.is_not(None)
    rows = session.execute(select(row.first, row.blocks).where(*mine, row.last >= first, row.first <= last))
    for start, packed in rows:
        for begin, end, digest in _blocks_of(start, packed or b"\x90"):
            found.digests[begin] = end, digest
            found.numbers.add(begin, end)
    return found


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
