"""The outbox: a reading is *accepted* once it stands here, committed and fsynced.

Appends of one moment share a transaction (group commit) and a block; each resolves only when the disk has
it. Blocks leave only when a receipt covers them wholly, or, when the file is full, the oldest first, which
is recorded as a gap. All blocking work is done by the outbox's own single thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from edge_agent import segment
from edge_agent.encoding import encode_all
from hearthward.core.clock import Clock, iso
from hearthward.core.errors import ConfigError, StoreRejected, StoreUnavailable
from hearthward.core.ids import Ids
from hearthward.core.lock import FileLock
from hearthward.core.messages import Account
from hearthward.core.model import ReadingBatch
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, Gap, StoredBlock, encode_decisions

__all__ = ["GROUP_S", "MIN_BYTES", "Outbox"]

log = logging.getLogger(__name__)

GROUP_S: Final = 0.010
"""Transactions start at least so far apart; what comes meanwhile shares the next one."""
GROUP_READINGS: Final = 4000
"""Readings in one transaction (more only when a single append brings more): bounds the log's room."""
MIN_BYTES: Final = 1 << 20
READ_TRIES: Final = 3
_RECENT: Final = 64
"""Blocks kept in memory, so that sending what was just committed reads no disk."""
_NEVER: Final = 2**62

T = TypeVar("T")


@dataclass(slots=True)
class _Append:
    batch: ReadingBatch
    done: asyncio.Future[tuple[int, int]]


@dataclass(slots=True)
class _Decided:
    payload: tuple[int, bytes]
    rests_on: tuple[tuple[int, int], ...]
    done: asyncio.Future[tuple[int, int]]


@dataclass(slots=True)
class _Group:
    """What waits for the next transaction."""

    appends: list[_Append] = field(default_factory=list)
    decided: list[_Decided] = field(default_factory=list)
    confirmed: list[StoredBlock] = field(default_factory=list)
    reported: list[Gap] = field(default_factory=list)
    confirms: list[asyncio.Future[int]] = field(default_factory=list)
    audit: bool = False

    def __bool__(self) -> bool:
        return bool(self.appends or self.decided or self.confirms or self.audit)

    def take(self) -> _Group:
        """What the next transaction carries; more appends than it can hold stay behind."""
        readings = 0
        for n, append in enumerate(self.appends):
            readings += len(append.batch)
            if n and readings > GROUP_READINGS:
                break
        else:
            n = len(self.appends)
        taken = _Group(
            self.appends[:n], self.decided, self.confirmed, self.reported, self.confirms, self.audit
        )
        self.appends = self.appends[n:]
        self.decided, self.confirmed, self.reported, self.confirms, self.audit = [], [], [], [], False
        return taken

    def resolve(self, first: int, deleted: int, refused: dict[int, str]) -> None:
        """Give everybody who waits the result of the transaction."""
        for i, append in enumerate(self.appends):
            if (reason := refused.get(i)) is not None:
                if not append.done.done():
                    append.done.set_exception(StoreRejected(f"readings cannot be stored: {reason}"))
                continue
            last = first + len(append.batch) - 1
            if not append.done.done():
                append.done.set_result((first, last))
            first = last + 1
        for decided in self.decided:
            last = first + decided.payload[0] - 1
            if not decided.done.done():
                decided.done.set_result((first, last))
            first = last + 1
        for confirm in self.confirms:
            if not confirm.done():
                confirm.set_result(deleted)


@dataclass(frozen=True, slots=True)
class _Books:
    """What the loop knows of the file: as of the last transaction whose waiters have been told.

    Not read from the segment directly: its thread is ahead of the loop for a moment, and a number that
    already counts as accepted but is not yet among the recent blocks would never be sent.
    """

    boot: str
    following: int
    done: RangeSet
    gaps: tuple[Gap, ...]


