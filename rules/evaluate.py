"""What one rule makes of one subject's signals at one moment; changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from hearthward.core.codes import CLOCK_SKEW
from hearthward.core.model import Quality
from rules.compiled import Compiled, Peaks, Result
from rules.conditions import (
    RISK,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Leaf,
    Missing,
    Score,
    Threshold,
    Unusual,
)
from rules.context import Context
from rules.detectors.baseline import Terms
from rules.detectors.novelty import Evidence
from rules.filling import fields_of
from rules.model import Measured
from rules.news2 import METRICS_OF, Total, points, total
from rules.rule import SECOND
from rules.signals import Series, breaches
from rules.state import NEVER, Snapshot, Subject
from rules.unusual_words import told

__all__ = [
    "UNFIT",
    "Memo",
    "Verdict",
    "beyond",
    "counted",
    "deadline",
    "due",
    "evaluate",
    "fresh_until",
    "judge_alone",
    "too_late",
    "worse",
    "worst_of",
]

UNFIT: Final = int(sum(flag for flag in Quality if not flag.clinical))
"""Quality bits of readings that clinical rules never look at."""
_UNKNOWN: Final = Result(None, None)
_FALSE: Final = Result(opens=False, holds=False)
_THREE: Final = 3
_PARAMETER_OF: Final = {metric: p for p, metrics in METRICS_OF.items() for metric in metrics}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the leaves of a rule come to, and what the rule makes of that."""

    compiled: Compiled
    results: list[Result]
    opens: bool
    critical: bool
    at: int
    deadlines: tuple[int, ...] = ()

    def holds(self, peaks: Peaks, needed: frozenset[str]) -> bool:
        """Whether a breach with these peaks goes on; what is not known never ends it.

        ``needed``: parameters that have to be known for a score to end.
        """
        return self.goes_on(peaks, needed) is not False

    def goes_on(self, peaks: Peaks, needed: frozenset[str]) -> bool | None:
        """The same; None: not known."""
        results = self.results
        known = {_PARAMETER_OF.get(m.metric) for r in results for m in r.readings}
        if not needed <= known:
            results = [
                r._replace(holds=None) if isinstance(leaf, Score) and r.holds is False else r
                for leaf, r in zip(self.compiled.leaves, results, strict=True)
            ]
        return self.compiled.holds(results, peaks)

    @property
    def peaks(self) -> Peaks:
        """The value of each leaf that has a part in the breach."""
        return tuple(
            r.value if r.opens or (negative and r.opens is not None) else None
            for r, negative in zip(self.results, self.compiled.negative, strict=True)
        )

    def onset(self) -> int:
        """When the breach began: now, unless only a changed limit makes one of what was measured before."""
        leaves = zip(self.compiled.leaves, self.results, strict=True)
        times = {m.time for x, r in leaves if r.opens and not isinstance(x, Missing) for m in r.readings}
        times.update(self.deadlines)
        if not times or self.at in times:
            return self.at
        return min(times)

    def readings(self) -> list[Measured]:
        """Per signal of the rule the reading to show: the one that breached, or else the newest."""
        chosen: dict[str, tuple[bool, int, Measured]] = {}
        for result in self.results:
            for m in result.readings:
                rank = bool(result.opens), m.time, m
                if m.metric not in chosen or rank[:2] > chosen[m.metric][:2]:
                    chosen[m.metric] = rank
        return [chosen[m][2] for m in sorted(chosen) if m in self.compiled.rule.inputs]

    def snapshot(self) -> Snapshot:
        """What to show and keep of this moment."""
        readings = self.readings()
        fields: dict[str, dict[str, str]] = {}
        detail: dict[str, Any] = {}
        for leaf, result in zip(self.compiled.leaves, self.results, strict=True):
            if result.opens or not fields:
                fields |= fields_of(leaf, result)
            if result.score is not None:
                found = result.score
                detail["score"] = {
                    "total": found.total,
                    "points": dict(found.points),
                    "missing": list(found.missing),
                }
            if isinstance(result.terms, Terms) and (result.opens or "baseline" not in detail):
                detail["baseline"] = result.terms.content()
            if isinstance(result.terms, Evidence) and isinstance(leaf, Unusual):
                known = {"score": result.value, "device": result.readings[0].device}
                detail.setdefault("unusual", {})[leaf.metric] = known | result.terms.content()
        if "unusual" in detail:
            fields["unusual"] = self._unusual()
        return Snapshot(
            {m.metric: m.value for m in readings}, tuple(m.shown() for m in readings), fields, detail
        )

    def _unusual(self) -> dict[str, str]:
        pairs = zip(self.compiled.leaves, self.results, strict=True)
        return told(
            (leaf, r.opens, r.value, r.terms if isinstance(r.terms, Evidence) else None)
            for leaf, r in pairs
            if isinstance(leaf, Unusual)
        )


