"""A local time as Bluetooth clocks have it, and back. Pure. Little-endian.

Source: Bluetooth SIG, GATT Specification Supplement: Date Time (2A08), Current Time (2A2B), Local Time
Information (2A0F).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from firmware_profiles.schema_transport import ClockBytes
from hearthward.core.clock import SECOND
from hearthward.core.errors import DecodeError

__all__ = [
    "DST_UNKNOWN",
    "ZONE_UNKNOWN",
    "LocalTime",
    "counted_time",
    "current_time",
    "date_time",
    "local_time",
    "local_time_information",
    "naive_ns",
    "parse_current_time",
    "parse_date_time",
]

ZONE_UNKNOWN: Final = -128
DST_UNKNOWN: Final = 255
MANUAL_UPDATE: Final = 1
"""The reason given for the change: set by a person or, as here, by the host."""

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - a device's clock has no zone
_DT7: Final = struct.Struct("<HBBBBB")
_CURRENT: Final = struct.Struct("<HBBBBBBBB")
_QUARTER: Final = timedelta(minutes=15)
_QUARTERS: Final = range(-48, 57)
_DST_CODES: Final = {timedelta(0): 0, timedelta(minutes=30): 2, timedelta(hours=1): 4, timedelta(hours=2): 8}


@dataclass(frozen=True, slots=True)
class LocalTime:
    """A moment on a clock of the wall: ``naive`` without a zone, and how its zone stands to UTC.

    ``standard`` is the offset without daylight saving, ``dst`` what daylight saving adds to it.
    """

    naive: datetime
    standard: timedelta
    dst: timedelta

    @property
    def naive_ns(self) -> int:
        """The clock read as if it were UTC, in nanoseconds since 1970."""
        return naive_ns(self.naive)


def local_time(at: int, where: tzinfo | None) -> LocalTime:
    """What a clock in that zone (None: UTC) shows at ``at`` (UTC ns), daylight saving included."""
    utc = _EPOCH + timedelta(microseconds=at // 1000)
    if where is None:
        return LocalTime(utc, timedelta(0), timedelta(0))
    there = utc.replace(tzinfo=ZoneInfo("UTC")).astimezone(where)
    # Irish winter is an hour less than the standard time, which no clock of Bluetooth's can say
    dst = max(there.dst() or timedelta(0), timedelta(0))
    return LocalTime(there.replace(tzinfo=None, fold=0), (there.utcoffset() or timedelta(0)) - dst, dst)


def date_time(at: datetime) -> bytes:
    """2A08, 7 bytes: whole seconds."""
    return _DT7.pack(at.year, at.month, at.day, at.hour, at.minute, at.second)


def current_time(at: datetime, reason: int = MANUAL_UPDATE) -> bytes:
    """2A2B, 10 bytes: whole seconds, day of the week (Monday is 1), 1/256 seconds, why it is given."""
    return date_time(at) + bytes((at.isoweekday(), at.microsecond * 256 // 1_000_000, reason))


def counted_time(clock: ClockBytes, at: datetime) -> bytes:
    """The seconds since the clock's epoch (32 bits), behind what stands before them.

    Raises:
        ValueError: a time that 32 bits cannot say.
    """
    count = (at - datetime.fromisoformat(clock.epoch)) // timedelta(seconds=1)
    if not 0 < count < 1 << 32:
        msg = f"{at} is not within 32 bits of seconds since {clock.epoch}"
        raise ValueError(msg)
    return bytes.fromhex(clock.before) + count.to_bytes(4, clock.endian)


def local_time_information(time: LocalTime) -> bytes:
    """2A0F, 2 bytes: quarters of an hour to UTC, daylight saving's code; unknown where it has none."""
    quarters, rest = divmod(time.standard, _QUARTER)
    zone = ZONE_UNKNOWN if rest or quarters not in _QUARTERS else quarters
    return struct.pack("<bB", zone, _DST_CODES.get(time.dst, DST_UNKNOWN))


def parse_date_time(payload: bytes) -> datetime | None:
    """2A08; None for a clock that is not set (no year, month or day). Raises DecodeError."""
    if len(payload) != _DT7.size:
        msg = f"a Date Time has {_DT7.size} bytes, not {len(payload)}"
        raise DecodeError(msg, reason="truncated" if len(payload) < _DT7.size else "oversized")
    return _moment(_DT7.unpack(payload), 0)


def parse_current_time(payload: bytes) -> datetime | None:
    """2A2B; None for a clock that is not set. Raises DecodeError."""
    if len(payload) != _CURRENT.size:
        msg = f"a Current Time has {_CURRENT.size} bytes, not {len(payload)}"
        raise DecodeError(msg, reason="truncated" if len(payload) < _CURRENT.size else "oversized")
    *moment, _weekday, fraction, _reason = _CURRENT.unpack(payload)
    return _moment(tuple(moment), fraction)


def _moment(parts: tuple[int, ...], fraction: int) -> datetime | None:
    if 0 in parts[:3]:
        return None
    year, month, day, hour, minute, second = parts
    try:
        return datetime(year, month, day, hour, minute, second, fraction * 1_000_000 // 256)  # noqa: DTZ001
    except ValueError as error:
        msg = f"a clock shows {year}-{month}-{day} {hour}:{minute}:{second}: {error}"
        raise DecodeError(msg, reason="malformed") from error


def naive_ns(at: datetime) -> int:
    """A clock's time read as if it were UTC, in nanoseconds."""
    return (at - _EPOCH) // timedelta(microseconds=1) * (SECOND // 1_000_000)
