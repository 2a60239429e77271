"""What a cuff without a clock hands over on subscribing: only the last of it may be of now (ADR 31)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest

from devices import DeviceConfig, SessionState
from devices.clock_watch import LIVE_AFTER_NS
from firmware_profiles import DeviceFacts
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.model import Quality
from tests.unit.devices.metered import KEEPING, Gateway
from tests.unit.devices.rigged import LiveClock, Rig
from tests.unit.devices.test_store_untimed import UnsetMeter

CUFF = "2a35"
NOT_SET = bytes(7)
SUMMER = bytes.fromhex("EA0707010B3B00")  # 2026-07-01 11:59, a minute before noon


def pressure(systolic: int, stamp: bytes | None = NOT_SET) -> bytes:
    """A measurement by a cuff whose clock shows that; None: it has none."""
    flags = 0 if stamp is None else 2
    return struct.pack("<BHHH", flags, systolic, 70, 80) + (stamp or b"")


class CuffRig(Rig):
    """A cuff on its session; what it told, by systolic pressure."""

    kind_of_clock = LiveClock

    def __init__(self) -> None:
        config = DeviceConfig("cuff-1", "ble", "C0:00:00:00:00:02", "sig-blood-pressure", timezone="UTC")
        super().__init__(config, facts=DeviceFacts("ble", services=frozenset({"1810"})))

    async def tell(self, *payloads: bytes, apart_s: float = 0.2) -> None:
        for payload in payloads:
            self.device.send(CUFF, payload)
            await self.wait(apart_s)

    async def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.settled()

    async def nothing_follows(self) -> None:
        for _ in range(2):  # the first wait may have begun for one that was followed
            await self.wait(2)
            self.sleeper.pass_by()
            await self.settled()

    def said(self) -> list[tuple[float | None, bool]]:
        """(systolic pressure, whether it counts), in the order in which they were handed over."""
        return [(r.value, Quality(r.quality).clinical) for r in self.stored if r.metric == "nibp_systolic"]


def counting(values: Sequence[int], *live: int) -> list[tuple[float | None, bool]]:
    return [(float(v), v in live) for v in values]


@pytest.mark.parametrize("stamp", [NOT_SET, None], ids=["unset", "no-clock"])
async def test_of_a_backlog_without_times_only_the_last_is_of_now(stamp: bytes | None):
    rig = CuffRig()
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        await rig.tell(*(pressure(v, stamp) for v in (181, 182, 123)))
        assert rig.said() == counting([181, 182])
        await rig.nothing_follows()
        assert rig.said() == counting([181, 182, 123], 123)
    told = {r.value: Quality(r.quality) for r in rig.stored if r.metric == "nibp_systolic"}
    assert all(told[v] & Quality.FROM_STORE and told[v] & Quality.TIME_UNKNOWN for v in (181.0, 182.0))
    assert not told[123.0] & Quality.FROM_STORE
    assert rig.count("readings_time_unknown_total") == 6


async def test_a_live_cuff_with_an_unset_clock_goes_on_counting():
    rig = CuffRig()
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        await rig.tell(pressure(181))
        assert rig.said() == []  # for a moment
        await rig.nothing_follows()
        await rig.wait(LIVE_AFTER_NS / SECOND)
        await rig.tell(pressure(182), pressure(183))  # measured while connected: told at once, each of them
        assert rig.said() == counting([181, 182, 183], 181, 182, 183)
    assert rig.count("readings_time_unknown_total") == 0


async def test_what_has_a_time_waits_for_nothing_and_is_of_that_time():
    rig = CuffRig()
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        await rig.tell(pressure(181, SUMMER))
        assert rig.said() == counting([181], 181)
        assert not any(q & Quality.FROM_STORE for q in rig.stored.quality)
        await rig.tell(pressure(182), pressure(183, SUMMER))  # a dated one follows: 182 was before it
        assert rig.said() == counting([181, 182, 183], 181, 183)


async def test_nothing_is_kept_back_when_the_cuff_hangs_up_or_the_session_is_stopped():
    rig = CuffRig()
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        await rig.tell(pressure(181), pressure(182))
        rig.device.drop()
        await rig.settled()
        assert rig.said() == counting([181, 182], 182)
        rig.sleeper.pass_by()
        await rig.until(SessionState.STREAMING)
        await rig.tell(pressure(183))
    assert rig.said() == counting([181, 182, 183], 182, 183)


async def test_a_long_backlog_stays_one_but_a_device_that_measures_each_second_is_believed_in_the_end():
    rig = CuffRig()
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        await rig.tell(*(pressure(100 + n) for n in range(60)), apart_s=0.25)  # 15 s
        await rig.nothing_follows()
        assert rig.said() == counting(range(100, 160), 159)
    rig = CuffRig()
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        await rig.tell(*(pressure(100 + n) for n in range(80)), apart_s=0.9)  # 72 s
        live = [value for value, counts in rig.said() if counts]
    assert live
    assert live == [100.0 + n for n in range(67, 80)]  # after a minute


async def test_what_a_meter_tells_of_its_store_without_a_time_does_not_count():
    gateway = Gateway(UnsetMeter(), KEEPING)
    gateway.meter.measure(2)
    await gateway.connect()
    assert set(gateway.stored.metric) >= {"blood_glucose", "meal"}
    wanted = Quality.FROM_STORE | Quality.TIME_UNKNOWN | Quality.CLOCK_UNSET
    assert all(q & wanted == wanted for q in gateway.stored.quality)
    await gateway.kill()


class PlayedRig(CuffRig):
    kind_of_clock = EventClock


async def test_a_played_recording_waits_for_nothing():
    rig = PlayedRig()
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        await rig.tell(pressure(181), apart_s=0)
        assert rig.said() == counting([181], 181)
