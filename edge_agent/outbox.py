"""The outbox: a reading (a decision, a chunk of a waveform) is *accepted* once it stands here, fsynced.

Appends of one moment share a transaction (group commit) and a block; each resolves only when the disk has
it. Blocks leave only when a receipt names them by content, or, when the outbox is full, the oldest routine
ones first, which is recorded as a gap. What is on the disk, and how, is in ``edge_agent.segments``; its
blocking work is done by one thread that writes and one that reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.disk_threads import DiskThreads
from edge_agent.encoding import encode_all, encode_all_waves
from edge_agent.group import Append, Decided, Group, Unfit, Waved
from edge_agent.opening import open_store
from edge_agent.recent import Recent
from edge_agent.segments.accounts import hour_of
from edge_agent.segments.files import Disk
from edge_agent.segments.store import MIN_SEGMENTS, SMALLEST, Done, NewBlock, Store
from hearthward.core.clock import Clock
from hearthward.core.errors import ConfigError, StoreRejected, StoreUnavailable
from hearthward.core.ids import Ids
from hearthward.core.lock import FileLock
from hearthward.core.messages import Account
from hearthward.core.model import ReadingBatch
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.waves import WaveformChunk
from hearthward.core.wire import Block, Gap, StoredBlock, encode_decisions

__all__ = ["GROUP_S", "MIN_BYTES", "Outbox"]

log = logging.getLogger(__name__)

GROUP_S: Final = 0.010
"""Transactions start at least so far apart; what comes meanwhile shares the next one."""
TALLY_S: Final = 10.0
"""Counts wait at most so long for a transaction to go with."""
WAVES_S: Final = 1.0
"""Chunks of waveforms wait so long for each other: what all devices of a gateway sent then is one block."""
WAVES_FILL: Final = 0.75
"""In an outbox as full as this there is no room for waves: the rest is for readings..."""
WAVES_SHARE: Final = 0.125
"""...nor where waves take so much of it already: the default still holds 72 hours of eight patients."""
DECISIONS_BYTES: Final = 128 * 1024
MIN_BYTES: Final = (MIN_SEGMENTS + 2) * SMALLEST
READ_TRIES: Final = 3
HUNG_S: Final = 60.0
"""What has waited so long for a transaction while none was under way will never get one."""
_NEVER: Final = 2**62


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
    waves: float


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
        self._threads = DiskThreads()
        self._store: Store
        self._view = _View("", 1, RangeSet(), (), RangeSet(), 0.0, 0.0)
        self._group = Group()
        self._work = asyncio.Event()
        self._empty = asyncio.Event()
        self._recent = Recent()
        self._listeners: list[Callable[[], None]] = []
        self._writer: asyncio.Task[None] | None = None
        self._counting: asyncio.TimerHandle | None = None
        self._waving: asyncio.TimerHandle | None = None
        self._asked: float | None = None
        self._faults = 0
        self._closed = self._failed = False

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
            await outbox._threads.write(lambda: outbox._open(disk))
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
        self._ask()

    def _ask(self) -> None:
        """Have a transaction made soon."""
        if self._asked is None:
            self._asked = asyncio.get_running_loop().time()
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
        self._ask()
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
        self._ask()
        return await done

    async def append_waves(self, chunks: Sequence[WaveformChunk]) -> tuple[int, int]:
        """Accept chunks of waveforms (one number each), within about WAVES_S; returns first and last number.

        Waves never take the room of readings: beyond their share (WAVES_FILL, WAVES_SHARE) they are refused
        at once, and counted (``outbox_waves_refused_total``). Raises StoreRejected and StoreUnavailable.
        """
        self._check_open()
        if not chunks:
            msg = "no chunk of a waveform to accept"
            raise StoreRejected(msg)
        if self._view.fill >= WAVES_FILL or self._view.waves >= WAVES_SHARE:
            self._telemetry.count("outbox_waves_refused_total", len(chunks))
            msg = f"the outbox {self.path} has no room for waves"
            raise StoreRejected(msg)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[int, int]] = loop.create_future()
        self._group.waves.append(Waved(chunks, done))
        if self._waving is None:
            self._waving = loop.call_later(WAVES_S, self._wave)
        return await done

    def _wave(self) -> None:
        self._waving = None
        self._group.waves_due = True
        self._ask()

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
        self._ask()
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
        if (known := self._recent.find(after, last, max_readings, max_bytes)) is not None:
            return known
        for _ in range(READ_TRIES):
            try:
                blocks, suspects = await self._threads.read(
                    lambda: self._store.read(after, max_readings, max_bytes, last)
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

    @property
    def at_disk(self) -> bool:
        """Whether something waits for the disk at this moment."""
        return self._threads.busy

    def lives(self) -> bool:
        """Whether what waits gets its transaction; being killed mends no slow disk."""
        if self._failed:
            return False
        waiting = self._asked is not None and not self._threads.busy
        return not waiting or asyncio.get_running_loop().time() - (self._asked or 0.0) < HUNG_S

    async def failure(self) -> None:
        """Wait for what ends the writer, and raise it; returns once the outbox is closed.

        Nothing is accepted any more then: the outbox has to be opened anew, best by a new process.
        """
        if self._writer is None:
            return
        await asyncio.wait([self._writer])
        if self._failed:
            self._writer.result()

    async def close(self) -> None:
        """Commit what waits, close the files and give up the lock.

        What ended the writer is not raised again: all who waited for it were told, and ``failure`` says it.
        """
        if self._closed:
            return
        self._closed = True
        self._group.counts_due = self._group.waves_due = True
        self._work.set()
        try:
            if self._writer is not None:
                with contextlib.suppress(Exception):  # told already
                    await self._writer
        finally:
            with contextlib.suppress(OSError):  # nothing is lost: the next opening reads a little more
                await self._threads.write(self._store.close)
            self._end()

    def _end(self) -> None:
        for timer in (self._counting, self._waving):
            if timer is not None:
                timer.cancel()
        self._threads.end()
        self._lock.release()

    def _check_open(self) -> None:
        if self._closed or self._failed:
            msg = "the outbox is closed" if self._closed else f"the outbox {self.path} has failed"
            raise StoreUnavailable(msg, path=str(self.path))

    async def _write(self) -> None:
        """The one writer, until closed; whatever else ends it fails the outbox: nobody waits in vain."""
        try:
            await self._transactions()
        except BaseException as error:
            self._failed = True
            if not isinstance(error, asyncio.CancelledError):
                self._telemetry.count("outbox_writer_failed_total")
                log.critical("outbox %s: its writer has failed", self.path, exc_info=error)
            self._group.fail(error, self.path)
            raise

    async def _transactions(self) -> None:
        """One for all that waits, at least GROUP_S after the one before."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        while True:
            await self._work.wait()
            if not self._closed:
                await asyncio.sleep(max(0.0, start - loop.time()))
            busy = bool(self._group)
            group = self._group.take() if busy else None
            self._asked = loop.time() if self._group else None
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
            done, unfit = await self._threads.write(lambda: self._commit(group))
            self._remember(done.blocks)
            self._tell(done, group.resolve(done, unfit))
            added = self._measure()
        except OSError as error:
            self._telemetry.count("outbox_failed_commits_total")
            log.exception("outbox %s cannot be written", self.path)
            for (device, hour, kind), n in group.counts.items():
                self._group.counts[device, hour, kind] += n
            self._recent.clear()
            self._remember([])
            group.fail(error, self.path)
            self._measure()
            return
        except BaseException as error:
            group.fail(error, self.path)
            raise
        if done.blocks or added:
            for listener in self._listeners:
                listener()

    def _commit(self, group: Group) -> tuple[Done, Unfit]:
        """In the thread: encode and commit; returns what was done and which appends no block can carry."""
        try:
            blocks, unfit = encode_all([a.batch for a in group.appends])
            waves, unfit_waves = encode_all_waves([w.chunks for w in group.waves])
        except MemoryError as error:  # the store was not touched: another time
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from error
        work = group.work(blocks, waves)
        try:
            return self._store.commit(work), Unfit(unfit, unfit_waves)
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
            *self._store.fill(),
        )
        self._recent.take_in(blocks, self._view.following, self._view.settled)

    def _tell(self, done: Done, refused: int) -> None:
        self._telemetry.count("outbox_accepted_total", sum(b.count for b in done.blocks))
        self._telemetry.count("outbox_commits_total")
        if done.mismatched:
            self._telemetry.count("outbox_receipt_mismatch_total", done.mismatched)
            log.warning("outbox %s: %d receipts name another content", self.path, done.mismatched)
        if done.deferred:
            self._telemetry.count("outbox_deferred_total", done.deferred)
        if done.refused:
            self._telemetry.count("outbox_refused_total", refused)
            log.error("outbox %s: %d readings are refused: %s", self.path, refused, done.refused)

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
        self._telemetry.gauge("outbox_waves_fill", self._view.waves)
        if backlog:
            self._empty.clear()
        else:
            self._empty.set()
        return gaps

    def _open(self, disk: Disk | None) -> None:
        self._store = open_store(
            self.path,
            disk,
            self._max_bytes,
            lock=self._lock,
            boot=lambda: self._ids.new("boot"),
            hour=lambda: hour_of(self._clock.now_ns()),
        )
        if self._store.replaced:
            self._telemetry.count("outbox_garbled_total")
            log.error(
                "outbox %s: %s; %d good readings go on under the new boot %s",
                self.path,
                self._store.replaced,
                self._store.state.following - 1,
                self._store.state.boot,
            )
