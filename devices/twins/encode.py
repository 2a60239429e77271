"""Hand-written encoders of Bluetooth payloads, independent of the profile compiler on purpose.

Layouts: GATT Specification Supplement (heart rate, PLX continuous, blood pressure, date time) and
IEEE 11073-20601 (SFLOAT). Little-endian unless said.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

__all__ = [
    "MAX_MANTISSA",
    "SFLOAT_NAN",
    "advertisement",
    "battery_level",
    "blood_pressure",
    "blood_pressure_bm85",
    "date_time",
    "express_integer",
    "express_sfloat",
    "heart_rate",
    "plx_continuous",
    "read_date_time",
    "rounded",
    "service_data",
    "sfloat",
]

SFLOAT_NAN: Final = 0x07FF
MAX_MANTISSA: Final = 2045
"""The largest SFLOAT mantissa that is no special value (0x07FE is +INF, 0x07FF NaN)."""

_CONTACT_SUPPORTED: Final = 0x04
_CONTACT_DETECTED: Final = 0x02
_AD_FLAGS: Final = bytes((0x02, 0x01, 0x06))  # general discoverable, no classic Bluetooth
_AD_SERVICES16: Final = 0x03
_AD_SERVICE_DATA16: Final = 0x16
_AD_COMPLETE_NAME: Final = 0x09
_AD_SHORT_NAME: Final = 0x08
_AD_LIMIT: Final = 31


def rounded(value: float, decimals: int = 0) -> int:
    """``value * 10**decimals`` as an integer, half away from zero, of the shortest decimal that is ``value``.

    Raises:
        ValueError: NaN or infinite.
    """
    if not math.isfinite(value):
        msg = f"{value!r} is no finite number"
        raise ValueError(msg)
    return int(Decimal(repr(float(value))).scaleb(decimals).quantize(Decimal(1), ROUND_HALF_UP))


def express_integer(value: float, low: int, high: int) -> float:
    """The nearest integer as a float. Raises ValueError outside ``low``..``high``."""
    whole = rounded(value)
    if not low <= whole <= high:
        msg = f"{value!r} is outside {low}..{high}"
        raise ValueError(msg)
    return float(whole)


def _mantissa(value: float, decimals: int) -> tuple[int, int]:
    """(mantissa, exponent) with as many decimals as fit, then without trailing zeros."""
    for places in range(decimals, -1, -1):
        mantissa = rounded(value, places)
        if abs(mantissa) <= MAX_MANTISSA:
            while places and mantissa % 10 == 0:
                mantissa //= 10
                places -= 1  # noqa: PLW2901 - the loop ends here
            return mantissa, -places
    msg = f"{value!r} is outside -{MAX_MANTISSA}..{MAX_MANTISSA}, what an SFLOAT carries"
    raise ValueError(msg)


def express_sfloat(value: float, decimals: int = 1) -> float:
    """What an SFLOAT of at most ``decimals`` decimals carries of ``value``; ValueError if nothing."""
    mantissa, exponent = _mantissa(value, decimals)
    return float(mantissa) if not exponent else mantissa / 10.0**-exponent


def sfloat(value: float | None, decimals: int = 1) -> int:
    """The 16-bit word for ``value`` (None: NaN). Raises ValueError if it does not fit."""
    if value is None:
        return SFLOAT_NAN
    mantissa, exponent = _mantissa(value, decimals)
    return (exponent & 0xF) << 12 | (mantissa & 0xFFF)


def date_time(at: datetime) -> bytes:
    """Date Time, 7 bytes: the device's local time to the second, without a zone."""
    return struct.pack("<H5B", at.year, at.month, at.day, at.hour, at.minute, at.second)


def read_date_time(payload: bytes) -> datetime | None:
    """The time in a Date Time or Current Time; None for one that is none."""
    try:
        return datetime(*struct.unpack("<H5B", payload[:7]))  # noqa: DTZ001 - a device's clock has no zone
    except (ValueError, struct.error):
        return None


