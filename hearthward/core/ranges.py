"""Sets of integers kept as sorted, inclusive, non-touching ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

__all__ = ["RangeSet"]


class RangeSet:
    """A mutable set of integers as inclusive ranges; adding twice is adding once."""

    __slots__ = ("_first", "_last")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._first: list[int] = []
        self._last: list[int] = []
        for first, last in ranges:
            self.add(first, last)

    def add(self, first: int, last: int) -> None:
        """Add ``first..last`` inclusive. Raises ValueError when last < first."""
        if last < first:
            msg = f"range {first}..{last} is empty"
            raise ValueError(msg)
        i = bisect_left(self._last, first - 1)
        j = bisect_right(self._first, last + 1)
        if i < j:
            first = min(first, self._first[i])
            last = max(last, self._last[j - 1])
        self._first[i:j] = [first]
        self._last[i:j] = [last]

    def remove(self, first: int, last: int) -> None:
        """Take ``first..last`` inclusive out; what is not there does not matter."""
        i = bisect_left(self._last, first)
        j = bisect_right(self._first, last)
        if i >= j:
            return
        left = [(self._first[i], first - 1)] if self._first[i] < first else []
        right = [(last + 1, self._last[j - 1])] if self._last[j - 1] > last else []
        self._first[i:j] = [a for a, _ in left + right]
        self._last[i:j] = [b for _, b in left + right]

    def at_least(self, value: int) -> int | None:
        """The smallest integer of the set from ``value`` on; None when there is none."""
        i = bisect_left(self._last, value)
        return max(value, self._first[i]) if i < len(self._first) else None

    def common(self, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of ``first..last`` that are in the set, in order."""
        i = bisect_left(self._last, first)
        j = bisect_right(self._first, last)
        pairs = zip(self._first[i:j], self._last[i:j], strict=True)
        return [(max(a, first), min(b, last)) for a, b in pairs]

    def pieces(self) -> int:
        """How many ranges it takes."""
        return len(self._first)

    def copy(self) -> RangeSet:
        """The same set, independent of this one."""
        other = RangeSet()
        other._first, other._last = self._first[:], self._last[:]
        return other

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of ``first..last`` that are not in the set, in order."""
        out: list[tuple[int, int]] = []
        at = first
        i = bisect_left(self._last, first)
        while at <= last and i < len(self._first) and self._first[i] <= last:
            if at < self._first[i]:
                out.append((at, self._first[i] - 1))
            at = self._last[i] + 1
            i += 1
        if at <= last:
            out.append((at, last))
        return out

    def covers(self, first: int, last: int) -> bool:
        """Whether every integer of ``first..last`` is in the set."""
        i = bisect_right(self._first, first) - 1
        return i >= 0 and last <= self._last[i]

    def __contains__(self, value: int) -> bool:
        return self.covers(value, value)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._first, self._last, strict=True)))

    def __len__(self) -> int:
        """How many integers are in the set (not how many ranges)."""
        return sum(b - a + 1 for a, b in self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._first == other._first and self._last == other._last

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RangeSet({list(self)!r})"
