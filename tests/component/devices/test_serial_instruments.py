"""Instruments that are spoken to, over real ptys: steps, answers, clocks, keep-alive, noise, unplugging."""

from __future__ import annotations

import asyncio
import os
import random
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from devices import DeviceConfig, DeviceSession, SessionState
from devices.gatt_time import LocalTime, local_time
from devices.links.serial import SerialLink
from devices.links.serial_pulse import Pulse
from devices.links.serial_talk import nonin_set_time
from firmware_profiles import Profile, Step, load_catalog
from hearthward.core.clock import SECOND, EventClock, parse_iso
from hearthward.core.device_states import Cause
from hearthward.core.errors import DecodeError, LinkError, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.unit.firmware_profiles.serial_frames import contec9, df2_packet, df8, df13, pulse_wave

CATALOG = load_catalog()
DF2, DF8, DF13 = (CATALOG.get(f"nonin-df{n}") for n in (2, 8, 13))
CONTEC = CATALOG.get("contec-cms50-9byte")
START, KEEP, STOP = (bytes([0x7D, 0x81, op, *[0x80] * 6]) for op in (0xA1, 0xAF, 0xA2))
ACK = b"\x06"
NOW = parse_iso("2026-07-01T10:20:30Z")


class Instrument:
    """The far end of a pty: what it hears, and what it answers to what."""

    def __init__(self) -> None:
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave  # held, so that the pty stays whole while nobody else has it open
        os.set_blocking(self.master, False)
        self.heard = b""
        self.answers: dict[bytes, Iterator[bytes]] = {}
        self._news = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.master, self._read)

    def answer(self, question: bytes, *answers: bytes) -> None:
        self.answers[question] = iter(answers)

    def _read(self) -> None:
        self.heard += os.read(self.master, 4096)
        for question, answers in self.answers.items():
            if self.heard.endswith(question):
                self.send(next(answers, b""))
        self._news.set()

    def send(self, *data: bytes) -> None:
        for one in data:
            os.write(self.master, one)

    async def hears(self, what: Callable[[bytes], bool]) -> None:
        while not what(self.heard):
            self._news.clear()
            await self._news.wait()

    def unplug(self) -> None:
        if self.master >= 0:
            asyncio.get_running_loop().remove_reader(self.master)
            os.close(self.master)
            os.close(self._slave)
            self.master = -1


@pytest.fixture
async def instrument() -> AsyncIterator[Instrument]:
    made = Instrument()
    yield made
    made.unplug()


class Aid:
    """What a session lends: only what is about the clock is asked for on a serial line."""

    def __init__(self, time: LocalTime | None) -> None:
        self._time = time
        self.clocks_set = 0

    def clock_set(self) -> None:
        self.clocks_set += 1

    def local_time(self) -> LocalTime | None:
        return self._time

    def __getattr__(self, name: str) -> object:
        raise AssertionError(name)


class Ear:
    """A link that runs, and what came of it."""

    def __init__(self, instrument: Instrument, profile: Profile, *, noise_s: float = 60) -> None:
        self.payloads: list[bytes] = []
        self.waited: list[int] = []
        self.refused: list[DecodeError] = []
        self.subscribed = asyncio.Event()
        self.news = asyncio.Event()
        self.link = SerialLink(instrument.path, profile, on_noise=self.on_noise, noise_s=noise_s)
        self.link.on_subscribed = self.subscribed.set
        self._profile = profile

    def on_noise(self, _head: bytes, error: DecodeError) -> None:
        self.refused.append(error)
        self.news.set()

    def on_payload(self, _source: str, payload: bytes, ago: int = 0) -> None:
        self.waited.append(ago)
        self.payloads.append(payload)
        self.news.set()

    async def told(self) -> None:
        """Something new has come of what was sent last."""
        self.news.clear()
        await self.news.wait()

    async def has(self, payloads: int) -> None:
        while len(self.payloads) < payloads:
            self.news.clear()
            await self.news.wait()

    @asynccontextmanager
    async def listening(self, *steps: Step) -> AsyncIterator[asyncio.Task[None]]:
        await self.link.connect()
        running = asyncio.create_task(self.link.run(steps or self._profile.session, self.on_payload))
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.wait([running])
            await self.link.close()

    @property
    def values(self) -> list[float | None]:
        source = self._profile.sources[0]
        return [
            reading.value
            for payload in self.payloads
            for reading in self._profile.decode(source, payload)
            if reading.metric == "spo2"
        ]


