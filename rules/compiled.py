"""Rules made ready for one kind of patient: limits in place, conditions as functions, what can be skipped.

A ``Plan`` is shared by all subjects to whom the same rules with the same limits apply.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from rules.conditions import (
    All,
    Any_,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Leaf,
    Missing,
    Node,
    Not,
    Repeat,
    Score,
    Threshold,
    Unusual,
    leaves,
)
from rules.context import Context, Limit
from rules.detectors.baseline import Terms
from rules.detectors.novelty import Evidence
from rules.model import Measured
from rules.models.deterioration import Reason
from rules.news2 import CUTS, METRICS_OF, Total, points
from rules.rule import SECOND, Rule, RuleSet
from rules.signals import breaches, feature_key

__all__ = ["LATE_AFTER", "Compiled", "Filter", "Plan", "Planner", "Result"]

LATE_AFTER: Final = 60 * SECOND
"""Received later than this after it was measured, a reading is told with both times."""
CELLS_KEPT: Final = 2048
PLANS_KEPT: Final = 4096
"""Plans made ready; past it they are made anew (limits of single patients come and go)."""


class Result(NamedTuple):
    """What one leaf comes to: does it hold for opening, for staying, by which value and readings.

    ``reasons`` say what a learned risk is made of.
    """

    opens: bool | None
    holds: bool | None
    value: float | None = None
    readings: tuple[Measured, ...] = ()
    score: Total | None = None
    terms: Terms | Evidence | None = None
    reasons: tuple[Reason, ...] = ()


Peaks: TypeAlias = tuple[float | None, ...]
Opens: TypeAlias = Callable[[list[Result]], bool | None]
Holds: TypeAlias = Callable[[list[Result], Peaks], bool | None]


class Compiled:
    """One rule with its limits in place; ``opens`` and ``holds`` join the results of its leaves."""

    def __init__(self, rule: Rule, digest: str, limits: dict[str, Limit]) -> None:
        self.rule = rule
        self.key = rule.key
        self.hash = digest
        self.limits = limits
        self.limit = rule.limit
        top = rule.condition
        self.repeat = top if isinstance(top, Repeat) else None
        self.leaves: tuple[Leaf, ...] = tuple(leaves(top))
        self.features = tuple(feature_key(leaf) for leaf in self.leaves)
        self.derived = {
            _metric(leaf)
            for leaf, key in zip(self.leaves, self.features, strict=True)
            if key is not None and not isinstance(leaf, Count)
        }
        self.negative = tuple(_negative(top))
        self.required = frozenset(_required(top))
        self.max_age = {m: round(s * SECOND) for m, s in rule.inputs.items()}
        self.max_lateness = round(rule.max_lateness_s * SECOND)
        self.counts = self.max_lateness, *sorted(self.max_age.items())
        """What decides whether a value counts: rules that have it in common share a score's parameters."""
        self.delay = rule.delay_ns
        self.clear_after = round(rule.clear_after_s * SECOND)
        self.missing = tuple(leaf for leaf in self.leaves if isinstance(leaf, Missing))
        self.silences = tuple((x.metric, round(float(x.for_s) * SECOND), x.unseen) for x in self.missing)
        """What is missed after how many nanoseconds, and whether also when it never came."""
        main = top.of if isinstance(top, Repeat) else top
        self.opens, self.holds = _opens(main, 0), _holds(main, 0)
        self.critical: Opens | None = None
        if isinstance(top, Repeat) and top.critical is not None:
            self.critical = _opens(top.critical, len(list(leaves(main))))
        self.prompt = self._prompt()

    def _prompt(self) -> Opens | None:
        """What decides on a single measurement at once, out of turn: limits without any delay."""
        return self.opens if not self.delay and _plain(self.rule.condition) else None

    def openable(self, metric: str, value: float, scale: int) -> bool:
        """Whether a value, known from now on, may make the rule hold by itself or together with others."""
        if any(self.negative):
            return True
        plain = [x for x in self.leaves if isinstance(x, Threshold) and x.plain]
        if any(x.metric == metric and breaches(x.op, float(x.value), value) for x in plain):
            return True
        if not any(isinstance(leaf, Score) for leaf in self.leaves):
            return False
        scored = (p for p, metrics in METRICS_OF.items() if metric in metrics)
        return any(worth(parameter, value, scale) for parameter in scored)

    @property
    def needs_after(self) -> int:
        """Nanoseconds that must pass before a second measurement counts."""
        return 0 if self.repeat is None else round(self.repeat.after_s * SECOND)

    @property
    def window(self) -> int:
        """Nanoseconds of the past that the rule's derived quantities rest on; 0: on newest values only."""
        spans = [0.0]
        for leaf in self.leaves:
            smoothing = getattr(leaf, "smoothing", None)
            spans.append(smoothing.window_s if smoothing is not None else 0.0)
            spans += [float(getattr(leaf, name, 0.0)) for name in ("within_s", "learn_s", "pace_s")]
        return round(max(spans) * SECOND)

    @property
    def timeout(self) -> int:
        """Nanoseconds that a second measurement is waited for."""
        return 0 if self.repeat is None else round(self.repeat.timeout_s * SECOND)


