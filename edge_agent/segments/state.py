"""What the outbox knows of every number it gave out, and how one transaction changes it.

Each number from 1 to ``following - 1`` is exactly one of: in a block of a segment, ``done`` (receipted and
deleted) or in a gap. ``pins`` are the numbers that the ring may not drop.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, cast

import msgpack

from edge_agent.segments.accounts import Count, Counts
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Gap

__all__ = ["Change", "State", "merged"]

_VERSION: Final = 1
Pairs = tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Change:
    """What one transaction changes, as it is written; ``moved`` is how far a segment of a former boot is."""

    serial: int = 0
    following: int = 0
    done: Pairs = ()
    gaps: tuple[Gap, ...] = ()
    pins: Pairs = ()
    counts: tuple[Count, ...] = ()
    moved: Pairs = ()

    def __bool__(self) -> bool:
        return bool(self.done or self.gaps or self.pins or self.counts or self.moved)

    def encode(self) -> bytes:
        """Change -> bytes."""
        gaps = [[g.first, g.last, g.reason] for g in self.gaps]
        parts = [self.following, self.done, gaps, self.pins, self.counts, self.moved]
        return cast("bytes", msgpack.packb(parts))

    @classmethod
    def decode(cls, serial: int, body: bytes) -> Change:
        """Bytes (whose check held) -> change."""
        following, done, gaps, pins, counts, moved = msgpack.unpackb(body, use_list=False)
        return cls(serial, following, done, tuple(Gap(*g) for g in gaps), pins, counts, moved)


@dataclass(slots=True)
class State:
    """The books; ``serial`` is the last transaction's, ``ended`` where a segment left by a failure ends."""

    boot: str
    following: int = 1
    serial: int = 0
    done: RangeSet = field(default_factory=RangeSet)
    gaps: list[Gap] = field(default_factory=list)
    pins: RangeSet = field(default_factory=RangeSet)
    counts: Counts = field(default_factory=Counts)
    moved: dict[int, int] = field(default_factory=dict)
    ended: dict[int, int] = field(default_factory=dict)

    def apply(self, change: Change) -> None:
        """Take a change in; done wins over gap, and both over pins."""
        self.serial = max(self.serial, change.serial)
        self.following = max(self.following, change.following)
        for first, last in change.pins:
            self.pins.add(first, last)
            for piece in self.done.common(first, last):
                self.pins.remove(*piece)
        if change.gaps:
            kept = [Gap(a, b, g.reason) for g in change.gaps for a, b in self.done.missing(g.first, g.last)]
            self.gaps = merged([*self.gaps, *kept])
            for gap in kept:
                self.pins.remove(gap.first, gap.last)
        for first, last in change.done:
            self.done.add(first, last)
            self.pins.remove(first, last)
        if change.done and self.gaps:
            told = RangeSet(change.done)
            self.gaps = [Gap(a, b, g.reason) for g in self.gaps for a, b in told.missing(g.first, g.last)]
        self.counts.add(change.counts)
        self.moved.update(change.moved)

    def settled(self) -> RangeSet:
        """The numbers that are in no block any more."""
        settled = self.done.copy()
        for gap in self.gaps:
            settled.add(gap.first, gap.last)
        return settled

    def pieces(self) -> int:
        """How many ranges it takes to say what became of every number."""
        return self.done.pieces() + self.pins.pieces() + len(self.gaps)

    def encode(self, *, counts: bool = True) -> bytes:
        """State -> bytes, small."""
        parts = [
            _VERSION,
            self.boot,
            self.following,
            self.serial,
            _steps(self.done),
            [[g.first, g.last, g.reason] for g in self.gaps],
            _steps(self.pins),
            self.counts.packed() if counts else [],
            self.moved,
            self.ended,
        ]
        return zlib.compress(cast("bytes", msgpack.packb(parts)), 1)

    @classmethod
    def decode(cls, body: bytes) -> State:
        """Bytes (whose check held) -> state. Raises ValueError for another version."""
        version, *parts = msgpack.unpackb(zlib.decompress(body), strict_map_key=False)
        if version != _VERSION:
            msg = f"an outbox of version {version}; this software reads {_VERSION}"
            raise ValueError(msg)
        boot, following, serial, done, gaps, pins, counts, moved, ended = parts
        return cls(
            boot,
            following,
            serial,
            RangeSet(_pairs(done)),
            [Gap(*g) for g in gaps],
            RangeSet(_pairs(pins)),
            Counts.unpacked(counts),
            moved,
            ended,
        )


def _steps(ranges: RangeSet) -> list[int]:
    """Bounds as differences: small numbers pack small."""
    out, at = [], 0
    for first, last in ranges:
        out += [first - at, last - first]
        at = last
    return out


def _pairs(steps: list[int]) -> Iterable[tuple[int, int]]:
    at = 0
    for ahead, length in zip(steps[::2], steps[1::2], strict=True):
        yield at + ahead, at + ahead + length
        at += ahead + length


def merged(gaps: Iterable[Gap]) -> list[Gap]:
    """Gaps in order, neighbours of one reason joined, each number once."""
    out: list[Gap] = []
    taken = RangeSet()
    for gap in sorted(gaps, key=lambda g: (g.first, g.last)):
        for first, last in taken.missing(gap.first, gap.last):
            taken.add(first, last)
            if out and out[-1].reason == gap.reason and out[-1].last + 1 == first:
                out[-1] = Gap(out[-1].first, last, gap.reason)
            else:
                out.append(Gap(first, last, gap.reason))
    return out
