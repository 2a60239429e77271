"""The session of one device over the fake link, with the shipped profiles."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from devices import DeviceConfig, SessionState
from devices import session as module
from devices.links.fake import FakeLink
from devices.session import GOOD_STRETCH_S
from devices.twins import encode
from firmware_profiles import DeviceFacts, RacpStep, Step
from hearthward.core.clock import SECOND, parse_iso
from hearthward.core.errors import DecodeError, LinkError
from hearthward.core.ids import digest63
from tests.unit.devices.rigged import CATALOG, HR, NOON, RUN, STRAP, Rig, beat


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
