"""Twins' stores over real bleak: fetched after days, through cuts and kills, each reading once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from bumble.device import Connection, Device

from devices import DeviceConfig, DeviceFleet, DeviceSession, SessionState
from devices.cursors import Cursors, MemoryCursors
from devices.links.ble import BleLink
from devices.links.factory import Links
from devices.links.radio import Radio
from devices.racp import Cursor
from devices.steps import SET_AGAIN_S
from devices.store_fetch import REFETCH_S
from devices.twins import encode
from devices.twins.clocks import TwinClock
from devices.twins.peripheral import Peripheral
from devices.twins.profile_twin import ProfileTwin, Trouble
from devices.twins.world import TwinWorld
from edge_agent.cursor_store import FileCursors
from firmware_profiles import Catalog, Profile
from hearthward.core.clock import SystemClock, parse_iso
from hearthward.core.errors import StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.component.devices.bluetooth import catalog
from tests.unit.devices.links.test_ble_steps import Aid

HOUR = timedelta(hours=1)
Identity = tuple[str, str, int | None, int | None, int, int]


async def nap(seconds: float) -> None:
    """Back-offs are short here; what is done every few minutes is not done again."""
    if seconds in {REFETCH_S, SET_AGAIN_S}:
        await asyncio.Event().wait()
    await asyncio.sleep(min(seconds, 0.01))


class Gateway:
    """What outlives a gateway's process: its readings and its file of cursors."""

    def __init__(self, radio: Radio, twin: Peripheral, profile: Profile, folder: Path) -> None:
        self.radio = radio
        self.profile = profile
        self.config = DeviceConfig(twin.id, "ble", twin.address, profile.id, "Europe/Berlin")
        self.path = folder / "cursors.json"
        self.stored = ReadingBatch()
        self.available = True
        self.capacity = 1024
        self.telemetry = Telemetry()
        self.news = asyncio.Event()
        self.states: list[SessionState] = []
        self.runs = 0

    async def sink(self, batch: ReadingBatch) -> None:
        await asyncio.sleep(0)
        if not self.available:
            msg = "the disk is away"
            raise StoreUnavailable(msg)
        self.stored.extend(batch)
        self.news.set()

    def on_state(self, _device: str, state: SessionState, _reason: str) -> None:
        self.states.append(state)
        self.news.set()

    @asynccontextmanager
    async def process(self, cursors: Cursors | None = None) -> AsyncIterator[asyncio.Task[None]]:
        """One run of the gateway's process."""
        self.runs += 1
        session = DeviceSession(
            self.config,
            Catalog([self.profile]),
            Links(self.radio),
            self.sink,
            SystemClock(),
            SeededIds(self.runs),
            self.telemetry,
            self.on_state,
            lambda *_: None,
            cursors=cursors or FileCursors(self.path),
            capacity=self.capacity,
            sleep=nap,
        )
        task = asyncio.create_task(session.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not done():
                self.news.clear()
                waiting = asyncio.create_task(self.news.wait())
                await asyncio.wait([waiting], timeout=0.05)
                waiting.cancel()

    def identities(self, metric: str) -> Counter[Identity]:
        """How often each reading was stored, by what tells it from others."""
        rows = zip(
            self.stored.device,
            self.stored.metric,
            self.stored.key_times(),
            self.stored.record,
            [0 if r is not None else d for r, d in zip(self.stored.record, self.stored.digest, strict=True)],
            self.stored.ordinal,
            strict=True,
        )
        return Counter(row for row in rows if row[1] == metric)


def deleting(profile: Profile) -> Profile:
    """The same, with what is committed deleted from the device."""
    steps = tuple(
        replace(step, racp=replace(step.racp, delete=True)) if step.racp else step for step in profile.session
    )
    return replace(profile, session=steps)


def glucose_days(twin: ProfileTwin, count: int) -> set[float]:
    """Measurements of the last days, one an hour; the values, each different."""
    now = twin.clock.now()
    assert now is not None
    values = [float(60 + n) for n in range(count)]
    return {
        twin.keep({"blood_glucose": value}, device_time=now - (count - n) * HOUR)["blood_glucose"]
        for n, value in enumerate(values)
    }


def values(gateway: Gateway, metric: str) -> set[float | None]:
    return {v for v, m in zip(gateway.stored.value, gateway.stored.metric, strict=True) if m == metric}


def meter(world: TwinWorld, trouble: Trouble | None = None, clock: TwinClock | None = None) -> ProfileTwin:
    made = world.add(
        "sig-glucose",
        "meter",
        trouble=trouble or Trouble(),
        clock=clock or TwinClock(timezone="Europe/Berlin"),
    )
    assert isinstance(made, ProfileTwin)
    return made


async def test_days_offline_are_fetched_after_pairing_and_setting_the_clock(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    twin = meter(world, clock=TwinClock(timezone="Europe/Berlin", wrong_by_s=7200))
    made = glucose_days(twin, 150)
    await world.start()
    gateway = Gateway(radio, twin, catalog().get("sig-glucose"), tmp_path)
    async with gateway.process():
        await gateway.until(lambda: len(gateway.identities("blood_glucose")) >= 150 and gateway.path.exists())
        assert twin.encrypted
    assert values(gateway, "blood_glucose") == made
    assert set(gateway.identities("blood_glucose").values()) == {1}
    order = [uuid for uuid, _ in twin.written]
    assert order.index("2a2b") < order.index("2a52")
    berlin = datetime.now(ZoneInfo("Europe/Berlin")).replace(tzinfo=None)
    assert abs(twin.clock.sets[-1] - berlin) < timedelta(seconds=30)
    assert len(twin.store.records) == 150  # this profile deletes nothing


async def test_a_clock_that_goes_wrong_on_a_connection_is_set_again(world: TwinWorld, radio: Radio):
    twin = meter(world)
    await world.start()
    profile = catalog().get("sig-glucose")
    link = BleLink(twin.address, profile, radio)
    link.aid = aid = Aid(parse_iso("2026-07-01T12:00:00Z"))
    aid.wrong.set()
    await link.connect()
    running = asyncio.create_task(link.run(profile.session, lambda *_: None))
    async with asyncio.timeout(10):
        while len(twin.clock.sets) < 2:  # noqa: ASYNC110 - the clock has no event
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    await link.close()
    assert set(twin.clock.sets) == {datetime(2026, 7, 1, 12)}  # noqa: DTZ001


async def test_a_link_cut_in_the_middle_loses_and_doubles_nothing(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    twin = meter(world, Trouble(drop_after=70))
    made = glucose_days(twin, 120)
    await world.start()
    gateway = Gateway(radio, twin, deleting(catalog().get("sig-glucose")), tmp_path)
    async with gateway.process():
        await gateway.until(lambda: not twin.store.records)
    assert gateway.telemetry.value("device_connects_total", device="meter") == 2
    assert values(gateway, "blood_glucose") == made
    assert set(gateway.identities("blood_glucose").values()) == {1}


async def test_a_fleet_s_sessions_note_where_they_read_to(world: TwinWorld, radio: Radio):
    twin = meter(world)
    glucose_days(twin, 5)
    await world.start()
    cursors, stored = MemoryCursors(), ReadingBatch()

    async def sink(batch: ReadingBatch) -> None:
        stored.extend(batch)

    clock, ids, telemetry = SystemClock(), SeededIds(), Telemetry()
    fleet = DeviceFleet(catalog(), radio, sink, clock, ids, telemetry, cursors=cursors)
    await fleet.apply([DeviceConfig(twin.id, "ble", twin.address)])
    running = asyncio.create_task(fleet.run())
    async with asyncio.timeout(20):
        while not cursors.noted:  # noqa: ASYNC110 - the cursors have no event
            await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait([running])
    assert [(*key, cursor.number) for key, cursor in cursors.noted.items()] == [("meter", "2a18", 5)]
    assert stored.metric.count("blood_glucose") == 5


async def test_where_a_meter_that_hangs_up_was_read_to_is_noted_all_the_same(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    twin = meter(world)
    glucose_days(twin, 8)
    await world.start()
    gateway = Gateway(radio, twin, catalog().get("sig-glucose"), tmp_path)
    gateway.available = False
    async with gateway.process():
        await gateway.until(lambda: SessionState.STREAMING in gateway.states)
        await twin.close()
        gateway.available = True
        await gateway.until(gateway.path.exists)
    cursor = FileCursors(gateway.path).get("meter", "2a18")
    assert cursor is not None
    assert cursor.number == 8


class Killed(FileCursors):
    """Cursors whose process dies as soon as one is noted: after the commit, before the delete."""

    def __init__(self, path: Path, kill: Callable[[], object]) -> None:
        super().__init__(path)
        self._kill = kill
        self._dead = False

    async def put(self, device: str, source: str, cursor: Cursor) -> None:
        if self._dead:
            msg = "nobody writes any more"
            raise StoreUnavailable(msg)
        await super().put(device, source, cursor)
        self._dead = True
        self._kill()
        await asyncio.Event().wait()


@pytest.mark.parametrize("file_lost", [False, True])
async def test_killed_between_commit_and_delete_nothing_is_lost_or_doubled(
    world: TwinWorld,
    radio: Radio,
    tmp_path: Path,
    file_lost: bool,  # noqa: FBT001
):
    twin = meter(world)
    made = glucose_days(twin, 40)
    await world.start()
    gateway = Gateway(radio, twin, deleting(catalog().get("sig-glucose")), tmp_path)
    dead = asyncio.Event()
    async with gateway.process(Killed(gateway.path, dead.set)), asyncio.timeout(20):
        await dead.wait()
    assert len(twin.store.records) == 40
    assert values(gateway, "blood_glucose") == made
    if file_lost:
        gateway.path.unlink()
    made |= {twin.keep({"blood_glucose": 300.0})["blood_glucose"]}
    async with gateway.process():
        await gateway.until(lambda: not twin.store.records)
    assert values(gateway, "blood_glucose") == made
    assert len(gateway.identities("blood_glucose")) == 41
    if not file_lost:
        assert set(gateway.identities("blood_glucose").values()) == {1}


async def test_nothing_is_deleted_while_the_outbox_takes_nothing(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    twin = meter(world)
    made = glucose_days(twin, 30)
    await world.start()
    gateway = Gateway(radio, twin, deleting(catalog().get("sig-glucose")), tmp_path)
    gateway.available = False
    async with gateway.process():
        await gateway.until(
            lambda: bool(gateway.telemetry.value("device_sink_retries_total", device="meter"))
        )
        await asyncio.sleep(0.1)
        assert len(twin.store.records) == 30
        gateway.available = True
        await gateway.until(lambda: not twin.store.records)
    assert values(gateway, "blood_glucose") == made


async def test_a_sensor_s_minutes_become_times_by_the_start_of_its_session(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    clock = TwinClock(timezone="Europe/Berlin", wrong_by_s=-86_400)
    twin = world.add("sig-cgm", "cgm", clock=clock)
    assert isinstance(twin, ProfileTwin)
    began = clock.running().replace(microsecond=0) + timedelta(seconds=1)
    clock.set(began + timedelta(days=1))
    made = {
        twin.keep({"interstitial_glucose": 80.0 + n}, device_time=began + timedelta(minutes=5 * n))[
            "interstitial_glucose"
        ]
        for n in range(1, 60)
    }
    await world.start()
    gateway = Gateway(radio, twin, catalog().get("sig-cgm"), tmp_path)
    for _ in range(2):
        async with gateway.process():
            await gateway.until(
                lambda: len(gateway.identities("interstitial_glucose")) >= 59 and gateway.path.exists()
            )
    assert values(gateway, "interstitial_glucose") == made
    assert len(gateway.identities("interstitial_glucose")) == 59
    times = {
        record: time
        for record, time, metric in zip(
            gateway.stored.record, gateway.stored.device_time, gateway.stored.metric, strict=True
        )
        if metric == "interstitial_glucose"
    }
    first = times[5]
    assert first is not None
    assert all(time == first + (record - 5) * 60 * 10**9 for record, time in times.items() if record)


async def test_what_a_bonded_device_tells_before_it_is_subscribed_to_is_not_lost(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    """A server keeps a bonded host's subscriptions, and tells its store as soon as that is connected."""
    twin = world.add("sig-blood-pressure", "cuff")
    assert isinstance(twin, ProfileTwin)
    await world.start()
    device = twin._device
    assert device is not None
    payloads = [encode.blood_pressure(100.0 + n, 60.0, at=datetime(2026, 6, 1, n)) for n in range(6)]  # noqa: DTZ001
    told = asyncio.Event()

    def connected(connection: Connection) -> None:
        async def tell() -> None:
            for payload in payloads:
                await device.indicate_subscriber(connection, twin._served["2a35"], payload, force=True)
            told.set()

        twin._spawn(tell(), "tells at once")

    device.on(Device.EVENT_CONNECTION, connected)
    gateway = Gateway(radio, twin, catalog().get("sig-blood-pressure"), tmp_path)
    async with gateway.process():
        await gateway.until(lambda: len(values(gateway, "nibp_systolic")) == 6)
    assert told.is_set()
    assert [
        v for v, m in zip(gateway.stored.value, gateway.stored.metric, strict=True) if m == "nibp_systolic"
    ] == [100.0 + n for n in range(6)]


async def test_a_cuff_that_flushes_keeps_what_the_gateway_has_no_room_for(
    world: TwinWorld, radio: Radio, tmp_path: Path
):
    twin = world.add("sig-blood-pressure", "cuff")
    assert isinstance(twin, ProfileTwin)
    made = {
        twin.keep({"nibp_systolic": 100.0 + n, "nibp_diastolic": 60.0})["nibp_systolic"] for n in range(40)
    }
    await world.start()
    gateway = Gateway(radio, twin, catalog().get("sig-blood-pressure"), tmp_path)
    gateway.available, gateway.capacity = False, 8
    async with gateway.process():
        await gateway.until(lambda: twin.kept < 40 and not twin.ready())
        await asyncio.sleep(0.2)
        assert twin.kept > 30
        gateway.available = True
        await gateway.until(lambda: not twin.kept and len(values(gateway, "nibp_systolic")) == 40)
    assert values(gateway, "nibp_systolic") == made
    assert gateway.telemetry.value("readings_dropped_total", device="cuff") == 0
