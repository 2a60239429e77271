from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from devices import DeviceConfig, DeviceSession, SessionState
from devices.links.fake import FakeDevice
from devices.twins import encode
from devices.wave_flow import WaveFlow
from firmware_profiles import DecodedWave, DeviceFacts, Profile, load_catalog
from hearthward.core.clock import SECOND, EventClock, parse_iso
from hearthward.core.errors import DecodeError, StoreRejected, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.model import Quality, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wave_blocks import encode_waves
from hearthward.core.waves import WaveformChunk

CATALOG = load_catalog()
NOON = parse_iso("2026-07-01T12:00:00Z")
STRAP = DeviceFacts("ble", name="strap", services=frozenset({"180d"}), firmware="1.0")


def decode(payload: bytes) -> tuple[DecodedWave, ...]:
    """A second of pleth in every payload; one that begins with a zero cannot be read."""
    if payload[:1] == b"\0":
        msg = "no wave"
        raise DecodeError(msg, reason="integrity")
    return (DecodedWave("pleth", 75.0, tuple(range(75)), 1.0, "1", Quality(0)),)


WAVING: Profile = replace(CATALOG.get("sig-heart-rate"), wave_decoders={"2a37": decode})


class Catalog:
    def get(self, _profile: str) -> Profile:
        return WAVING

    def completed(self, profile: Profile, _facts: DeviceFacts) -> Profile:
        return profile


class Rig:
    """A flow with a sink that does as it is told."""

    def __init__(self, capacity: int = 4) -> None:
        self.telemetry = Telemetry()
        self.taken: list[WaveformChunk] = []
        self.error: Exception | None = None
        self.pressed = False
        self.slept = 0
        self.flow = WaveFlow(
            "oxi-1",
            self.sink,
            ids=SeededIds(),
            telemetry=self.telemetry,
            pressed=lambda: self.pressed,
            capacity=capacity,
            sleep=self.sleep,
        )

    async def sink(self, chunks: Sequence[WaveformChunk]) -> None:
        if self.error is not None:
            raise self.error
        self.taken += chunks

    async def sleep(self, _seconds: float) -> None:
        self.slept += 1
        await asyncio.sleep(0)

    def take(self, n: int = 1, payload: bytes = b"x") -> None:
        for _ in range(n):
            self.flow.take(WAVING, "2A37", payload, NOON, None)

    def dropped(self, reason: str) -> float:
        return self.telemetry.value("wave_samples_dropped_total", device="oxi-1", reason=reason)


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_chunks_reach_the_sink_in_order_and_the_rest_before_the_end():
    rig = Rig()
    rig.take(3)
    rig.flow.finish()
    await rig.flow.run()
    assert [c.first for c in rig.taken] == [0, 75, 150]


async def test_while_readings_wait_waves_are_dropped_and_that_is_a_gap():
    rig = Rig()
    rig.take(1)
    rig.pressed = True
    rig.take(2)
    rig.pressed = False
    rig.take(1)
    rig.flow.finish()
    await rig.flow.run()
    assert [c.first for c in rig.taken] == [0, 225]
    assert rig.dropped("pressure") == 150


async def test_a_sample_that_no_chunk_can_have_takes_no_other_chunk_with_it():
    def numbers(payload: bytes) -> tuple[DecodedWave, ...]:
        last = {b"h": 2**31, b"l": -(2**31) - 1, b"x": 2**31 - 1}[payload]
        return (DecodedWave("pleth", 75.0, (*range(74), last), 1.0, "1", Quality(0)),)

    rig = Rig()
    wide = replace(WAVING, wave_decoders={"2a37": numbers})
    for payload in (b"x", b"h", b"l", b"x"):
        rig.flow.take(wide, "2A37", payload, NOON, None)
    rig.flow.finish()
    await rig.flow.run()
    assert encode_waves(rig.taken)
    assert [c.first for c in rig.taken] == [0, 225]
    assert rig.dropped("range") == 150


async def test_the_queue_is_bounded():
    rig = Rig(capacity=4)
    rig.take(6)
    assert len(rig.flow) == 4
    assert rig.dropped("queue") == 150


async def test_what_the_sink_cannot_take_now_is_tried_again_and_what_it_refuses_is_dropped():
    rig = Rig()
    rig.error = StoreUnavailable("later")
    rig.take(1)
    task = asyncio.create_task(rig.flow.run())
    await settled()
    assert rig.slept >= 3
    assert not rig.taken
    rig.error = None
    await settled()
    assert len(rig.taken) == 1
    rig.error = StoreRejected("its share is full")
    rig.take(2)
    rig.flow.finish()
    await task
    assert len(rig.taken) == 1
    assert rig.dropped("refused") == 150


