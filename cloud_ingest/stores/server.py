"""A store over a time-series server, which knows neither transactions nor unique keys.

One process writes (each store has one writer), so the store itself sees to both: before it writes, it looks
for readings that may be there already, and gives those that would share labels and time a lane each. One of
which it sees a part (the server lost the rest, or does not show it yet) it writes again where that stands. It
does not look where nothing can be: after the newest point of a device. Sameness is looked for at a reading's
corrected time; one whose corrected time has changed since is found by ``spool``, as long as that remembers.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from cloud_ingest.stores.base import FOREVER, Delivery, Origins, Outcome, Tell, check_delivery, in_order
from cloud_ingest.stores.engine import Engine
from cloud_ingest.stores.lanes import Place, Recent, lanes_of
from cloud_ingest.stores.points import Key, Labels, Origin, key_of, unclean
from cloud_ingest.stores.summaries import Summary, check_step, joined, summed_up, whole
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch

__all__ = ["ServerStore"]

T = TypeVar("T")

READERS: Final = 2
LINES_AT_ONCE: Final = 5_000
"""In one request."""
REMEMBERED_NS: Final = 10 * SECOND
"""What was written is known without asking for so long: a server may need a while to show it.

Less than a spool waits before it asks whether the server has kept it: that must be asked.
"""
_TELLING: Final = frozenset({"seq", "digest"})
"""Numbers by one of which a part of a point can be known (gateway and boot are among its labels)."""
SETTLED_S: Final = 3.0
"""A reader waits at most so long for what was written a moment before."""
LOOK_AGAIN_S: Final = 0.02
GAP_NS: Final = 60 * SECOND
"""Readings further apart are looked for separately."""
KNOWN_PAST_NS: Final = 30 * 86_400 * SECOND
"""A device's newest point is looked for so far back."""
AHEAD_NS: Final = 3 * 86_400 * SECOND
"""No reading is further in the future."""
FIRST_WINDOW_NS: Final = 3600 * SECOND
"""Of a read with a limit; each further one is twice as long."""


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
    parts: defaultdict[Place, dict[int, dict[str, float]]] = field(default_factory=lambda: defaultdict(dict))
    """Points that make no row, as some of their numbers are lost or not shown yet, by lane."""

    def lane(self, place: Place, numbers: Mapping[str, float]) -> int:
        """Take the lane where a part of this very point stands, or else the first free one."""
        for lane, part in self.parts[place].items():
            if not part.keys().isdisjoint(_TELLING) and part.items() <= numbers.items():
                del self.parts[place][lane]
                return lane
        taken = self.lanes[place]
        lane = next(n for n in range(len(taken) + 1) if n not in taken)
        taken.add(lane)
        return lane


@dataclass(frozen=True, slots=True, eq=False)
class _Unseen:
    """What was written, and not read since: a server shows it a little later."""

    at: int
    tenant: str
    rows: tuple[tuple[_Row, int], ...]

    def touches(self, devices: Sequence[str], start: int, end: int) -> bool:
        """Whether who reads this would want to see some of it."""
        return any(r.reading.device in devices and start <= r.reading.corrected < end for r, _ in self.rows)