async def test_contec_is_started_kept_alive_and_stopped(instrument: Instrument):
    ear = Ear(instrument, CONTEC)
    quick = [replace(s, seconds=0.01) if s.kind == "keepalive" else s for s in CONTEC.session]
    async with ear.listening(*quick):
        await instrument.hears(lambda heard: heard.startswith(START) and heard.count(KEEP) >= 3)
        instrument.send(*(contec9(66, 98, sample) for sample in pulse_wave(120, 100)))
        await ear.has(2)
    await instrument.hears(lambda heard: heard.endswith(STOP))
    assert ear.values == [98, 98]
    assert ear.refused == []


async def test_the_clock_is_set_then_the_format_and_records_flow(instrument: Instrument):
    ear = Ear(instrument, DF13)
    ear.link.aid = Aid(local_time(NOW, None))  # type: ignore[assignment]
    setting = nonin_set_time(datetime(2026, 7, 1, 10, 20, 30, tzinfo=UTC))
    assert setting == bytes.fromhex("02 72 06 1A 07 01 0A 14 1E 03")
    chosen = bytes.fromhex("02 70 04 02 0D 00 83 03")
    instrument.answer(setting, ACK)
    instrument.answer(chosen, df13("20260701101500", 71, 96, 0x210) + ACK)  # its memory comes at once
    async with ear.listening():
        await ear.subscribed.wait()
        instrument.send(df13("20260701102031", 72, 97))
        await ear.has(2)
    assert instrument.heard == setting + chosen
    assert ear.values == [96, 97]
    assert ear.refused == []


@pytest.mark.parametrize("answers", [True, False], ids=["answers", "does not"])
async def test_bytes_of_a_record_are_no_answer(instrument: Instrument, answers: bool):  # noqa: FBT001
    ear = Ear(instrument, DF13)
    aid = ear.link.aid = Aid(local_time(NOW, None))  # type: ignore[assignment]
    setting = nonin_set_time(datetime(2026, 7, 1, 10, 20, 30, tzinfo=UTC))
    stored = df13("20260606060600", 71, 96, 0x210)  # the month, day, hour and minute look like ACK
    instrument.answer(setting, stored + (ACK if answers else b"") + stored)
    steps = [replace(step, seconds=0.2) if step.kind != "send" else step for step in DF13.session]
    async with ear.listening(*steps):
        await ear.subscribed.wait()
        await ear.has(2)
    assert ear.values == [96, 96]
    assert ear.refused == []
    assert aid.clocks_set == answers


async def test_a_stream_that_goes_on_while_it_is_told_its_format_loses_nothing(instrument: Instrument):
    ear = Ear(instrument, DF2)
    packet = df2_packet(70, 95, [6] * 25)  # samples that look like ACK
    instrument.answer(bytes.fromhex("02 70 04 02 02 00 78 03"), packet * 3)
    steps = [replace(step, seconds=0.1) if step.kind == "expect" else step for step in DF2.session]
    async with ear.listening(*steps):
        await ear.subscribed.wait()
        await ear.has(3)
    assert ear.values == [95] * 3
    assert ear.refused == []


async def test_a_clock_that_the_gateway_does_not_know_is_left_alone(instrument: Instrument):
    for sent, aid in ((b"!", None), (b"!?", Aid(None))):
        ear = Ear(instrument, DF13)
        ear.link.aid = aid  # type: ignore[assignment]
        async with ear.listening(Step("set_time", "nonin"), Step("send", data=sent[-1:])):
            await ear.subscribed.wait()
            await instrument.hears(lambda heard, sent=sent: heard == sent)  # type: ignore[misc]


async def test_an_answer_is_cut_out_of_the_stream_wherever_it_comes_in_halves(instrument: Instrument):
    ear = Ear(instrument, DF8)
    first, second, *rest = (df8(60 + n, 90 + n) for n in range(6))
    instrument.answer(b"?", first + second[:2])
    async with ear.listening(Step("send", data=b"?"), Step("expect", data=b"\xf1\xf2\xf3")):
        await instrument.hears(lambda heard: heard == b"?")
        for piece in (second[2:] + b"\xf1", b"\xf2", b"\xf3" + rest[0], *rest[1:]):
            instrument.send(piece)
            await asyncio.sleep(0.005)  # so that the pieces come one by one
        await ear.subscribed.wait()
        await ear.has(6)
    assert ear.values == [90 + n for n in range(6)]
    assert ear.refused == []