def heart_rate(rate: float, *, contact: bool | None = True, rr: Sequence[int] = ()) -> bytes:
    """2A37. ``rate`` in /min (0..65535, 16 bits when above 255), ``rr`` in 1/1024 s, oldest first.

    ``contact``: skin contact, or None for a sensor that cannot tell.
    """
    whole = int(express_integer(rate, 0, 0xFFFF))
    flags = 0
    if contact is not None:
        flags |= _CONTACT_SUPPORTED | (_CONTACT_DETECTED if contact else 0)
    wide = whole > 0xFF  # noqa: PLR2004 - what one byte holds
    flags |= 0x01 if wide else 0
    flags |= 0x10 if rr else 0
    return struct.pack("<BH" if wide else "<BB", flags, whole) + struct.pack(f"<{len(rr)}H", *rr)


def plx_continuous(
    spo2: float | None,
    pulse_rate: float | None,
    *,
    perfusion_index: float | None = None,
    measurement_status: int | None = None,
    sensor_status: int | None = None,
) -> bytes:
    """2A5F. SpO2 in %, pulse in /min (one decimal; None: NaN), pulse amplitude index in % (two decimals)."""
    flags = 0
    tail = b""
    if measurement_status is not None:
        flags |= 0x04
        tail += struct.pack("<H", measurement_status)
    if sensor_status is not None:
        flags |= 0x08
        tail += sensor_status.to_bytes(3, "little")
    if perfusion_index is not None:
        flags |= 0x10
        tail += struct.pack("<H", sfloat(perfusion_index, 2))
    return struct.pack("<BHH", flags, sfloat(spo2), sfloat(pulse_rate)) + tail


def blood_pressure(
    systolic: float | None,
    diastolic: float | None,
    *,
    mean: float | None = None,
    pulse_rate: float | None = None,
    at: datetime | None = None,
    user: int | None = None,
    status: int | None = 0,
) -> bytes:
    """2A35 in mmHg. The pulse field is always there (None: NaN); without ``at`` there is no time field."""
    flags = 0x04
    tail = b""
    if at is not None:
        flags |= 0x02
        tail += date_time(at)
    tail += struct.pack("<H", sfloat(pulse_rate))
    if user is not None:
        flags |= 0x08
        tail += struct.pack("<B", user)
    if status is not None:
        flags |= 0x10
        tail += struct.pack("<H", status)
    return struct.pack("<BHHH", flags, sfloat(systolic), sfloat(diastolic), sfloat(mean)) + tail


def blood_pressure_bm85(
    systolic: float | None,
    diastolic: float | None,
    *,
    pulse_rate: float | None = None,
    at: datetime | None = None,
    user: int = 0,
    status: int = 0,
) -> bytes:
    """2A35 as the Beurer BM85 sends it: MAP 0, pulse and status big-endian, a user byte no flag announces."""
    flags = 0x54
    tail = b""
    if at is not None:
        flags |= 0x02
        tail += date_time(at)
    tail += struct.pack(">HBH", sfloat(pulse_rate), user, status)
    return struct.pack("<BHHH", flags, sfloat(systolic), sfloat(diastolic), 0) + tail


def battery_level(percent: int) -> bytes:
    """2A19, 0..100. Raises ValueError outside."""
    return struct.pack("<B", int(express_integer(percent, 0, 100)))


def advertisement(name: str, services: Sequence[int]) -> bytes:
    """Advertising data of at most 31 bytes: flags, 16-bit service UUIDs, and as much of the name as fits."""
    uuids = struct.pack(f"<{len(services)}H", *services)
    return _named(_AD_FLAGS + bytes((1 + len(uuids), _AD_SERVICES16)) + uuids, name)


def service_data(name: str, service: int, payload: bytes) -> bytes:
    """Advertising data with data of a 16-bit service. Raises ValueError for more than 31 bytes."""
    data = struct.pack("<BBH", 3 + len(payload), _AD_SERVICE_DATA16, service) + payload
    head = _AD_FLAGS + struct.pack("<BBH", 3, _AD_SERVICES16, service) + data
    if len(head) > _AD_LIMIT:
        msg = f"{len(payload)} bytes of service data do not fit into an advertisement"
        raise ValueError(msg)
    return _named(head, name)


def _named(head: bytes, name: str) -> bytes:
    raw = name.encode()
    room = _AD_LIMIT - len(head) - 2
    if room < 0:
        return head
    kind = _AD_COMPLETE_NAME if len(raw) <= room else _AD_SHORT_NAME
    text = raw[:room].decode(errors="ignore").encode()
    return head + bytes((1 + len(text), kind)) + text
