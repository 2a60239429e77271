"""The outbox: a reading is *accepted* once it stands here, committed and fsynced.

Appends of one moment share a transaction (group commit) and a block; each resolves only when the disk has
it. Blocks leave only when a receipt names them by content, or, when the outbox is full, the oldest routine
ones first, which is recorded as a gap. What is on the disk, and how, is in ``edge_agent.segments``; its
blocking work is done by one thread that writes and one that reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from edge_agent.encoding import encode_all
from edge_agent.former import take_over
from edge_agent.group import Append, Decided, Group
from edge_agent.segments.accounts import hour_of
from edge_agent.segments.files import Disk, FolderDisk
from edge_agent.segments.store import MIN_SEGMENTS, SMALLEST, Done, FullError, NewBlock, Store
from hearthward.core.clock import Clock
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
TALLY_S: Final = 10.0
"""Counts wait at most so long for a transaction to go with."""
DECISIONS_BYTES: Final = 128 * 1024
MIN_BYTES: Final = (MIN_SEGMENTS + 2) * SMALLEST
READ_TRIES: Final = 3
_RECENT: Final = 64
"""Blocks kept in memory, so that sending what was just committed reads no disk."""
_NEVER: Final = 2**62

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _View:
    """What the loop knows of the store: as of the last transaction whose waiters have been told.

    Not read from the store directly: its thread is ahead of the loop for a moment, and a number that
    already counts as accepted but is not yet among the recent blocks would never be sent.
    """

    boot: str
    following: int
    settled: RangeSet
    gaps: tuple[Gap, ...]
    urgent: RangeSet
    fill: float


class Outbox:
    """Accepted readings that are not yet receipted; open it with ``Outbox.open``.

    ``boot`` is the random id made with the outbox; it changes only, at an opening, when so much was damaged
    that nobody knows which numbers were given out.
    """

    def __init__(self, path: Path, *, clock: Clock, ids: Ids, telemetry: Telemetry, max_bytes: int) -> None:
        self.path = path
        self._clock = clock
        self._ids = ids
        self._telemetry = telemetry
        self._max_bytes = max_bytes
        self._lock = FileLock(path.with_name(f"{path.name}.lock"), f"the outbox {path}")
        self._writing = ThreadPoolExecutor(1, thread_name_prefix="outbox-write")
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="outbox-read")
        self._store: Store
        self._view = _View("", 1, RangeSet(), (), RangeSet(), 0.0)
        self._group = Group()
        self._work = asyncio.Event()
        self._empty = asyncio.Event()
        self._recent: deque[Block] = deque()
        self._listeners: list[Callable[[], None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._counting: asyncio.TimerHandle | None = None
        self._faults = 0
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        ids: Ids,
        telemetry: Telemetry,
        max_bytes: int = 256 << 20,
        disk: Disk | None = None,
    ) -> Outbox:
        """Open the folder ``path``, or make it, ``max_bytes`` reserved; what is damaged becomes gaps.

        A former single file beside it (``<path>.db``) is taken over first. ``disk`` stands in for the
        folder's in tests. Raises ConfigError (in use, folder not writable, too small) and
        StoreUnavailable (disk full or failing), both naming the path.
        """
        if max_bytes < MIN_BYTES:
            msg = f"an outbox of {max_bytes} bytes is too small; give it at least {MIN_BYTES}"
            raise ConfigError(msg, file=str(path))
        outbox = cls(path, clock=clock, ids=ids, telemetry=telemetry, max_bytes=max_bytes)
        try:
            await outbox._run(outbox._writing, lambda: outbox._open(disk))
        except BaseException:
            outbox._end()
            raise
        outbox._remember([])
        outbox._measure()
        outbox._writer = asyncio.create_task(outbox._write(), name="outbox-writer")
        return outbox

    @property
    def boot(self) -> str:
        """The random id made with the outbox."""
        return self._view.boot

    @property
    def accepted(self) -> int:
        """The last sequence number ever given out; 0 before the first."""
        return self._view.following - 1

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Numbers that will never come and that no receipt has answered yet, in order."""
        return self._view.gaps

    def backlog(self) -> int:
        """How many accepted numbers wait for their receipt."""
        return self.accepted - len(self._view.settled)

    def settled(self) -> RangeSet:
        """The numbers that need no sending: receipted, or lost in a gap."""
        return self._view.settled.copy()

    def urgent(self) -> RangeSet:
        """Unreceipted numbers that go before everything else: decisions and what they rest on.

        Whole blocks, always.
        """
        return self._view.urgent.copy()

    def fill(self) -> float:
        """How full the outbox is, 0 to 1; at 1 the oldest routine blocks are dropped."""
        return self._view.fill

    async def drained(self) -> None:
        """Return once nothing waits for a receipt (at once if so already)."""
        await self._empty.wait()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` in the loop after every transaction that added blocks or gaps."""
        self._listeners.append(listener)

    def tally(self, device: str, received_ns: int, kind: str, n: int = 1) -> None:
        """Count ``n`` of ``kind`` (``read``, ``rejected:<reason>``) for a device and the hour of a time.

        Written with the next transaction, or within TALLY_S.
        """
        self._group.counts[device, hour_of(received_ns), kind] += n
        if self._counting is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._counting = loop.call_later(TALLY_S, self._count)

    def _count(self) -> None:
        self._counting = None
        self._group.counts_due = True
        self._work.set()

    def accounts(self, after: int = 0) -> tuple[int, list[Account]]:
        """The rows of the books changed since mark ``after`` (0: of seven days), and the new mark.

        What is on the disk only: a row never goes back after a crash. Marks hold for this process.
        """
        return self._store.accounts(after)

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
        self._group.appends.append(Append(batch, done))
        self._work.set()
        return await done

    async def append_decisions(
        self, decisions: Sequence[bytes], rests_on: Iterable[tuple[int, int]] = ()
    ) -> tuple[int, int]:
        """Accept one block of decisions (one number each); returns their first and last number.

        The block, and those that hold numbers in ``rests_on``, are never dropped before their receipt.
        Raises StoreRejected and StoreUnavailable.
        """
        self._check_open()
        try:
            block = NewBlock(len(decisions), encode_decisions(decisions), decisions=True)
        except ValueError as error:
            raise StoreRejected(str(error)) from error
        if len(block.payload) > DECISIONS_BYTES:
            msg = f"decisions of {len(block.payload)} bytes exceed {DECISIONS_BYTES}"
            raise StoreRejected(msg)
        done: asyncio.Future[tuple[int, int]] = asyncio.get_running_loop().create_future()
        self._group.decided.append(Decided(block, tuple(rests_on), done))
        self._work.set()
        return await done

    async def confirm(self, blocks: Iterable[StoredBlock], gaps: Iterable[Gap] = ()) -> int:
        """Delete exactly the blocks whose first number, count and digest match; forget reported ``gaps``.

        Returns how many numbers the transaction deleted (confirmations of one moment share it). A block
        with another digest is kept, and counted.
        """
        self._check_open()
        self._group.confirmed.extend(blocks)
        self._group.reported.extend(gaps)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._group.confirms.append(done)
        self._work.set()
        return await done

    async def pending(
        self, after: int, max_readings: int, max_bytes: int = 1 << 19, until: int | None = None
    ) -> list[Block]:
        """Unreceipted blocks from the one with number ``after + 1`` on (to ``until``), in order.

        As many as fit both limits, but at least one if there is one. A damaged row is never returned: it
        becomes a gap first. Raises StoreUnavailable.
        """
        self._check_open()
        last = _NEVER if until is None else until
        if self._recent and self._recent[0].first <= after + 1:
            return _limited(
                (b for b in self._recent if b.last > after and b.first <= last), max_readings, max_bytes
            )
        for _ in range(READ_TRIES):
            try:
                blocks, suspects = await self._run(
                    self._reading, lambda: self._store.read(after, max_readings, max_bytes, last)
                )
            except OSError as error:
                msg = f"the outbox {self.path} cannot be read: {error}"
                raise StoreUnavailable(msg, path=str(self.path)) from error
            if not suspects:
                return blocks
            self._group.suspects |= suspects
            await self.confirm([])
        msg = f"the outbox {self.path} is damaged faster than it can be mended"
        raise StoreUnavailable(msg, path=str(self.path))

    async def close(self) -> None:
        """Commit what waits, close the files and give up the lock."""
        if self._closed:
            return
        self._closed = True
        self._group.counts_due = True
        self._work.set()
        try:
            if self._writer is not None:
                await self._writer
        finally:
            with contextlib.suppress(OSError):  # nothing is lost: the next opening reads a little more
                await self._run(self._writing, self._store.close)
            self._end()

    def _end(self) -> None:
        if self._counting is not None:
            self._counting.cancel()
        self._reading.shutdown()
        self._writing.shutdown()
        self._lock.release()

    def _check_open(self) -> None:
        if self._closed:
            msg = "the outbox is closed"
            raise StoreUnavailable(msg, path=str(self.path))

    async def _run(self, thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        """Run blocking work in a thread and see it through even when cancelled."""
        task = asyncio.get_running_loop().run_in_executor(thread, work)
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
            busy = bool(self._group)
            group = self._group.take() if busy else None
            if not self._group:
                self._work.clear()
            start = loop.time() + GROUP_S
            if group is not None:
                await self._settle(group)
            if self._closed:
                if not self._group:
                    return
                self._work.set()

    async def _settle(self, group: Group) -> None:
        try:
            done, unfit = await self._run(self._writing, lambda: self._commit(group))
        except OSError as error:
            self._telemetry.count("outbox_failed_commits_total")
            log.exception("outbox %s cannot be written", self.path)
            for (device, hour, kind), n in group.counts.items():
                self._group.counts[device, hour, kind] += n
            self._remember([])
            group.fail(error, self.path)
            self._measure()
            return
        except BaseException as error:
            group.fail(error, self.path)
            raise
        self._remember(done.blocks)
        self._tell(group, done)
        group.resolve(done, unfit)
        added = self._measure()
        if done.blocks or added:
            for listener in self._listeners:
                listener()

    def _commit(self, group: Group) -> tuple[Done, dict[int, str]]:
        """In the thread: encode and commit; returns what was done and which appends no block can carry."""
        blocks, unfit = encode_all([a.batch for a in group.appends])
        work = group.work(blocks)
        try:
            return self._store.commit(work), unfit
        finally:
            if not work.counts:
                group.counts.clear()

    def _remember(self, blocks: list[Block]) -> None:
        """Bring what the loop knows up to date with a transaction, in one step."""
        state = self._store.state
        self._view = _View(
            state.boot,
            state.following,
            state.settled(),
            tuple(state.gaps),
            state.pins.copy(),
            self._store.fill(),
        )
        settled = self._view.settled
        keep = [b for b in self._recent if not settled.covers(b.first, b.last)]
        self._recent = deque([*keep, *blocks], maxlen=_RECENT)

    def _tell(self, group: Group, done: Done) -> None:
        self._telemetry.count("outbox_accepted_total", sum(b.count for b in done.blocks))
        self._telemetry.count("outbox_commits_total")
        if done.mismatched:
            self._telemetry.count("outbox_receipt_mismatch_total", done.mismatched)
            log.warning("outbox %s: %d receipts name another content", self.path, done.mismatched)
        if done.deferred:
            self._telemetry.count("outbox_deferred_total", done.deferred)
        if done.refused:
            readings = sum(len(a.batch) for a in group.appends) + sum(d.block.count for d in group.decided)
            self._telemetry.count("outbox_refused_total", readings)
            log.error("outbox %s: %d readings are refused: %s", self.path, readings, done.refused)

    def _measure(self) -> list[Gap]:
        """Count and say what was lost; returns the new gaps."""
        gaps = self._store.take_gaps()
        for gap in gaps:
            lost = gap.last - gap.first + 1
            self._telemetry.count("outbox_dropped_total", lost, reason=gap.reason)
            log.error("outbox %s: %d readings lost, reason %s", self.path, lost, gap.reason)
        if (faults := self._store.faults) > self._faults:
            self._telemetry.count("outbox_faults_total", faults - self._faults)
            self._faults = faults
        backlog = self.backlog()
        self._telemetry.gauge("outbox_backlog_readings", backlog)
        self._telemetry.gauge("outbox_fill", self._view.fill)
        if backlog:
            self._empty.clear()
        else:
            self._empty.set()
        return gaps

    def _open(self, disk: Disk | None) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"the folder of the outbox cannot be made: {error.strerror}"
            raise ConfigError(msg, file=str(self.path)) from error
        self._lock.acquire()
        boot, hour = (lambda: self._ids.new("boot")), (lambda: hour_of(self._clock.now_ns()))
        try:
            if disk is None:
                if (how := take_over(self.path, self._max_bytes, boot, hour)) is not None:
                    log.warning("%s", how)
                self.path.mkdir(exist_ok=True, mode=0o700)
            self._store = Store(disk or FolderDisk(self.path), self._max_bytes, boot, hour)
        except (OSError, FullError, ValueError) as error:
            reason = (isinstance(error, OSError) and error.strerror) or error
            msg = f"the outbox {self.path} cannot be opened: {reason}"
            raise StoreUnavailable(msg, path=str(self.path)) from error
        if self._store.replaced:
            self._telemetry.count("outbox_garbled_total")
            log.error(
                "outbox %s: %s; %d good readings go on under the new boot %s",
                self.path,
                self._store.replaced,
                self._store.state.following - 1,
                self._store.state.boot,
            )


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