def worth(parameter: str, value: float, scale: int) -> int:
    """The most points that a parameter may get, whatever else is known."""
    return max(points(parameter, value, scale, oxygen) for oxygen in (False, True))


def _required(node: Node) -> Iterator[str]:
    """Signals without which the node cannot hold."""
    match node:
        case All(parts):
            for part in parts:
                yield from _required(part)
        case Threshold() | Change() | Deviation() | Unusual():
            yield node.metric
        case Count(of=of):
            yield of.metric


def _plain(node: Node) -> bool:
    match node:
        case Threshold(smoothing=None, calibration=None):
            return True
        case Any_(parts):
            return all(_plain(p) for p in parts)
    return False


def _negative(node: Node, *, under: bool = False) -> Iterator[bool]:
    """For each leaf whether it stands under a ``not``."""
    match node:
        case All(parts) | Any_(parts):
            for part in parts:
                yield from _negative(part, under=under)
        case Not(part):
            yield from _negative(part, under=not under)
        case Repeat(of=of, critical=critical):
            yield from _negative(of, under=under)
            if critical is not None:
                yield from _negative(critical, under=under)
        case _:
            yield under


def _size(node: Node) -> int:
    return sum(1 for _ in leaves(node))


def _opens(node: Node, first: int, *, staying: bool = False) -> Opens:
    """The node's truth for opening, or for staying where unknown stays unknown.

    Its leaves' results begin at ``first``. Under a ``not`` the one asks for the other.
    """
    match node:
        case All(parts) | Any_(parts):
            join = _all if isinstance(node, All) else _any
            below, at = [], first
            for part in parts:
                below.append(_opens(part, at, staying=staying))
                at += _size(part)
            return lambda r: join([f(r) for f in below])
        case Not(part):
            other = _opens(part, first, staying=not staying)
            return lambda r: _not(other(r))
        case _:
            return (lambda r: r[first].holds) if staying else (lambda r: r[first].opens)


def _holds(node: Node, first: int) -> Holds:
    """The node's truth for staying; what is unknown and never had a part in the breach does not hold."""
    match node:
        case All(parts) | Any_(parts):
            join = _all if isinstance(node, All) else _any
            below, at = [], first
            for part in parts:
                below.append(_holds(part, at))
                at += _size(part)
            return lambda r, peaks: join([f(r, peaks) for f in below])
        case Not(part):
            opens, last = _opens(part, first), first + _size(part)

            def negated(r: list[Result], peaks: Peaks) -> bool | None:
                found = opens(r)
                if found is None and all(p is None for p in peaks[first:last]):
                    return False
                return _not(found)

            return negated
        case _:

            def leaf(r: list[Result], peaks: Peaks) -> bool | None:
                found = r[first].holds
                return False if found is None and peaks[first] is None else found

            return leaf


