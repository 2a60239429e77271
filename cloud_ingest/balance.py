"""The balance of the loss ledger: whether every number and reading of a gateway is accounted for, and where.

Two books are kept of the same readings. By *numbers*, of each outbox (boot): every number it has given out is
committed here, declared lost, written off, or waits at the gateway; what is none of these is *unaccounted*.
By *counts*, of each device and hour: what the gateway accepted is stored, was there already, was rejected,
was dropped, or is open; the numbers say whether what is open waits or is missing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from cloud_ingest.loss_ledger import CLONE, DUPLICATE, LATE, REFUSED, STORED, Count
from hearthward.core.clock import SECOND
from hearthward.core.ranges import RangeSet

if TYPE_CHECKING:
    from cloud_ingest.receipts import Source

__all__ = [
    "ACCEPTED",
    "DROPPED",
    "READ",
    "REJECTED",
    "WRITTEN_OFF",
    "AskedLedger",
    "Book",
    "By",
    "Figures",
    "LedgerReport",
    "Line",
    "Standing",
    "ledger_report",
    "replaced",
    "to_write_off",
]

READ: Final = "read"
ACCEPTED: Final = "accepted"
REJECTED: Final = "rejected:"
DROPPED: Final = "dropped:"
WRITTEN_OFF: Final = "written_off"
REPLACED_NS: Final = 60 * SECOND
"""An outbox of which nothing came for so long while another one of its gateway lives is not used any more."""

By = Literal["gateway", "device", "hour"]


@dataclass(slots=True)
class Book:
    """The numbers of one outbox: as its gateway told last (``told``, UTC ns; None: never), and as found here.

    ``settled`` is the last number given out when nothing waited; ``heard`` when something last came of it.
    """

    gateway: str
    boot: str
    accepted: int = 0
    backlog: int = 0
    settled: int = 0
    told: int | None = None
    heard: int = 0
    committed: RangeSet = field(default_factory=RangeSet)
    gaps: RangeSet = field(default_factory=RangeSet)
    written_off: RangeSet = field(default_factory=RangeSet)

    @property
    def source(self) -> Source:
        """Gateway and boot."""
        return self.gateway, self.boot

    def missing(self, last: int) -> list[tuple[int, int]]:
        """Those of 1..``last`` that are neither committed nor declared lost nor written off."""
        return [
            part
            for absent in self.committed.missing(1, last)
            for lost in self.gaps.missing(*absent)
            for part in self.written_off.missing(*lost)
        ]

    def top(self, *, replaced: bool) -> int:
        """The last number to be accounted for; an outbox of the past may have told less than came."""
        if self.told is None or not replaced:
            return self.accepted
        return max(self.accepted, *(last for found in (self.committed, self.gaps) for _, last in found), 0)

    def open(self, *, replaced: bool) -> list[tuple[int, int]]:
        """Numbers that surely neither came nor wait any more."""
        top = self.top(replaced=replaced)
        nothing_waits = replaced or not self.backlog
        return self.missing(top if nothing_waits else self.settled)

    def standing(self, *, replaced: bool = False) -> Standing:
        """Where all numbers are. ``replaced``: nothing waits any more, the outbox is not there."""
        top = self.top(replaced=replaced)
        absent = _size(self.missing(top))
        waiting = 0 if replaced else self.backlog
        unaccounted = max(absent - waiting, _size(self.open(replaced=replaced)), 0)
        return Standing(
            gateway=self.gateway,
            boot=self.boot,
            told=self.told,
            heard=self.heard,
            replaced=replaced,
            numbers=top,
            committed=len(self.committed),
            dropped=len(self.gaps),
            written_off=len(self.written_off),
            waiting=absent - unaccounted,
            unaccounted=unaccounted,
        )


@dataclass(frozen=True, slots=True)
class Standing:
    """The balance of one outbox by numbers, of all time. ``told`` None: its gateway keeps no books."""

    gateway: str
    boot: str
    told: int | None
    heard: int
    replaced: bool
    numbers: int
    committed: int
    dropped: int
    written_off: int
    waiting: int
    unaccounted: int


def _size(ranges: Iterable[tuple[int, int]]) -> int:
    return sum(last - first + 1 for first, last in ranges)


def replaced(books: Iterable[Book]) -> frozenset[Source]:
    """Outboxes that others of the same gateway have taken the place of."""
    books = list(books)
    newest: defaultdict[str, int] = defaultdict(int)
    for book in books:
        newest[book.gateway] = max(newest[book.gateway], book.heard)
    return frozenset(b.source for b in books if newest[b.gateway] - b.heard > REPLACED_NS)


@dataclass(frozen=True, slots=True)
class AskedLedger:
    """Which counts: of hours ``start <= hour < end`` (UTC hours since 1970), of a gateway, of a device."""

    start: int
    end: int
    by: By = "gateway"
    gateway: str | None = None
    device: str | None = None


@dataclass(slots=True)
class Figures:
    """The counts of some readings, in the order of their way. ``told``: the gateway's word is there.

    ``missing`` did not come and does not wait. What was rejected unread, or was damaged at the gateway, is
    counted under a device without a name (``unnamed``), and is lacking at those whose it was (``unknown``).
    ``untold`` came here before its gateway has said so.
    """

    told: bool = False
    read: int = 0
    rejected_at_gateway: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    waiting: int = 0
    stored: int = 0
    duplicate: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    late: int = 0
    missing: int = 0
    written_off: int = 0
    unknown: int = 0
    untold: int = 0
    clones: int = 0
    unnamed: int = 0

    @property
    def sent(self) -> int:
        """What has left the gateway, as far as is known."""
        if not self.told:
            return self.arrived
        return max(0, self.accepted - sum(self.dropped.values()) - self.waiting)

    @property
    def arrived(self) -> int:
        """What came here."""
        return self.stored + self.duplicate + sum(self.rejected.values())

    @property
    def balanced(self) -> bool | None:
        """Whether nothing is missing; None: nobody can know."""
        return None if not self.told else not self.missing

    def count(self, kind: str, n: int, *, named: bool = True) -> None:
        """Add a count; ``named``: of a device that is known."""
        name, reasons = _PLACE.get(kind), None
        for prefix, found in (
            (REFUSED, self.rejected),
            (REJECTED, self.rejected_at_gateway),
            (DROPPED, self.dropped),
        ):
            if kind.startswith(prefix):
                reasons, kind = found, kind.removeprefix(prefix)
        if name is not None:
            setattr(self, name, getattr(self, name) + n)
        elif reasons is not None:
            reasons[kind] = reasons.get(kind, 0) + n
            self.unnamed += 0 if named else n

    def add(self, other: Figures) -> None:
        """Add all of another's."""
        self.told = self.told or other.told
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _REASONS:
            mine: dict[str, int] = getattr(self, name)
            for reason, n in getattr(other, name).items():
                mine[reason] = mine.get(reason, 0) + n

    def settle(self, standing: Standing | None) -> None:
        """Say what became of the readings that are open; ``standing`` is of the outbox they belong to."""
        self.told = standing is not None and standing.told is not None
        if not self.told or standing is None:
            return
        open_ = self.accepted - sum(self.dropped.values()) - self.arrived
        if open_ < 0:
            self.untold, open_ = max(0, -open_ - self.unnamed), 0
        self.written_off = min(self.written_off, open_)
        open_ -= self.written_off
        self.missing = min(open_, standing.unaccounted)
        self.waiting = min(open_ - self.missing, standing.waiting)
        self.unknown = open_ - self.missing - self.waiting


