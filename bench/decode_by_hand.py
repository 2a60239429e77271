"""Decoders as one writes them by hand with struct: the measure for compiled ones.

Each gives the same readings as its profile for the frames that the bench makes, and refuses others.
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Final

from firmware_profiles import DecodedReading
from hearthward.core.model import Quality

__all__ = [
    "RefusedError",
    "blood_pressure",
    "cgm",
    "glucose",
    "heart_rate",
    "nonin_packet",
    "pulse_oximeter",
    "thermometer",
]

_GOOD: Final = Quality(0)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class RefusedError(Exception):
    """The hand-written code's refusal."""


def _sfloat(raw: int) -> float | None:
    mantissa, exponent = raw & 0xFFF, raw >> 12
    if mantissa in (0x7FF, 0x800, 0x7FE, 0x802, 0x801):
        return None
    if mantissa & 0x800:
        mantissa -= 0x1000
    if exponent & 0x8:
        return mantissa / 10.0 ** (0x10 - exponent)
    return float(mantissa * 10**exponent)


def _within(value: float, low: float, high: float) -> float:
    if not low <= value <= high:
        raise RefusedError
    return value


def heart_rate(payload: bytes) -> tuple[DecodedReading, ...]:
    """2A37 with contact bits; RR intervals are not in these frames."""
    flags = payload[0]
    if flags & 0x01:
        (rate,) = struct.unpack_from("<H", payload, 1)
        end = 3
    else:
        rate, end = payload[1], 2
    if len(payload) != end or flags & 0x18:
        raise RefusedError
    quality = Quality.SENSOR_OFF if flags & 0x06 == 0x04 else _GOOD
    value = _within(float(rate), 0, 350)
    return (DecodedReading("heart_rate", value, None, "/min", None, quality, None),)


def pulse_oximeter(payload: bytes) -> tuple[DecodedReading, ...]:
    """2A5F without optional fields."""
    flags, spo2, pulse = struct.unpack("<BHH", payload)
    if flags:
        raise RefusedError
    out = []
    for metric, raw, unit, high in (("spo2", spo2, "%", 100), ("pulse_rate", pulse, "/min", 350)):
        value = _sfloat(raw)
        if value is not None:
            value = _within(value, 0, high)
            out.append(DecodedReading(metric, value, None, unit, None, _GOOD, None))
    return tuple(out)


def blood_pressure(payload: bytes) -> tuple[DecodedReading, ...]:
    """2A35 in mmHg with time, pulse and status."""
    flags, *values = struct.unpack_from("<BHHH", payload)
    year, month, day, hour, minute, second, pulse, status = struct.unpack_from("<H5BHH", payload, 7)
    if flags != 0x16 or len(payload) != 18:
        raise RefusedError
    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    device_time = (at.days * 86_400 + at.seconds) * 1_000_000_000
    quality = Quality.MOTION if status & 1 else _GOOD
    out = []
    names = ("nibp_systolic", "nibp_diastolic", "nibp_mean")
    for metric, raw in zip(names, values, strict=True):
        value = _sfloat(raw)
        if value is not None:
            value = _within(value, 0, 300)
            out.append(DecodedReading(metric, value, None, "mm[Hg]", device_time, quality, None))
    rate = _sfloat(pulse)
    if rate is not None:
        out.append(DecodedReading("pulse_rate", rate, None, "/min", device_time, quality, None))
    return tuple(out)


def _device_time(payload: bytes, at: int) -> int:
    year, month, day, hour, minute, second = struct.unpack_from("<H5B", payload, at)
    since = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000


def thermometer(payload: bytes) -> tuple[DecodedReading, ...]:
    """2A1C in degrees Celsius with time."""
    flags, raw = struct.unpack_from("<BI", payload)
    if flags != 0x02 or len(payload) != 12:
        raise RefusedError
    mantissa, exponent = raw & 0xFFFFFF, raw >> 24
    if mantissa & 0x800000:
        mantissa -= 0x1000000
    value = mantissa / 10.0 ** (0x100 - exponent) if exponent & 0x80 else float(mantissa * 10**exponent)
    value = _within(value, 10, 50)
    at = _device_time(payload, 5)
    return (DecodedReading("body_temperature", value, None, "Cel", at, _GOOD, None),)


