"""Frames out of the notifications of a Bluetooth characteristic."""

from __future__ import annotations

from devices.cutting import Cutting
from devices.twins.streams import notified
from firmware_profiles import load_catalog
from hearthward.core.errors import DecodeError

CATALOG = load_catalog()
SOURCE = "6e400003-b5a3-f393-e0a9-e50e24dcca9e"
FRAME = bytes.fromhex("AA550F08015F55005700C0DA")


def test_frames_that_begin_anywhere_are_whole_and_noise_is_told():
    heard: list[tuple[str, bytes]] = []
    noise: list[DecodeError] = []
    feed = Cutting(
        CATALOG.get("wellue-pc60fw"), lambda s, p, _ago=0: heard.append((s, p)), lambda _h, e: noise.append(e)
    )
    stream = FRAME + b"\x00\x01" + FRAME + FRAME
    for at in range(0, len(stream), 5):
        feed(SOURCE, stream[at : at + 5])
    feed("2a19", b"\x50")
    assert heard == [(SOURCE, FRAME)] * 3 + [("2a19", b"\x50")]
    assert [error.reason for error in noise] == ["malformed"]


def test_whole_payloads_are_handed_on_as_they_are():
    heard: list[tuple[str, bytes, int]] = []

    def take(source: str, payload: bytes, ago: int = 0) -> None:
        heard.append((source, payload, ago))

    feed = Cutting(CATALOG.get("sig-heart-rate"), take, lambda _h, _e: None)
    feed("2a37", b"\x00\x48", 7)
    feed.end()
    assert heard == [("2a37", b"\x00\x48", 7)]


def test_what_no_frame_followed_is_told_when_the_connection_ends():
    noise: list[tuple[bytes, DecodeError]] = []
    feed = Cutting(CATALOG.get("wellue-pc60fw"), lambda *_: None, lambda head, e: noise.append((head, e)))
    feed(SOURCE, b"\x01\x02\x03" * 6)
    assert noise == []
    feed.end()
    assert [(head[:3], error.reason, error.details["skipped"]) for head, error in noise] == [
        (b"\x01\x02\x03", "malformed", 18)
    ]
    feed(SOURCE, FRAME[:5])
    feed.end()
    assert len(noise) == 1, "what the end cut off is not refused"


def test_a_twin_notifies_the_same_stream_in_pieces():
    framing = CATALOG.get("wellue-o2ring").document.framing
    assert framing is not None
    payload = bytes.fromhex("5500FF00000D0061480000000000580002240000 27")
    pieces = list(notified(framing, payload))
    assert [len(piece) for piece in pieces] == [20, 1]
    assert b"".join(pieces) == payload