Scored: TypeAlias = tuple[Total | None, dict[str, tuple[Measured, int]]]
"""A score, and per parameter the reading that made it with its points; None: nothing is known."""
Memo: TypeAlias = dict[tuple[object, ...], Scored]
"""Scores by subject, time and what counts: several rules ask for the same."""


def evaluate(
    compiled: Compiled, subject: Subject, context: Context, at: int, memo: Memo | None = None
) -> Verdict:
    """Judge a rule at ``at`` (UTC ns). Older than its input's maximum age, a value does not count.

    Nor does one that was received later than the rule's ``max_lateness_s`` after it was measured. With
    several devices on one signal, any of them can breach, and all that count must be clear to clear.
    """
    results: list[Result] = []
    deadlines: list[int] = []
    for leaf, feature in zip(compiled.leaves, compiled.features, strict=True):
        match leaf:
            case Score():
                key = id(subject), at, compiled.counts
                found = None if memo is None else memo.get(key)
                if found is None:
                    found = _parameters(partial(_counted, compiled, subject=subject, at=at), context)
                    if memo is not None:
                        memo[key] = found
                results.append(_score(leaf, found))
            case Missing():
                result, since = _missing(compiled, leaf, subject, context, at)
                results.append(result)
                if result.opens and since:
                    deadlines.append(since)
            case DeviceFlag():
                results.append(_flag(compiled, leaf, subject, at))
            case _:
                found_limit = _limit(compiled, leaf, feature, subject, at)
                if subject.watch is not None and getattr(leaf, "metric", None) == RISK:
                    found_limit = found_limit._replace(reasons=subject.watch.foremost)
                results.append(found_limit)
    return _verdict(compiled, results, at, tuple(deadlines))


def judge_alone(
    compiled: Compiled, readings: list[Measured], at: int, context: Context | None = None
) -> Verdict:
    """Judge plain limits on exactly these readings, whatever else is known; in a ``context`` scores, too.

    Other leaves are unknown. Of a score, the points of these readings are the least that it was.
    """
    results = []
    for leaf in compiled.leaves:
        found = _UNKNOWN
        if isinstance(leaf, Threshold) and leaf.plain:
            found = _of_values(leaf, [m for m in readings if m.metric == leaf.metric])
        elif isinstance(leaf, Score) and context is not None:
            found = _score(leaf, _parameters(partial(_of_metric, readings), context))
        results.append(found)
    return _verdict(compiled, results, at, ())


def _verdict(compiled: Compiled, results: list[Result], at: int, deadlines: tuple[int, ...]) -> Verdict:
    critical = compiled.critical is not None and compiled.critical(results) is True
    opens = compiled.opens(results) is True or critical
    return Verdict(compiled, results, opens, critical, at, deadlines)


def too_late(compiled: Compiled, time: int, received: int) -> bool:
    """Whether a reading came later than the rule may still signal."""
    return received - time > compiled.max_lateness


def counted(compiled: Compiled, metric: str, subject: Subject, at: int) -> list[Measured]:
    """The newest reading of a signal by each device, where it counts at ``at``: not too old, not too late."""
    return [measured for measured, _ in _counted(compiled, metric, subject, at)]


def fresh_until(compiled: Compiled, subject: Subject, at: int) -> int:
    """Until when all that counts at ``at`` goes on to count; later if newer values come."""
    ends = [
        told + age
        for metric, age in compiled.max_age.items()
        for s in subject.series.get(metric, {}).values()
        for told in (s.time, s.spoken)
        if told >= 0 and told + age >= at
    ]
    return min(ends, default=NEVER)