def _all(parts: list[bool | None]) -> bool | None:
    if False in parts:
        return False
    return None if None in parts else True


def _any(parts: list[bool | None]) -> bool | None:
    if True in parts:
        return True
    return None if None in parts else False


def _not(value: bool | None) -> bool | None:  # noqa: FBT001 - a truth value of three
    return None if value is None else not value


@dataclass(slots=True)
class Filter:
    """When a new value of one signal cannot change any rule: it lies between the same limits as before.

    ``cuts`` are all numbers that any rule compares the value with and ``owners`` these rules, ``derived``
    the same for derived quantities; ``fresh`` is the age (ns) of the value before up to which this holds,
    ``lateness`` how long (ns) after it was measured it may be received, ``silence`` after how long (ns) the
    first rule takes the signal for missing.
    """

    metric: str
    scale: int
    rules: tuple[Compiled, ...]
    flagged: tuple[Compiled, ...]
    features: tuple[str, ...]
    fresh: int
    lateness: int
    cuts: tuple[float, ...]
    owners: tuple[tuple[Compiled, ...], ...]
    derived: tuple[tuple[str, tuple[float, ...], tuple[tuple[Compiled, Leaf], ...]], ...]
    silence: int | None
    cells: dict[float, int] = field(default_factory=dict)
    passed: dict[tuple[int, int], tuple[Compiled, ...]] = field(default_factory=dict)
    opened: dict[tuple[int, int], tuple[Compiled, ...]] = field(default_factory=dict)
    calm: dict[int, bool] = field(default_factory=dict)

    def harmless(self, value: float) -> bool:
        """Whether a value can make no rule hold, neither by itself nor with others of its measurement."""
        cell = self.cell(value)
        found = self.calm.get(cell)
        if found is None:
            found = self.calm[cell] = not any(c.openable(self.metric, value, self.scale) for c in self.rules)
        return found

    def cell(self, value: float) -> int:
        """Between which cuts the value lies (even), or on which (odd)."""
        found = self.cells.get(value)
        if found is None:
            found = bisect_left(self.cuts, value) + bisect_right(self.cuts, value)
            if len(self.cells) < CELLS_KEPT:
                self.cells[value] = found
        return found

    def between(self, before: int, after: int) -> tuple[Compiled, ...]:
        """The rules of which a limit lies between two cells, or on either; all when one is not known."""
        found = self.passed.get((before, after))
        if found is None:
            if before < 0:
                found = self.rules
            else:
                first, last = min(before, after) // 2, (max(before, after) + 1) // 2
                found = tuple({c.key: c for owners in self.owners[first:last] for c in owners}.values())
            self.passed[before, after] = found
        return found

    def reached(self, before: int, after: int, value: float) -> tuple[Compiled, ...]:
        """Those of ``between`` that ``value``, which lies in the cell ``after``, can open."""
        found = self.opened.get((before, after))
        if found is None:
            found = tuple(
                c for c in self.between(before, after) if c.openable(self.metric, value, self.scale)
            )
            self.opened[before, after] = found
        return found


class Plan:
    """The rules that apply to a kind of patient, by key and by signal."""

    def __init__(self, rules: tuple[Compiled, ...], scale: int) -> None:
        self.rules = {c.key: c for c in rules}
        self.scale = scale
        self.timed = tuple(c for c in rules if c.missing)
        metrics = sorted({m for c in rules for m in c.rule.inputs})
        self.filters = {m: _filter(m, [c for c in rules if m in c.rule.inputs], scale) for m in metrics}


