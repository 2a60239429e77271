"""What was counted, per device, hour and kind: the edge's half of the loss ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hearthward.core.messages import Account

__all__ = ["HOUR_NS", "KEPT_HOURS", "Count", "Counts", "accepted_in", "hour_of"]

HOUR_NS: Final = 3_600_000_000_000
KEPT_HOURS: Final = 7 * 24
"""So many hours in which something was counted: seven days of a gateway that never rests."""

Count = tuple[str, int, str, int]
"""Device, hour, kind, how many more."""


def hour_of(received: int) -> int:
    """UTC hours since 1970 of a time in nanoseconds; 0 for a clock before that."""
    return max(0, received // HOUR_NS)


def accepted_in(devices: Iterable[str], received: Iterable[int], kind: str = "accepted") -> list[Count]:
    """Readings counted by device and hour."""
    counted = Counter(zip(devices, map(hour_of, received), strict=True))
    return [(device, hour, kind, n) for (device, hour), n in counted.items()]


class Counts:
    """Cumulative counts, each with the mark of its last change.

    The hours touched longest ago are forgotten first, so a clock that jumps forgets nothing by itself.
    """

    def __init__(self, rows: Iterable[Count] = ()) -> None:
        self._hours: dict[int, dict[tuple[str, str], tuple[int, int]]] = {}
        self.mark = 0
        self.add(sorted(rows, key=lambda row: row[1]))

    def add(self, counts: Iterable[Count]) -> None:
        """Count on."""
        for device, hour, kind, n in counts:
            self.mark += 1
            rows = self._hours.pop(hour, {})
            before, _ = rows.get((device, kind), (0, 0))
            rows[device, kind] = before + n, self.mark
            self._hours[hour] = rows  # at the end: touched last
        while len(self._hours) > KEPT_HOURS:
            self.forget_oldest()

    def forget_oldest(self) -> None:
        """Forget the hour touched longest ago."""
        self._hours.pop(next(iter(self._hours)))

    def __len__(self) -> int:
        return len(self._hours)

    def __iter__(self) -> Iterator[Count]:
        for hour, rows in self._hours.items():
            for (device, kind), (n, _) in rows.items():
                yield device, hour, kind, n

    def changed(self, after: int) -> list[Account]:
        """The rows changed since ``after``, sorted."""
        return sorted(
            Account(device, hour, kind, n)
            for hour, rows in self._hours.items()
            for (device, kind), (n, mark) in rows.items()
            if mark > after
        )

    def packed(self) -> list[Any]:
        """Plain data, small: per hour, per device, its kinds and numbers."""
        out = []
        for hour, rows in self._hours.items():
            devices: dict[str, list[Any]] = {}
            for (device, kind), (n, _) in rows.items():
                devices.setdefault(device, []).extend((kind, n))
            out.append([hour, devices])
        return out

    @classmethod
    def unpacked(cls, packed: Iterable[tuple[int, Mapping[str, list[Any]]]]) -> Counts:
        """The counts of plain data."""
        counts = cls()
        for hour, devices in packed:
            for device, pairs in devices.items():
                kinds = zip(pairs[::2], pairs[1::2], strict=True)
                counts.add((device, hour, kind, n) for kind, n in kinds)
        return counts