_PLACE: Final[Mapping[str, str]] = {
    READ: "read",
    ACCEPTED: "accepted",
    STORED: "stored",
    DUPLICATE: "duplicate",
    LATE: "late",
    CLONE: "clones",
    WRITTEN_OFF: "written_off",
}
_REASONS: Final = ("rejected_at_gateway", "dropped", "rejected")
_NUMBERS: Final = (*_PLACE.values(), "waiting", "missing", "unknown", "untold", "unnamed")


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of a gateway, of a device, or of an hour; what is not told apart is None."""

    gateway: str | None
    device: str | None
    hour: int | None
    figures: Figures


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """Lines in the order of their keys (the newest hour first), all of them together, and the outboxes.

    ``unbooked`` is the part of the total that came from gateways which tell nothing of their own books.
    """

    asked: AskedLedger
    lines: Sequence[Line]
    total: Figures
    unbooked: Figures
    books: Sequence[Standing]

    @property
    def earlier(self) -> int:
        """Numbers that are unaccounted for and belong to none of the lines."""
        return max(0, sum(b.unaccounted for b in self.books) - self.total.missing)


def to_write_off(counts: Iterable[Count]) -> list[Count]:
    """Of one outbox's counts: what is accepted and nowhere, by device and hour, as counts of that."""
    open_: defaultdict[tuple[str, str, str, int], int] = defaultdict(int)
    for gateway, boot, device, hour, kind, n in counts:
        if kind == ACCEPTED:
            open_[gateway, boot, device, hour] += n
        elif kind in {STORED, DUPLICATE} or kind.startswith((REFUSED, DROPPED)):
            open_[gateway, boot, device, hour] -= n
    return [Count(*key, WRITTEN_OFF, n) for key, n in open_.items() if n > 0]


_Key = tuple[str | None, str | None, int | None]


def ledger_report(asked: AskedLedger, counts: Iterable[Count], books: Iterable[Book]) -> LedgerReport:
    """The report; ``counts`` are those asked for, ``books`` all of the gateways that may be seen.

    Where devices are not told apart, ``counts`` may have any name for those that are known.
    """
    books = list(books)
    past = replaced(books)
    standings = {b.source: b.standing(replaced=b.source in past) for b in books}
    lines: defaultdict[tuple[_Key, Source], Figures] = defaultdict(Figures)
    whole: defaultdict[Source, Figures] = defaultdict(Figures)
    for count in counts:
        source = count.gateway, count.boot
        for figures in (lines[_key(asked.by, count), source], whole[source]):
            figures.count(count.kind, count.n, named=bool(count.device))
    folded: defaultdict[_Key, Figures] = defaultdict(Figures)
    total, unbooked = Figures(), Figures()
    for (key, source), figures in lines.items():
        figures.settle(standings.get(source))
        folded[key].add(figures)
    for source, figures in whole.items():
        figures.settle(standings.get(source))
        total.add(figures)
        if not figures.told:
            unbooked.add(figures)
    shown = [s for s in standings.values() if asked.gateway in {None, s.gateway}]
    return LedgerReport(
        asked,
        [Line(*key, folded[key]) for key in sorted(folded, key=_order)],
        total,
        unbooked,
        sorted(shown, key=lambda s: (s.gateway, -s.heard, s.boot)),
    )


def _key(by: By, count: Count) -> _Key:
    if by == "gateway":
        return count.gateway, None, None
    return (count.gateway, count.device, None) if by == "device" else (None, None, count.hour)


def _order(key: _Key) -> tuple[str, str, int]:
    gateway, device, hour = key
    return gateway or "", device or "", -(hour or 0)