class Planner:
    """Makes plans for one rule set and keeps them: most patients share one."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules = rules
        self._plans: dict[tuple[object, ...], Plan] = {}
        self._compiled: dict[tuple[object, ...], Compiled] = {}

    def plan(self, subject: str, context: Context, at: int) -> Plan:
        """The plan for a subject with this context at ``at`` (UTC ns)."""
        kind = subject.partition(":")[0] if ":" in subject else "patient"
        limits = context.limits_at(at)
        adult = context.adult is not False and not context.pregnant
        key = kind, context.setting, adult, context.spo2_scale, tuple(sorted(limits.items()))
        found = self._plans.get(key)
        if found is None:
            rules = [
                self._compile(rule, context, limits)
                for rule in self._rules
                if _about(rule, kind) and context.applies(rule)
            ]
            if len(self._plans) >= PLANS_KEPT:
                self._plans.clear()
                self._compiled.clear()
            found = self._plans[key] = Plan(tuple(rules), context.spo2_scale)
        return found

    def _compile(self, rule: Rule, context: Context, limits: dict[tuple[str, str], Limit]) -> Compiled:
        own = context.limits_of(rule, limits)
        key = rule.key, tuple(sorted(own.items()))
        found = self._compiled.get(key)
        if found is None:
            resolved = context.resolve_with(rule, limits)
            found = self._compiled[key] = Compiled(resolved, self._rules.hashes[rule.key], own)
        return found


def _about(rule: Rule, kind: str) -> bool:
    """A rule about a device looks at its signals wherever they are attributed to."""
    if rule.subject == "device":
        return kind in {"device", "patient"}
    return rule.subject == kind


def _filter(metric: str, rules: list[Compiled], scale: int) -> Filter:
    cuts: dict[float, dict[str, Compiled]] = {}
    derived: dict[str, dict[float, list[tuple[Compiled, Leaf]]]] = {}
    silences: list[int] = []
    for compiled in rules:
        for leaf, feature in zip(compiled.leaves, compiled.features, strict=True):
            if isinstance(leaf, Score):
                for cut in CUTS[scale].get(metric, ()):
                    cuts.setdefault(cut, {})[compiled.key] = compiled
            elif _metric(leaf) != metric:
                continue
            elif isinstance(leaf, Missing):
                silences.append(round(float(leaf.for_s) * SECOND))
            elif feature is None:
                for cut in _cuts(leaf):
                    cuts.setdefault(cut, {})[compiled.key] = compiled
            else:
                for cut in _cuts(leaf):
                    derived.setdefault(feature, {}).setdefault(cut, []).append((compiled, leaf))
    return Filter(
        metric=metric,
        scale=scale,
        rules=tuple(rules),
        flagged=tuple(c for c in rules if any(isinstance(x, DeviceFlag) for x in c.leaves)),
        features=tuple(sorted(derived)),
        fresh=min([*(c.max_age[metric] for c in rules), *silences]),
        lateness=min(LATE_AFTER, *(c.max_lateness for c in rules)),
        cuts=tuple(sorted(cuts)),
        owners=tuple(tuple(cuts[cut].values()) for cut in sorted(cuts)),
        derived=tuple(
            (name, tuple(sorted(found)), _owners(found)) for name, found in sorted(derived.items())
        ),
        silence=min(silences, default=None),
    )


def _owners(cuts: dict[float, list[tuple[Compiled, Leaf]]]) -> tuple[tuple[Compiled, Leaf], ...]:
    return tuple({(c.key, repr(x)): (c, x) for found in cuts.values() for c, x in found}.values())


def _metric(leaf: Leaf) -> str | None:
    if isinstance(leaf, Count):
        return leaf.of.metric
    return None if isinstance(leaf, Score) else leaf.metric


def _cuts(leaf: Leaf) -> list[float]:
    """The numbers that a resolved leaf compares its quantity with."""
    match leaf:
        case Threshold(value=value, hysteresis=back):
            limit, margin = float(value), float(back)
            return [limit, limit + margin if leaf.falling else limit - margin]
        case Change(by=by, hysteresis=back):
            return [float(by), float(by) - float(back)]
        case Deviation(by=by, hysteresis=back):
            limit, clear = float(by), float(by) - float(back)
            return [limit, clear, -limit, -clear]
        case Unusual(value=value, clear_below=clear):
            return [float(value), float(clear)]
        case Count(at_least=least):
            return [float(least)]
    return []
