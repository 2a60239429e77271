"""The last frames of each device, and what they were read as."""

from __future__ import annotations

import logging

import pytest

from devices import last_frames
from devices.last_frames import LastFrames
from firmware_profiles import load_catalog
from hearthward.core.errors import DecodeError
from hearthward.core.raw_frames import MOST_BYTES, MOST_FRAMES

HEART = load_catalog().get("sig-heart-rate")


def filled(count: int = 0) -> LastFrames:
    frames = LastFrames()
    frames.have(["strap"])
    for n in range(count):
        frames.note("strap", HEART, "2a37", bytes([0, 60 + n]), n)
    return frames


def test_the_newest_are_kept_with_their_fields():
    kept, missed = filled(MOST_FRAMES + 5).told("strap")
    assert (len(kept), missed) == (MOST_FRAMES, 0)
    assert [frame.number for frame in kept] == list(range(6, 26))
    newest = kept[-1]
    assert (newest.payload, newest.size, newest.source, newest.profile, newest.received) == (
        bytes([0, 84]),
        2,
        "2a37",
        "sig-heart-rate",
        24,
    )
    assert [tuple(part) for part in newest.fields] == [
        ("flags", 0, 1, "0", "", ""),
        ("rate", 1, 1, "84", "/min", "heart_rate"),
    ]
    assert newest.reason == ""


def test_only_what_is_new_is_told_and_what_is_gone_counted():
    frames = filled(3)
    assert [frame.number for frame in frames.told("strap", 2)[0]] == [3]
    assert frames.told("strap", 3) == ((), 0)
    for n in range(MOST_FRAMES + 4):
        frames.note("strap", HEART, "2a37", b"\x00H", n)
    kept, missed = frames.told("strap", 3)
    assert (len(kept), missed) == (MOST_FRAMES, 4)


def test_of_devices_that_are_not_configured_nothing_is_kept():
    frames = filled(2)
    frames.note("stranger", HEART, "2a37", b"\x00H", 1)
    frames.refused("stranger", "", b"x", DecodeError("no", reason="noise"), 1)
    assert "stranger" not in frames
    assert frames.told("stranger") == ((), 0)
    frames.have(["other", "strap"])
    assert "other" in frames
    assert len(frames.told("strap")[0]) == 2
    frames.have(["other"])
    assert frames.told("strap") == ((), 0)


def test_a_refused_frame_says_why_and_what_was_read_before():
    frames = filled(1)
    frames.note("strap", HEART, "2a37", b"\x01H", 7)
    frames.note("strap", HEART, "2a37", b"\x00H", 8)
    frames.refused("strap", "2a37", b"\x01H", DecodeError("two bytes of three", reason="truncated"), 9)
    refused = frames.told("strap")[0][1]
    assert (refused.reason, refused.detail) == ("truncated", "two bytes of three")
    assert [part.name for part in refused.fields] == ["flags"]
    assert [frame.reason for frame in frames.told("strap")[0]] == ["", "truncated", ""]


def test_noise_between_frames_is_kept_by_its_head():
    frames = filled()
    frames.refused("strap", "", bytes(1000), DecodeError("no frame", reason="noise"), 5)
    (noise,) = frames.told("strap")[0]
    assert (noise.size, len(noise.payload), noise.reason, noise.source) == (1000, 64, "noise", "")
    assert (noise.profile, noise.fields, noise.received) == ("", (), 5)


def test_a_long_frame_is_kept_by_its_head_and_found_again_when_refused():
    frames = filled()
    frames.note("strap", HEART, "2a37", bytes(3000), 1)
    frames.refused("strap", "2a37", bytes(3000), DecodeError("x", reason="oversized"), 2)
    (long,) = frames.told("strap")[0]
    assert (len(long.payload), long.size, long.reason, long.fields) == (MOST_BYTES, 3000, "oversized", ())


def test_a_profile_that_fails_costs_the_fields_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(last_frames, "dissect", fail)
    with caplog.at_level(logging.ERROR):
        (frame,) = filled(1).told("strap")[0]
    assert frame.fields == ()
    assert "sig-heart-rate fails on a frame of 2 bytes" in caplog.text