def _counted(compiled: Compiled, metric: str, subject: Subject, at: int) -> list[tuple[Measured, Series]]:
    devices = subject.series.get(metric)
    if not devices:
        return []
    oldest = max(0, at - compiled.max_age[metric])
    return [
        (Measured(metric, device, s.time, s.value, s.received), s)
        for device, s in (sorted(devices.items()) if len(devices) > 1 else devices.items())
        if s.time >= oldest and s.received - s.time <= compiled.max_lateness
    ]


def _limit(compiled: Compiled, leaf: Leaf, feature: str | None, subject: Subject, at: int) -> Result:
    """A leaf that compares each device's value, or what is derived from it, with a number."""
    metric = leaf.of.metric if isinstance(leaf, Count) else getattr(leaf, "metric", "")
    values = []
    for measured, series in _counted(compiled, metric, subject, at):
        if feature is None:
            values.append(measured)
            continue
        derived = series.features.get(feature)
        if derived is not None and derived.output is not None:
            values.append(measured._replace(value=derived.output))
    if not isinstance(leaf, Change | Deviation | Unusual | Count):
        return _of_values(leaf, values)
    result = _of_values(leaf, values)
    if _has_terms(leaf) and result.readings:
        worst = subject.series[metric][result.readings[0].device].features.get(feature or "")
        result = result._replace(terms=getattr(worst, "terms", None))
    raw = {m.device: m for m, _ in _counted(compiled, metric, subject, at)}
    return result._replace(readings=tuple(raw[m.device] for m in result.readings))


def _has_terms(leaf: Leaf) -> bool:
    return isinstance(leaf, Unusual) or (isinstance(leaf, Deviation) and leaf.asked is not None)


def _of_values(leaf: Leaf, values: list[Measured]) -> Result:
    """The worst value first among the readings if it breaches."""
    if not values:
        return _UNKNOWN
    worst = values[0]
    for m in values[1:]:
        if worse(leaf, m.value, worst.value):
            worst = m
    opens = beyond(leaf, worst.value)
    holds = any(not _clear(leaf, m.value) for m in values)
    return Result(opens, holds, worst.value, (worst,) if opens else tuple(values))


def beyond(leaf: Leaf, value: float) -> bool:
    """Whether a value of the leaf's quantity is beyond its limit."""
    match leaf:
        case Threshold(op=op, value=limit):
            return breaches(op, float(limit), value)
        case Change(by=by):
            return value >= float(by)
        case Deviation(direction=direction, by=by):
            return _away(direction, value) >= float(by)
        case Unusual(value=limit):
            return value >= float(limit)
        case Count(at_least=least):
            return value >= least
    return False


def _clear(leaf: Leaf, value: float) -> bool:
    if beyond(leaf, value):
        return False
    match leaf:
        case Threshold(value=limit, hysteresis=back):
            return (
                value >= float(limit) + float(back) if leaf.falling else value <= float(limit) - float(back)
            )
        case Change(by=by, hysteresis=back):
            return value <= float(by) - float(back)
        case Deviation(direction=direction, by=by, hysteresis=back):
            return _away(direction, value) <= float(by) - float(back)
        case Unusual(clear_below=clear):
            return value < float(clear)
    return True


def _away(direction: str, value: float) -> float:
    return {"above": value, "below": -value, "either": abs(value)}[direction]


def worse(leaf: Leaf, value: float, than: float) -> bool:
    """Whether a value of the leaf's quantity lies further beyond its limit than another."""
    match leaf:
        case Threshold():
            return value < than if leaf.falling else value > than
        case Deviation(direction=direction):
            return _away(direction, value) > _away(direction, than)
        case Missing() | DeviceFlag():
            return False  # that it goes on is nothing new
    return value > than


def worst_of(compiled: Compiled, known: Peaks, found: Peaks) -> Peaks:
    """The more extreme of two breaches, leaf by leaf."""
    return tuple(
        old
        if new is None
        or (old is not None and (negative or isinstance(leaf, Count) or not worse(leaf, new, old)))
        else new
        for leaf, negative, old, new in zip(compiled.leaves, compiled.negative, known, found, strict=True)
    )


