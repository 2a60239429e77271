"""Daily sums of a device, and what use and quality of data they come to: pure, shared by fake and records.

A day is a number of whole UTC days since 1970. All counts add up over days and devices.

``DOUBTS`` are what the quality gate said of stored readings: how many are ``suspect`` or ``bad``, of how many
something other than another signal says so (``implausible``), and the reasons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from cloud_ingest.loss_ledger import IMPLAUSIBLE
from hearthward.core.clock import SECOND
from hearthward.core.model import JUDGED, quality_names

__all__ = [
    "DAY_NS",
    "DOUBTS",
    "KEPT_DAYS",
    "NUMBERS",
    "REASONS",
    "SIGNALS",
    "DaySums",
    "Quality",
    "SignalDay",
    "SignalName",
    "Totals",
    "Use",
    "day_of",
    "hours_begun",
    "quality_of",
    "span_of",
    "use_of",
]

DAY_NS: Final = 86_400 * SECOND
HOUR_NS: Final = 3600 * SECOND
HOURS: Final = 24
KEPT_DAYS: Final = 400
"""Days are kept as long as the counts of the loss ledger."""
SignalName = Literal["battery", "rssi", "temperature", "voltage"]
DISAGREES: Final = "disagrees"
DOUBTS: Final = (IMPLAUSIBLE, *quality_names(int(JUDGED)))
REASONS: Final = tuple(name for name in DOUBTS if name not in {IMPLAUSIBLE, "suspect", "bad"})
NUMBERS: Final = ("stored", "rejected", "repeated", "late", "used", "kept", "span")
"""The counts of ``Totals``, in their order."""
SIGNALS: Final[tuple[SignalName, ...]] = ("battery", "rssi", "temperature", "voltage")


def day_of(at: int) -> int:
    """The day of an instant (UTC ns)."""
    return at // DAY_NS


@dataclass(frozen=True, slots=True)
class SignalDay:
    """What a day's values of one signal of the device itself came to; ``last`` is the newest."""

    count: int
    mean: float
    low: float
    high: float
    last: float


@dataclass(frozen=True, slots=True)
class DaySums:
    """A device's day.

    ``hours`` has bit h set where hour h has a reading. ``span`` is how many hours should have one (0: the
    device measures when somebody uses it). ``stored`` includes ``late``; ``repeated`` counts duplicates and
    readings under another's number. ``doubts`` has counts by ``DOUBTS``.
    """

    device: str
    day: int
    hours: int = 0
    span: int = 0
    stored: int = 0
    rejected: int = 0
    repeated: int = 0
    late: int = 0
    dropouts: int = 0
    doubts: Mapping[str, int] = field(default_factory=dict)
    signals: Mapping[SignalName, SignalDay] = field(default_factory=dict)

    @property
    def used(self) -> int:
        """Hours with a reading."""
        return self.hours.bit_count()


def span_of(hours: int) -> int:
    """Hours from the first to the last that has a reading, both included; 0 when none has."""
    return hours.bit_length() - (hours & -hours).bit_length() + 1 if hours else 0


@dataclass(frozen=True, slots=True)
class Use:
    """Hours of use of one or more devices; ``possible``: had they been in use all the time."""

    devices: int
    used: int
    hours: int
    possible: int

    @property
    def share(self) -> float:
        """Of what was possible."""
        return min(1.0, self.hours / self.possible) if self.possible else 0.0


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of some days; ``used`` hours have a reading, ``kept`` of the ``span`` hours that should."""

    stored: int = 0
    rejected: int = 0
    repeated: int = 0
    late: int = 0
    used: int = 0
    kept: int = 0
    span: int = 0
    doubts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, sums: Iterable[DaySums]) -> Totals:
        """Of these days."""
        return cls.together(
            cls(
                s.stored,
                s.rejected,
                s.repeated,
                min(s.late, s.stored),
                s.used,
                min(s.used, s.span),
                s.span,
                s.doubts,
            )
            for s in sums
        )

    @classmethod
    def together(cls, some: Iterable[Totals]) -> Totals:
        """All of these."""
        rows, doubts = [(0,) * len(NUMBERS)], Counter[str]()
        for t in some:
            rows.append((t.stored, t.rejected, t.repeated, t.late, t.used, t.kept, t.span))
            doubts.update(t.doubts)
        sums = zip(*rows, strict=True)
        return cls(**dict(zip(NUMBERS, map(sum, sums), strict=True)), doubts=dict(doubts))


def hours_begun(days: int, now: int) -> int:
    """Of the last ``days`` whole days and today (UTC): those of today that are still to come do not count."""
    return days * HOURS + now % DAY_NS // HOUR_NS + 1


def use_of(totals: Totals, devices: int, used: int, hours: int) -> Use:
    """What ``totals`` of some devices (``used`` of them had an hour of use) within ``hours`` come to."""
    return Use(devices, used, totals.used, devices * hours)


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares from 0 to 1; None: nothing to judge by."""

    readings: int
    completeness: float | None
    plausibility: float | None
    consistency: float | None
    timeliness: float | None

    @property
    def worst(self) -> float | None:
        """The least of the four."""
        four = (self.completeness, self.plausibility, self.consistency, self.timeliness)
        return min((share for share in four if share is not None), default=None)


def quality_of(totals: Totals) -> Quality:
    """The quality of the data that was summed up."""
    stored, doubts = totals.stored, totals.doubts
    return Quality(
        readings=stored,
        completeness=_share(totals.kept, totals.span),
        plausibility=_share(stored - doubts.get(IMPLAUSIBLE, 0), stored + totals.rejected),
        consistency=_share(stored - doubts.get(DISAGREES, 0), stored + totals.repeated),
        timeliness=_share(stored - totals.late, stored),
    )


def _share(part: int, whole: int) -> float | None:
    return max(0, part) / whole if whole else None