async def test_a_payload_whose_samples_cannot_be_read_is_counted_and_a_gap():
    rig = Rig()
    rig.take(1)
    rig.take(1, b"\0")
    rig.take(1)
    rig.flow.finish()
    await rig.flow.run()
    assert [c.first for c in rig.taken] == [0, 150]
    rejected = rig.telemetry.value("wave_payloads_rejected_total", device="oxi-1", reason="integrity")
    assert rejected == 1


async def test_what_is_given_up_at_the_end_is_counted():
    rig = Rig()
    rig.error = StoreUnavailable("later")
    rig.take(2)
    task = asyncio.create_task(rig.flow.run())
    await settled()
    task.cancel()
    await asyncio.wait([task])
    rig.flow.abandon()
    rig.flow.abandon()
    assert rig.dropped("stopped") == 150
    assert len(rig.flow) == 0


async def test_a_decoder_that_fails_costs_its_payload_only():
    rig = Rig()
    odd = replace(WAVING, wave_decoders={"2a37": lambda _payload: 1 / 0})  # type: ignore[dict-item,return-value]
    rig.flow.take(odd, "2a37", b"x", NOON, None)
    rig.take(1)
    rig.flow.finish()
    await rig.flow.run()
    assert [c.first for c in rig.taken] == [0]
    rejected = rig.telemetry.value("wave_payloads_rejected_total", device="oxi-1", reason="internal")
    assert rejected == 1


async def test_each_connection_is_a_run_of_its_own():
    rig = Rig()
    rig.take(1)
    rig.flow.disconnected()
    rig.take(1)
    rig.flow.finish()
    await rig.flow.run()
    one, two = rig.taken
    assert one.run != two.run
    assert one.first == two.first == 0
    assert two.received > one.received


async def test_waves_have_the_time_of_the_readings_beside_them():
    rig = Rig()
    for offset, expected in ((-SECOND, -SECOND), (-86_400 * SECOND, 0)):
        batch = ReadingBatch()
        batch.received, batch.corrected, batch.device = [NOON], [NOON + offset], ["oxi-1"]
        rig.flow.take(WAVING, "2a37", b"x", NOON, batch)
        rig.flow.take(WAVING, "2a37", b"x", NOON, None)
        rig.flow.finish()
        await rig.flow.run()
        assert [c.corrected - NOON for c in rig.taken[-2:]] == [expected] * 2


async def test_without_a_sink_or_a_decoder_nothing_is_done():
    telemetry = Telemetry()
    flow = WaveFlow("oxi-1", None, ids=SeededIds(), telemetry=telemetry, pressed=lambda: False)
    flow.take(WAVING, "2a37", b"x", NOON, None)
    assert len(flow) == 0
    rig = Rig()
    rig.flow.take(CATALOG.get("sig-heart-rate"), "2a37", b"x", NOON, None)
    assert len(rig.flow) == 0


@pytest.mark.parametrize("waves", [True, False])
async def test_a_session_hands_waves_over_beside_its_readings(waves: bool):  # noqa: FBT001 - a parameter
    device, clock, telemetry = FakeDevice(STRAP), EventClock(NOON, frozen_monotonic=True), Telemetry()
    taken: list[WaveformChunk] = []
    stored = ReadingBatch()
    streaming = asyncio.Event()

    async def sink(batch: ReadingBatch) -> None:
        stored.extend(batch)

    async def wave_sink(chunks: Sequence[WaveformChunk]) -> None:
        taken.extend(chunks)

    session = DeviceSession(
        DeviceConfig("hr-1", "ble", "C0:00:00:00:00:01", "sig-heart-rate"),
        Catalog(),  # type: ignore[arg-type] - a catalogue of one
        lambda _config, _profile, _noise: device.link(),
        sink,
        clock,
        SeededIds(1),
        telemetry,
        lambda _device, state, _reason: streaming.set() if state is SessionState.STREAMING else None,
        lambda *_: None,
        wave_sink=wave_sink if waves else None,
        sleep=asyncio.sleep,
    )
    task = asyncio.create_task(session.run())
    await streaming.wait()
    await device.wait_listening()
    device.send("2a37", encode.heart_rate(60, rr=(1000,)))
    clock.follow(NOON + SECOND)
    device.send("2a37", b"\xff")  # refused: the samples that were in it are a gap
    clock.follow(NOON + 2 * SECOND)
    device.send("2a37", encode.heart_rate(61, rr=(990,)))
    await asyncio.sleep(0)
    device.drop()
    task.cancel()
    await asyncio.wait([task])
    assert stored.metric == ["heart_rate", "rr_interval"] * 2
    assert [c.first for c in taken] == ([0, 150] if waves else [])
    assert [c.corrected for c in taken] == ([NOON, NOON + 2 * SECOND] if waves else [])