def _score(leaf: Score, scored: Scored) -> Result:
    found, chosen = scored
    if found is None:
        return _UNKNOWN
    value = float(found.total if leaf.score == "news2" else found.worst)
    readings = [m for m, worth in chosen.values() if leaf.score == "news2" or worth >= _THREE]
    opens = value >= float(leaf.value)
    shown = readings if opens else [m for m, _ in chosen.values()]
    return Result(opens, value >= float(leaf.clear_below), value, tuple(shown), found)


def _of_metric(readings: list[Measured], metric: str) -> list[tuple[Measured, None]]:
    return [(m, None) for m in readings if m.metric == metric]


def _parameters(known: Callable[[str], Sequence[tuple[Measured, object]]], context: Context) -> Scored:
    """Per parameter of the score its worst value among those ``known`` of a metric, with its points."""
    values: dict[str, float] = {}
    chosen: dict[str, tuple[Measured, int]] = {}
    oxygen = [m.value > 0 for m, _ in known("supplemental_oxygen")]
    on_oxygen = any(oxygen) if oxygen else None
    for parameter, metrics in METRICS_OF.items():
        for metric in metrics:
            for m, _ in known(metric):
                worth = points(parameter, m.value, context.spo2_scale, on_oxygen)
                if parameter not in chosen or worth > chosen[parameter][1]:
                    values[parameter], chosen[parameter] = m.value, (m, worth)
    return total(values, context.spo2_scale) if values else None, chosen


def deadline(leaf: Missing, subject: Subject, context: Context, key: str = "") -> int | None:
    """When the signal counts as missing; None: it is not expected. ``-1``: never seen, missing at once.

    A gateway's word that the rule ``key`` is fine again says that the signal was there.
    """
    return due(leaf.metric, round(float(leaf.for_s) * SECOND), leaf.unseen, subject, context.expected, key)


def due(
    metric: str,
    patience: int,
    unseen: bool,  # noqa: FBT001 - as the leaf has it
    subject: Subject,
    expected: Mapping[str, int] | None,
    key: str,
) -> int | None:
    """``deadline`` of a leaf that waits for ``patience`` ns, with the context's ``expected``."""
    last = -1
    if expected is not None:
        since = expected.get(metric)
        if since is not None:
            last = max(since, -1)
        elif not unseen:
            return None
    devices = subject.series.get(metric)
    if devices is not None:
        for series in devices.values():
            last = max(last, series.time)
    if key in subject.shared:
        last = max(last, subject.shared[key].heard())
    if last < 0:
        return -1 if unseen else None
    return last + patience


def _missing(
    compiled: Compiled, leaf: Missing, subject: Subject, context: Context, at: int
) -> tuple[Result, int]:
    since = deadline(leaf, subject, context, compiled.key)
    now = max(at, subject.clock)
    if since is None or since > now or (since == now == subject.clock and not subject.struck):
        return _FALSE, 0
    devices = sorted((s.time, d, s) for d, s in subject.series.get(leaf.metric, {}).items() if s.time >= 0)
    readings = tuple(Measured(leaf.metric, d, s.time, s.value, s.received) for _, d, s in devices[-1:])
    silent = (now - readings[0].time) / SECOND if readings else float(leaf.for_s)
    return Result(opens=True, holds=True, value=silent, readings=readings), max(since, 0)


def _flag(compiled: Compiled, leaf: DeviceFlag, subject: Subject, at: int) -> Result:
    bit = int(Quality[leaf.flag.upper()])
    said: list[tuple[bool, Measured]] = []
    for metric in sorted(compiled.rule.inputs) if leaf.metric is None else (leaf.metric,):
        oldest = at - compiled.max_age[metric]
        for device, s in sorted(subject.series.get(metric, {}).items()):
            if s.spoken >= 0 and s.spoken >= oldest:
                raised = bool(s.quality & bit)
                worth = s.value if metric == CLOCK_SKEW else float(s.quality & bit)
                said.append((raised, Measured(metric, device, s.spoken, worth, s.spoken)))
    if not said:
        return _UNKNOWN
    raised = any(is_set for is_set, _ in said)
    return Result(raised, raised, 1.0, tuple(m for is_set, m in said if is_set or not raised))