async def test_a_question_is_asked_again_before_it_is_given_up(instrument: Instrument):
    instrument.answer(b"?", b"", b"", *[b"!"] * 8)
    ear = Ear(instrument, DF8)
    async with ear.listening(Step("send", data=b"?"), Step("expect", data=b"!", seconds=0.03, retries=9)):
        await ear.subscribed.wait()
    assert 3 <= len(instrument.heard) <= 10  # on a busy machine an answer may come too late
    assert set(instrument.heard) == set(b"?")


async def test_an_answer_that_does_not_come_is_said_unless_it_is_optional(instrument: Instrument):
    asked = (Step("send", data=b"?"), Step("expect", data=b"\x06", seconds=0.01, retries=1))
    ear = Ear(instrument, DF8)
    async with ear.listening(*asked) as running:
        with pytest.raises(
            LinkError, match=r"no answer 06 to 3f within 0.01 s: is the instrument on"
        ) as caught:
            await running
    assert caught.value.details["cause"] == Cause.SILENT
    assert not ear.subscribed.is_set()
    ear = Ear(instrument, DF8)
    async with ear.listening(asked[0], replace(asked[1], optional=True)):
        await ear.subscribed.wait()


async def test_steps_of_bluetooth_are_refused(instrument: Instrument):
    ear = Ear(instrument, DF8)
    async with ear.listening(Step("read", "2a19")) as running:
        with pytest.raises(LinkError, match="cannot do the profile's step 'read'") as caught:
            await running
    assert caught.value.details["cause"] == Cause.MISCONFIGURED


async def test_a_wrong_speed_is_told_as_only_noise_and_few_errors(instrument: Instrument):
    ear = Ear(instrument, CONTEC, noise_s=0.05)
    noise = random.Random(1)
    async with ear.listening() as running:
        while not running.done():
            with suppress(BlockingIOError):
                instrument.send(noise.randbytes(500))
            await asyncio.sleep(0.01)
        with pytest.raises(
            LinkError, match=r"no frame in 0.05 s: is the speed \(baud rate\) right"
        ) as caught:
            await running
    assert caught.value.details["cause"] == Cause.ONLY_NOISE
    assert ear.payloads == []
    assert 0 < len(ear.refused) < 40
    assert {error.reason for error in ear.refused} == {"malformed"}


async def test_noise_between_frames_is_survived(instrument: Instrument):
    ear = Ear(instrument, DF2, noise_s=0.05)
    packet = df2_packet(70, 95, pulse_wave(25, 255))
    async with ear.listening(Step("delay", seconds=0.001)):
        for n in range(12):  # far longer than noise_s
            instrument.send(b"\xff\x00\x55" * 5 + packet[:60] + packet)
            await ear.has(n + 1)
            await asyncio.sleep(0.01)
    assert ear.values == [95] * 12
    assert ear.refused


@pytest.mark.parametrize("streaming", [True, False], ids=["while streaming", "while it is asked"])
async def test_unplugging_is_noticed_and_said(instrument: Instrument, streaming: bool):  # noqa: FBT001
    ear = Ear(instrument, DF8)
    steps = [] if streaming else [Step("expect", data=b"!", seconds=60)]
    async with ear.listening(*steps, Step("delay", seconds=0.001)) as running:
        if streaming:
            await ear.subscribed.wait()
            instrument.send(*(df8(60, 97) for _ in range(6)))
            await ear.has(6)
        else:
            await asyncio.sleep(0.01)
        instrument.unplug()
        async with asyncio.timeout(5):
            with pytest.raises(LinkError, match="was unplugged: plug it in again") as caught:
                await running
    assert caught.value.details["cause"] == Cause.LINK_LOST
    with pytest.raises(LinkError, match="is not there") as caught:
        await SerialLink(instrument.path, DF8).connect()
    assert caught.value.details["cause"] == Cause.PORT_MISSING


async def test_nobody_needs_to_take_the_farewell(instrument: Instrument):
    ear = Ear(instrument, CONTEC)
    async with ear.listening():
        await ear.subscribed.wait()
        instrument.unplug()
    await ear.link.close()


async def test_what_waited_to_be_confirmed_is_told_with_how_long_it_did(instrument: Instrument):
    ear = Ear(instrument, DF8)
    async with ear.listening(Step("delay", seconds=0.001)):
        await ear.subscribed.wait()
        for n in range(8):
            instrument.send(df8(60, 90 + n))
            await asyncio.sleep(0.02)
        await ear.has(8)
    assert ear.values == [90 + n for n in range(8)]
    assert ear.waited == sorted(ear.waited, reverse=True)
    assert ear.waited[0] > ear.waited[3] > 0
    assert ear.waited[5:] == [0, 0, 0]


