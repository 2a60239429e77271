"""A store over a time-series server, which knows neither transactions nor unique keys.

One process writes (each store has one writer), so the store itself sees to both: before it writes, it looks
for readings that may be there already, and gives those that would share labels and time a lane each. It
does not look where nothing can be: after the newest point of a device. Sameness is looked for at a reading's
corrected time; one whose corrected time has changed since is found by ``spool``, as long as that remembers.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from cloud_ingest.stores.base import FOREVER, Delivery, Origins, Outcome, Tell, check_delivery, in_order
from cloud_ingest.stores.engine import Engine, Series
from cloud_ingest.stores.points import Key, Labels, Origin, Stored, key_of, unclean
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch

__all__ = ["ServerStore"]

T = TypeVar("T")

READERS: Final = 2
LINES_AT_ONCE: Final = 5_000
"""In one request."""
REMEMBERED_NS: Final = 10 * SECOND
"""What was written is known without asking for so long: a server may need a while to show it."""
GAP_NS: Final = 60 * SECOND
"""Readings further apart are looked for separately."""
KNOWN_PAST_NS: Final = 30 * 86_400 * SECOND
"""A device's newest point is looked for so far back."""
AHEAD_NS: Final = 3 * 86_400 * SECOND
"""No reading is further in the future."""
FIRST_WINDOW_NS: Final = 3600 * SECOND
"""Of a read with a limit; each further one is twice as long."""

Place = tuple[Labels, int]
"""Labels (without lane) and time: what two readings must not share in one lane."""


@dataclass(slots=True)
class _Row:
    reading: Reading
    key: Key
    origin: Origin
    labels: Labels
    time: int


@dataclass(slots=True)
class _Known:
    """What is there already, as far as it matters for a batch."""

    keys: dict[Key, Origin] = field(default_factory=dict)
    lanes: defaultdict[Place, set[int]] = field(default_factory=lambda: defaultdict(set))

    def free(self, place: Place) -> int:
        """Take the first free lane."""
        taken = self.lanes[place]
        lane = next(n for n in range(len(taken) + 1) if n not in taken)
        taken.add(lane)
        return lane


