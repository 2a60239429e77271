"""Bytes as serial instruments send them, made by hand from their layouts: not by twins, nor by profiles."""

from __future__ import annotations

import math

__all__ = [
    "CMS50D_CAPTURE",
    "contec5",
    "contec9",
    "df2_packet",
    "df7_packet",
    "df8",
    "df13",
    "pulse_wave",
    "report",
]


def _slots(hr: int, spo2: int, *, low_battery: bool) -> dict[int, int]:
    msb, lsb = hr >> 7 & 3, hr & 127
    return {1: msb, 2: lsb, 3: spo2, 8: int(low_battery), 9: spo2, 14: msb, 15: lsb, 16: spo2}


def _summed(*body: int) -> bytes:
    return bytes([*body, sum(body) & 0xFF])


def df2_packet(
    hr: int, spo2: int, pleth: list[int], status: int = 0x80, *, low_battery: bool = False
) -> bytes:
    """25 frames: 01, status, pleth, slot, sum."""
    slots = _slots(hr, spo2, low_battery=low_battery)
    return b"".join(
        _summed(1, status | (k == 0), sample, slots.get(k + 1, 0)) for k, sample in enumerate(pleth)
    )


def df7_packet(hr: int, spo2: int, pleth: list[int], status: int = 0x80) -> bytes:
    """25 frames: status, pleth in two bytes, slot, sum."""
    slots = _slots(hr, spo2, low_battery=False)
    return b"".join(
        _summed(status | (k == 0), sample >> 8, sample & 0xFF, slots.get(k + 1, 0))
        for k, sample in enumerate(pleth)
    )


def df8(hr: int, spo2: int, status: int = 0x80, more: int = 0x20) -> bytes:
    """Four bytes."""
    return bytes([status | hr >> 7, hr & 127, spo2, more])


def df13(time: str, hr: int, spo2: int, status: int = 0x200, beyond: bytes = b"") -> bytes:
    """A record; ``time`` as CCYYMMDDhhmmss, ``beyond`` what a newer instrument may add."""
    clock = [int(time[i : i + 2]) for i in range(0, 14, 2)]
    data = bytes([*clock, 0]) + status.to_bytes(2, "big") + hr.to_bytes(2, "big") + bytes([0, spo2]) + beyond
    head = b"\x00\x02\x00\x0d" + len(data).to_bytes(2, "big")
    return head + data + bytes([sum(data) & 0xFF, 0x03])


def contec5(pulse: int, spo2: int, pleth: int, state: int = 0, search: int = 0) -> bytes:
    """One frame of the first generation."""
    return bytes([0x85 | state, pleth, 8 | search | pulse >> 7 << 6, pulse & 127, spo2])


def contec9(pulse: int, spo2: int, pleth: int, state: int = 5) -> bytes:
    """One frame of the second generation: type, top bits, seven bytes."""
    body = [state, pleth, 0x16, pulse, spo2, 0xFF, 0xFF]
    high = sum((byte >> 7) << i for i, byte in enumerate(body))
    return bytes([1, 0x80 | high, *(byte | 0x80 for byte in body)])


def report(cycle: int, sensor: int) -> bytes:
    """A report of the generic instrument: a board of 20 degrees, 5 V, only the first sensor."""
    nothing = (0x007FFFFF).to_bytes(4, "little")
    body = cycle.to_bytes(4, "little") + (2000).to_bytes(2, "little") + (5000).to_bytes(2, "little")
    body += bytes(12) + sensor.to_bytes(4, "little") + nothing * 20
    frame = bytes([0xA5, 0x5A, len(body) + 5]) + body
    crc = 0xFFFF
    for byte in frame:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0x8408 if crc & 1 else crc >> 1
    return frame + crc.to_bytes(2, "little")


def pulse_wave(count: int, top: int) -> list[int]:
    """Samples between 0 and ``top``."""
    return [round(top / 2 + top / 2 * math.sin(k / 4)) for k in range(count)]


_PLETH = (
    "B3 B0 AE AC AB AA AA AA AA A9 A8 A7 A5 A4 A2 A1 9F 9E 9D 9C 9B 9A 99 98 98 97 97 97 97 97 97 97 96 95 "
    "94 93 92 91 91 94 98 A0 A9 B4 BE C7 CC CE CD CB C9 C7 C5 C2 BF BB B8 B5 B2 B0"
)
_BAR = "665555555554444433333333322222222222222234567899999888777666"
CMS50D_CAPTURE = b"".join(
    bytes((0x01, 0xE0, 0xC5 if i in {51, 52} else 0x85, pleth, 0x90 | int(bar), 0xC1, 0xE1, 0xFF, 0xFF))
    for i, (pleth, bar) in enumerate(zip(bytes.fromhex(_PLETH), _BAR, strict=True))
)
"""A published capture of a CMS50D+ (60 frames), written shorter: pulse 65, SpO2 97."""
