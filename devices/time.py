"""A device's own local time -> UTC, with what may be believed of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError

__all__ = [
    "FUTURE_NS",
    "OLDEST_NS",
    "UNZONED_NS",
    "ClockVerdict",
    "Correction",
    "correct",
    "instants",
    "utc_offset",
    "zone",
]

FUTURE_NS = 5 * 60 * SECOND
"""A device clock may run so far ahead before it is not believed."""
UNZONED_NS = 26 * 3600 * SECOND
"""Without a known zone a time is believed this close to the receive time (zones span UTC-12..UTC+14)."""
OLDEST_NS = 5 * 365 * 86_400 * SECOND
"""No device's memory is older: such a time is a clock that lost its battery and says nothing of it."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - device time has no zone


class ClockVerdict(StrEnum):
    """What was made of the device's time."""

    ABSENT = "absent"
    UNSET = "unset"
    USED = "used"
    FUTURE = "future"
    UNZONED = "unzoned"
    ANCIENT = "ancient"

    @property
    def skewed(self) -> bool:
        """Whether the device claims a time that cannot be true."""
        return self in {ClockVerdict.FUTURE, ClockVerdict.UNZONED, ClockVerdict.ANCIENT}


@dataclass(frozen=True, slots=True)
class Correction:
    """The best estimate of when it was measured (``at``, UTC ns) and why.

    ``skew`` is device time minus receive time in ns, None when the device gave no usable time. ``error`` is
    how far ``at`` may be off, None: not known.
    """

    at: int
    verdict: ClockVerdict
    skew: int | None = None
    error: int | None = None


def zone(name: str | None) -> ZoneInfo | None:
    """The IANA time zone of that name; None stays None. Raises ConfigError for an unknown one."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"unknown time zone {name!r}; use an IANA name such as Europe/Berlin or Asia/Shanghai"
        raise ConfigError(msg, timezone=name) from None


def correct(
    device_time: int | None, received: int, where: tzinfo | None, *, clock_set: bool = True
) -> Correction:
    """The time at which a value was measured, from the device's clock or else the receive time.

    A time in the past is believed: devices store measurements. In the repeated hour at the end of
    summer time the later of the two instants that is not in the future is taken; in the hour skipped in
    spring the device has not been put forward yet.

    Args:
        device_time: naive nanoseconds (the local clock read as if it were UTC), or None.
        received: UTC nanoseconds.
        where: the device's zone; None reads the time as UTC, and believes it only within ``UNZONED_NS``.
        clock_set: whether the device says that its clock is set.
    """
    if device_time is None:
        return Correction(received, ClockVerdict.ABSENT)
    found = instants(device_time, where) if clock_set else []
    if not found:
        return Correction(received, ClockVerdict.UNSET)
    believable = [at for at in found if at <= received + FUTURE_NS]
    at = max(believable) if believable else min(found)
    skew = at - received
    verdict = _verdict(skew, zoned=where is not None)
    return Correction(at if verdict is ClockVerdict.USED else received, verdict, skew)


def _verdict(skew: int, *, zoned: bool) -> ClockVerdict:
    if skew > FUTURE_NS:
        return ClockVerdict.FUTURE
    if not zoned and -skew > UNZONED_NS:
        return ClockVerdict.UNZONED
    return ClockVerdict.ANCIENT if -skew > OLDEST_NS else ClockVerdict.USED


def instants(device_time: int, where: tzinfo | None) -> list[int]:
    """The UTC instants that a local time may mean: one, two in a repeated hour, none beyond the calendar."""
    if where is None:
        return [device_time]
    try:
        local = (_EPOCH + timedelta(seconds=device_time // SECOND)).replace(tzinfo=where)
    except OverflowError:
        return []
    offsets = [local.utcoffset(), local.replace(fold=1).utcoffset()]
    first, second = ((o or timedelta()) // timedelta(microseconds=1) * 1000 for o in offsets)
    if second > first:  # skipped in spring: still the offset of before
        return [device_time - first]
    return sorted({device_time - first, device_time - second})


def utc_offset(at: int, where: tzinfo) -> int:
    """By how much a zone's time is ahead of UTC (ns) at ``at`` (UTC ns)."""
    local = (_EPOCH + timedelta(seconds=at // SECOND)).replace(tzinfo=UTC).astimezone(where)
    return (local.utcoffset() or timedelta()) // timedelta(microseconds=1) * 1000
