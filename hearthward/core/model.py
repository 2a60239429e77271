"""Readings as columns: the one shape in which measured values travel between all packages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum, IntFlag
from typing import Final

__all__ = [
    "ASIDE",
    "BY_HAND",
    "COLUMNS",
    "JUDGED",
    "Quality",
    "Reading",
    "ReadingBatch",
    "Source",
    "quality_names",
]


class Quality(IntFlag):
    """What is known against a reading; 0 is good."""

    DEMO = 1
    TEST = 2
    CLOCK_UNSET = 4
    SENSOR_OFF = 8
    POOR_SIGNAL = 16
    MOTION = 32
    ONGOING = 64
    OUT_OF_RANGE = 128
    FUTURE = 256
    CLOCK_WRONG = 512
    FROM_STORE = 1024
    """It was in the device's memory, and was not measured when it came."""
    TIME_UNKNOWN = 2048
    """It was in the device's memory, and nobody knows since when; told by the gateway, never by a profile."""
    INVALID = 4096
    """The device itself calls it no valid measurement."""
    SUSPECT = 8192
    """Our own gate doubts it, for one of the reasons below; every rule looks at it all the same."""
    BAD = 16_384
    """Our own gate says that nothing was measured, for one of the reasons below."""
    IMPOSSIBLE = 32_768
    DROPOUT = 65_536
    ZERO = 131_072
    JUMP = 262_144
    SPIKES = 524_288
    FLAT = 1_048_576
    DISAGREES = 2_097_152

    @property
    def clinical(self) -> bool:
        """Whether a clinical rule may look at it: no demo, test, sensor-off, future, bad value, nor aside."""
        hidden = Quality.DEMO | Quality.TEST | Quality.SENSOR_OFF | Quality.FUTURE | Quality.BAD
        return not self & (hidden | ASIDE)


JUDGED: Final = (
    Quality.SUSPECT
    | Quality.BAD
    | Quality.IMPOSSIBLE
    | Quality.DROPOUT
    | Quality.ZERO
    | Quality.JUMP
    | Quality.SPIKES
    | Quality.FLAT
    | Quality.DISAGREES
)
"""What the quality gate says of values (``rules.detectors.quality``); no device does."""
ASIDE: Final = Quality.TIME_UNKNOWN | Quality.INVALID
"""A value with one of these is no value of now, but people are to see it."""


BY_HAND: Final = "manual:"
"""What the names of pretended devices begin with, of which people enter the values by hand."""


class Source(IntEnum):
    """Where a reading comes from."""

    DEVICE = 0
    MANUAL = 1
    IMPORTED = 2


def quality_names(quality: int) -> list[str]:
    """The flags' names in lower case, in the order of their bits."""
    return [flag.name.lower() for flag in Quality if quality & flag and flag.name]


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one metric by one device: a row of a ``ReadingBatch``.

    ``device_time`` is the device's own clock as naive nanoseconds, or None; ``received`` the gateway's
    receive time (UTC ns, strictly increasing from payload to payload of one device); ``corrected`` the best
    estimate of when it was measured (an attribute, never a key), which may be off by ``error`` ns (None: not
    known). ``digest`` identifies the payload's
    bytes, ``ordinal`` the place within it, ``group`` the values of one measurement.
    """

    device: str
    metric: str
    value: float | None
    code: str | None
    device_time: int | None
    received: int
    corrected: int
    record: int | None = None
    digest: int = 0
    ordinal: int = 0
    group: int = 0
    source: int = Source.DEVICE
    author: str | None = None
    quality: int = 0
    profile: str = ""
    error: int | None = None

    @property
    def key_time(self) -> int:
        """The time in the store's key: the device's own when its clock is set, else the receive time."""
        return key_time(self.device_time, self.received, self.quality)


def key_time(device_time: int | None, received: int, quality: int) -> int:
    """The time in the store's key (architecture.md, Identity)."""
    if device_time is None or quality & Quality.CLOCK_UNSET:
        return received
    return device_time


COLUMNS = tuple(f.name for f in fields(Reading))


@dataclass(slots=True)
class ReadingBatch:
    """Readings as equally long columns, in the order in which they were read; see ``Reading``."""

    device: list[str] = field(default_factory=list)
    metric: list[str] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    code: list[str | None] = field(default_factory=list)
    device_time: list[int | None] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    corrected: list[int] = field(default_factory=list)
    record: list[int | None] = field(default_factory=list)
    digest: list[int] = field(default_factory=list)
    ordinal: list[int] = field(default_factory=list)
    group: list[int] = field(default_factory=list)
    source: list[int] = field(default_factory=list)
    author: list[str | None] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)
    profile: list[str] = field(default_factory=list)
    error: list[int | None] = field(default_factory=list)

    @classmethod
    def of(cls, readings: Iterable[Reading]) -> ReadingBatch:
        """Columns from rows."""
        batch = cls()
        for reading in readings:
            batch.append(reading)
        return batch

    def append(self, reading: Reading) -> None:
        """Add one row."""
        for name in COLUMNS:
            getattr(self, name).append(getattr(reading, name))

    def extend(self, other: ReadingBatch) -> None:
        """Add all rows of another batch."""
        for name in COLUMNS:
            getattr(self, name).extend(getattr(other, name))

    def take(self, indices: Sequence[int]) -> ReadingBatch:
        """A new batch of the rows at ``indices``, in that order."""
        out = ReadingBatch()
        for name in COLUMNS:
            column = getattr(self, name)
            setattr(out, name, [column[i] for i in indices])
        return out

    def row(self, i: int) -> Reading:
        """The row at ``i``."""
        return Reading(*(getattr(self, name)[i] for name in COLUMNS))

    def key_times(self) -> list[int]:
        """The column of times in the store's key."""
        return list(map(key_time, self.device_time, self.received, self.quality))

    def __len__(self) -> int:
        return len(self.device)

    def __iter__(self) -> Iterator[Reading]:
        return map(Reading, *(getattr(self, name) for name in COLUMNS))
