"""What gateways' decisions rest on: readings that have not come themselves (yet), and terms."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from rules.compiled import Compiled, Peaks
from rules.conditions import DeviceFlag, Leaf, Unusual
from rules.evaluate import beyond
from rules.extremes import like
from rules.model import Adopt, Measured
from rules.shared import Shared
from rules.signals import Series
from rules.state import Snapshot, Subject
from rules.terms_sent import UNREADABLE

__all__ = [
    "cleared",
    "measured",
    "peaks_of",
    "seen_at",
    "shown",
    "still_needed",
    "terms_told",
    "told",
]


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


def told(event: Adopt, now: int) -> list[Measured]:
    """The readings by which it is an alarm."""
    return measured(event.inputs, event.values, max(event.at, event.last), now)


def cleared(event: Adopt, now: int) -> list[Measured]:
    """The readings by which it is none any more."""
    return measured(event.cleared, {}, event.word, now)


def terms_told(event: Adopt) -> dict[str, Any]:
    """What the gateway says that its judgement rests on, as it stands in a decision's ``detail``."""
    return {kind: content for kind, content in (event.terms or {}).items() if kind != UNREADABLE}


def shown(event: Adopt, before: Snapshot | None = None) -> Snapshot:
    """What people at the gateway were shown last."""
    found = before or Snapshot()
    detail = {**found.detail, **terms_told(event)}
    return replace(found, values=dict(event.values), inputs=event.inputs, detail=detail)


def peaks_of(event: Adopt, compiled: Compiled) -> Peaks:
    """How far it went, leaf by leaf: of what is unusual the score, where the gateway tells it."""
    told_of = terms_told(event).get("unusual", {})
    scores = {metric: float(content["score"]) for metric, content in told_of.items()}
    return tuple(_peak(leaf, event.values, scores) for leaf in compiled.leaves)


def _peak(leaf: Leaf, values: Mapping[str, float], scores: Mapping[str, float]) -> float | None:
    if not isinstance(leaf, Unusual) or not scores:
        return values.get(like(leaf)[1])
    score = scores.get(leaf.metric)
    return score if score is not None and beyond(leaf, score) else None
