"""Two services decoded by hand with struct: the second opinion on what the compiler makes."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from fractions import Fraction

from firmware_profiles import DecodedReading
from hearthward.core.errors import DecodeError
from hearthward.core.model import Quality

__all__ = ["blood_pressure", "heart_rate"]

MMHG_PER_KPA = Fraction(1000) / Fraction("133.322387415")


class Refused(DecodeError):
    def __init__(self, reason: str) -> None:
        super().__init__(reason, reason=reason)


TRUNCATED = "truncated"
OVERSIZED = "oversized"
MALFORMED = "malformed"
OUT_OF_RANGE = "out_of_range"


def heart_rate(data: bytes) -> tuple[DecodedReading, ...]:
    """Heart Rate Measurement, 2A37."""
    try:
        flags = data[0]
        at = 2
        rate = data[1]
        if flags & 1:
            (rate,) = struct.unpack_from("<H", data, 1)
            at = 3
        if rate > 350:
            raise Refused(OUT_OF_RANGE)
        energy = 0xFFFF
        if flags & 8:
            (energy,) = struct.unpack_from("<H", data, at)
            at += 2
    except (IndexError, struct.error):
        raise Refused(TRUNCATED) from None
    intervals = beats(data, at) if flags & 16 else []
    if not flags & 16 and len(data) > at:
        raise Refused(OVERSIZED)
    quality = Quality.SENSOR_OFF if flags & 6 == 4 else Quality(0)
    out = [DecodedReading("heart_rate", float(rate), None, "/min", None, quality, None)]
    if energy != 0xFFFF:
        out.append(DecodedReading("energy_expended", float(energy), None, "kJ", None, quality, None))
    out += [DecodedReading("rr_interval", ms, None, "ms", None, quality, None) for ms in intervals]
    return tuple(out)


def beats(data: bytes, at: int) -> list[float]:
    if (len(data) - at) % 2:
        raise Refused(TRUNCATED)
    out: list[float] = []
    for (x,) in struct.iter_unpack("<H", data[at:]):
        if x > 10_240:
            raise Refused(OUT_OF_RANGE)
        out.append(x * 1000 / 1024)
    return out


def small_float(word: int) -> float | None:
    """SFLOAT as the nearest binary number."""
    value = small_fraction(word)
    return None if value is None else float(value)


def small_fraction(word: int) -> Fraction | None:
    """SFLOAT by the book: a signed mantissa of 12 bits, a signed exponent of 4."""
    if word in {0x07FF, 0x0800, 0x07FE, 0x0802, 0x0801}:
        return None
    mantissa, exponent = word & 0xFFF, word >> 12
    if mantissa >= 0x800:
        mantissa -= 0x1000
    if exponent >= 8:
        exponent -= 16
    return Fraction(f"{mantissa}e{exponent}")


def clock(data: bytes, at: int) -> tuple[int | None, Quality]:
    year, month, day, hour, minute, second = struct.unpack_from("<HBBBBB", data, at)
    if 0 in {year, month, day}:
        return None, Quality.CLOCK_UNSET
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise Refused(MALFORMED) from None
    if not 1678 <= year <= 2261:
        return None, Quality.CLOCK_UNSET
    return int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * 10**9, Quality(0)


def blood_pressure(data: bytes) -> tuple[DecodedReading, ...]:
    """Blood Pressure Measurement, 2A35."""
    quality = Quality(0)
    time = None
    values: list[tuple[str, float | None, str, float]] = []
    try:
        flags, *words = struct.unpack_from("<BHHH", data, 0)
        factor = MMHG_PER_KPA if flags & 1 else Fraction(1)
        for metric, word, high in zip(
            ("nibp_systolic", "nibp_diastolic", "nibp_mean"), words, (350, 300, 320), strict=True
        ):
            value = small_fraction(word)
            values.append((metric, None if value is None else float(value * factor), "mm[Hg]", high))
        check(values)
        at = 7
        if flags & 2:
            time, quality = clock(data, at)
            at += 7
        if flags & 4:
            values.append(("pulse_rate", small_float(*struct.unpack_from("<H", data, at)), "/min", 350))
            check(values)
            at += 2
        if flags & 8:
            struct.unpack_from("<B", data, at)
            at += 1
        if flags & 16:
            quality |= judged(*struct.unpack_from("<H", data, at))
            at += 2
    except struct.error:
        raise Refused(TRUNCATED) from None
    if len(data) > at:
        raise Refused(OVERSIZED)
    return tuple(
        DecodedReading(metric, value, None, unit, time, quality, None)
        for metric, value, unit, _ in values
        if value is not None
    )


def judged(status: int) -> Quality:
    quality = Quality(0)
    if status & 0b1:
        quality |= Quality.MOTION
    if status & 0b100010:
        quality |= Quality.POOR_SIGNAL
    if status & 0b11000 in {0b01000, 0b10000}:
        quality |= Quality.OUT_OF_RANGE
    return quality


def check(values: list[tuple[str, float | None, str, float]]) -> None:
    for _, value, _, high in values:
        if value is not None and not 0 <= value <= high:
            raise Refused(OUT_OF_RANGE)