_SAMPLES: Final = {1: "capillary whole blood", 2: "capillary plasma", 9: "interstitial fluid"}
_SITES: Final = {1: "finger", 2: "alternate site", 3: "earlobe"}


def glucose(payload: bytes) -> tuple[DecodedReading, ...]:
    """2A18 in kg/L with sample and site, with or without an offset."""
    flags, sequence = struct.unpack_from("<BH", payload)
    if flags & ~0x01 != 0x02:
        raise RefusedError
    at = _device_time(payload, 3)
    place = 10
    if flags & 0x01:
        (offset,) = struct.unpack_from("<h", payload, place)
        at += offset * 60_000_000_000
        place += 2
    raw, kind = struct.unpack_from("<HB", payload, place)
    if len(payload) != place + 3:
        raise RefusedError
    mantissa, exponent = raw & 0xFFF, raw >> 12
    if mantissa in (0x7FF, 0x800, 0x7FE, 0x802, 0x801):
        raise RefusedError
    exponent += 5 if exponent < 8 else 5 - 16  # kg/L -> mg/dL
    value = mantissa / 10.0**-exponent if exponent < 0 else float(mantissa * 10**exponent)
    value = _within(value, 0, 2000)
    out = [DecodedReading("blood_glucose", value, None, "mg/dL", at, _GOOD, sequence)]
    sample, site = _SAMPLES.get(kind & 0x0F), _SITES.get(kind >> 4)
    if sample is not None:
        out.append(DecodedReading("glucose_sample", None, sample, None, at, _GOOD, sequence))
    if site is not None:
        out.append(DecodedReading("glucose_site", None, site, None, at, _GOOD, sequence))
    return tuple(out)


def cgm(payload: bytes) -> tuple[DecodedReading, ...]:
    """2AA7: records with trend, quality and one status octet, without a check."""
    out = []
    place, end = 0, len(payload)
    while place < end:
        size, flags, glucose_raw, minutes = struct.unpack_from("<BBHH", payload, place)
        if flags != 0x83 or size != 11 or place + size > end:
            raise RefusedError
        status, trend_raw, sure_raw = struct.unpack_from("<BHH", payload, place + 6)
        quality = Quality.SENSOR_OFF if status & 0b101100 else _GOOD
        since = minutes * 60_000_000_000
        for metric, raw, unit, low, high in (
            ("interstitial_glucose", glucose_raw, "mg/dL", 0, 1000),
            ("glucose_trend", trend_raw, "mg/dL/min", -100, 100),
            ("sensor_quality", sure_raw, "%", 0, 100),
        ):
            value = _sfloat(raw)
            if value is not None:
                value = _within(value, low, high)
                out.append(DecodedReading(metric, value, None, unit, None, quality, minutes, since))
        place += size
    return tuple(out)


def nonin_packet(payload: bytes) -> tuple[DecodedReading, ...]:
    """Nonin's data format 2: a packet of 25 frames with four-beat averages in their slots."""
    if len(payload) != 125:
        raise RefusedError
    status = 0
    for byte in payload[1::5]:
        status |= byte
    quality = _GOOD
    if status & 0x7C:
        if status & 0x48:
            quality |= Quality.SENSOR_OFF
        if status & 0x14:
            quality |= Quality.POOR_SIGNAL
        if status & 0x20:
            quality |= Quality.MOTION
    out = []
    rate = (payload[3] & 0x03) << 7 | payload[8] & 0x7F
    if rate != 511:
        value = _within(float(rate), 0, 350)
        out.append(DecodedReading("pulse_rate", value, None, "/min", None, quality, None))
    spo2 = payload[13] & 0x7F
    if spo2 != 127:
        value = _within(float(spo2), 0, 100)
        out.append(DecodedReading("spo2", value, None, "%", None, quality, None))
    if payload[38] & 0x01:
        out.append(DecodedReading("battery_state", None, "low", None, None, quality, None))
    return tuple(out)
