"""Opening: from whatever the files hold to the books, and to which segment holds which numbers.

The books are *exact* when the newer of their files is whole and no later segment was begun. Else they are
brought forward by the rows of the segments, which is as good as long as the last segment is whole. When it
is not either, nobody knows any more which numbers were given out: then there has to be a new boot.
"""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from edge_agent.segments.accounts import Count, accepted_in
from edge_agent.segments.books import BOOKS, Record, read_books
from edge_agent.segments.files import Disk
from edge_agent.segments.records import Kind, Row
from edge_agent.segments.segment import Found, Segment, look, read_rows
from edge_agent.segments.state import Change, State
from hearthward.core.errors import DecodeError
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Gap, decode_block

__all__ = ["GONE", "Recovered", "recover"]

log = logging.getLogger(__name__)

GONE: Final = frozenset({errno.EIO, errno.ENOENT, errno.EISDIR, errno.ESTALE})
"""What a file that cannot be read any more answers."""


@dataclass(slots=True)
class Recovered:
    """What was found. ``state`` is None when a new boot is needed, and ``reason`` then says why.

    ``reason`` is empty where there was nothing at all. ``strangers`` are segments of another boot, with
    what is pinned of them; ``lost`` are numbers that were accepted and are gone;
    ``open`` are the segments without a footer that can be trusted.
    """

    state: State | None
    reason: str
    segments: list[Segment] = field(default_factory=list)
    strangers: list[tuple[Segment, RangeSet]] = field(default_factory=list)
    free: list[str] = field(default_factory=list)
    lost: list[Gap] = field(default_factory=list)
    open: set[int] = field(default_factory=set)
    top: int = 0
    record: str | None = None


def recover(disk: Disk, names: Iterable[str], size: int) -> Recovered:
    """Read every file. Raises OSError (other than GONE) and ValueError (another version)."""
    records = [r for r in (_record(disk, name, size) for name in BOOKS) if r is not None]
    record = max(records, key=lambda r: r.serial, default=None)
    found, free, top = _look_at_all(disk, names, size, record)
    result = Recovered(None, "", free=free, top=top, record=record.name if record else None)
    if record is None and not top:
        return result
    newest = max(found, key=lambda f: f.segment.serial, default=None)
    boot = record.state.boot if record else newest.segment.boot if newest else ""
    ours = [f for f in found if f.segment.boot == boot]
    tail = max(ours, key=lambda f: f.segment.serial, default=None)
    tail_known = tail is not None and tail.segment.serial == result.top and tail.whole and not tail.sealed
    exact = record is not None and record.whole and record.serial >= result.top
    if record is not None:
        state: State | None = record.state
        base = record.serial
        result.top = max(top, record.serial)
    else:
        state = tail.state if tail is not None and tail_known else None
        base = tail.segment.serial if tail is not None else 0
    if state is None or not (exact or tail_known):
        result.reason = "its record and its last segment are damaged"
        _strangers(disk, result, found, record.state if record else None)
        return result
    _forward(disk, state, ours, base, exact=exact)
    result.state = state
    taken = state.settled()
    result.segments = _share_out(disk, ours, taken, state.following - 1)
    result.open = {f.segment.serial for f in ours if f.rows is not None}
    result.lost = [Gap(a, b, "corrupt") for a, b in taken.missing(1, state.following - 1)]
    _strangers(disk, result, [f for f in found if f.segment.boot != boot], None)
    for segment, _ in result.strangers:
        segment.live.remove(0, state.moved.get(segment.serial, 0))
    return result


def _record(disk: Disk, name: str, size: int) -> Record | None:
    try:
        return read_books(disk, name, size)
    except OSError as error:
        if error.errno not in GONE:
            raise
        return None


def _look_at_all(
    disk: Disk, names: Iterable[str], size: int, record: Record | None
) -> tuple[list[Found], list[str], int]:
    """Look at every segment; also those free, and the highest serial met anywhere."""
    found: list[Found] = []
    free: list[str] = []
    top = 0
    for name in names:
        try:
            one = look(disk, name, size)
        except OSError as error:
            if error.errno not in GONE:
                raise
            log.error("a segment of the outbox cannot be read: %s", error)  # noqa: TRY400
            continue
        if isinstance(one, int):
            free.append(name)
            top = max(top, one)
        else:
            found.append(one)
            top = max(top, one.segment.serial)
    ended = dict(record.state.ended) if record else {}
    for one in found:
        ended.update(one.ended)
    for one in found:
        stop = ended.get(one.segment.serial)
        if stop is not None and not one.sealed and one.segment.end > stop:
            with contextlib.closing(disk.open(one.segment.name)) as file:
                one.walk(file.read(0, size), stop)
    return found, free, top


