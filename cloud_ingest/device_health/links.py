"""Losses of links, and how strongly devices are heard, as gateways tell: gathered between two writings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cloud_ingest.device_health.sums import SignalDay, day_of
from hearthward.core.device_states import Cause, DeviceWord, Sighting

__all__ = ["LinkBook", "LinkDay", "joined_signal"]

STREAMING: Final = "streaming"
LOST: Final = frozenset({Cause.LINK_LOST, Cause.SILENT, Cause.OUT_OF_RANGE, Cause.CONNECTED_ELSEWHERE})
MOST_DEVICES: Final = 20_000
"""Gateways can tell of any: beyond this no new ones are noted."""


@dataclass(slots=True)
class LinkDay:
    """What came of a device's link on a day since it was last written."""

    dropouts: int = 0
    rssi: SignalDay | None = None


def joined_signal(old: SignalDay | None, new: SignalDay) -> SignalDay:
    """Both together; the newer has the last word."""
    if old is None:
        return new
    count = old.count + new.count
    mean = (old.mean * old.count + new.mean * new.count) / count
    return SignalDay(count, mean, min(old.low, new.low), max(old.high, new.high), new.last)


class LinkBook:
    """In memory, by device and day. A loss that is over at the next look is seen by its ``since``."""

    def __init__(self) -> None:
        self._streamed: dict[str, int] = {}
        self._heard: dict[str, int] = {}
        self._days: dict[tuple[str, int], LinkDay] = {}

    def words(self, told: Iterable[tuple[str, DeviceWord]], now: int) -> None:
        """What gateways that are online tell of their devices now (UTC ns)."""
        for device, word in told:
            before = self._streamed.get(device)
            if word.state == STREAMING:
                if before is not None and word.since > before:
                    self._day(device, now).dropouts += 1
                if before is not None or len(self._streamed) < MOST_DEVICES:
                    self._streamed[device] = word.since
            elif before is not None:
                del self._streamed[device]
                if word.cause in LOST:
                    self._day(device, now).dropouts += 1

    def forget(self, devices: Iterable[str]) -> None:
        """Their gateway is away: when it starts again all its links are new, and none of them was lost."""
        for device in devices:
            self._streamed.pop(device, None)

    def sightings(self, seen: Iterable[Sighting], now: int) -> None:
        """What gateways heard around them; each hearing counts once."""
        for one in seen:
            if not one.device or one.rssi is None or one.last <= self._heard.get(one.device, 0):
                continue
            if one.device not in self._heard and len(self._heard) >= MOST_DEVICES:
                continue
            self._heard[one.device] = one.last
            day, level = self._day(one.device, now), float(one.rssi)
            day.rssi = joined_signal(day.rssi, SignalDay(1, level, level, level, level))

    def _day(self, device: str, now: int) -> LinkDay:
        return self._days.setdefault((device, day_of(now)), LinkDay())

    def take(self) -> dict[tuple[str, int], LinkDay]:
        """All that is not written yet; it is forgotten here."""
        found, self._days = self._days, {}
        return found

    def give_back(self, days: dict[tuple[str, int], LinkDay]) -> None:
        """What could not be written."""
        for key, old in days.items():
            new = self._days.setdefault(key, LinkDay())
            new.dropouts += old.dropouts
            if old.rssi is not None:
                new.rssi = old.rssi if new.rssi is None else joined_signal(old.rssi, new.rssi)
