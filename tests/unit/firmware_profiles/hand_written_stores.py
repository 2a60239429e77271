"""The two services with a store, decoded by hand: measurements of a glucose meter and records of a CGM."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from fractions import Fraction

from firmware_profiles import DecodedReading
from hearthward.core.model import Quality
from tests.unit.firmware_profiles.hand_written import (
    OUT_OF_RANGE,
    OVERSIZED,
    TRUNCATED,
    Refused,
    clock,
    small_fraction,
)

__all__ = ["cgm", "glucose"]

SAMPLES = (
    None, "capillary whole blood", "capillary plasma", "venous whole blood", "venous plasma",
    "arterial whole blood", "arterial plasma", "undetermined whole blood", "undetermined plasma",
    "interstitial fluid", "control solution",
)  # fmt: skip
SITES = (None, "finger", "alternate site", "earlobe", "control solution")
INTEGRITY = "integrity"
GOOD = Quality(0)
MINUTE = 60 * 10**9


def listed(names: tuple[str | None, ...], number: int) -> str | None:
    return names[number] if number < len(names) else None


@dataclass
class Found:
    """What a frame or record gave so far: (metric, value, code, unit)."""

    rows: list[tuple[str, float | None, str | None, str | None]] = field(default_factory=list)
    quality: Quality = GOOD

    def number(self, metric: str, value: Fraction | None, low: int, high: int, unit: str) -> None:
        if value is None:
            return
        if not low <= float(value) <= high:
            raise Refused(OUT_OF_RANGE)
        self.rows.append((metric, float(value), None, unit))

    def text(self, metric: str, code: str | None) -> None:
        if code is not None:
            self.rows.append((metric, None, code, None))

    def flag(self, word: int, mask: int, quality: Quality) -> None:
        if word & mask:
            self.quality |= quality


def times(word: int, factor: Fraction | int) -> Fraction | None:
    value = small_fraction(word)
    return None if value is None else value * factor


def glucose(data: bytes) -> tuple[DecodedReading, ...]:
    """Glucose Measurement, 2A18."""
    found = Found()
    try:
        flags, sequence = struct.unpack_from("<BH", data, 0)
        at, found.quality = clock(data, 3)
        place = 10
        if flags & 1:
            (offset,) = struct.unpack_from("<h", data, place)
            place += 2
            if offset in {-32768, 32767}:
                at, found.quality = None, Quality.CLOCK_UNSET
            at = None if at is None else at + offset * MINUTE
        if flags & 2:
            word, kind = struct.unpack_from("<HB", data, place)
            place += 3
            factor = Fraction("18015.6") if flags & 4 else 100_000
            found.number("blood_glucose", times(word, factor), 0, 2000, "mg/dL")
            found.text("glucose_sample", listed(SAMPLES, kind & 15))
            found.text("glucose_site", listed(SITES, kind >> 4))
            if kind & 15 == 10 or kind >> 4 == 4:
                found.quality |= Quality.TEST
        if flags & 8:
            (status,) = struct.unpack_from("<H", data, place)
            place += 2
            found.text("glucose_beyond", {1: "above", 2: "below"}.get(status >> 5 & 3))
            found.flag(status, 0b111_1001_1110, Quality.INVALID)
            found.flag(status, 0b110_0000, Quality.OUT_OF_RANGE)
            found.flag(status, 1 << 11, Quality.CLOCK_UNSET)
    except struct.error:
        raise Refused(TRUNCATED) from None
    if len(data) > place:
        raise Refused(OVERSIZED)
    return tuple(DecodedReading(m, v, c, u, at, found.quality, sequence) for m, v, c, u in found.rows)


def crc(data: bytes) -> int:
    """CRC-16/MCRF4XX bit by bit, in its own reflected form."""
    register = 0xFFFF
    for byte in data:
        for bit in range(8):
            mixed = (register ^ byte >> bit) & 1
            register = register >> 1 ^ (0x8408 if mixed else 0)
    return register


def cgm(data: bytes) -> tuple[DecodedReading, ...]:
    """CGM Measurement, 2AA7: one record after the other."""
    out: list[DecodedReading] = []
    if not data:
        raise Refused(TRUNCATED)
    while data:
        size = data[0]
        if size > len(data):
            raise Refused(TRUNCATED)
        out += record(data[:size])
        data = data[size:]
    return tuple(out)


def record(data: bytes) -> list[DecodedReading]:
    found = Found()
    try:
        flags, word, offset = struct.unpack_from("<xBHH", data, 0)
        found.number("interstitial_glucose", times(word, 1), 0, 1000, "mg/dL")
        place = 6
        for bit, mask, quality in (
            (7, 0b101100, Quality.SENSOR_OFF),
            (6, 0b110000, Quality.INVALID),
            (5, 0b11000000, Quality.OUT_OF_RANGE),
        ):
            if flags >> bit & 1:
                (octet,) = struct.unpack_from("<B", data, place)
                place += 1
                found.flag(octet, mask, quality)
                if bit == 5:
                    found.text("glucose_beyond", {1: "below", 2: "above"}.get(octet >> 6))
        for bit, metric, low, unit in (
            (0, "glucose_trend", -100, "mg/dL/min"),
            (1, "sensor_quality", 0, "%"),
        ):
            if flags >> bit & 1:
                (word,) = struct.unpack_from("<H", data, place)
                place += 2
                found.number(metric, times(word, 1), low, 100, unit)
    except struct.error:
        raise Refused(TRUNCATED) from None
    ended(data, place)
    return [
        DecodedReading(m, v, c, u, None, found.quality, offset, offset * MINUTE) for m, v, c, u in found.rows
    ]


def ended(data: bytes, place: int) -> None:
    """After the fields comes nothing, or the check."""
    rest = data[place:]
    if not rest:
        return
    if len(rest) != 2:
        raise Refused(TRUNCATED if len(rest) < 2 else OVERSIZED)
    if rest != struct.pack("<H", crc(data[:place])):
        raise Refused(INTEGRITY)