def _forward(disk: Disk, state: State, ours: list[Found], base: int, *, exact: bool) -> None:
    """Bring the books forward by transactions that only the segments have."""
    changes: list[Change] = []
    blocks: list[tuple[int, Row, Segment]] = []
    for one in ours:
        rows = one.rows
        if rows is None and not exact and one.segment.serial >= base:
            one.check(disk)
            rows = one.rows or read_rows(disk, one.segment)
        for row, body in _finished(disk, one.segment, rows or [], state):
            if row.kind == Kind.CHANGE:
                changes.append(Change.decode(row.first, body))
            else:
                blocks.append((row.first, row, one.segment))
    for change in sorted(changes, key=lambda c: c.serial):
        state.apply(change)
    for first, row, segment in sorted(blocks, key=lambda b: b[0]):
        if first < state.following or (exact and first != state.following):
            continue
        counts = _counted(disk, segment, row)
        if counts is not None:
            state.apply(Change(state.serial + 1, row.last + 1, counts=tuple(counts)))


def _finished(disk: Disk, segment: Segment, rows: list[Row], state: State) -> list[tuple[Row, bytes]]:
    """The rows beyond the books, and their bodies, as far as their transactions came to an end."""
    last = max((i for i, row in enumerate(rows) if row.ends), default=-1)
    beyond = [
        row
        for row in rows[: last + 1]
        if row.first > (state.serial if row.kind == Kind.CHANGE else state.following - 1)
    ]
    if not beyond:
        return []
    with contextlib.closing(disk.open(segment.name)) as file:
        data = file.read(0, segment.end)
    return [(row, row.body(data)) for row in beyond]


def _counted(disk: Disk, segment: Segment, row: Row) -> list[Count] | None:
    """What a block adds to the accounts; None when it cannot be read."""
    with contextlib.closing(disk.open(segment.name)) as file:
        data = file.read(0, row.end)
    block = segment.block(row, row.body(data))
    if block is None:
        return None
    if block.decisions or block.waves:
        return []
    try:
        batch = decode_block(block.payload)
    except DecodeError:
        return []
    return accepted_in(batch.device, batch.received)


def _share_out(disk: Disk, found: list[Found], taken: RangeSet, last: int) -> list[Segment]:
    """Give every number that is not taken to the latest segment that has it."""
    for one in sorted(found, key=lambda f: -f.segment.serial):
        segment = one.segment
        if one.rows is None and any(taken.missing(a, min(b, last)) for a, b in segment.numbers):
            one.check(disk)
        if one.rows is not None:
            _keep(segment, one.rows, last)
        for first, end in segment.numbers:
            for a, b in taken.missing(first, min(end, last)):
                segment.live.add(a, b)
        for a, b in segment.live:
            taken.add(a, b)
    return [one.segment for one in sorted(found, key=lambda f: f.segment.serial)]


def _keep(segment: Segment, rows: list[Row], last: int) -> None:
    """Count the good rows up to number ``last``; the segment ends with them (transactions cut off do not)."""
    kept = [row for row in rows if row.kind != Kind.BLOCK or row.last <= last]
    for row in kept:
        if row.kind == Kind.BLOCK:
            segment.note(row)
    if len(kept) < len(rows):
        segment.end = kept[-1].end if kept else rows[0].start


def _strangers(disk: Disk, result: Recovered, found: list[Found], known: State | None) -> None:
    """Segments of former boots: what of them still waits, as well as their headers know."""
    for boot in {f.segment.boot for f in found}:
        of_boot = sorted((f for f in found if f.segment.boot == boot), key=lambda f: f.segment.serial)
        states = [f.state for f in of_boot if f.state is not None]
        state = known if known is not None and known.boot == boot else states[-1] if states else State(boot)
        segments = _share_out(disk, of_boot, state.settled(), 1 << 62)
        result.strangers += [(segment, state.pins) for segment in segments]
    result.strangers.sort(key=lambda pair: pair[0].serial)
