"""What a store over a server does before it writes, with an engine that counts what it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from cloud_ingest.stores import FOREVER, Outcome
from cloud_ingest.stores.engine import Examined, Series
from cloud_ingest.stores.points import Format
from cloud_ingest.stores.server import ServerStore
from cloud_ingest.stores.summaries import NOT_SHOWN, Summary, Tally, summed_up
from hearthward.core.clock import EventClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import ReadingBatch
from tests.component.cloud_ingest.influx_standin import parse_line
from tests.unit.cloud_ingest.stores.suite import SECOND, T0, close, everything, origins, reading


class FakeEngine:
    """Points in a dictionary, in milliseconds; ``torn``: the next write stores so many lines, then fails."""

    format = Format(unit=1_000_000, whole=1 << 53, rounds=True)
    durable_ack = False

    def __init__(self) -> None:
        self.points: dict[tuple[tuple[str, str], ...], dict[int, dict[str, float]]] = {}
        self.asked: list[tuple[int, int]] = []
        self.summed: list[tuple[int, int, int]] = []
        self.lines = self.settled = 0
        self.torn: int | None = None

    def write(self, lines: Sequence[str]) -> None:
        for n, line in enumerate(lines):
            if n == self.torn:
                self.torn = None
                msg = "cut"
                raise StoreUnavailable(msg)
            _, tags, fields, time = parse_line(line)
            self.points.setdefault(tags, {}).setdefault(time, {}).update(fields)  # type: ignore[arg-type]
            self.lines += 1

    def series(
        self, tenant: str, devices: Sequence[str], metrics: Sequence[str] | None, first: int, last: int
    ) -> Iterator[Series]:
        self.asked.append((first, last))
        for tags, times in self.points.items():
            labels = dict(tags)
            if labels["tenant"] != tenant or labels["device"] not in devices:
                continue
            if metrics is None or labels["metric"] in metrics:
                for time, numbers in times.items():
                    if first <= time <= last:
                        for name, number in numbers.items():
                            yield Series(dict(labels), name, [time], [number])

    def newest(
        self, tenant: str, devices: Sequence[str], first: int, last: int
    ) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for series in self.series(tenant, devices, None, first, last):
            which = series.labels["device"], series.labels["metric"]
            found[which] = max(found.get(which, 0), *series.times)
        self.asked.pop()
        return found

    def summaries(
        self, tenant: str, device: str, metric: str, first: int, stop: int, step: int
    ) -> list[Summary]:
        self.summed.append((first, stop, step))
        table = Tally.table()
        for series in self.series(tenant, [device], [metric], first, stop - 1):
            if series.name == "value" and not int(series.labels.get("quality", 0)) & NOT_SHOWN:
                for at, number in zip(series.times, series.numbers, strict=True):
                    tally = table[at // step * step]
                    for kept in (tally.lows, tally.highs, tally.sums):
                        kept.append(number)
                    tally.counts.append(1)
                    tally.lasts.append((at, number))
        self.asked.pop()
        return [made for at in sorted(table) if (made := table[at].summary(at)) is not None]

    def settle(self) -> None:
        self.settled += 1

    def examine(self) -> Examined:
        return Examined("is a fake")

    def close(self) -> None:
        pass


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def clock() -> EventClock:
    return EventClock(T0 + 100 * SECOND, frozen_monotonic=True)


@pytest.fixture
async def store(engine: FakeEngine, clock: EventClock):
    made = ServerStore(engine, clock)
    yield made
    await made.close()


async def test_does_not_look_where_nothing_can_be(store: ServerStore, engine: FakeEngine):
    for i in range(5):
        await store.append(
            "main", ReadingBatch.of([reading(i), reading(i, ordinal=1)]), origins(2 * i, 2 * i + 1)
        )
    assert engine.asked == []
    await store.append("main", ReadingBatch.of([reading(2, digest=5)]), origins(20))
    assert engine.asked == [(T0 // 10**6 + 2000, T0 // 10**6 + 2000)]


async def test_looks_for_far_apart_readings_separately(store: ServerStore, engine: FakeEngine):
    await store.append("main", ReadingBatch.of([reading(10**6)]), origins(1))
    rows = [reading(0), reading(30), reading(5000), reading(5001)]
    await store.append("main", ReadingBatch.of(rows), origins(2, 3, 4, 5))
    assert [(b - a) // 1000 for a, b in engine.asked] == [30, 1]


async def test_readings_of_one_millisecond_have_a_lane_each_and_keep_it(
    store: ServerStore, engine: FakeEngine, clock: EventClock
):
    rows = [reading(0, digest=i, received=T0 + i, corrected=T0 + i) for i in range(4)]
    await store.append("main", ReadingBatch.of(rows[:2]), origins(1, 2))
    clock.advance(100)  # what was written a moment ago is forgotten
    await store.append("main", ReadingBatch.of(rows), origins(1, 2, 3, 4))
    assert sorted(dict(tags).get("lane", "0") for tags in engine.points) == ["0", "1", "2", "3"]
    assert await everything(store, "main") == rows
    assert engine.lines == 4


async def test_what_half_arrived_is_found_when_it_is_tried_again(store: ServerStore, engine: FakeEngine):
    rows = [reading(i) for i in range(4)]
    engine.torn = 2
    with pytest.raises(StoreUnavailable, match="cut"):
        await store.append("main", ReadingBatch.of(rows), origins(1, 2, 3, 4))
    engine.settled = 0
    outcomes = await store.append("main", ReadingBatch.of(rows), origins(1, 2, 3, 4))
    assert outcomes == [Outcome.SAME, Outcome.SAME, Outcome.NEW, Outcome.NEW]
    assert (engine.lines, engine.settled) == (4, 1)  # it was asked to show all that it has


@pytest.mark.parametrize("lacking", ["digest", "seq", "shape", "value"])
async def test_a_torn_point_is_no_reading_and_is_made_whole_where_it_stands(
    lacking: str, engine: FakeEngine, clock: EventClock
):
    await ServerStore(engine, clock).append("main", ReadingBatch.of([reading(0)]), origins(7))
    (times,) = engine.points.values()
    for numbers in times.values():
        del numbers[lacking]
    store = ServerStore(engine, clock)  # the process has died, too
    assert await everything(store, "main") == []
    other = reading(0, digest=3, value=50.0)
    batch = ReadingBatch.of([other, reading(0)])
    assert await store.append("main", batch, origins(8, 7)) == [Outcome.NEW] * 2
    assert sorted(r.value for r in await everything(store, "main") if r.value) == [50.0, 97.0]
    assert sorted(dict(tags).get("lane", "0") for tags in engine.points) == ["0", "1"]  # nowhere twice
    await store.close()


async def test_a_torn_point_that_nobody_knows_keeps_its_place(
    store: ServerStore, engine: FakeEngine, clock: EventClock
):
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    (times,) = engine.points.values()
    for numbers in times.values():
        del numbers["digest"], numbers["seq"]
    clock.advance(100)
    assert await everything(store, "main") == []
    other = reading(0, digest=3, value=50.0)
    assert (
        await store.append("main", ReadingBatch.of([reading(0), other]), origins(1, 2)) == [Outcome.NEW] * 2
    )
    assert sorted(r.value for r in await everything(store, "main") if r.value) == [50.0, 97.0]


async def test_a_reading_that_is_there_twice_is_read_once(store: ServerStore, engine: FakeEngine):
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    ((tags, times),) = engine.points.items()
    engine.points[tuple(sorted((*tags, ("lane", "1"))))] = times
    assert await everything(store, "main") == [reading(0)]
    assert await store.count("main", ["dev_1"]) == 1


async def test_a_limit_reads_window_by_window(store: ServerStore, engine: FakeEngine, clock: EventClock):
    clock.advance(10**6)
    rows = [reading(i * 600) for i in range(100)]
    await store.append("main", ReadingBatch.of(rows), origins(*range(100)))
    clock.advance(100)  # what was written a moment ago is waited for
    engine.asked.clear()
    last = await store.read("main", ["dev_1"], None, T0, T0 + 60_000 * SECOND, limit=3, newest=True)
    assert last.corrected == [r.corrected for r in rows[-3:]]
    assert len(engine.asked) == 1
    assert (await store.read("main", ["dev_1"], None, T0, FOREVER, limit=30)).corrected == [
        r.corrected for r in rows[:30]
    ]
    assert len(await store.read("main", ["dev_1"], None, T0, FOREVER, limit=1000, newest=True)) == 100


async def test_a_closed_store_says_so(engine: FakeEngine, clock: EventClock):
    store = ServerStore(engine, clock)
    await store.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        await everything(store, "main")


async def test_whole_buckets_are_summed_up_by_the_server_and_only_the_ends_are_read(
    store: ServerStore, engine: FakeEngine, clock: EventClock
):
    rows = [reading(i, value=90.0 + i % 5) for i in range(60)]
    await store.append("main", ReadingBatch.of(rows), origins(*range(60)))
    clock.advance(100)
    engine.asked.clear()
    found = await store.summaries("main", "dev_1", "spo2", T0 + 5 * SECOND, T0 + 47 * SECOND, 10 * SECOND)
    assert close(found, summed_up(rows[5:47], 10 * SECOND))
    ms = T0 // 10**6
    assert engine.summed == [(ms + 10_000, ms + 40_000, 10_000)]
    assert engine.asked == [(ms + 5_000, ms + 9_999), (ms + 40_000, ms + 46_999)]