class ServerStore:
    """TimeSeriesStore over an Engine. ``append_many`` is no transaction: see ``base``."""

    def __init__(self, engine: Engine, clock: Clock, *, remembered_ns: int = REMEMBERED_NS) -> None:
        self.durable_ack = engine.durable_ack
        self.engine = engine
        self._clock, self._remembered = clock, remembered_ns
        self._format = engine.format
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="server-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="server-reader")
        self._recent = Recent()
        self._newest: dict[tuple[str, str], int] = {}
        self._unseen: tuple[_Unseen, ...] = ()
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
                numbers = self._format.numbers(row.reading, row.origin[2])
                lane = known.lane((row.labels, row.time), numbers)
                lines.append(self._format.line(row.labels, lane, row.time, numbers))
                fresh.append((row, lane))
                outcomes[-1].append(Outcome.NEW)
        self._write(tenant, lines, fresh)
        return outcomes

    def _write(self, tenant: str, lines: Sequence[str], fresh: Sequence[tuple[_Row, int]]) -> None:
        if not lines:
            return
        for row, _ in fresh:  # before the attempt: some may be there although it fails
            which = tenant, row.reading.device
            self._newest[which] = max(self._newest.get(which, 0), row.time)
        self._doubtful = True
        for n in range(0, len(lines), LINES_AT_ONCE):
            self.engine.write(lines[n : n + LINES_AT_ONCE])
        self._doubtful = False
        now = self._clock.monotonic_ns()
        for row, lane in fresh:
            self._recent.add((tenant, row.key), row.origin, (row.labels, row.time), lane, now)
        self._unseen = (
            *(u for u in self._unseen if now - u.at < self._remembered),
            _Unseen(now, tenant, tuple((row, lane) for row, lane in fresh)),
        )

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
        self._recent.forget(self._clock.monotonic_ns() - self._remembered)
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
            for lane in lanes_of(self.engine.series(tenant, devices, None, first, last)):
                reader = self._format.reader(lane.labels)
                for at, numbers in lane.points.items():
                    known.lanes[lane.key, at].add(lane.number)
                    identity = reader.identity(at, numbers)
                    if identity is None:
                        known.parts[lane.key, at][lane.number] = numbers
                    else:
                        known.keys.setdefault(*identity)
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
                times = [at for (name, _), at in found.items() if name == device]
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
            self._settle(tenant, devices, start, end)
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
            self._settle(tenant, devices, 0, FOREVER)
            unit = self._format.unit
            last = (self._clock.now_ns() + AHEAD_NS) // unit
            times = self.engine.newest(tenant, devices, 0, last)
            found = []
            for (device, metric), at in sorted(times.items()):
                begin = at * unit
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

    async def summaries(
        self, tenant: str, device: str, metric: str, start: int, end: int, step: int
    ) -> list[Summary]:
        """Values summed up by the server, but for the ends that are no whole buckets; see TimeSeriesStore."""
        check_step(step)
        unit = self._format.unit
        first, stop = whole(start, end, step)

        def read(begin: int, until: int) -> list[Summary]:
            found = self._read(tenant, [device], [metric], begin, until) if begin < until else []
            return summed_up(found, step)

        def work() -> list[Summary]:
            if start >= end:
                return []
            self._settle(tenant, [device], start, end)
            if step % unit or first >= stop:
                return read(start, end)
            found = self.engine.summaries(tenant, device, metric, first // unit, stop // unit, step // unit)
            middle = [replace(s, time=s.time * unit) for s in found]
            return joined([*read(start, first), *middle, *read(stop, end)])

        return await self._in(self._readers, work)

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
        first, last = max(0, start) // self._format.unit, (end - 1) // self._format.unit
        found: dict[Key, tuple[int, Reading]] = {}
        for lane in lanes_of(self.engine.series(tenant, devices, metrics, first, last)):
            reader = self._format.reader(lane.labels)
            for at, numbers in lane.points.items():
                reading = reader.row(at, numbers)
                if reading is None or not start <= reading.corrected < end:
                    continue
                key = key_of(reading)
                if key not in found or lane.number < found[key][0]:
                    found[key] = lane.number, reading
        return sorted((reading for _, reading in found.values()), key=in_order)

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

    def _settle(self, tenant: str, devices: Sequence[str], start: int, end: int) -> None:
        """Who reads finds all that was acknowledged, also a moment ago."""
        now = self._clock.monotonic_ns()
        unseen = [
            u
            for u in self._unseen
            if now - u.at < self._remembered and u.tenant == tenant and u.touches(devices, start, end)
        ]
        give_up = time.monotonic() + SETTLED_S
        while unseen and time.monotonic() < give_up:
            self.engine.settle()
            unseen = [u for u in unseen if not self._seen(u)]
            if unseen:
                time.sleep(LOOK_AGAIN_S)

    def _seen(self, unseen: _Unseen) -> bool:
        wanted = {(row.labels, lane, row.time) for row, lane in unseen.rows}
        for first, last, devices in _clusters([row for row, _ in unseen.rows], GAP_NS // self._format.unit):
            for lane in lanes_of(self.engine.series(unseen.tenant, devices, None, first, last)):
                wanted.difference_update((lane.key, lane.number, at) for at in lane.points)
        if not wanted:
            self._unseen = tuple(u for u in self._unseen if u is not unseen)
        return not wanted

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
