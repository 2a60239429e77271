"""Payloads -> the bytes of a serial line, by the profile's framing (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from devices.twins.placing import CHECKS
from firmware_profiles.schema_transport import ByteTest, Framing

__all__ = ["on_the_wire"]

_LENGTHS = {"u8": (1, "little"), "u16": (2, "little"), "u16be": (2, "big")}


def notified(framing: Framing, payload: bytes, room: int = 20) -> Iterator[bytes]:
    """The same stream in notifications of at most ``room`` bytes. Raises ValueError as ``on_the_wire``."""
    data = on_the_wire(framing, payload)
    return (data[at : at + room] for at in range(0, len(data), room))


def on_the_wire(framing: Framing, payload: bytes) -> bytes:
    """The bytes that a framer hands on as this payload.

    What the framing itself decides (sync bits, lengths, checks, ends) is set here, whatever the payload has
    there. Raises ValueError for a payload of another size than the framing's frames.
    """
    match framing.kind:
        case "delimiter":
            return payload + (framing.delimiter or "").encode("latin-1")
        case "length":
            return _told(framing, payload)
        case _:
            return b"".join(_fixed(framing, payload))


def _fixed(framing: Framing, payload: bytes) -> Iterator[bytes]:
    """Frames of one length, ``group`` of them in a payload."""
    length = framing.length or 1
    kept = length - 1 if framing.unpack else length
    if len(payload) != kept * (framing.group or 1):
        msg = f"{framing.source}: {len(payload)} bytes are not {framing.group or 1} frames of {kept}"
        raise ValueError(msg)
    for at in range(0, len(payload), kept):
        frame = bytearray(payload[at : at + kept])
        if framing.unpack:
            frame = _packed(frame)
        start = bytes.fromhex(framing.start or "")
        frame[: len(start)] = start
        for test in framing.tests:
            _pass(frame, test)
        if framing.first is not None:
            _pass(frame, framing.first) if at == 0 else _fail(frame, framing.first)
        if framing.integrity:
            check = CHECKS[framing.integrity]
            end = length - len(check(b""))
            frame[end:] = check(bytes(frame[:end]))
        yield bytes(frame)


def _packed(frame: bytearray) -> bytearray:
    """The second byte takes the top bits of those after it; all of them have theirs set on the line."""
    high = sum((byte >> 7) << i for i, byte in enumerate(frame[1:]))
    return bytearray((frame[0], high | 0x80, *(byte | 0x80 for byte in frame[1:])))


def _told(framing: Framing, payload: bytes) -> bytes:
    """A frame that tells its length; where only its beginning is handed on, check and end come after that."""
    end = bytes.fromhex(framing.end or "")
    name = framing.integrity or ""
    body = name.endswith("-body")
    check = CHECKS[name.removesuffix("-body")] if name else None
    trailer = len(end) + (len(check(b"")) if check else 0)
    frame = bytearray(payload if framing.length else payload[: len(payload) - trailer])
    start = bytes.fromhex(framing.start or "")
    frame[: len(start)] = start
    for test in framing.tests:
        _pass(frame, test)
    size, order = _LENGTHS[framing.length_type]
    place = framing.length_at or 0
    told = len(frame) + trailer - framing.length_adds
    frame[place : place + size] = told.to_bytes(size, "big" if order == "big" else "little")
    if check is not None:
        frame += check(bytes(frame[place + size :] if body else frame))
    return bytes(frame) + end


def _pass(frame: bytearray, test: ByteTest) -> None:
    frame[test.at] = frame[test.at] & ~test.mask & 0xFF | test.is_


def _fail(frame: bytearray, test: ByteTest) -> None:
    if frame[test.at] & test.mask == test.is_:
        frame[test.at] ^= test.mask & -test.mask
