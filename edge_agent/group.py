"""What waits for the outbox's next transaction, and who waits for what comes of it."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge_agent.segments.store import Done, NewBlock, Work
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.waves import WaveformChunk
from hearthward.core.wire import Gap, StoredBlock

__all__ = ["GROUP_READINGS", "Append", "Decided", "Group", "Unfit", "Waved"]

GROUP_READINGS: Final = 4000
"""Readings in one transaction (more only when a single append brings more)."""


@dataclass(slots=True)
class Append:
    """Readings, and who waits for their numbers."""

    batch: ReadingBatch
    done: asyncio.Future[tuple[int, int]]


@dataclass(slots=True)
class Decided:
    """A block of decisions, what it rests on, and who waits for its numbers."""

    block: NewBlock
    rests_on: tuple[tuple[int, int], ...]
    done: asyncio.Future[tuple[int, int]]


@dataclass(slots=True)
class Waved:
    """Chunks of waveforms, and who waits for their numbers."""

    chunks: Sequence[WaveformChunk]
    done: asyncio.Future[tuple[int, int]]


@dataclass(slots=True)
class Unfit:
    """Which appends no block can carry, by their place, and why."""

    appends: dict[int, str]
    waves: dict[int, str]


@dataclass(slots=True)
class Group:
    """What waits for the next transaction; waves only once they are due."""

    appends: list[Append] = field(default_factory=list)
    decided: list[Decided] = field(default_factory=list)
    waves: list[Waved] = field(default_factory=list)
    confirmed: list[StoredBlock] = field(default_factory=list)
    reported: list[Gap] = field(default_factory=list)
    confirms: list[asyncio.Future[int]] = field(default_factory=list)
    suspects: set[int] = field(default_factory=set)
    counts: Counter[tuple[str, int, str]] = field(default_factory=Counter)
    counts_due: bool = False
    waves_due: bool = False

    def __bool__(self) -> bool:
        due = (self.counts and self.counts_due) or (self.waves and self.waves_due)
        return bool(self.appends or self.decided or self.confirms or due)

    def take(self) -> Group:
        """What the next transaction carries; more appends than it can hold stay behind."""
        readings = 0
        for n, append in enumerate(self.appends):
            readings += len(append.batch)
            if n and readings > GROUP_READINGS:
                break
        else:
            n = len(self.appends)
        taken = Group(
            self.appends[:n],
            self.decided,
            self.waves if self.waves_due else [],
            self.confirmed,
            self.reported,
            self.confirms,
            self.suspects,
            self.counts,
        )
        self.appends = self.appends[n:]
        if self.waves_due:
            self.waves, self.waves_due = [], False
        self.decided, self.confirmed, self.reported, self.confirms = [], [], [], []
        self.suspects, self.counts, self.counts_due = set(), Counter(), False
        return taken

    def work(self, blocks: list[NewBlock], waves: list[NewBlock]) -> Work:
        """For the store; ``blocks`` are the appends', encoded; ``waves`` come last: refused first."""
        return Work(
            blocks=[*blocks, *(d.block for d in self.decided), *waves],
            rests_on=[span for d in self.decided for span in d.rests_on],
            confirmed=self.confirmed,
            reported=self.reported,
            counts=[(*key, n) for key, n in self.counts.items()],
            suspects=self.suspects,
        )

    def resolve(self, done: Done, unfit: Unfit) -> int:
        """Give everybody who waits the result of the transaction; returns how many numbers are refused.

        Where only the first blocks were accepted, who is wholly in those has the numbers all the same.
        """
        at, refused = done.first, 0
        last = done.blocks[-1].last if done.blocks else done.first - 1
        waiting = [(a.done, len(a.batch), unfit.appends.get(i)) for i, a in enumerate(self.appends)]
        waiting += [(d.done, d.block.count, None) for d in self.decided]
        waiting += [(w.done, len(w.chunks), unfit.waves.get(i)) for i, w in enumerate(self.waves)]
        for future, count, reason in waiting:
            if reason is not None:
                _refuse(future, StoreRejected(f"this cannot be stored: {reason}"))
                continue
            if not done.refused or at + count - 1 <= last:
                _give(future, at, count)
            else:
                _refuse(future, StoreUnavailable(done.refused))
                refused += count
            at += count
        for confirm in self.confirms:
            if not confirm.done():
                confirm.set_result(sum(b.count for b in done.deleted))
        return refused

    def fail(self, error: BaseException, path: Path) -> None:
        """Tell everybody who waits that nothing came of it."""
        waiting: list[asyncio.Future[Any]] = [
            *(a.done for a in self.appends),
            *(d.done for d in self.decided),
            *(w.done for w in self.waves),
            *self.confirms,
        ]
        for future in waiting:
            msg = f"the outbox {path} cannot be written: {error}"
            _refuse(future, StoreUnavailable(msg, path=os.fspath(path)))


def _refuse(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _give(future: asyncio.Future[tuple[int, int]], first: int, count: int) -> None:
    if not future.done():
        future.set_result((first, first + count - 1))
