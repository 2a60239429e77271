"""How far an episode went: the worst value, from its onset to its end, of what its limit is compared with."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final, TypeAlias

from rules.conditions import (
    All,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Leaf,
    Missing,
    Repeat,
    Score,
    Threshold,
    Unusual,
    leaves,
)
from rules.evaluate import worse
from rules.news2 import METRICS_OF, points, total
from rules.rule import SECOND, Rule
from rules.signals import Feature, breaches, feature_key, make_feature

__all__ = ["Columns", "Peak", "peak_of"]

Columns: TypeAlias = Mapping[str, Sequence[tuple[int, str, float]]]
"""Metric -> (time, device, value) in order of time."""
_OXYGEN: Final = "supplemental_oxygen"


@dataclass(frozen=True, slots=True)
class Peak:
    """The worst value and when it was there; ``of`` names the signal, or the score."""

    value: float
    of: str
    at: int


def peak_of(
    rule: Rule,
    columns: Columns,
    onset: int,
    until: int,
    inputs: Iterable[Mapping[str, Any]],
    *,
    scale: int = 1,
) -> Peak | None:
    """The peak of an episode of a rule whose parameters have their values; None for states of devices.

    ``inputs`` are the readings that decided its start: they say which of several limits was passed.
    """
    shown = list(inputs)
    known = {str(i["metric"]): float(i["value"]) for i in shown if i.get("value") is not None}
    leaf = _leading(rule, columns, onset, known)
    match leaf:
        case Score():
            found = _scores(rule, leaf, columns, (onset, until), shown, scale)
            return _worst(leaf, found, leaf.score)
        case Missing():
            times = [int(i["time"]) for i in shown if i["metric"] == leaf.metric]
            since = max(times) if times else onset - round(float(leaf.for_s) * SECOND)
            return Peak((until - since) / SECOND, leaf.metric, until)
        case DeviceFlag():
            return None
        case Count(of=of):
            return _worst(of, _values(of, columns.get(of.metric, ()), onset, until), of.metric)
    values = _values(leaf, columns.get(leaf.metric, ()), onset, until)
    if isinstance(leaf, Threshold) and (guard := _guard(rule, leaf)) is not None:
        values = ((t, v) for t, v in values if breaches(guard.op, float(guard.value), v))
    return _worst(leaf, values, leaf.metric)


def _leading(rule: Rule, columns: Columns, onset: int, values: Mapping[str, float]) -> Leaf:
    """The first limit that was passed at the onset; else the first leaf that the values belong to."""
    top = rule.condition.of if isinstance(rule.condition, Repeat) else rule.condition
    found = list(leaves(top))
    for leaf in found:
        if _passed(leaf, columns, onset, values):
            return leaf
    return next((x for x in found if _metric(x) in values), found[0])


def _passed(leaf: Leaf, columns: Columns, onset: int, values: Mapping[str, float]) -> bool:
    match leaf:
        case Score():
            return bool(values)
        case Threshold():
            value = values.get(leaf.metric)
            return value is not None and breaches(leaf.op, float(leaf.value), value)
        case Change() | Deviation():
            by = float(leaf.by) * (-1 if isinstance(leaf, Deviation) and leaf.direction == "below" else 1)
            found = _values(leaf, columns.get(leaf.metric, ()), onset, onset)
            return any(v == by or worse(leaf, v, by) for _, v in found)
        case Unusual():
            found = _values(leaf, columns.get(leaf.metric, ()), onset, onset)
            return any(v >= float(leaf.value) for _, v in found)
    return False


def _guard(rule: Rule, leaf: Threshold) -> Threshold | None:
    """The limit in the other direction that the same signal must keep for the rule to hold at all."""
    if isinstance(rule.condition, All):
        for part in rule.condition.parts:
            if isinstance(part, Threshold) and part.metric == leaf.metric and part.falling != leaf.falling:
                return part
    return None


def _metric(leaf: Leaf) -> str | None:
    if isinstance(leaf, Count):
        return leaf.of.metric
    return None if isinstance(leaf, Score) else leaf.metric


def _worst(leaf: Leaf, values: Iterable[tuple[int, float]], of: str) -> Peak | None:
    best: Peak | None = None
    for at, value in values:
        if best is None or worse(leaf, value, best.value):
            best = Peak(value, of, at)
    return best


def _values(
    leaf: Leaf, column: Sequence[tuple[int, str, float]], onset: int, until: int
) -> Iterator[tuple[int, float]]:
    """(time, quantity) that the leaf compares with its limit, from onset to end, of any device."""
    first = bisect_left(column, onset, key=_time)
    end = bisect_right(column, until, key=_time)
    key = feature_key(leaf)
    if key is None:
        for time, _, value in column[first:end]:
            yield time, value
        return
    features: dict[str, Feature] = {}
    for time, device, value in column[_from(leaf, column, onset) : end]:
        feature = features.get(device)
        if feature is None:
            feature = features[device] = make_feature(key)
        feature.push(time, value, frozen=time >= onset)
        if time >= onset and feature.output is not None:
            yield time, feature.output


def _from(leaf: Leaf, column: Sequence[tuple[int, str, float]], onset: int) -> int:
    """The first row that still has a part in what is derived at the onset."""
    match leaf:
        case Threshold(smoothing=smoothing) if smoothing is not None:
            window = smoothing.window_s
        case Change(within_s=within):
            window = within
        case Threshold():  # recalibrated: each value is by itself
            window = 0.0
        case _:
            assert isinstance(leaf, Deviation | Unusual)  # noqa: S101 - only they remember everything
            return 0
    return bisect_left(column, onset - round(window * SECOND), key=_time)


def _time(row: tuple[int, str, float]) -> int:
    return row[0]


def _scores(
    rule: Rule,
    leaf: Score,
    columns: Columns,
    period: tuple[int, int],
    shown: Iterable[Mapping[str, Any]],
    scale: int,
) -> Iterator[tuple[int, float]]:
    """(time, score) from onset to end, beginning with the readings that decided the start."""
    onset, until = period
    known = {
        (str(i["metric"]), str(i.get("device", ""))): (int(i["time"]), float(i["value"]))
        for i in shown
        if i.get("value") is not None
    }
    rows = sorted(
        (time, metric, device, value)
        for metric in rule.inputs
        for time, device, value in _between(columns.get(metric, ()), onset, until)
    )
    yield onset, _score(leaf, known, rule, onset, scale)
    for at, moment in groupby(rows, key=lambda row: row[0]):
        changed = False
        for _, metric, device, value in moment:
            before = known.get((metric, device))
            known[metric, device] = at, value
            changed = changed or before is None or before[1] != value
        if changed:
            yield at, _score(leaf, known, rule, at, scale)


def _between(
    column: Sequence[tuple[int, str, float]], onset: int, until: int
) -> Sequence[tuple[int, str, float]]:
    return column[bisect_left(column, onset, key=_time) : bisect_right(column, until, key=_time)]


def _score(
    leaf: Score, known: Mapping[tuple[str, str], tuple[int, float]], rule: Rule, at: int, scale: int
) -> float:
    fresh: dict[str, list[float]] = {}
    for (metric, _), (time, value) in known.items():
        if at - time <= rule.inputs[metric] * SECOND:
            fresh.setdefault(metric, []).append(value)
    oxygen = any(v > 0 for v in fresh[_OXYGEN]) if _OXYGEN in fresh else None
    values: dict[str, float] = {}
    for parameter, metrics in METRICS_OF.items():
        candidates = [v for m in metrics for v in fresh.get(m, ())]
        if candidates:
            values[parameter] = max(candidates, key=lambda v: points(parameter, v, scale, oxygen))
    found = total(values, scale)
    return float(found.total if leaf.score == "news2" else found.worst)
