"""What a session lends its link: the time for the device's clock, and when to set it again."""

from __future__ import annotations

import asyncio
from datetime import datetime
from zoneinfo import ZoneInfo

from devices.clock_watch import ClockWatch
from devices.cursors import MemoryCursors
from devices.delivery import Delivery
from devices.gatt_time import naive_ns
from devices.steps import SET_AGAIN_S, SessionAid
from devices.store_fetch import StoreFetch
from hearthward.core.clock import EventClock, parse_iso
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry

NOON = parse_iso("2026-07-01T12:00:00Z")


class Unsure(EventClock):
    """A gateway's clock that nobody has set."""

    def synchronised(self) -> bool:
        return False


class Rig:
    def __init__(self, clock: EventClock) -> None:
        self.telemetry = Telemetry()
        self.skewed = False
        self.slept: list[float] = []
        self.awake = asyncio.Event()

        async def sink(_batch: ReadingBatch) -> None:
            """Nothing comes."""

        delivery = Delivery(
            "d",
            sink,
            ids=SeededIds(),
            telemetry=self.telemetry,
            on_pressure=lambda _pressed: None,
            on_refused=lambda *_: None,
        )
        self.aid = SessionAid(
            "d",
            ZoneInfo("Europe/Berlin"),
            StoreFetch("d", MemoryCursors(), delivery, self.telemetry, sleep=self.sleep),
            clock=clock,
            watch=ClockWatch(clock),
            telemetry=self.telemetry,
            skewed=lambda: self.skewed,
            sleep=self.sleep,
        )

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == 3:
            self.skewed = True
        await asyncio.sleep(0)


def test_the_clock_gets_the_time_of_its_zone():
    aid = Rig(EventClock(NOON)).aid
    time = aid.local_time()
    assert time is not None
    assert time.naive == datetime(2026, 7, 1, 14)  # noqa: DTZ001 - a device's clock has no zone


def test_a_gateway_that_does_not_know_the_time_sets_no_clock():
    assert Rig(Unsure(NOON)).aid.local_time() is None


def test_how_far_it_was_off_and_that_it_was_set_are_told():
    rig = Rig(EventClock(NOON))
    rig.aid.clock_read(naive_ns(datetime(2026, 7, 1, 14, 1)))  # noqa: DTZ001
    rig.aid.clock_set()
    assert rig.telemetry.value("device_clock_found_seconds", device="d") == 60
    assert rig.telemetry.value("device_clocks_set_total", device="d") == 1


async def test_a_clock_is_set_again_once_it_is_found_wrong():
    rig = Rig(EventClock(NOON))
    await rig.aid.clock_wrong()
    assert rig.slept == [SET_AGAIN_S] * 3
