"""What a spool has accepted is there, whatever the server behind it does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cloud_ingest.stores import FOREVER, MemoryServer, MemoryStore, Outcome, SqliteStore, TimeSeriesStore
from cloud_ingest.stores.shipper import VANISHED, Shipping
from cloud_ingest.stores.spool import SpooledStore
from cloud_ingest.stores.spool_file import SpoolFile
from cloud_ingest.stores.summaries import summed_up
from hearthward.core.clock import EventClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.unit.cloud_ingest.stores.suite import SECOND, T0, close, everything, origins, reading

SAFETY_S = 60.0
DEVICES = ("dev_1", "dev_2")


class Bench:
    """A spool over a fake server, with a clock that is moved by hand."""

    def __init__(self, folder: Path, inner: TimeSeriesStore | None = None, **shipping: float) -> None:
        self.path = folder / "series.db"
        self.server = MemoryServer()
        self.inner = inner or self.server
        self.clock = EventClock(T0 + 100 * SECOND, frozen_monotonic=True)
        self.telemetry = Telemetry()
        self.shipping = Shipping(safety_s=SAFETY_S, **shipping)  # type: ignore[arg-type]
        self.store = self.open()

    def open(self) -> SpooledStore:
        return SpooledStore(
            SpoolFile(self.path),
            self.inner,
            clock=self.clock,
            telemetry=self.telemetry,
            shipping=self.shipping,
        )

    async def add(self, *rows: Reading, first: int = 1) -> list[Outcome]:
        seqs = range(first, first + len(rows))
        return await self.store.append("main", ReadingBatch.of(rows), origins(*seqs))

    async def ship(self) -> None:
        while await self.store.shipper.step():
            pass

    async def settle(self) -> None:
        """Ship, let the safety time pass, confirm."""
        await self.ship()
        self.clock.advance(SAFETY_S + 1)
        await self.ship()

    async def waiting(self) -> int:
        return (await self.store.file.fill()).waiting

    async def there(self) -> list[Reading]:
        return await everything(self.inner, "main", DEVICES)

    async def prune(self) -> int:
        return await self.store.file.prune(T0 + 10**5 * SECOND)


@pytest.fixture
async def bench(tmp_path: Path):
    made = Bench(tmp_path)
    yield made
    await made.store.close()


async def test_ships_what_it_has_accepted_and_waits_until_it_is_safe(bench: Bench):
    rows = [reading(i) for i in range(5)]
    await bench.add(*rows)
    await bench.ship()
    assert await bench.there() == rows
    assert await bench.waiting() == 5
    bench.clock.advance(SAFETY_S - 1)
    await bench.ship()
    assert await bench.waiting() == 5
    bench.clock.advance(2)
    await bench.ship()
    assert await bench.waiting() == 0
    assert bench.telemetry.value("store_server_readings_total") == 5


async def test_a_store_that_keeps_what_it_acknowledges_needs_no_second_look(tmp_path: Path):
    bench = Bench(tmp_path, MemoryStore())
    await bench.add(reading(0))
    await bench.ship()
    assert await bench.waiting() == 0
    await bench.store.close()


async def test_what_the_server_loses_is_sent_again(bench: Bench):
    await bench.add(reading(0))
    await bench.settle()
    bench.server.sync()
    await bench.add(reading(1), reading(2), first=2)
    await bench.ship()
    bench.server.kill()
    assert len(await bench.there()) == 1
    bench.clock.advance(SAFETY_S + 1)
    await bench.ship()
    assert len(await bench.there()) == 3
    assert await bench.waiting() == 2  # the time begins anew
    assert bench.telemetry.value("store_server_lost_total") == 2
    await bench.settle()
    assert await bench.waiting() == 0


async def test_takes_readings_while_the_server_is_away(bench: Bench):
    bench.server.away = True
    assert await bench.add(reading(0)) == [Outcome.NEW]
    with pytest.raises(StoreUnavailable):
        await bench.store.shipper.step()
    assert await everything(bench.store, "main") == [reading(0)]
    assert (await bench.store.latest("main", ["dev_1"])).corrected == [T0]
    bench.server.away = False
    await bench.settle()
    assert await bench.there() == [reading(0)]


async def test_ships_again_after_a_restart_what_is_not_known_to_be_safe(bench: Bench):
    await bench.add(reading(0))
    await bench.ship()
    await bench.store.close()
    bench.server.kill()
    bench.store = bench.open()
    await bench.settle()
    assert await bench.there() == [reading(0)]
    assert await bench.waiting() == 0


async def test_reads_what_is_here_and_what_has_moved_as_one(bench: Bench):
    rows = [reading(i) for i in range(10)]
    await bench.add(*rows)
    await bench.settle()
    assert await bench.prune() == 9  # the newest stays
    late = reading(3, digest=77)
    await bench.add(late, first=20)
    await bench.add(reading(11), first=30)
    expected = sorted([*rows, late, reading(11)], key=lambda r: (r.corrected, r.digest))
    found = await everything(bench.store, "main")
    assert sorted(found, key=lambda r: (r.corrected, r.digest)) == expected
    assert await bench.store.count("main", ["dev_1"]) == 12
    first = await bench.store.read("main", ["dev_1"], None, 0, FOREVER, limit=3)
    assert first.corrected == [T0, T0 + SECOND, T0 + 2 * SECOND]
    last = await bench.store.read("main", ["dev_1"], None, 0, FOREVER, limit=3, newest=True)
    assert last.corrected == [T0 + 8 * SECOND, T0 + 9 * SECOND, T0 + 11 * SECOND]
    assert (await bench.store.latest("main", ["dev_1"])).corrected == [T0 + 11 * SECOND]
    bench.server.away = True
    with pytest.raises(StoreUnavailable):
        await everything(bench.store, "main")
    recent = await bench.store.read("main", ["dev_1"], None, T0 + 10**6 * SECOND, FOREVER)
    assert len(recent) == 0


async def test_nothing_is_deleted_that_has_not_arrived(bench: Bench):
    await bench.add(reading(0), reading(9))
    await bench.ship()
    assert await bench.prune() == 0
    bench.server.away = True
    assert len(await everything(bench.store, "main")) == 2  # nor is the server asked for it
    bench.server.away = False
    bench.clock.advance(SAFETY_S + 1)
    await bench.ship()
    assert await bench.prune() == 1


async def test_a_late_reading_that_comes_while_old_ones_are_deleted_stays(bench: Bench):
    await bench.add(reading(0), reading(9))
    await bench.settle()
    file = bench.store.file
    cut = file._begin_to_prune(T0 + 10**5 * SECOND)
    assert cut is not None
    await bench.add(reading(1), first=20)
    for series in file._all_series():
        file._delete(series, min(cut, file._newest_of(series)))
    assert await file.count("main", ["dev_1"]) == 2
    assert len(await everything(bench.store, "main")) == 3


async def test_an_old_reading_that_only_the_server_has_is_known(bench: Bench):
    await bench.add(reading(0), reading(9))
    await bench.settle()
    await bench.prune()
    assert await bench.add(reading(0), reading(1), first=50) == [Outcome.DUPLICATE, Outcome.NEW]
    bench.server.away = True
    assert await bench.add(reading(0), first=60) == [Outcome.NEW]  # cannot be asked
    bench.server.away = False
    await bench.settle()
    assert [r.corrected for r in await everything(bench.store, "main")] == [T0, T0 + SECOND, T0 + 9 * SECOND]
    assert len(await bench.there()) == 3


async def test_a_reading_that_is_here_is_the_same_although_the_server_has_it_too(bench: Bench):
    """A crash between storing and deciding: the frame comes again and must be decided then."""
    await bench.add(reading(5), reading(9))
    await bench.settle()
    await bench.prune()
    assert await bench.add(reading(0), first=7) == [Outcome.NEW]
    await bench.ship()
    assert await bench.add(reading(0), first=7) == [Outcome.SAME]


async def test_what_the_server_refuses_stays_here_and_is_counted(bench: Bench):
    bench.server.refused = {"dev_2"}
    await bench.add(reading(0), reading(1, device="dev_2"), reading(2), reading(3, device="dev_2"))
    await bench.settle()
    assert len(await bench.there()) == 2
    fill = await bench.store.file.fill()
    assert (fill.waiting, fill.refused) == (0, 2)
    assert bench.telemetry.value("store_server_refused_total") == 2
    await bench.prune()
    assert len(await everything(bench.store, "main")) == 4
    bench.server.refused = set()
    await bench.store.close()
    bench.store = bench.open()  # tried again at each start
    await bench.settle()
    assert len(await bench.there()) == 4
    assert (await bench.store.file.fill()).refused == 0


async def test_what_the_server_takes_but_never_keeps_stays_here(bench: Bench):
    await bench.add(reading(0))
    await bench.ship()
    for _ in range(VANISHED + 1):
        bench.server.kill()
        bench.clock.advance(SAFETY_S + 1)
        await bench.ship()
    fill = await bench.store.file.fill()
    assert (fill.waiting, fill.refused) == (0, 1)
    assert await everything(bench.store, "main") == [reading(0)]


async def test_a_store_that_was_there_before_is_adopted(tmp_path: Path):
    before = SqliteStore(tmp_path / "series.db")
    rows = [reading(i, value=float(i), code="x" if i % 2 else None) for i in range(3000)]
    await before.append("main", ReadingBatch.of(rows), origins(*range(3000)))
    await before.append("main", ReadingBatch.of([reading(5, device="dev_2")]), origins(5, gateway="gw-2"))
    await before.close()
    bench = Bench(tmp_path)
    await bench.add(reading(4000), first=4000)
    assert await bench.prune() == 0
    await bench.settle()
    assert len(await bench.there()) == 3002
    assert await bench.prune() > 0
    assert len(await everything(bench.store, "main")) == 3002
    await bench.store.close()
    embedded = SqliteStore(tmp_path / "series.db", read_only=True)  # the file is still one of these
    assert await embedded.count("main", DEVICES) == 2
    await embedded.close()


async def test_readings_taken_without_the_server_in_between_are_shipped_too(bench: Bench):
    await bench.add(reading(0))
    await bench.settle()
    await bench.store.close()
    embedded = SqliteStore(bench.path)
    await embedded.append("main", ReadingBatch.of([reading(1), reading(2)]), origins(2, 3))
    await embedded.close()
    bench.store = bench.open()
    assert await bench.prune() == 0
    await bench.settle()
    assert await bench.there() == [reading(0), reading(1), reading(2)]


async def test_a_full_file_refuses_until_there_is_room(tmp_path: Path):
    bench = Bench(tmp_path, max_bytes=400_000)
    bench.server.away = True
    bench.clock.advance(10**6)
    n = 0

    async def fill() -> None:
        nonlocal n
        while True:
            await bench.add(*(reading(i, digest=i) for i in range(n * 50, n * 50 + 50)), first=n * 50)
            bench.clock.advance(1)
            n += 1

    with pytest.raises(StoreUnavailable, match="full"):
        await fill()
    assert n > 10
    told: list[str | None] = []
    bench.server.away = False
    running = asyncio.create_task(bench.store.run(told.append))
    async with asyncio.timeout(20):
        while await bench.waiting():
            bench.clock.advance(SAFETY_S)
            bench.store.shipper.wake()
            await asyncio.sleep(0.01)
        while bench.telemetry.value("store_spool_fill") > 0.5:
            bench.clock.advance(SAFETY_S)
            bench.store.shipper.wake()
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert any(reason and "full" in reason for reason in told)
    bench.clock.advance(10)
    assert await bench.add(reading(10**6), first=10**6) == [Outcome.NEW]
    assert await bench.store.count("main", ["dev_1"]) == n * 50 + 1
    await bench.store.close()


async def test_tells_of_a_server_that_stays_away(bench: Bench):
    told: list[str | None] = []
    bench.server.away = True
    await bench.add(reading(0))
    running = asyncio.create_task(bench.store.run(told.append))
    async with asyncio.timeout(20):
        while not told:
            bench.clock.advance(5)
            await asyncio.sleep(0.02)
        assert told == ["told to be away"]
        bench.server.away = False
        while told[-1] is not None:  # noqa: ASYNC110 - it tells a callback
            await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


class SpoolMachine(RuleBasedStateMachine):
    """Any order of appends, shipping, kills, absences, restarts, pruning: all that was accepted is read."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = TemporaryDirectory()
        self._runner = asyncio.Runner()
        self._bench = Bench(Path(self._folder.name))
        self._model = MemoryStore()
        self._seq = 0

    @rule(
        at=st.integers(0, 30), digest=st.integers(0, 2), device=st.sampled_from(DEVICES), n=st.integers(1, 3)
    )
    def append(self, at: int, digest: int, device: str, n: int) -> None:
        rows = [reading(at + i, digest=digest, device=device) for i in range(n)]
        seqs = range(self._seq, self._seq + n)
        self._seq += n
        expected = self._run(self._model.append("main", ReadingBatch.of(rows), origins(*seqs)))
        found = self._run(self._bench.add(*rows, first=seqs[0]))
        known = [o is Outcome.NEW for o in expected]
        if not self._bench.server.away:
            assert [o is Outcome.NEW for o in found] == known

    @rule()
    def ship(self) -> None:
        try:
            self._run(self._bench.ship())
        except StoreUnavailable:
            assert self._bench.server.away

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def wait(self, seconds: int) -> None:
        self._bench.clock.advance(seconds)
        if seconds > SAFETY_S / 2:
            self._bench.server.sync()  # nothing is in danger for so long

    @rule()
    def kill(self) -> None:
        self._bench.server.kill()

    @rule()
    def leave_or_return(self) -> None:
        self._bench.server.away = not self._bench.server.away

    @rule()
    def prune(self) -> None:
        self._run(self._bench.prune())

    @rule()
    def restart(self) -> None:
        self._run(self._bench.store.close())
        self._bench.store = self._bench.open()

    @precondition(lambda self: not self._bench.server.away)
    @invariant()
    def all_is_read_once(self) -> None:
        mine = self._run(everything(self._bench.store, "main", DEVICES))
        assert [r.corrected for r in mine] == [
            r.corrected for r in self._run(everything(self._model, "main", DEVICES))
        ]
        assert len({(r.device, r.corrected, r.digest) for r in mine}) == len(mine)

    def teardown(self) -> None:
        self._bench.server.away = False
        for _ in range(3):
            self._run(self._bench.settle())
            self._bench.server.sync()
        found = self._run(self._bench.there())
        assert len(found) == len(self._run(everything(self._model, "main", DEVICES)))
        assert self._run(self._bench.waiting()) == 0
        self._run(self._bench.store.close())
        self._runner.close()
        self._folder.cleanup()

    def _run(self, work: object) -> object:
        return self._runner.run(work)  # type: ignore[arg-type]


TestSpoolMachine = SpoolMachine.TestCase
TestSpoolMachine.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


async def test_sums_of_both_are_one_and_nothing_counts_twice(bench: Bench):
    rows = [reading(i, value=90.0 + i % 7) for i in range(100)]
    await bench.add(*rows)
    await bench.settle()
    assert await bench.store.file.prune(T0 + 50 * SECOND) > 0
    late = reading(20, value=70.0, digest=99)
    await bench.add(late, first=500)  # older than what is here, and not shipped yet
    both = sorted([*rows, late], key=lambda r: r.corrected)
    for start, end, step in ((0, 100, 10), (13, 77, 10), (18, 22, 1), (0, 40, 60), (60, 90, 7)):
        begin, stop = T0 + start * SECOND, T0 + end * SECOND
        found = await bench.store.summaries("main", "dev_1", "spo2", begin, stop, step * SECOND)
        inside = [r for r in both if begin <= r.corrected < stop]
        assert close(found, summed_up(inside, step * SECOND)), (start, end, step)
    await bench.settle()
    assert close(
        await bench.store.summaries("main", "dev_1", "spo2", T0, T0 + 100 * SECOND, 10 * SECOND),
        summed_up(both, 10 * SECOND),
    )
