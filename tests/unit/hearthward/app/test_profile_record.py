from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devices.links.fake import FakeDevice
from firmware_profiles import DeviceFacts, Profile, load_catalog
from firmware_profiles.report import check
from firmware_profiles.writing import Captured
from hearthward.app.profile_record import Recorded, append_vectors, record
from hearthward.core.clock import EventClock, parse_iso
from hearthward.core.errors import ConfigError, LinkError
from tests.unit.firmware_profiles.samples import SMALL

FACTS = DeviceFacts("ble", name="TEST-1", manufacturer="Acme", model="T 1", firmware="2.0")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    return path


def profile_of(path: Path) -> Profile:
    return load_catalog(path).get("test-device")


async def recorded(device: FakeDevice, profile: Profile, *, each: int = 5, frames: tuple[str, ...] = ()):
    into = Recorded()

    async def play() -> None:
        await device.wait_listening()
        for frame in frames:
            device.send("fff1", bytes.fromhex(frame))
        device.drop()

    clock = EventClock(parse_iso("2026-11-22T10:00:00Z"))
    async with asyncio.TaskGroup() as group:
        group.create_task(play())
        await record(device.link(), profile, seconds=5, each=each, clock=clock, into=into)
    return into


async def test_different_frames_are_kept_each_once_and_no_more_than_asked_for(mine: Path):
    found = await recorded(
        FakeDevice(FACTS), profile_of(mine), each=2, frames=("0048", "0048", "0049", "0050")
    )
    assert (found.heard, [frame.payload.hex() for frame in found.frames]) == (4, ["0048", "0049"])


async def test_a_capture_says_when_and_from_which_model_but_not_from_which_piece(mine: Path):
    found = await recorded(FakeDevice(FACTS), profile_of(mine), frames=("0048",))
    assert found.frames[0].origin == "captured 2026-11-22 from Acme T 1, firmware 2.0"


async def test_a_device_that_is_not_there_is_told(mine: Path):
    device = FakeDevice(FACTS)
    device.refusal = LinkError("not heard")
    link = device.link()
    with pytest.raises(LinkError, match="not heard"):
        await record(
            link,
            profile_of(mine),
            seconds=5,
            each=1,
            clock=EventClock(parse_iso("2026-11-22T10:00:00Z")),
            into=Recorded(),
        )
    assert device.closed == 1


def test_vectors_are_added_once(mine: Path):
    new = [Captured("fff1", bytes.fromhex("0063"), "captured"), Captured("fff1", bytes.fromhex("0048"), "x")]
    assert append_vectors(mine, profile_of(mine), new) == 1
    assert append_vectors(mine, profile_of(mine), new) == 0
    assert check([mine]).lines == ("1 profiles, 2 vectors: all as they say",)


def test_a_file_whose_vectors_are_not_last_is_left_as_it_is(mine: Path):
    mine.write_text(SMALL + "update: {method: none}\n")
    before = mine.read_bytes()
    with pytest.raises(ConfigError, match="last section"):
        append_vectors(mine, profile_of(mine), [Captured("fff1", b"\x00\x63", "captured")])
    assert mine.read_bytes() == before
