"""Twins of all profiles of the catalogue through the real sessions, all at once; and what they do beside."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from bleak import BleakClient
from bleak.exc import BleakError
from bumble import hci
from bumble.device import Device
from bumble.pairing import PairingConfig, PairingDelegate

from devices import DeviceConfig, DeviceFleet, SessionState
from devices.consents import NO_USER, Consent
from devices.links.bumble_lean import LeanHost
from devices.links.radio import Radio
from devices.twins.advertising import AdvertisingTwin
from devices.twins.base import Twin
from devices.twins.clocks import TwinClock
from devices.twins.peripheral import Security
from devices.twins.profile_serial import ProfileSerialTwin
from devices.twins.profile_twin import ProfileTwin, Trouble
from devices.twins.store import RecordStore
from devices.twins.world import TwinWorld
from firmware_profiles import Profile
from hearthward.core.clock import SECOND, EventClock, SystemClock
from hearthward.core.errors import DecodeError, LinkError
from hearthward.core.ids import SeededIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.waves import WaveformChunk
from tests.component.devices.bluetooth import catalog

AT = datetime(2026, 3, 1, 8, 0)  # noqa: DTZ001 - a device's clock has no zone
Made = ProfileTwin | AdvertisingTwin | ProfileSerialTwin


class Gateway:
    """A running fleet, and what it stored."""

    def __init__(self, radio: Radio | None) -> None:
        self.stored = ReadingBatch()
        self.waves: list[WaveformChunk] = []
        self.news = asyncio.Event()
        self.telemetry = Telemetry()
        self.done: set[str] = set()
        self.rejected: list[str] = []
        self.fleet = DeviceFleet(
            catalog(),
            radio,
            self.sink,
            SystemClock(),
            SeededIds(),
            self.telemetry,
            self.on_state,
            self.on_rejected,
            wave_sink=self.wave_sink,
        )

    def on_state(self, _device: str, _state: SessionState, _reason: str) -> None:
        self.news.set()

    def on_rejected(self, device: str, source: str, _payload: bytes, error: DecodeError) -> None:
        self.rejected.append(f"{device} {source}: {error}")
        self.news.set()

    async def sink(self, batch: ReadingBatch) -> None:
        self.stored.extend(batch)
        self.news.set()

    async def wave_sink(self, chunks: list[WaveformChunk]) -> None:
        self.waves.extend(chunks)
        self.news.set()

    def of(self, device: str) -> list[Reading]:
        return [reading for reading in self.stored if reading.device == device]

    async def until(self, device: str, wanted: Mapping[str, float]) -> None:
        """Return when the device's readings hold all of these values."""
        while not all(
            any(
                one.metric == m and one.value is not None and math.isclose(one.value, v)
                for one in self.of(device)
            )
            for m, v in wanted.items()
        ):
            await self.change()

    async def change(self) -> None:
        self.news.clear()
        await self.news.wait()

    async def exchange(self, twin: Made) -> None:
        """One measurement from the twin to the store."""
        await twin.wait_ready()
        if twin.metrics:
            sent = await twin.send(twin.typical())
            for _ in range(getattr(twin, "confirmations", 0)):
                await twin.send(twin.typical())
            await self.until(twin.id, sent)
        self.done.add(twin.id)

    @asynccontextmanager
    async def running(self, *twins: Twin, named: bool = True) -> AsyncIterator[None]:
        await self.fleet.apply(
            DeviceConfig(twin.id, twin.transport, twin.address, twin.profile if named else None)
            for twin in twins
        )
        task = asyncio.create_task(self.fleet.run())
        try:
            yield
        finally:
            task.cancel()
            done, _ = await asyncio.wait([task], timeout=20)
            assert done, f"the fleet does not stop: {sorted(t.get_name() for t in asyncio.all_tasks())}"


async def consented(radio: Radio, twins: Iterable[Made]) -> None:
    """Nobody's consent is given (``test_joined_services`` gives somebody's)."""
    for twin in twins:
        if any(step.kind == "consent" for step in catalog().get(twin.profile).session):
            await radio.consents.keep(twin.address, Consent(NO_USER))


def made(world: TwinWorld, profile: Profile) -> Made:
    """A twin; one that shows digits pairs without here, for nobody types them (``test_pairing`` does)."""
    transport = profile.document.transport
    shows = transport is not None and transport.pairing == "passkey"
    return world.add(profile.id, profile.id, **({"security": Security("bond")} if shows else {}))