@pytest.mark.parametrize(("profile", "kept"), [(DF2, 3), (DF13, 5)], ids=["without a time", "with a time"])
async def test_what_waited_while_the_process_stood_still_is_not_of_now(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch, profile: Profile, kept: int
):
    stalled = [0.0]
    monkeypatch.setattr(Pulse, "stalled_s", lambda _: stalled[0])
    ear = Ear(instrument, profile)

    def say(n: int) -> bytes:
        if profile is DF13:
            return df13(f"2026070110200{n}", 60, 90 + n)
        return df2_packet(60, 90 + n, [100] * 25)

    async with ear.listening(Step("delay", seconds=0.001)):
        await ear.subscribed.wait()
        instrument.send(say(0))
        await ear.has(1)
        stalled[0] = 60.0
        instrument.send(say(1) + say(2))
        await ear.told()
        stalled[0] = 0.0
        instrument.send(say(3), say(4))
        await ear.has(kept)
    assert ear.values == [90 + n for n in ((0, 3, 4) if kept == 3 else range(5))]
    assert [error.reason for error in ear.refused] == ["stale"] * (5 - kept > 0)


async def test_under_pressure_the_line_is_read_on_so_that_nothing_old_comes_as_if_new(
    instrument: Instrument,
):
    at_bedside = Bedside(instrument)
    async with at_bedside.running():
        at_bedside.away = True
        await at_bedside.second(0, *range(80, 86))  # six in a row are believed at once
        for n in range(1, 9):
            await at_bedside.second(n, 85 + n)
        assert at_bedside.dropped() == 6
        at_bedside.away = False
        await at_bedside.until(lambda: len(at_bedside.stored) == 16)
        await at_bedside.second(9, 70)
        await at_bedside.until(lambda: len(at_bedside.stored) == 18)
    assert at_bedside.saturations() == [(80 + n, 0) for n in range(6)] + [(86, 1), (87, 2), (70, 9)]
    assert at_bedside.rejected == ["no_room"] * 6


class Bedside:
    """A session with a DF8 instrument on a pty, a clock that is stepped, and a store that may be away."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.clock = EventClock(NOW, frozen_monotonic=True)
        self.telemetry = Telemetry()
        self.stored = ReadingBatch()
        self.rejected: list[str] = []
        self.away = False
        self.news = asyncio.Event()
        self.session = DeviceSession(
            DeviceConfig("oxi", "serial", instrument.path, DF8.id),
            CATALOG,
            lambda config, profile, on_noise: SerialLink(config.address, profile, on_noise=on_noise),
            self.sink,
            self.clock,
            SeededIds(1),
            self.telemetry,
            lambda _device, _state, _reason: self.news.set(),
            lambda _device, _source, _payload, error: self.rejected.append(error.reason),
            on_read=lambda _device, _received, _n: self.news.set(),
            capacity=8,
            sleep=self.soon,
        )

    async def soon(self, _seconds: float) -> None:
        await asyncio.sleep(0.001)

    async def sink(self, batch: ReadingBatch) -> None:
        if self.away:
            msg = "the disk is away"
            raise StoreUnavailable(msg)
        self.stored.extend(batch)
        self.news.set()

    async def until(self, so: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not so():
                self.news.clear()
                await self.news.wait()

    async def second(self, n: int, *values: int) -> None:
        """In second ``n`` the instrument sends values, and they are read."""
        self.clock.follow(NOW + n * SECOND)
        before = self.read()
        self.instrument.send(*(df8(60, value) for value in values))
        await self.until(lambda: self.read() == before + 2 * len(values))

    def read(self) -> float:
        return self.telemetry.value("readings_received_total", device="oxi")

    def dropped(self) -> float:
        return self.telemetry.value("readings_dropped_total", device="oxi") / 2

    def saturations(self) -> list[tuple[float | None, int]]:
        rows = zip(self.stored.metric, self.stored.value, self.stored.corrected, strict=True)
        return [(value, round((at - NOW) / SECOND)) for metric, value, at in rows if metric == "spo2"]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        self.instrument.answer(bytes.fromhex("02 70 04 02 08 00 7E 03"), ACK)
        task = asyncio.create_task(self.session.run())
        try:
            await self.until(lambda: self.session.state is SessionState.STREAMING)
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
