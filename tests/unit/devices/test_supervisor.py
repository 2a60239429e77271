"""The fleet over fake devices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from devices import DeviceConfig, DeviceFleet, DeviceLink, SessionState
from devices.links.fake import FakeDevice
from devices.session import DeviceSession, OnNoise
from devices.twins import encode
from firmware_profiles import DeviceFacts, Profile, load_catalog
from hearthward.core.clock import EventClock
from hearthward.core.device_states import Cause
from hearthward.core.errors import ConfigError, LinkError
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry

CATALOG = load_catalog()
STRAP = DeviceFacts("ble", name="strap", services=frozenset({"180d"}))


def strap(n: int) -> DeviceConfig:
    return DeviceConfig(f"hr-{n}", "ble", f"C0:00:00:00:00:{n:02X}", "sig-heart-rate")


class Rig:
    def __init__(self) -> None:
        self.devices: dict[str, FakeDevice] = {}
        self.stored = ReadingBatch()
        self.telemetry = Telemetry()
        self.clock = EventClock(1_000)
        self.changed = asyncio.Event()
        self.fleet = DeviceFleet(
            CATALOG,
            None,
            self.sink,
            self.clock,
            SeededIds(),
            self.telemetry,
            lambda _device, _state, _reason: self.changed.set(),
            link_factory=self.link,
        )

    async def sink(self, batch: ReadingBatch) -> None:
        self.stored.extend(batch)

    def device(self, config: DeviceConfig) -> FakeDevice:
        return self.devices.setdefault(config.address, FakeDevice(STRAP))

    def link(self, config: DeviceConfig, profile: Profile | None, on_noise: OnNoise) -> DeviceLink:
        del profile, on_noise
        return self.device(config).link()

    async def until(self, **states: str) -> None:
        """Wait until exactly these devices are in these states (reasons left out)."""
        wanted = {name.replace("_", "-"): state for name, state in states.items()}
        while {d: s.split(":")[0] for d, s in self.fleet.states().items()} != wanted:
            self.changed.clear()
            await self.changed.wait()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.fleet.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            assert not task.done()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()


async def test_apply_starts_stops_and_restarts_by_difference():
    rig = Rig()
    await rig.fleet.apply([strap(1), strap(2)])
    assert rig.fleet.states() == {"hr-1": "idle", "hr-2": "idle"}
    async with rig.running():
        await rig.until(hr_1="streaming", hr_2="streaming")
        moved = replace(strap(2), address="C0:00:00:00:00:22")
        await rig.fleet.apply([strap(1), moved, strap(3)])
        await rig.until(hr_1="streaming", hr_2="streaming", hr_3="streaming")
        assert [rig.device(c).connects for c in (strap(1), strap(2), moved, strap(3))] == [1, 1, 1, 1]
        assert rig.device(strap(2)).closed == 1
        await rig.fleet.apply([strap(3)])
        assert list(rig.fleet.states()) == ["hr-3"]
        assert not rig.device(strap(1)).listening
        assert rig.telemetry.value("devices", state="streaming") == 1
        await rig.fleet.apply([])
        assert rig.fleet.states() == {}
    assert not any(device.listening for device in rig.devices.values())


async def test_two_devices_of_one_id_are_refused_and_nothing_changes():
    rig = Rig()
    async with rig.running():
        await rig.fleet.apply([strap(1)])
        with pytest.raises(ConfigError, match="'hr-2' is configured twice"):
            await rig.fleet.apply([strap(2), strap(2)])
        await rig.until(hr_1="streaming")


async def test_one_failing_device_leaves_the_others_alone():
    rig = Rig()
    rig.device(strap(1)).refusal = LinkError("broken")
    rig.device(strap(2)).absent = True
    bad = replace(strap(3), profile="nonsense")
    async with rig.running():
        await rig.fleet.apply([strap(1), strap(2), bad, strap(4)])
        await rig.until(hr_1="backoff", hr_2="connecting", hr_3="unsupported", hr_4="streaming")
        rig.device(strap(4)).send("2a37", encode.heart_rate(61))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "broken; next try in" in rig.fleet.states()["hr-1"]
    assert rig.stored.value == [61]


async def test_a_session_that_breaks_down_starts_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("devices.supervisor.RESTART_S", 0.0)
    run = DeviceSession.run
    failures = iter([True])

    async def broken_once(self: DeviceSession) -> None:
        if next(failures, False):
            msg = "a bug"
            raise RuntimeError(msg)
        await run(self)

    monkeypatch.setattr(DeviceSession, "run", broken_once)
    rig = Rig()
    async with rig.running():
        await rig.fleet.apply([strap(1), strap(2)])
        await rig.until(hr_1="streaming", hr_2="streaming")


async def test_receive_times_go_on_growing_through_a_restart():
    rig = Rig()
    async with rig.running():
        for address in ("C0:00:00:00:00:01", "C0:00:00:00:00:0A", "C0:00:00:00:00:0B"):
            config = replace(strap(1), address=address)
            await rig.fleet.apply([config])
            await rig.device(config).wait_listening()
            rig.device(config).send("2a37", encode.heart_rate(60))
            rig.device(config).send("2a37", encode.heart_rate(60))
    assert rig.stored.received == [1_000, 1_001, 1_002, 1_003, 1_004, 1_005]


async def test_without_a_radio_a_bluetooth_device_says_so():
    rig = Rig()
    rig.fleet = DeviceFleet(
        CATALOG, None, rig.sink, rig.clock, SeededIds(), rig.telemetry, lambda *_: rig.changed.set()
    )
    async with rig.running():
        await rig.fleet.apply([strap(1)])
        await rig.until(hr_1="unsupported")
        assert "no radio" in rig.fleet.states()["hr-1"]


async def test_words_carry_why_and_since_when_until_a_device_streams():
    rig = Rig()
    rig.device(strap(1)).refusal = LinkError("not heard", cause="out_of_range")
    bad = replace(strap(2), profile="nonsense")
    async with rig.running():
        await rig.fleet.apply([strap(1), bad, strap(3)])
        await rig.until(hr_1="backoff", hr_2="unsupported", hr_3="streaming")
        words = rig.fleet.words()
        assert [(w.cause, w.since) for w in words.values()] == [
            (Cause.OUT_OF_RANGE, 1_000),
            (Cause.MISCONFIGURED, 1_000),
            (Cause.NONE, 1_000),
        ]
        assert words["hr-1"].detail == "not heard"
        assert words["hr-1"].next_s >= 1
        await rig.fleet.apply([strap(3)])
        assert list(rig.fleet.words()) == ["hr-3"]
    assert rig.fleet.words()["hr-3"].state == "stopped"


async def test_states_carry_the_reason_for_people():
    rig = Rig()
    async with rig.running():
        await rig.fleet.apply([strap(1)])
        await rig.until(hr_1="streaming")
        assert rig.fleet.states() == {"hr-1": SessionState.STREAMING.value}


async def test_that_all_stream_is_said_once_also_when_the_same_devices_are_applied_again_before(
    caplog: pytest.LogCaptureFixture,
):
    caplog.set_level("INFO")
    rig = Rig()
    rig.device(strap(2)).absent = True
    async with rig.running():
        await rig.fleet.apply([strap(1), strap(2)])
        await rig.until(hr_1="streaming", hr_2="connecting")
        await rig.fleet.apply([strap(1), strap(2)])
        assert "stream" not in caplog.text
        await rig.fleet.apply([strap(1)])
        assert caplog.text.count("all 1 devices stream") == 1
        await rig.fleet.apply([strap(1)])
        await rig.fleet.apply([])
    assert caplog.text.count("stream") == 1