async def test_a_twin_of_every_profile_speaks_through_its_session(world: TwinWorld, radio: Radio):
    twins = [made(world, profile) for profile in catalog()]
    await consented(radio, twins)
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(*twins), asyncio.timeout(100):  # on a machine that has other things to do
        await asyncio.gather(*(gateway.exchange(twin) for twin in twins))
        while not gateway.of("sig-device-information"):
            await gateway.change()
    texts = {one.metric: one.code for one in gateway.of("sig-device-information")}
    assert texts["device_serial"] == "sig-device-information"
    assert gateway.rejected == []


async def test_a_device_that_nobody_named_is_known_by_what_it_says(world: TwinWorld, radio: Radio):
    profiles = [p for p in catalog() if p.transport == "ble" and p.document.match.ble]
    twins = [made(world, profile) for profile in profiles]
    await consented(radio, twins)
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(*twins, named=False), asyncio.timeout(20):
        await asyncio.gather(*(gateway.exchange(twin) for twin in twins))
    for profile in profiles:
        assert {one.profile for one in gateway.of(profile.id)} == {profile.hash}, profile.id


def values_of(gateway: Gateway, device: str, metric: str) -> list[float | None]:
    return [one.value for one in gateway.of(device) if one.metric == metric]


async def until(gateway: Gateway, device: str, metric: str, count: int) -> list[float | None]:
    while len(found := values_of(gateway, device, metric)) < count:
        await gateway.change()
    return found


def ble(world: TwinWorld, profile: str, **options: object) -> ProfileTwin:
    one = world.add(profile, profile, **options)
    assert isinstance(one, ProfileTwin)
    return one


def wired(world: TwinWorld, profile: str, **options: object) -> ProfileSerialTwin:
    one = world.add(profile, profile, **options)
    assert isinstance(one, ProfileSerialTwin)
    return one


async def test_an_unset_clock_is_set_by_the_gateway_and_shown_from_then_on(world: TwinWorld, radio: Radio):
    twin = ble(world, "sig-weight-scale", clock=TwinClock(unset=True))
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(twin), asyncio.timeout(20):
        await twin.wait_ready()
        assert len(twin.clock.sets) == 1
        await twin.send({"body_weight": 70.35})
        await until(gateway, twin.id, "body_weight", 1)
    (reading,) = [one for one in gateway.of(twin.id) if one.metric == "body_weight"]
    assert reading.value == 70.35
    assert reading.device_time is not None


async def test_what_a_scale_kept_comes_on_subscribing_once_and_in_order(world: TwinWorld, radio: Radio):
    twin = ble(world, "sig-weight-scale")
    for n in range(5):
        twin.keep({"body_weight": 70 + n}, device_time=AT + timedelta(hours=n))
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(twin), asyncio.timeout(20):
        assert await until(gateway, twin.id, "body_weight", 5) == [70, 71, 72, 73, 74]
        sent = await twin.send({"body_weight": 80})  # waits its turn: everything before it is confirmed
        assert twin.kept == 0
        await until(gateway, twin.id, "body_weight", 6)
    assert sent == {"body_weight": 80}
    assert len(values_of(gateway, twin.id, "body_weight")) == 6


async def test_a_strap_keeps_nothing(world: TwinWorld):
    with pytest.raises(ValueError, match="keeps nothing of 2a37"):
        ble(world, "sig-heart-rate").keep({"heart_rate": 60})


async def test_a_meters_records_all_arrive_though_the_link_drops_among_them(world: TwinWorld, radio: Radio):
    twin = ble(world, "sig-glucose", trouble=Trouble(drop_after=3))
    for n in range(8):
        twin.keep({"blood_glucose": 90 + n}, device_time=AT + timedelta(hours=n))
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(twin), asyncio.timeout(30):
        while {r.record for r in gateway.of(twin.id) if r.metric == "blood_glucose"} != set(range(1, 9)):
            await gateway.change()
    assert twin.trouble.drop_after is None
    by_record = {r.record: r.value for r in gateway.of(twin.id) if r.metric == "blood_glucose"}
    assert by_record == {n + 1: 90 + n for n in range(8)}


