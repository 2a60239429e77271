"""Which instrument is on a port, by what it sends: over real ptys, and without a byte sent to it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from itertools import cycle
from typing import Any

import pytest

from devices import DeviceConfig, DeviceFleet
from devices.links.factory import Links
from devices.links.serial import SerialLink
from devices.links.serial_listen import LISTEN_S, heard_on
from devices.links.serial_port import Wire, open_port
from firmware_profiles import DeviceFacts, SerialSettings, load_catalog
from hearthward.core.clock import SystemClock
from hearthward.core.errors import LinkError, UnsupportedDevice
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.waves import WaveformChunk
from tests.component.devices.test_serial_instruments import Instrument
from tests.unit.firmware_profiles.serial_frames import (
    contec5,
    contec9,
    df2_packet,
    df7_packet,
    df8,
    df13,
    pulse_wave,
)

CATALOG = load_catalog()
SENDS = {
    "nonin-df2": df2_packet(70, 97, pulse_wave(25, 255)),
    "nonin-df7": df7_packet(70, 97, pulse_wave(25, 65_535)),
    "nonin-df8": df8(70, 97),
    "nonin-df13": df13("20260701101500", 71, 96, 0x210),
    "contec-cms50-5byte": b"".join(contec5(70, 97, sample) for sample in pulse_wave(60, 100)),
    "masimo-ascii1": b"02/22/16 22:47:45 SPO2=098% BPM=097 EXC=000800\r\n",
}
NEVER = {
    "noise": random.Random(4).randbytes(300),
    "an instrument of no profile here": b"ST,GS,+0070.25kg\r\n",
    "one that has to be started": contec9(70, 97, 50)[:5],
}


@pytest.fixture
async def instrument() -> AsyncIterator[Instrument]:
    made = Instrument()
    yield made
    made.unplug()


async def drip(instrument: Instrument, sends: bytes) -> None:
    """One sending and a moment; nobody need read it."""
    with suppress(BlockingIOError):
        instrument.send(sends)
    await asyncio.sleep(0.004)


async def heard(instrument: Instrument, sends: bytes, listen_s: float) -> frozenset[str]:
    async def stream() -> None:
        for _ in cycle([0]):
            await drip(instrument, sends)

    streaming = asyncio.create_task(stream())
    try:
        return await heard_on(instrument.path, list(CATALOG), listen_s=listen_s)
    finally:
        streaming.cancel()
        await asyncio.wait([streaming])


def test_every_profile_that_hears_has_its_instrument_here():
    assert set(SENDS) == {p.id for p in CATALOG if any(one.hears for one in p.document.match.serial)}


@pytest.mark.parametrize("profile_id", SENDS)
async def test_it_is_known_by_what_it_sends_and_nothing_is_sent_to_it(
    instrument: Instrument, profile_id: str
):
    other_speed = profile_id.startswith("contec")  # a pty has none: it is listened to at the other one first
    names = await heard(instrument, SENDS[profile_id], 1 if other_speed else 5)
    facts = DeviceFacts("serial", hears=names)
    assert CATALOG.match(facts).id == profile_id
    assert instrument.heard == b""


@pytest.mark.parametrize("what", NEVER)
async def test_others_stay_unknown(instrument: Instrument, what: str):
    names = await heard(instrument, NEVER[what], 0.1)
    assert names == frozenset()
    with pytest.raises(UnsupportedDevice, match="name one in the device's configuration"):
        CATALOG.match(DeviceFacts("serial", hears=names))


@pytest.mark.parametrize("profile_id", ["nonin-df2", "contec-cms50-5byte"])
async def test_a_port_that_goes_away_while_it_is_listened_to_is_told(
    instrument: Instrument, profile_id: str, monkeypatch: pytest.MonkeyPatch
):
    listened_to = asyncio.Event()

    async def told(path: str, line: SerialSettings) -> tuple[Any, Wire]:
        opened = await open_port(path, line)
        listened_to.set()
        return opened

    monkeypatch.setattr("devices.links.serial_listen.open_port", told)
    listening = asyncio.create_task(heard_on(instrument.path, [CATALOG.get(profile_id)], listen_s=5))
    await listened_to.wait()
    instrument.unplug()
    with pytest.raises(LinkError, match="is gone"):
        await listening


async def test_a_device_without_a_profile_is_listened_to_when_it_connects(instrument: Instrument):
    config = DeviceConfig("m", "serial", instrument.path)
    link = Links(None, CATALOG)(config, None, lambda _head, _error: None)
    connecting = asyncio.create_task(link.connect())
    while not connecting.done():
        await drip(instrument, SENDS["nonin-df2"])
    facts = await connecting
    assert facts.hears == {"df2"}
    await link.close()


async def test_a_port_with_an_instrument_that_nobody_named_streams(instrument: Instrument):
    stored, waves, enough = ReadingBatch(), list[WaveformChunk](), asyncio.Event()

    async def sink(batch: ReadingBatch) -> None:
        stored.extend(batch)

    async def wave_sink(chunks: list[WaveformChunk]) -> None:
        waves.extend(chunks)
        if len(stored) >= 10:
            enough.set()

    fleet = DeviceFleet(CATALOG, None, sink, SystemClock(), SeededIds(1), Telemetry(), wave_sink=wave_sink)
    await fleet.apply([DeviceConfig("oximeter", "serial", instrument.path)])
    running = asyncio.create_task(fleet.run())
    packets = cycle([SENDS["nonin-df2"], df2_packet(71, 96, pulse_wave(25, 255))])
    while not enough.is_set():  # what changes is never left out as said before
        await drip(instrument, next(packets))
    running.cancel()
    await asyncio.wait([running])
    told = {(reading.metric, reading.value) for reading in stored}
    assert told == {("pulse_rate", 70), ("pulse_rate", 71), ("spo2", 97), ("spo2", 96)}
    assert {(chunk.metric, chunk.rate_hz) for chunk in waves} == {("pleth", 75)}


async def test_how_long_it_listens_is_known_before():
    baudrates = (1200, 2400, 4800, 19200, 38400, 57600)
    df8 = CATALOG.get("nonin-df8")
    known = [replace(df8, serial=replace(df8.serial, baudrate=rate)) for rate in baudrates]  # type: ignore[type-var]
    assert SerialLink("/dev/x", None, known=known).connect_s == len(baudrates) * LISTEN_S
    assert SerialLink("/dev/x", df8, known=known).connect_s == 0