class ServerStore:
    """TimeSeriesStore over an Engine. ``append_many`` is no transaction: see ``base``."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.durable_ack = engine.durable_ack
        self.engine = engine
        self._clock = clock
        self._format = engine.format
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="server-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="server-reader")
        self._recent = _Recent()
        self._newest: dict[tuple[str, str], int] = {}
        self._written: int | None = None
        self._doubtful = False

    # -- writing

    async def append(self, tenant: str, batch: ReadingBatch, origin: Origins) -> list[Outcome]:
        """Store a batch; see TimeSeriesStore."""
        return (await self.append_many(tenant, [Delivery(batch, origin)]))[0]

    async def append_many(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        """Store what is not there yet; see TimeSeriesStore."""
        for delivery in deliveries:
            check_delivery(delivery)
        return await self._in(self._writer, lambda: self._append(tenant, deliveries))

    def _append(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        rows = [list(self._rows(tenant, d)) for d in deliveries]
        known = self._look(tenant, [row for part in rows for row in part])
        lines: list[str] = []
        fresh: list[tuple[_Row, int]] = []
        outcomes: list[list[Outcome]] = []
        for part in rows:
            outcomes.append([])
            for row in part:
                present = known.keys.get(row.key)
                if present is not None:
                    outcomes[-1].append(Outcome.SAME if present == row.origin else Outcome.DUPLICATE)
                    continue
                known.keys[row.key] = row.origin
                lane = known.free((row.labels, row.time))
                numbers = self._format.numbers(row.reading, row.origin[2])
                lines.append(self._format.line(row.labels, lane, row.time, numbers))
                fresh.append((row, lane))
                outcomes[-1].append(Outcome.NEW)
        self._write(tenant, lines, fresh)
        return outcomes

    def _write(self, tenant: str, lines: Sequence[str], fresh: Iterable[tuple[_Row, int]]) -> None:
        if not lines:
            return
        for row, _ in fresh:  # before the attempt: some may be there although it fails
            which = tenant, row.reading.device
            self._newest[which] = max(self._newest.get(which, 0), row.time)
        self._doubtful = True
        self._written = self._clock.monotonic_ns()
        for n in range(0, len(lines), LINES_AT_ONCE):
            self.engine.write(lines[n : n + LINES_AT_ONCE])
        self._doubtful = False
        for row, lane in fresh:
            self._recent.add((tenant, row.key), row.origin, (row.labels, row.time), lane, self._written)

    def _rows(self, tenant: str, delivery: Delivery) -> Iterator[_Row]:
        origins, form = delivery.origins, self._format
        for reading, seq in zip(delivery.batch, origins.seqs, strict=True):
            origin = origins.gateway, origins.boot, seq
            labels = form.labels(tenant, reading, origin)
            yield _Row(reading, key_of(reading), origin, labels, form.time(reading))

    # -- looking before writing

    def _look(self, tenant: str, rows: Sequence[_Row]) -> _Known:
        """What is there of these rows, and what stands where they want to stand."""
        known = _Known()
        self._recent.forget(self._clock.monotonic_ns() - REMEMBERED_NS)
        newest = self._bounds(tenant, {row.reading.device for row in rows})
        unknown = []
        for row in rows:
            origin = self._recent.keys.get((tenant, row.key))
            if origin is not None:
                known.keys[row.key] = origin
            elif row.time <= newest[row.reading.device]:
                unknown.append(row)
                place = row.labels, row.time
                known.lanes[place] |= self._recent.lanes.get(place, set())
        if unknown and self._doubtful:
            self.engine.settle()
        for first, last, devices in _clusters(unknown, GAP_NS // self._format.unit):
            for point in _points(self.engine.series(tenant, devices, None, first, last)):
                known.lanes[point.place].add(point.lane)
                stored = self._format.row(point.labels, point.time, point.numbers)
                if stored is not None:
                    known.keys.setdefault(key_of(stored.reading), stored.origin)
        return known

    def _bounds(self, tenant: str, devices: set[str]) -> dict[str, int]:
        """For each device a time after which the server has nothing of it."""
        strange = sorted(d for d in devices if (tenant, d) not in self._newest)
        if strange:
            self.engine.settle()
            now, unit = self._clock.now_ns(), self._format.unit
            first, last = (now - KNOWN_PAST_NS) // unit, (now + AHEAD_NS) // unit
            found = self.engine.newest(tenant, strange, max(0, first), last)
            for device in strange:
                times = [time for (name, _), time in found.items() if name == device]
                self._newest[tenant, device] = max(times, default=max(0, first))
        return {device: self._newest[tenant, device] for device in devices}

    # -- reading

    async def read(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None,
        start: int,
        end: int,
        *,
        limit: int | None = None,
        newest: bool = False,
    ) -> ReadingBatch:
        """Readings of a period; see TimeSeriesStore."""
        if not devices or (metrics is not None and not metrics) or start >= end:
            return ReadingBatch()

        def work() -> ReadingBatch:
            self._settle()
            if limit is None:
                return ReadingBatch.of(self._read(tenant, devices, metrics, start, end))
            rows = self._limited(tenant, devices, metrics, (start, end), limit, newest=newest)
            return ReadingBatch.of(rows[max(0, len(rows) - limit) :] if newest else rows[:limit])

        return await self._in(self._readers, work)

    async def latest(self, tenant: str, devices: Sequence[str]) -> ReadingBatch:
        """The newest reading of each device and metric; see TimeSeriesStore."""
        if not devices:
            return ReadingBatch()

        def work() -> ReadingBatch:
            self._settle()
            unit = self._format.unit
            last = (self._clock.now_ns() + AHEAD_NS) // unit
            times = self.engine.newest(tenant, devices, 0, last)
            found = []
            for (device, metric), time in sorted(times.items()):
                begin = time * unit
                rows = self._read(tenant, [unclean(device)], [unclean(metric)], begin, begin + unit)
                found += rows[-1:]
            return ReadingBatch.of(sorted(found, key=lambda r: (r.device, r.metric)))

        return await self._in(self._readers, work)

    async def count(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None = None,
        start: int = 0,
        end: int = FOREVER,
    ) -> int:
        """How many readings there are: they are read for it, as points that make no row do not count."""
        return len(await self.read(tenant, devices, metrics, start, end))

    async def run(self, tell: Tell) -> None:
        """Nothing goes on in the background."""
        tell(None)

    async def close(self) -> None:
        """Finish what was begun and close the connections."""
        await asyncio.get_running_loop().run_in_executor(None, self._shutdown)

    def _read(
        self, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None, start: int, end: int
    ) -> list[Reading]:
        """In order; a row that was written twice all the same is given once."""
        unit = self._format.unit
        found: dict[Key, Stored] = {}
        for point in _points(
            self.engine.series(tenant, devices, metrics, max(0, start) // unit, (end - 1) // unit)
        ):
            stored = self._format.row(point.labels, point.time, point.numbers)
            if stored is None or not start <= stored.reading.corrected < end:
                continue
            key = key_of(stored.reading)
            if key not in found or stored.lane < found[key].lane:
                found[key] = stored
        readings = [stored.reading for stored in found.values()]
        return sorted(readings, key=in_order)

    def _limited(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None,
        period: tuple[int, int],
        limit: int,
        *,
        newest: bool,
    ) -> list[Reading]:
        """At least so many from one end of the period (if there are): in windows, each twice the last."""
        start, end = max(0, period[0]), min(period[1], self._clock.now_ns() + AHEAD_NS)
        width, rows = FIRST_WINDOW_NS, list[Reading]()
        while start < end and len(rows) < limit:
            if newest:
                begin = max(start, end - width)
                rows = self._read(tenant, devices, metrics, begin, end) + rows
                end = begin
            else:
                stop = min(end, start + width)
                rows += self._read(tenant, devices, metrics, start, stop)
                start = stop
            width *= 2
        return rows

    def _settle(self) -> None:
        """Who reads finds all that was acknowledged."""
        written = self._written
        if written is not None and self._clock.monotonic_ns() - written < REMEMBERED_NS:
            self.engine.settle()

    # -- threads

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> T:
        """Run in one of the threads; a cancelled caller does not stop what has begun."""
        try:
            running = asyncio.get_running_loop().run_in_executor(threads, work)
        except RuntimeError as error:
            msg = "the time-series store is closed"
            raise StoreUnavailable(msg) from error
        return await asyncio.shield(running)

    def _shutdown(self) -> None:
        self._readers.shutdown(wait=True)
        self._writer.shutdown(wait=True)
        self.engine.close()


@dataclass(slots=True)
class _Point:
    labels: Mapping[str, str]
    place: Place
    lane: int
    numbers: dict[str, float]

    @property
    def time(self) -> int:
        return self.place[1]


def _points(series: Iterable[Series]) -> list[_Point]:
    """Series of single numbers, put together to points."""
    found: dict[tuple[Labels, int], dict[int, _Point]] = {}
    for one in series:
        lane = int(one.labels.get("lane", 0))
        labels = tuple(sorted((k, v) for k, v in one.labels.items() if k != "lane"))
        points = found.setdefault((labels, lane), {})
        for time, number in zip(one.times, one.numbers, strict=True):
            point = points.get(time)
            if point is None:
                point = points[time] = _Point(one.labels, (labels, time), lane, {})
            point.numbers[one.name] = number
    return [point for points in found.values() for point in points.values()]


def _clusters(rows: Sequence[_Row], gap: int) -> Iterator[tuple[int, int, list[str]]]:
    """Periods (in units, both ends included) with the devices of their rows, wherever there is a gap."""
    first = last = -1
    devices: set[str] = set()
    for row in sorted(rows, key=lambda r: r.time):
        if devices and row.time > last + gap:
            yield first, last, sorted(devices)
            devices = set()
        if not devices:
            first = row.time
        last = row.time
        devices.add(row.reading.device)
    if devices:
        yield first, last, sorted(devices)


class _Recent:
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
