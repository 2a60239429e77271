"""Taking readings in: which are one measurement, in which order, and which are news for a patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from hearthward.core.model import Quality
from rules.judge import Measured
from rules.model import SECOND, Rows, RuleSet
from rules.state import Episode, Seen, Subject

__all__ = ["Draft", "Measurement", "came_late", "measurements"]

LATE_AFTER: Final = 60 * SECOND
"""Received later than this after it was measured, a reading is told with both times."""
REMEMBERED: Final = 16
"""Readings per device and metric that a repeat is recognised by."""
_UNFIT: Final = sum(flag for flag in Quality if not flag.clinical)


class Measurement(NamedTuple):
    """The values of one patient by one device at one time."""

    patient: str
    device: str
    time: int
    readings: list[Measured]


def came_late(reading: Measured) -> bool:
    """Whether it was received so long after it was measured that people must be told both times."""
    return reading.received - reading.time > LATE_AFTER


def measurements(rows: Rows, rules: RuleSet) -> list[Measurement]:
    """The rows that any rule looks at, in order of time; a metric that comes twice makes a second one.

    Rows without patient or number, and those of a quality unfit for clinical rules, are left out.
    """
    usable = [
        (rows.time[i], i, value)
        for i, value in enumerate(rows.value)
        if value is not None
        and value == value  # noqa: PLR0124 - not NaN
        and rows.metric[i] in rules.by_metric
        and not rows.quality[i] & _UNFIT
        and rows.patient[i]
    ]
    out: list[Measurement] = []
    present: dict[tuple[str, str], Measurement] = {}
    now: int | None = None
    for time, i, value in sorted(usable):
        if time != now:
            now = time
            present.clear()
        who = rows.patient[i], rows.device[i]
        reading = Measured(rows.metric[i], rows.device[i], time, float(value), rows.received[i])
        at = present.get(who)
        if at is None or any(m.metric == reading.metric for m in at.readings):
            present[who] = at = Measurement(*who, time, [])
            out.append(at)
        at.readings.append(reading)
    return out


@dataclass(slots=True)
class Draft:
    """One patient's memory while a step changes it."""

    latest: dict[str, dict[str, Seen]]
    episodes: dict[str, Episode]
    lates: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, subject: Subject) -> Draft:
        """A copy that may be changed."""
        latest = {metric: dict(devices) for metric, devices in subject.latest.items()}
        return cls(latest, dict(subject.episodes), dict(subject.lates))

    def subject(self) -> Subject:
        """The memory as it is kept; the draft must not be changed any more."""
        return Subject(self.latest, self.episodes, self.lates)

    def next_due(self) -> int | None:
        """When the first pending condition becomes active."""
        return self.subject().next_due()

    def take(self, device: str, readings: list[Measured], keep: int) -> tuple[list[Measured], list[Measured]]:
        """Remember the readings of one measurement; returns news and superseded ones, without repeats.

        Devices silent for ``keep`` ns make room when a new one comes.
        """
        news: list[Measured] = []
        superseded: list[Measured] = []
        for reading in readings:
            devices = self.latest.setdefault(reading.metric, {})
            own = devices.get(device)
            mark = reading.time, reading.value
            if own is not None and mark in own.recent:
                continue
            recent = (*(own.recent if own else ()), mark)[-REMEMBERED:]
            if own is not None and reading.time < own.time:
                devices[device] = replace(own, recent=recent)
                superseded.append(reading)
            elif came_late(reading) and any(seen.time > reading.time for seen in devices.values()):
                superseded.append(reading)
            else:
                if own is None:
                    for silent in [d for d, s in devices.items() if s.time < reading.time - keep]:
                        del devices[silent]
                devices[device] = Seen(reading.time, reading.value, reading.received, recent)
                news.append(reading)
        return news, superseded