class Outbox:
    """Accepted readings that are not yet receipted; open it with ``Outbox.open``.

    ``boot`` is the random id made with the file; it changes only when a damaged file had to be replaced.
    """

    def __init__(self, path: Path, *, clock: Clock, ids: Ids, telemetry: Telemetry, max_bytes: int) -> None:
        self.path = path
        self._clock = clock
        self._ids = ids
        self._telemetry = telemetry
        self._max_bytes = max_bytes
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), f"the outbox {path}")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._segment: segment.Segment
        self._books = _Books("", 1, RangeSet(), ())
        self._group = _Group()
        self._work = asyncio.Event()
        self._empty = asyncio.Event()
        self._recent: deque[Block] = deque()
        self._listeners: list[Callable[[], None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._urgent = RangeSet()
        self._fill = 0.0
        self._counts: Counter[tuple[str, int, str]] = Counter()
        self._marks: dict[tuple[str, int, str], int] = {}
        self._mark = 0

    @classmethod
    async def open(
        cls, path: Path, *, clock: Clock, ids: Ids, telemetry: Telemetry, max_bytes: int = 256 << 20
    ) -> Outbox:
        """Open the file, or make it ``max_bytes`` large; a damaged one is moved aside, its good rows kept.

        Raises ConfigError (in use, folder not writable, too small) and StoreUnavailable (disk full or
        failing), both naming the path.
        """
        if max_bytes < MIN_BYTES:
            msg = f"an outbox of {max_bytes} bytes is too small; give it at least {MIN_BYTES}"
            raise ConfigError(msg, file=str(path))
        await asyncio.to_thread(path.mkdir, parents=True, exist_ok=True)
        outbox = cls(path / "outbox.db", clock=clock, ids=ids, telemetry=telemetry, max_bytes=max_bytes)
        try:
            await outbox._run(outbox._open)
        except BaseException:
            if (opened := getattr(outbox, "_segment", None)) is not None:
                opened.close()
            outbox._thread.shutdown()
            outbox._lock.release()
            raise
        outbox._remember([], [])
        outbox._measure(outbox._segment.found)
        outbox._writer = asyncio.create_task(outbox._write(), name="outbox-writer")
        return outbox

    @property
    def boot(self) -> str:
        """The random id made with the outbox file."""
        return self._books.boot

    @property
    def accepted(self) -> int:
        """The last sequence number ever given out; 0 before the first."""
        return self._books.following - 1

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Numbers that will never come and that no receipt has answered yet, in order."""
        return self._books.gaps

    def backlog(self) -> int:
        """How many accepted readings wait for their receipt."""
        lost = sum(g.last - g.first + 1 for g in self._books.gaps)
        return self.accepted - len(self._books.done) - lost

    def settled(self) -> RangeSet:
        """The numbers that need no sending: receipted, or lost in a gap."""
        return RangeSet([*self._books.done, *((g.first, g.last) for g in self._books.gaps)])

    async def drained(self) -> None:
        """Return once nothing waits for a receipt (at once if so already)."""
        await self._empty.wait()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` in the loop after every transaction that added blocks or gaps."""
        self._listeners.append(listener)

    async def append(self, batch: ReadingBatch) -> tuple[int, int]:
        """Accept readings; returns their first and last number after the fsynced group commit.

        Raises StoreRejected (empty, or values no block can carry) and StoreUnavailable (not accepted;
        trying again may help).
        """
        self._check_open()
        if not len(batch):
            msg = "an empty batch has nothing to accept"
            raise StoreRejected(msg)
        done: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._group.appends.append(_Append(batch, done))
        self._work.set()
        return await done

    async def append_decisions(
        self, decisions: Sequence[bytes], rests_on: Iterable[tuple[int, int]] = ()
    ) -> tuple[int, int]:
        """Accept one block of decisions (one number each); it and what it rests on go before the rest.

        Raises StoreRejected and StoreUnavailable.
        """
        self._check_open()
        try:
            payload = len(decisions), encode_decisions(decisions)
        except ValueError as error:
            raise StoreRejected(str(error)) from error
        done: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._group.decided.append(_Decided(payload, tuple(rests_on), done))
        self._work.set()
        return await done

    async def confirm(self, blocks: Iterable[StoredBlock], gaps: Iterable[Gap] = ()) -> int:
        """Delete exactly the blocks whose first number, count and digest match, forget reported ``gaps``.

        Returns how many numbers the transaction deleted (confirmations of one moment share it).
        """
        self._check_open()
        self._group.confirmed.extend(blocks)
        self._group.reported.extend(gaps)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._group.confirms.append(done)
        self._work.set()
        return await done

    def urgent(self) -> RangeSet:
        """Unreceipted numbers that go before everything else: decisions and what they rest on."""
        settled = self.settled()
        return RangeSet(
            piece
            for first, last in self._urgent
            for piece in settled.missing(first, min(last, self.accepted))
        )

    def tally(self, device: str, received_ns: int, kind: str, n: int = 1) -> None:
        """Count ``n`` of ``kind`` (``read``, ``rejected:<reason>``) for a device's hour."""
        key = device, received_ns // 3_600_000_000_000, kind
        self._mark += 1
        self._counts[key] += n
        self._marks[key] = self._mark

    def accounts(self, after: int = 0) -> tuple[int, list[Account]]:
        """The rows of the books changed since mark ``after`` (0: all), and the new mark."""
        rows = [Account(*key, n) for key, n in sorted(self._counts.items()) if self._marks[key] > after]
        return self._mark, rows

    def fill(self) -> float:
        """How full the outbox is, 0 to 1."""
        return self._fill

    async def pending(
        self, after: int, max_readings: int, max_bytes: int = 1 << 19, until: int | None = None
    ) -> list[Block]:
        """Unreceipted blocks numbered from ``after + 1`` (to ``until``), in order.

        As many as fit both limits, but at least one if there is one. A damaged row is never returned: it
        becomes a gap first. Raises StoreUnavailable.
        """
        self._check_open()
        last = _NEVER if until is None else until
        if self._recent and self._recent[0].first <= after + 1:
            return _limited((b for b in self._recent if after < b.first <= last), max_readings, max_bytes)
        for _ in range(READ_TRIES):
            try:
                blocks, damaged = await self._run(
                    lambda: self._segment.read(after, max_readings, max_bytes, last)
                )
            except segment.GarbledError:
                damaged = True
            except sqlite3.Error as error:
                msg = f"the outbox {self.path} cannot be read: {error}"
                raise StoreUnavailable(msg, path=str(self.path)) from error
            if not damaged:
                return blocks
            self._group.audit = True
            await self.confirm([])
        msg = f"the outbox {self.path} is damaged faster than it can be mended"
        raise StoreUnavailable(msg, path=str(self.path))

    async def close(self) -> None:
        """Commit what waits, close the file and give up the lock."""
        if self._closed:
            return
        self._closed = True
        self._work.set()
        try:
            if self._writer is not None:
                await self._writer
        finally:
            await self._run(self._segment.close)
            self._thread.shutdown()
            self._lock.release()

    def _check_open(self) -> None:
        if self._closed:
            msg = "the outbox is closed"
            raise StoreUnavailable(msg, path=str(self.path))

    async def _run(self, work: Callable[[], T]) -> T:
        """Run blocking work in the outbox's thread and see it through even when cancelled."""
        task = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):  # the cancellation is what the caller gets
                await asyncio.wait([task])
            raise

    async def _write(self) -> None:
        """The one writer: a transaction for all that waits, at least GROUP_S after the one before."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            await self._work.wait()
            if not self._closed:
                await asyncio.sleep(max(0.0, start - loop.time()))
            group = self._group.take()
            if not self._group:
                self._work.clear()
            start = loop.time() + GROUP_S
            if group:
                await self._settle(group)
            if self._closed:
                if not self._group:
                    return
                self._work.set()

    async def _settle(self, group: _Group) -> None:  # noqa: C901 - until the outbox is in segments
        try:
            committed, failed, blocks, added = await self._run(lambda: self._commit(group))
        except (sqlite3.Error, OSError, segment.GarbledError, StoreRejected) as error:
            self._telemetry.count("outbox_failed_commits_total")
            log.exception("outbox %s cannot be written", self.path)
            self._remember([], [])
            _fail(group, error, self.path)
            return
        except BaseException as error:
            _fail(group, error, self.path)
            raise
        self._remember(committed.deleted, blocks)
        for append in (a for i, a in enumerate(group.appends) if i not in failed):
            for device, received in zip(append.batch.device, append.batch.received, strict=True):
                self.tally(device, received, "accepted")
        for block in (b for b in blocks if b.decisions):
            self._urgent.add(block.first, block.last)
        for decided in group.decided:
            for span in decided.rests_on:
                self._urgent.add(*span)
        if committed.mismatched:
            self._telemetry.count("outbox_receipt_mismatch_total", committed.mismatched)
        group.resolve(committed.first, sum(b.count for b in committed.deleted), failed)
        self._telemetry.count("outbox_accepted_total", sum(b.count for b in blocks))
        self._telemetry.count("outbox_commits_total")
        self._measure(added)
        if blocks or added:
            for listener in self._listeners:
                listener()

    def _commit(
        self, group: _Group
    ) -> tuple[segment.Committed, dict[int, str], list[Block], tuple[Gap, ...]]:
        """In the thread: encode and commit; returns what was done, refused appends, blocks, gaps."""
        payloads, failed = encode_all([a.batch for a in group.appends])
        payloads += [d.payload for d in group.decided]
        found: tuple[Gap, ...] = ()
        try:
            if group.audit:
                found += self._segment.audit()
            try:
                committed = self._segment.commit(payloads, group.confirmed, group.reported)
            except segment.DamagedRowError:
                found += self._segment.audit()
                committed = self._segment.commit(payloads, group.confirmed, group.reported)
        except segment.GarbledError as error:
            self._segment.close()
            self._replace(str(error))
            committed = self._segment.commit(payloads)
        blocks, first = [], committed.first
        for count, payload in payloads:
            blocks.append(Block(first, count, payload))
            first += count
        self._fill = self._segment.fill()
        return committed, failed, blocks, committed.gaps + found

    def _remember(self, confirmed: Iterable[StoredBlock], blocks: list[Block]) -> None:
        """Bring what the loop knows up to date with a transaction, in one step."""
        held = self._segment
        if held.boot != self._books.boot:
            self._recent.clear()  # the file was replaced: its numbers start again
        self._books = _Books(held.boot, held.next, held.done, tuple(held.gaps))
        gone = RangeSet((b.first, b.last) for b in confirmed)
        for gap in self._books.gaps:
            gone.add(gap.first, gap.last)
        keep = [b for b in self._recent if not gone.covers(b.first, b.last)]
        self._recent = deque([*keep, *blocks], maxlen=_RECENT)

    def _measure(self, gaps: Iterable[Gap]) -> None:
        for gap in gaps:
            lost = gap.last - gap.first + 1
            self._telemetry.count("outbox_dropped_total", lost, reason=gap.reason)
            log.error("outbox %s: %d readings lost, reason %s", self.path, lost, gap.reason)
        backlog = self.backlog()
        self._telemetry.gauge("outbox_backlog_readings", backlog)
        if backlog:
            self._empty.clear()
        else:
            self._empty.set()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"the folder of the outbox cannot be made: {error.strerror}"
            raise ConfigError(msg, file=str(self.path.parent)) from error
        self._lock.acquire()
        try:
            self._open_or_create()
        except sqlite3.Error as error:
            msg = f"the outbox {self.path} cannot be opened: {error}"
            raise StoreUnavailable(msg, path=str(self.path)) from error
        except OSError as error:
            msg = f"the outbox {self.path} cannot be made: {error.strerror}"
            raise StoreUnavailable(msg, path=str(self.path)) from error

    def _open_or_create(self) -> None:
        if not self.path.exists():
            self._create()
            return
        try:
            self._segment = segment.Segment(self.path, self._max_bytes)
        except segment.GarbledError as error:
            self._replace(str(error))

    def _create(self) -> None:
        free = shutil.disk_usage(self.path.parent).free
        needed = self._max_bytes + segment.LOG_BYTES
        if free < needed:
            msg = (
                f"the outbox {self.path} reserves {needed >> 20} MiB, but only {free >> 20} MiB are free: "
                "make room or set a smaller edge.outbox_bytes"
            )
            raise StoreUnavailable(msg, path=str(self.path))
        segment.create(self.path, self._ids.new("boot"), self._max_bytes)
        self._segment = segment.Segment(self.path, self._max_bytes)

    def _replace(self, reason: str) -> None:
        """Move a damaged file aside and carry its good rows into a fresh one, under a new boot id."""
        stamp = iso(self._clock.now_ns()).replace(":", "").replace(".", "")
        aside = _free_name(self.path.with_name(f"{self.path.name}.garbled-{stamp}"))
        for suffix in ("", "-wal"):
            if (part := self.path.with_name(self.path.name + suffix)).exists():
                part.rename(f"{aside}{suffix}")
        self._create()
        kept, rows = 0, []
        for count, payload in segment.salvage(aside):
            rows.append((count, payload))
            kept += count
            if len(rows) >= _RECENT:
                self._segment.commit(rows)
                rows.clear()
        self._segment.commit(rows)
        self._telemetry.count("outbox_garbled_total")
        log.error(
            "outbox %s is damaged (%s): moved to %s; %d readings carried over into a new one, boot %s",
            self.path,
            reason,
            aside,
            kept,
            self._segment.boot,
        )


def _free_name(path: Path) -> Path:
    n = 0
    name = path
    while name.exists():
        n += 1
        name = path.with_name(f"{path.name}-{n}")
    return name


def _fail(group: _Group, error: BaseException, path: Path) -> None:
    futures: list[asyncio.Future[Any]] = [
        *(a.done for a in group.appends),
        *(d.done for d in group.decided),
        *group.confirms,
    ]
    for waiting in futures:
        if not waiting.done():
            if isinstance(error, StoreRejected):
                waiting.set_exception(error)
            else:
                msg = f"the outbox {path} cannot be written: {error}"
                waiting.set_exception(StoreUnavailable(msg, path=os.fspath(path)))


def _limited(blocks: Iterable[Block], max_readings: int, max_bytes: int) -> list[Block]:
    out: list[Block] = []
    readings = size = 0
    for block in blocks:
        readings += block.count
        size += len(block.payload)
        if out and (readings > max_readings or size > max_bytes):
            break
        out.append(block)
    return out