@pytest.mark.parametrize("store", [{"ignores_filters": True}, {"only_all": True}])
async def test_a_meter_that_knows_no_filters_tells_everything(
    world: TwinWorld, radio: Radio, store: dict[str, bool]
):
    twin = ble(world, "sig-glucose", store=RecordStore(**store))  # type: ignore[arg-type]
    for n in range(3):
        twin.keep({"blood_glucose": 90 + n}, device_time=AT + timedelta(hours=n))
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(twin), asyncio.timeout(20):
        while {r.value for r in gateway.of(twin.id) if r.metric == "blood_glucose"} != {90, 91, 92}:
            await gateway.change()
        await twin.wait_ready()
        await twin.disconnect()
        twin.keep({"blood_glucose": 93}, device_time=AT + timedelta(hours=9))
        while 93 not in values_of(gateway, twin.id, "blood_glucose"):
            await gateway.change()


async def test_a_sensors_records_say_their_minutes(world: TwinWorld, radio: Radio):
    twin = ble(world, "sig-cgm")
    begin = twin.clock.running()
    for n in range(4):
        twin.keep({"interstitial_glucose": 100 + n}, device_time=begin + timedelta(minutes=5 * n))
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(twin), asyncio.timeout(20):
        assert await until(gateway, twin.id, "interstitial_glucose", 4) == [100, 101, 102, 103]
    assert [r.record for r in gateway.of(twin.id) if r.metric == "interstitial_glucose"] == [0, 5, 10, 15]


async def test_a_device_that_has_its_host_already_is_never_subscribed_to(world: TwinWorld, radio: Radio):
    twin = ble(world, "sig-glucose", security=Security("refuse"))
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(twin), asyncio.timeout(20):
        while not gateway.fleet.states().get(twin.id, "").startswith(("backoff", "unsupported")):
            await gateway.change()
    assert not twin.ready()
    assert gateway.of(twin.id) == []


async def test_a_bond_is_kept_through_power_cycles_and_can_be_lost(world: TwinWorld, radio: Radio):
    twin = ble(world, "sig-glucose")
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(twin), asyncio.timeout(20):
        await twin.wait_ready()
        await twin.close()
        await twin.start()
        await twin.wait_ready()
        assert twin.encrypted
        await twin.forget_bonds()
        await twin.disconnect()
        while "has forgotten this gateway" not in gateway.fleet.states().get(twin.id, ""):
            await gateway.change()
    assert not twin.ready()


async def test_a_passkey_is_what_the_device_shows(world: TwinWorld, radio: Radio):
    """A host without the digits is encrypted by nobody; one that types them in is."""
    twin = ble(world, "sig-weight-scale", security=Security("passkey", 271_828))
    await world.start()
    async with asyncio.timeout(20), BleakClient(twin.address, **radio_arguments(radio)) as client:
        with pytest.raises(BleakError):
            await client.start_notify("2a9d", lambda *_: None)
    assert not twin.ready()


def radio_arguments(radio: Radio) -> dict[str, object]:
    return {"backend": radio.backend, **radio.backend_arguments}


async def test_the_host_is_asked_for_the_digits(world: TwinWorld):
    twin = ble(world, "sig-weight-scale", security=Security("passkey", 271_828))
    await world.start()
    controller = world.virtual.host_controller()
    host = Device(host=LeanHost(controller, controller))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await host.power_on()
        host.pairing_config_factory = lambda _connection: PairingConfig(delegate=_Types(271_828))
        own = hci.OwnAddressType.PUBLIC
        connection = await host.connect_le(hci.Address(twin.address), own_address_type=own)
        await connection.pair()
        assert twin.encrypted
        await connection.disconnect()
        await twin.wait_free()


class _Types(PairingDelegate):
    """A person who types digits in."""

    def __init__(self, digits: int) -> None:
        super().__init__(PairingDelegate.KEYBOARD_INPUT_ONLY)
        self._digits = digits

    async def get_number(self) -> int:
        return self._digits


async def test_an_advertisement_carries_the_newest_weight(world: TwinWorld, radio: Radio):
    twin = world.add("xiaomi-mibfs", "scale")
    await world.start()
    gateway = Gateway(radio)
    async with gateway.running(twin), asyncio.timeout(20):
        for n in range(3):
            await twin.send({"body_weight": 80 + n}, device_time=AT + timedelta(days=n))
            await until(gateway, twin.id, "body_weight", n + 1)
    assert values_of(gateway, twin.id, "body_weight") == [80, 81, 82]
    with pytest.raises(ValueError, match="carries body_impedance, body_weight"):
        twin.express("heart_rate", 60)


