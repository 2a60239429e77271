"""Where points stand: those of the same labels and time each in a lane of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cloud_ingest.stores.engine import Series
from cloud_ingest.stores.points import Key, Labels, Origin

__all__ = ["Lane", "Place", "Recent", "lanes_of"]

Place = tuple[Labels, int]
"""Labels (without lane) and time: what two readings must not share in one lane."""


@dataclass(slots=True)
class Lane:
    """The points of one set of labels in one lane: time -> numbers."""

    labels: Mapping[str, str]
    key: Labels
    number: int
    points: dict[int, dict[str, float]] = field(default_factory=dict)


def lanes_of(series: Iterable[Series]) -> Iterable[Lane]:
    """Series of single numbers, put together to points."""
    found: dict[tuple[Labels, int], Lane] = {}
    for one in series:
        number = int(one.labels.get("lane", 0))
        labels = tuple(sorted((k, v) for k, v in one.labels.items() if k != "lane"))
        lane = found.get((labels, number))
        if lane is None:
            lane = found[labels, number] = Lane(one.labels, labels, number)
        name, points = one.name, lane.points
        for at, value in zip(one.times, one.numbers, strict=True):
            try:
                points[at][name] = value
            except KeyError:
                points[at] = {name: value}
    return found.values()


class Recent:
    """What was written a moment ago."""

    def __init__(self) -> None:
        self.keys: dict[tuple[str, Key], Origin] = {}
        self.lanes: dict[Place, set[int]] = {}
        self._order: deque[tuple[int, tuple[str, Key], Place, int]] = deque()

    def add(self, key: tuple[str, Key], origin: Origin, place: Place, lane: int, now: int) -> None:
        """Remember one point."""
        self.keys[key] = origin
        self.lanes.setdefault(place, set()).add(lane)
        self._order.append((now, key, place, lane))

    def forget(self, before: int) -> None:
        """Forget what was written before a monotonic time."""
        while self._order and self._order[0][0] < before:
            _, key, place, lane = self._order.popleft()
            self.keys.pop(key, None)
            lanes = self.lanes[place]
            lanes.discard(lane)
            if not lanes:
                del self.lanes[place]
