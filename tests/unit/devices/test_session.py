"""The session of one device over the fake link, with the shipped profiles."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from devices import DeviceConfig, DeviceSession, SessionState
from devices import session as module
from devices.links.fake import FakeDevice, FakeLink
from devices.session import GOOD_STRETCH_S
from devices.twins import encode
from firmware_profiles import DeviceFacts, Profile, RacpStep, Step, load_catalog
from hearthward.core.clock import SECOND, EventClock, parse_iso
from hearthward.core.errors import DecodeError, LinkError, StoreRejected, StoreUnavailable
from hearthward.core.ids import SeededIds, digest63
from hearthward.core.model import Quality, ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.unit.firmware_profiles.serial_frames import df2_packet, df13

CATALOG = load_catalog()
NOON = parse_iso("2026-07-01T12:00:00Z")
STRAP = DeviceFacts("ble", name="strap", services=frozenset({"180d"}), firmware="1.0")
HR = "2a37"
RUN = b"run_1"


def beat(n: int) -> bytes:
    """A heart rate payload of two readings that is like no other."""
    return encode.heart_rate(60, rr=(1000 + n,))


class Sleeper:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._waiting: list[asyncio.Event] = []

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        over = asyncio.Event()
        self._waiting.append(over)
        await over.wait()

    def pass_by(self) -> None:
        for over in self._waiting:
            over.set()
        self._waiting.clear()


class LiveClock(EventClock):
    """A gateway's own clock, which nobody plays: a device's can be measured by it."""

    event_driven = False  # type: ignore[assignment]


@dataclass
class Rig:
    """A session, its device, and everything around them."""

    kind_of_clock: ClassVar[type[EventClock]] = EventClock
    config: DeviceConfig = field(
        default_factory=lambda: DeviceConfig("hr-1", "ble", "C0:00:00:00:00:01", "sig-heart-rate")
    )
    capacity: int = 1024
    facts: DeviceFacts = STRAP

    def __post_init__(self) -> None:
        self.device = FakeDevice(self.facts)
        self.clock = self.kind_of_clock(NOON, frozen_monotonic=True)
        self.telemetry = Telemetry()
        self.sleeper = Sleeper()
        self.states: list[tuple[SessionState, str]] = []
        self.rejected: list[tuple[str, bytes, str]] = []
        self.stored = ReadingBatch()
        self.profiles: list[Profile | None] = []
        self.changed = asyncio.Event()
        self.unavailable = False
        self.poison: set[int] = set()
        self.ids = SeededIds(1)
        self.session = self.new_session()

    def new_session(self, after: int = 0) -> DeviceSession:
        return DeviceSession(
            self.config,
            CATALOG,
            self.link,
            self.sink,
            self.clock,
            self.ids,
            self.telemetry,
            self.on_state,
            lambda _device, source, payload, error: self.rejected.append((source, payload, error.reason)),
            received_after=after,
            salt=RUN,
            capacity=self.capacity,
            sleep=self.sleeper,
        )

    def on_state(self, _device: str, state: SessionState, reason: str) -> None:
        self.states.append((state, reason))
        self.changed.set()

    def link(self, _config: DeviceConfig, profile: Profile | None, on_noise: object):
        self.profiles.append(profile)
        self.on_noise = on_noise
        return self.device.link()

    async def sink(self, batch: ReadingBatch) -> None:
        await asyncio.sleep(0)
        if self.unavailable:
            msg = "the disk is away"
            raise StoreUnavailable(msg)
        if self.poison & set(batch.digest):
            msg = "refused for good"
            raise StoreRejected(msg)
        self.stored.extend(batch)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        task = asyncio.create_task(self.session.run())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def until(self, state: SessionState) -> str:
        """Wait for a state; the reason given with it."""
        while self.session.state is not state:
            self.changed.clear()
            await self.changed.wait()
        return self.session.reason

    async def settled(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    def count(self, name: str, **labels: str) -> float:
        return self.telemetry.value(name, device=self.config.id, **labels)


async def test_a_connection_goes_through_all_its_states():
    rig = Rig()
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        assert rig.device.steps == CATALOG.get("sig-heart-rate").session
    assert [state for state, _ in rig.states] == [
        SessionState.CONNECTING,
        SessionState.IDENTIFYING,
        SessionState.SUBSCRIBING,
        SessionState.STREAMING,
        SessionState.STOPPED,
    ]
    assert rig.device.closed == 1


async def test_a_payload_becomes_stamped_readings():
    rig = Rig()
    async with rig.running():
        await rig.device.wait_listening()
        rig.device.send(HR, beat(1))
        rig.device.send(HR, beat(1))
        await rig.settled()
    stored = rig.stored
    assert stored.metric == ["heart_rate", "rr_interval"] * 2
    assert stored.device == ["hr-1"] * 4
    assert stored.received == [NOON, NOON, NOON + 1, NOON + 1]
    assert stored.corrected == stored.received
    assert set(stored.digest) == {digest63(HR.encode(), beat(1), RUN)}
    assert stored.ordinal == [0, 1, 0, 1]
    assert stored.group[0] == stored.group[1] != stored.group[2] == stored.group[3]
    assert set(stored.profile) == {CATALOG.get("sig-heart-rate").hash}


async def test_a_payload_is_of_when_it_came_not_of_when_it_was_believed():
    rig = Rig()
    async with rig.running():
        await rig.device.wait_listening()
        rig.clock.advance(10)
        for ago_s in (5, 4, 0):
            rig.device.send(HR, beat(ago_s), ago_s * SECOND)
        await rig.settled()
    came = [NOON + s * SECOND for s in (5, 6, 10)]
    assert rig.stored.received[::2] == rig.stored.corrected[::2] == came


async def test_without_a_configured_profile_it_is_matched():
    rig = Rig(DeviceConfig("hr-1", "ble", "C0:00:00:00:00:01"))
    async with rig.running():
        assert await rig.until(SessionState.STREAMING) == ""
    assert rig.profiles == [None]
    assert rig.states[2] == (SessionState.SUBSCRIBING, CATALOG.get("sig-heart-rate").title)


@pytest.mark.parametrize(
    ("config", "facts", "reason"),
    [
        (DeviceConfig("d", "ble", "A"), DeviceFacts("ble", name="Toaster"), "no profile matches"),
        (
            DeviceConfig("d", "ble", "A"),
            replace(STRAP, name="BM85", services=frozenset({"46a970e0-0d5f-11e2-8b5e-0002a5d5c51b"})),
            "several profiles match",
        ),
        (DeviceConfig("d", "ble", "A", "sig-hart-rate"), STRAP, "did you mean 'sig-heart-rate'"),
        (DeviceConfig("d", "ble", "A", "masimo-ascii1"), STRAP, "is for serial"),
        (
            DeviceConfig("d", "ble", "A", "sig-heart-rate", "Mars/Base"),
            STRAP,
            "unknown time zone 'Mars/Base'",
        ),
    ],
)
async def test_what_is_unsupported_says_why_and_is_asked_again_slowly(
    config: DeviceConfig, facts: DeviceFacts, reason: str
):
    rig = Rig(config, facts=facts)
    async with rig.running():
        said = await rig.until(SessionState.UNSUPPORTED)
        assert reason in said
        await rig.settled()
        assert rig.sleeper.asked[0] >= 150
        rig.device.facts = STRAP
        rig.sleeper.pass_by()
        await rig.settled()
        if config.profile is None:
            assert rig.session.state is SessionState.STREAMING


async def test_a_configured_profile_is_refused_for_another_firmware():
    rig = Rig()
    old = CATALOG.get("sig-heart-rate")
    match = old.document.match.model_copy(update={"firmware": "<2"})
    narrow = replace(old, document=old.document.model_copy(update={"match": match}))
    rig.session._catalog = type(CATALOG)([narrow])
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        rig.device.facts = replace(STRAP, firmware="2.1")
        rig.device.drop()
        await rig.until(SessionState.BACKOFF)
        await rig.settled()
        rig.sleeper.pass_by()
        assert "firmware is 2.1" in await rig.until(SessionState.UNSUPPORTED)
    assert rig.count("device_firmware_changes_total") == 1


async def test_the_back_off_doubles_is_capped_and_starts_again_after_a_good_stretch():
    rig = Rig()
    rig.device.refusal = LinkError("nobody answers")
    timings = CATALOG.get("sig-heart-rate").timings
    async with rig.running():
        for _ in range(12):
            assert "nobody answers; next try in" in await rig.until(SessionState.BACKOFF)
            await rig.settled()
            rig.sleeper.pass_by()
            await rig.settled()
        waits = rig.sleeper.asked
        for n, wait in enumerate(waits):
            whole = min(timings.backoff_max_s, timings.backoff_first_s * 2**n)
            assert whole / 2 <= wait <= whole
        rig.device.refusal = None
        rig.sleeper.pass_by()
        for stretch, high in [(1.0, timings.backoff_max_s), (GOOD_STRETCH_S, timings.backoff_first_s)]:
            await rig.until(SessionState.STREAMING)
            rig.clock.advance(stretch)
            rig.device.drop()
            await rig.until(SessionState.BACKOFF)
            await rig.settled()
            assert high / 2 <= rig.sleeper.asked[-1] <= high
            rig.sleeper.pass_by()


async def test_refused_frames_are_counted_and_passed_on_and_the_session_goes_on():
    rig = Rig()
    async with rig.running():
        await rig.device.wait_listening()
        rig.device.send(HR, b"")
        rig.device.send("ffff", b"x")
        rig.on_noise(b"\x01", DecodeError("no end", reason="oversized", count=3))
        rig.device.send(HR, beat(1))
        await rig.settled()
        assert rig.session.state is SessionState.STREAMING
    assert [r[2] for r in rig.rejected] == ["truncated", "unknown_source", "oversized"]
    assert rig.count("readings_rejected_total", reason="truncated") == 1
    assert rig.count("readings_rejected_total", reason="oversized") == 3
    assert len(rig.stored) == 2


async def test_noise_of_a_stream_that_no_frame_followed_is_counted_when_the_connection_ends():
    rig = Rig(DeviceConfig("hr-1", "ble", "C0:00:00:00:00:01", "wellue-pc60fw"))
    async with rig.running():
        await rig.device.wait_listening()
        rig.device.send("6e400003-b5a3-f393-e0a9-e50e24dcca9e", b"\x01\x02\x03")
        assert rig.rejected == []
        rig.device.drop()
        await rig.until(SessionState.BACKOFF)
        assert [r[1:] for r in rig.rejected] == [(b"\x01\x02\x03", "malformed")]
        assert rig.count("readings_rejected_total", reason="malformed") == 1


async def test_a_device_clock_in_the_future_is_counted_and_the_receive_time_used():
    rig = Rig(
        DeviceConfig("bp", "ble", "A", "sig-blood-pressure", "Europe/Berlin"),
        facts=DeviceFacts("ble", services=frozenset({"1810"})),
    )
    from datetime import datetime

    async with rig.running():
        await rig.device.wait_listening()
        for hour in (14, 15):  # Berlin's noon in UTC is 14:00
            at = datetime(2026, 7, 1, hour, 0, 0)  # noqa: DTZ001 - a device's clock has no zone
            rig.device.send("2a35", encode.blood_pressure(120, 80, at=at))
        await rig.settled()
    assert set(rig.stored.corrected) == {NOON, NOON + 1}
    assert set(rig.stored.device_time) == {parse_iso("2026-07-01T14:00"), parse_iso("2026-07-01T15:00")}
    assert rig.count("device_clock_skew_total") == 1
    assert rig.count("device_clock_skew_seconds") == pytest.approx(3600)


async def test_a_full_queue_drops_and_counts():
    rig = Rig(capacity=8)
    async with rig.running():
        await rig.device.wait_listening()
        rig.unavailable = True
        for n in range(10):
            rig.device.send(HR, beat(n))
        assert rig.count("readings_dropped_total") == 4
        assert [(raw, why) for _, raw, why in rig.rejected] == [(beat(8), "no_room"), (beat(9), "no_room")]
        assert rig.count("readings_rejected_total", reason="no_room") == 0  # readings, not refused frames
        await rig.settled()
        rig.unavailable = False
        rig.sleeper.pass_by()
        await rig.settled()
    assert rig.stored.digest[::2] == [digest63(HR.encode(), beat(n), RUN) for n in range(8)]


class Listener(FakeLink):
    """A link that listens for longer than others connect."""

    connect_s = 0.2

    async def connect(self) -> DeviceFacts:
        await asyncio.sleep(0.1)
        return await super().connect()


async def test_a_link_that_says_so_may_take_its_time_to_connect(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CONNECT_TIMEOUT_S", 0.01)
    monkeypatch.setattr(module, "CONNECT_GRACE_S", 0.01)
    for slow in (True, False):
        rig = Rig(DeviceConfig("d", "ble", "A"))
        rig.device.absent = not slow
        rig.link = lambda *_, rig=rig, slow=slow: (Listener if slow else FakeLink)(rig.device)  # type: ignore[method-assign]
        rig.session = rig.new_session()
        async with rig.running(), asyncio.timeout(5):
            if slow:
                await rig.until(SessionState.STREAMING)
            else:
                assert "no answer" in await rig.until(SessionState.BACKOFF)


async def test_a_silent_device_is_taken_for_gone():
    rig = Rig()
    profile = CATALOG.get("sig-heart-rate")
    quick = replace(profile, timings=replace(profile.timings, idle_s=0.01))
    rig.session._catalog = type(CATALOG)([quick])
    async with rig.running():
        reason = await rig.until(SessionState.BACKOFF)
        assert reason.startswith("silent for 0.01 s")


@pytest.mark.parametrize("keeps", [False, True], ids=["a stream", "a store"])
async def test_a_device_that_is_not_asked_for_its_store_may_be_silent(keeps: bool):  # noqa: FBT001
    rig = Rig(capacity=8)
    profile = CATALOG.get("sig-heart-rate")
    racp = Step("racp", "2a52", racp=RacpStep("2a52", "2a18"))
    rig.session._catalog = type(CATALOG)([replace(profile, session=(*profile.session, *[racp] * keeps))])
    async with rig.running():
        await rig.until(SessionState.STREAMING)
        idle = rig.session._idle
        assert idle is not None
        assert idle.when() is not None
        rig.unavailable = True
        for n in range(6):
            rig.device.send(HR, beat(n))
        assert (idle.when() is None) == keeps
        await rig.settled()
        rig.unavailable = False
        rig.sleeper.pass_by()
        await rig.settled()
        assert idle.when() is not None


async def test_a_serial_device_is_matched_by_its_adapter_and_then_opened_with_its_line_settings():
    masimo = CATALOG.get("masimo-ascii1")
    match = type(masimo.document.match).model_validate({"serial": ({"usb": "0403:6001"},)})
    known = replace(masimo, document=masimo.document.model_copy(update={"match": match}))
    rig = Rig(DeviceConfig("m", "serial", "/dev/ttyUSB0"), facts=DeviceFacts("serial", usb="0403:6001"))
    rig.session._catalog = type(CATALOG)([known])
    async with rig.running():
        await rig.until(SessionState.STREAMING)
    assert rig.profiles == [None, known]
    assert rig.device.closed == 2


async def test_a_stopped_session_still_hands_over_what_it_received():
    rig = Rig()
    async with rig.running() as task:
        await rig.device.wait_listening()
        for n in range(20):
            rig.device.send(HR, beat(n))
        task.cancel()
    assert len(rig.stored) == 40
    assert rig.states[-1][0] is SessionState.STOPPED


class SessionMachine(RuleBasedStateMachine):
    """Whatever device and store do, each accepted payload is stored once, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.sent: list[int] = []
        self.n = 0
        self.rejected = 0
        self.runner.run(self.begin())

    async def begin(self) -> None:
        self.rig = Rig(capacity=10_000)
        self.task = asyncio.create_task(self.rig.session.run())
        await self.rig.settled()

    def teardown(self) -> None:
        with self.runner:
            self.runner.run(self.end())

    async def end(self) -> None:
        await self.stop()
        wanted = [d for d in self.sent if d not in self.rig.poison]
        assert self.rig.stored.digest == [d for d in wanted for _ in range(2)]
        assert len(self.rig.rejected) == self.rejected + len(set(self.sent) & self.rig.poison)
        assert self.rig.session.state is SessionState.STOPPED

    async def stop(self) -> None:
        self.rig.unavailable = False
        self.task.cancel()
        while not self.task.done():
            self.rig.sleeper.pass_by()
            await asyncio.sleep(0)

    @rule(count=st.integers(1, 5), poisoned=st.booleans(), settle=st.booleans())
    def payloads(self, count: int, poisoned: bool, settle: bool) -> None:  # noqa: FBT001
        async def act() -> None:
            for k in range(count):
                if not self.rig.device.listening:
                    break
                self.n += 1
                digest = digest63(HR.encode(), beat(self.n), RUN)
                if poisoned and k == count // 2:
                    self.rig.poison.add(digest)
                self.sent.append(digest)
                self.rig.device.send(HR, beat(self.n))
            if settle:
                await self.rig.settled()

        self.runner.run(act())

    @precondition(lambda self: self.rig.device.listening)
    @rule()
    def noise(self) -> None:
        async def act() -> None:
            self.rejected += 1
            self.rig.device.send(HR, b"\x00")

        self.runner.run(act())

    @rule(reason=st.sampled_from(["gone", "out of range"]))
    def drop(self, reason: str) -> None:
        async def act() -> None:
            self.rig.device.drop(reason)
            await self.rig.settled()

        self.runner.run(act())

    @rule(refuse=st.booleans())
    def reachable(self, refuse: bool) -> None:  # noqa: FBT001
        self.rig.device.refusal = LinkError("not there") if refuse else None

    @rule(away=st.booleans())
    def store(self, away: bool) -> None:  # noqa: FBT001
        self.rig.unavailable = away

    @rule()
    def time_passes(self) -> None:
        async def act() -> None:
            self.rig.sleeper.pass_by()
            await self.rig.settled()

        self.runner.run(act())

    @rule(seconds=st.floats(0, 100))
    def clock_moves(self, seconds: float) -> None:
        self.rig.clock.advance(seconds)

    @rule()
    def restart(self) -> None:
        async def act() -> None:
            await self.stop()
            self.rig.session = self.rig.new_session(self.rig.session.last_received)
            self.task = asyncio.create_task(self.rig.session.run())
            await self.rig.settled()

        self.runner.run(act())

    @invariant()
    def stored_is_a_prefix_in_order(self) -> None:
        wanted = [d for d in self.sent if d not in self.rig.poison for _ in range(2)]
        stored = self.rig.stored.digest
        assert stored == wanted[: len(stored)]

    @invariant()
    def receive_times_grow_from_payload_to_payload(self) -> None:
        received = self.rig.stored.received
        assert received[::2] == received[1::2]
        assert all(a < b for a, b in pairwise(received[::2]))

    @invariant()
    def the_session_is_alive_and_says_what_it_does(self) -> None:
        assert not self.task.done()
        assert self.rig.session.state in {
            SessionState.STREAMING,
            SessionState.BACKOFF,
            SessionState.CONNECTING,
        }


SessionMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestSessionMachine = SessionMachine.TestCase


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