async def test_an_oximeter_streams_a_pleth_at_its_own_pace(world: TwinWorld):
    twin = wired(world, "nonin-df2")
    await world.start()
    gateway = Gateway(None)
    async with gateway.running(twin), asyncio.timeout(20):
        await twin.wait_ready()
        assert twin.pace_s == pytest.approx(1 / 3)
        twin.stream({"spo2": 97, "pulse_rate": 72})
        while not gateway.waves:
            await gateway.change()
        twin.stop_streaming()
    (metric,) = {chunk.metric for chunk in gateway.waves}
    assert (metric, gateway.waves[0].rate_hz) == ("pleth", 75)
    assert len(set(gateway.waves[0].samples)) > 10
    assert gateway.of(twin.id)[0].value in {97, 72}


async def test_noise_and_half_frames_cost_a_packet_and_no_more(world: TwinWorld):
    twin = wired(world, "nonin-df7")
    await world.start()
    gateway = Gateway(None)
    async with gateway.running(twin), asyncio.timeout(20):
        await twin.wait_ready()
        await twin.send_raw(b"\x00\xff\x17" * 9 + twin.bytes_of({"spo2": 91})[:60])
        for spo2 in (92, 93, 94):
            await twin.send({"spo2": spo2})
        while 94 not in values_of(gateway, twin.id, "spo2"):
            await gateway.change()
    assert 91 not in values_of(gateway, twin.id, "spo2")
    assert gateway.rejected


async def test_a_contec_sends_only_when_told_and_stops_without_its_keep_alive(world: TwinWorld):
    clock = EventClock(SECOND, frozen_monotonic=True)
    twin = wired(world, "contec-cms50-9byte", clock=clock, device_clock=TwinClock())
    await world.start()
    gateway = Gateway(None)
    async with gateway.running(twin), asyncio.timeout(20):
        await twin.wait_ready()
        assert twin.written.startswith(bytes.fromhex("7D81A1"))
        await twin.send({"spo2": 96, "pulse_rate": 61})
        await until(gateway, twin.id, "spo2", 1)
        clock.advance(6)
        assert not twin.ready()
        with pytest.raises(LinkError):
            await twin.send({"spo2": 95})


async def test_a_nonin_takes_the_time_and_the_format(world: TwinWorld):
    twin = wired(world, "nonin-df13", device_clock=TwinClock(unset=True))
    await world.start()
    gateway = Gateway(None)
    async with gateway.running(twin), asyncio.timeout(20):
        await twin.wait_ready()
        assert len(twin.device_clock.sets) == 1
        await twin.send({"spo2": 96, "pulse_rate": 61})
        await until(gateway, twin.id, "spo2", 1)
    assert gateway.of(twin.id)[0].device_time is not None


async def test_what_a_nonin_measured_alone_comes_from_its_memory(world: TwinWorld):
    twin = wired(world, "nonin-df13")
    for n in range(3):
        twin.keep({"spo2": 90 + n, "pulse_rate": 60}, device_time=AT + timedelta(hours=n))
    await world.start()
    gateway = Gateway(None)
    async with gateway.running(twin), asyncio.timeout(20):
        assert await until(gateway, twin.id, "spo2", 3) == [90, 91, 92]
    assert twin.kept == 0
    with pytest.raises(ValueError, match="keeps nothing"):
        wired(world, "nonin-df8").keep({"spo2": 90})


async def test_a_wrong_baud_rate_is_only_noise(world: TwinWorld):
    twin = wired(world, "contec-cms50-5byte", wrong_baud=True)
    await world.start()
    gateway = Gateway(None)
    async with gateway.running(twin), asyncio.timeout(20):
        await twin.wait_ready()
        for _ in range(3):
            await twin.send({"spo2": 96, "pulse_rate": 61})
        while not gateway.rejected:
            await gateway.change()
        assert gateway.of(twin.id) == []
        twin.wrong_baud = False
        for _ in range(2):
            await twin.send({"spo2": 96, "pulse_rate": 61})
        await until(gateway, twin.id, "spo2", 1)


async def test_unplugged_and_plugged_in_again(world: TwinWorld, tmp_path: Path):
    twin = wired(world, "nonin-df8", link_path=tmp_path / "port")
    await world.start()
    gateway = Gateway(None)
    async with gateway.running(twin), asyncio.timeout(20):
        for spo2 in (95, 96):
            await twin.wait_ready()
            for _ in range(twin.confirmations + 1):
                await twin.send({"spo2": spo2, "pulse_rate": 61})
            while spo2 not in values_of(gateway, twin.id, "spo2"):
                await gateway.change()
            twin.unplug()
            await twin.start()
