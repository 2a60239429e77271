"""Readings that gateways' decisions rest on, and that have not come themselves (yet)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rules.compiled import Compiled
from rules.conditions import DeviceFlag
from rules.model import Measured
from rules.shared import Shared
from rules.signals import Series
from rules.state import Subject

__all__ = ["measured", "seen_at", "still_needed"]


def measured(
    inputs: Iterable[Mapping[str, Any]], values: Mapping[str, float], at: int, latest: int
) -> list[Measured]:
    """The readings of a decision; where it names none, its values, of no device, as of ``at``.

    Those dated after ``latest`` are left out.
    """
    found = [
        Measured(str(i["metric"]), str(i["device"]), int(i["time"]), float(i["value"]), int(i["received"]))
        for i in inputs
    ]
    if not found:
        found = [Measured(metric, "", at, float(value), at) for metric, value in values.items()]
    return [m for m in found if m.time <= latest]


def still_needed(subject: Subject, compiled: Compiled, shared: Shared, at: int) -> tuple[Measured, ...]:
    """What is still needed of it at ``at``: our own is not as new, and it is not too old to count."""
    ages = compiled.max_age
    return tuple(m for m in shared.seen if at - m.time <= ages.get(m.metric, -1) and not _has(subject, m))


def _has(subject: Subject, m: Measured) -> bool:
    devices = subject.series.get(m.metric, {})
    if not m.device:
        return any(s.time >= m.time for s in devices.values())
    own = devices.get(m.device)
    return own is not None and own.time >= m.time


def seen_at(
    subject: Subject, compiled: Compiled, seen: Iterable[Measured], at: int, *, upto: int | None = None
) -> Subject:
    """The subject as it would be with these readings (those until ``at``); to be looked at only.

    ``upto``: without readings of our own that are newer. Of what comes from a gateway only the newest value
    is known: what is derived from a signal's past is not.
    """
    out = Subject()
    out.clock, out.struck, out.shared = subject.clock, subject.struck, subject.shared
    out.series = dict(subject.series)
    if upto is not None:
        for metric, devices in subject.series.items():
            out.series[metric] = {d: s for d, s in devices.items() if s.time <= upto}
    flags = all(isinstance(leaf, DeviceFlag) for leaf in compiled.leaves)
    for m in seen:
        devices = out.series.get(m.metric, {})
        if m.time > at or _has(out, m):
            continue
        series = Series()
        series.time, series.value, series.received, series.spoken = m.time, m.value, m.received, m.time
        series.quality = int(m.value) if flags else 0
        out.series[m.metric] = {**devices, m.device: series}
    return out
