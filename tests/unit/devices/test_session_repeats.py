"""What a device says again and again, from memory, or before it hangs up."""

from __future__ import annotations

import logging

import pytest

from devices import DeviceConfig, SessionState
from firmware_profiles import DeviceFacts
from hearthward.core.clock import SECOND
from hearthward.core.model import Quality
from tests.unit.devices.rigged import NOON, LiveClock, Rig
from tests.unit.firmware_profiles.serial_frames import df2_packet, df13


class OximeterRig(Rig):
    """A wired oximeter of Nonin's format 2."""

    def __init__(self, capacity: int = 1024) -> None:
        config = DeviceConfig("oxi", "serial", "/dev/ttyX", "nonin-df2")
        super().__init__(config, capacity, DeviceFacts("serial"))

    async def send(self, spo2: int, status: int = 0x80, after_s: float = 1 / 3) -> None:
        self.clock.advance(after_s)
        self.device.send("df2", df2_packet(60, spo2, [100] * 25, status))
        await self.settled()

    def saturations(self) -> list[tuple[float | None, float]]:
        rows = zip(self.stored.metric, self.stored.value, self.stored.corrected, strict=True)
        return [(value, round((at - NOON) / SECOND, 1)) for metric, value, at in rows if metric == "spo2"]


async def test_what_is_said_again_is_left_out_for_a_while_and_a_change_never():
    rig = OximeterRig()
    async with rig.running():
        await rig.device.wait_listening()
        for _ in range(7):
            await rig.send(97)
        for spo2, status in ((96, 0x80), (97, 0x80), (97, 0x90), (97, 0x90)):
            await rig.send(spo2, status)
        assert rig.session.state is SessionState.STREAMING
    assert rig.saturations() == [(97, 0.3), (97, 1.3), (97, 2.3), (96, 2.7), (97, 3.0), (97, 3.3)]
    assert rig.stored.quality[-1] == Quality.POOR_SIGNAL
    assert rig.count("readings_repeated_total") == 2 * 5
    assert rig.count("readings_received_total") == 2 * 6


async def test_the_first_of_a_connection_is_kept_and_what_comes_after_a_clock_was_put_back():
    rig = OximeterRig()
    async with rig.running():
        await rig.device.wait_listening()
        await rig.send(97)
        rig.device.drop()
        await rig.until(SessionState.BACKOFF)
        await rig.settled()
        rig.sleeper.pass_by()
        await rig.device.wait_listening()
        await rig.send(97, after_s=0.1)
        rig.clock._now -= 3600 * SECOND
        await rig.send(97, after_s=0.1)
    assert len(rig.saturations()) == 3


async def test_a_payload_without_room_is_not_the_one_that_is_repeated():
    rig = OximeterRig(capacity=2)
    async with rig.running():
        await rig.device.wait_listening()
        rig.unavailable = True
        for spo2 in (90, 91, 80, 80):
            await rig.send(spo2)
        rig.unavailable = False
        rig.sleeper.pass_by()
        await rig.settled()
        await rig.send(80, after_s=0.1)
    assert [value for value, _ in rig.saturations()] == [90, 91, 80]
    assert rig.count("readings_dropped_total") == 2 * 2


async def test_a_record_from_memory_says_nothing_of_the_clock_however_long_after_connecting_it_comes():
    for status, known in ((0x200, True), (0x210, False)):
        rig = Rig(DeviceConfig("oxi", "serial", "/dev/ttyX", "nonin-df13"), facts=DeviceFacts("serial"))
        rig.clock = LiveClock(NOON, frozen_monotonic=True)
        rig.session = rig.new_session()
        async with rig.running():
            await rig.device.wait_listening()
            for minute in range(20, 30):
                rig.clock.advance(60)
                record = df13(f"2026070111{minute}00", 60, 97, status)  # more than half an hour behind
                rig.device.send("df13", record[:20])
                await rig.settled()
        behind = [e for e in rig.stored.error if e is not None and e <= 10 * SECOND]
        assert bool(behind) == known, status


@pytest.mark.parametrize(("profile", "warned"), [("sig-heart-rate", True), ("sig-blood-pressure", False)])
async def test_a_cuff_that_hangs_up_is_no_warning_and_a_strap_that_is_lost_is(
    caplog: pytest.LogCaptureFixture, profile: str, *, warned: bool
):
    rig = Rig(DeviceConfig("hr-1", "ble", "C0:00:00:00:00:01", profile))
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        rig.device.drop("link lost")
        await rig.until(SessionState.BACKOFF)
    told = [r for r in caplog.records if "link lost" in r.getMessage()]
    assert any(record.levelno >= logging.WARNING for record in told) is warned
