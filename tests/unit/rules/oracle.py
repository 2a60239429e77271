"""The rules again, the slow and obvious way: whole histories are scanned at each moment, in order of time.

Covers what in-order data of one source can show (no late readings, one rule set, no limits of single
patients): plain and smoothed limits, changes, counts, silence, and / or / not, delay, hysteresis and
clear-after. It shares the rules' data types with the product, and no code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import median
from typing import NamedTuple

from rules import Rows
from rules.conditions import All, Any_, Change, Count, Missing, Node, Not, Threshold
from rules.rule import SECOND, Rule

__all__ = ["Measured", "Span", "alarms", "rows_of"]


class Measured(NamedTuple):
    """What one device measured at one time."""

    patient: str
    device: str
    time: int
    values: dict[str, float]


class Span(NamedTuple):
    """One alarm: since when breached, since when told, when ended."""

    patient: str
    rule: str
    onset: int
    start: int
    end: int | None


def rows_of(measured: Sequence[Measured]) -> Rows:
    return Rows.of(
        (m.patient, m.device, metric, value, m.time, m.time, 0)
        for m in measured
        for metric, value in m.values.items()
    )


def alarms(rules: Sequence[Rule], measured: Sequence[Measured], until: int) -> list[Span]:
    """All alarms of a history, in order of time and device, that ends with time passing ``until``."""
    found = []
    known = {metric for rule in rules for metric in rule.inputs}
    for patient in {m.patient for m in measured}:
        own = [m for m in measured if m.patient == patient and m.values.keys() & known]
        for rule in rules:
            found += [Span(patient, rule.id, *span) for span in _Life(rule, own).spans(until)]
    return sorted(found)


@dataclass
class _Life:
    """One rule and one patient: every moment at which something may change is looked at."""

    rule: Rule
    history: list[Measured]
    seen: int = 0
    onset: int | None = None
    start: int | None = None
    clear: int | None = None
    part: set[int] = field(default_factory=set)
    """The leaves that had a part in the breach, by their place."""
    struck: int = -1
    """Up to when silence has been looked at: what arrives at just that time comes before."""
    found: list[tuple[int, int, int | None]] = field(default_factory=list)

    def spans(self, until: int) -> list[tuple[int, int, int | None]]:
        for i, m in enumerate(self.history):
            self._timers(m.time, arriving=True)
            self.seen = i + 1
            if m.values.keys() & self.rule.inputs.keys():
                self._judge(m.time)
        self._timers(until)
        if self.onset is not None and self.start is not None:
            self.found.append((self.onset, self.start, None))
        return self.found

    def _timers(self, upto: int, *, arriving: bool = False) -> None:
        """What ends by itself up to a time, in order; what is arriving then comes in time."""
        if not self.seen:
            return
        last = {"missing": upto - arriving, "wait": upto}
        while due := min((d for d in self._due() if d[0] <= last[d[1]]), default=None):
            after, kind = due
            if kind == "missing":
                self.struck = after
                self._judge(after)
            elif self.start is None:
                self.start = after
            elif self._opens_or_holds(after, staying=True) is False:
                self._end(after)
            else:
                self.clear = None
        self.struck = max(self.struck, last["missing"])

    def _due(self) -> Iterator[tuple[int, str]]:
        for leaf in _leaves(self.rule.condition):
            if isinstance(leaf, Missing):
                times = [m.time for m in self.history[: self.seen] if leaf.metric in m.values]
                if times and max(times) + _ns(leaf.for_s) > self.struck:
                    yield max(times) + _ns(leaf.for_s), "missing"
        if self.onset is not None and self.start is None:
            yield self.onset + _ns(self.rule.delay_s), "wait"
        if self.clear is not None:
            yield self.clear + _ns(self.rule.clear_after_s), "wait"

    def _judge(self, at: int) -> None:
        opens = self._opens_or_holds(at, staying=False)
        if self.onset is None:
            if opens:
                self.onset, self.part = at, self._taking_part(at)
                self.start = at if not self.rule.delay_s else None
        elif self.start is None:
            if opens:
                self.part |= self._taking_part(at)
            else:
                self.onset = None
        elif self._opens_or_holds(at, staying=True) is False:
            self.clear = at if self.clear is None else self.clear
            if at - self.clear >= _ns(self.rule.clear_after_s):
                self._end(at)
        else:
            self.clear = None
            self.part |= self._taking_part(at)

    def _end(self, at: int) -> None:
        assert self.onset is not None
        assert self.start is not None
        self.found.append((self.onset, self.start, at))
        self.onset = self.start = self.clear = None

    # -- what holds

    def _opens_or_holds(self, at: int, *, staying: bool) -> bool | None:
        return self._truth(self.rule.condition, at, staying, negated=False, place=[0])

    def _truth(self, node: Node, at: int, staying: bool, *, negated: bool, place: list[int]) -> bool | None:  # noqa: FBT001
        """True, False, or None when it cannot be known; under a ``not`` the margins change sides."""
        if isinstance(node, All | Any_):
            parts = [self._truth(p, at, staying, negated=negated, place=place) for p in node.parts]
            decisive = isinstance(node, Any_)
            if decisive in parts:
                return decisive
            return None if None in parts else not decisive
        if isinstance(node, Not):
            truth = self._truth(node.part, at, staying, negated=not negated, place=place)
            return None if truth is None else not truth
        place[0] += 1
        truth = self._leaf(node, at, margin=staying is not negated)
        if truth is None and staying and place[0] not in self.part:
            return negated  # never known during this breach: it is as if it were not there
        return truth

    def _taking_part(self, at: int) -> set[int]:
        taking = set()
        for i, (leaf, negated) in enumerate(_signed(self.rule.condition), 1):
            truth = self._leaf(leaf, at, margin=False)
            if truth or (negated and truth is not None):
                taking.add(i)
        return taking

    def _leaf(self, leaf: Node, at: int, *, margin: bool) -> bool | None:
        """``margin``: what lies within the hysteresis still counts as breached."""
        if isinstance(leaf, Missing):
            times = [m.time for m in self.history[: self.seen] if leaf.metric in m.values]
            return leaf.unseen if not times else min(at, self.struck) >= max(times) + _ns(leaf.for_s)
        assert isinstance(leaf, Threshold | Change | Count)
        metric = leaf.of.metric if isinstance(leaf, Count) else leaf.metric
        truths = []
        for device in {m.device for m in self.history[: self.seen]}:
            values = [
                (m.time, m.values[metric])
                for m in self.history[: self.seen]
                if m.device == device and metric in m.values
            ]
            if values and at - values[-1][0] <= self.rule.inputs[metric] * SECOND:
                truths.append(_breached(leaf, values, margin))
        known = [t for t in truths if t is not None]
        return any(known) if known else None


def _breached(leaf: Threshold | Change | Count, values: list[tuple[int, float]], margin: bool) -> bool | None:  # noqa: FBT001
    now, newest = values[-1]
    if isinstance(leaf, Count):
        hits = [v for t, v in values if t > now - _ns(leaf.within_s) and _beyond(leaf.of, Fraction(v))]
        return len(hits) >= leaf.at_least
    if isinstance(leaf, Change):
        window = [v for t, v in values if t >= now - _ns(leaf.within_s)]
        swing = newest - min(window) if leaf.direction == "rise" else max(window) - newest
        limit = float(leaf.by)
        return swing >= limit or (margin and swing > limit - float(leaf.hysteresis))
    quantity = Fraction(newest)
    if leaf.smoothing is not None:
        kept = [Fraction(v) for t, v in values if t > now - _ns(leaf.smoothing.window_s)]
        if len(kept) < leaf.smoothing.min_count:
            return None
        quantity = sum(kept) / len(kept) if leaf.smoothing.kind == "mean" else median(kept)
    if _beyond(leaf, quantity):
        return True
    if not margin:
        return False
    limit, back = float(leaf.value), float(leaf.hysteresis)
    return quantity < limit + back if leaf.op.endswith("below") else quantity > limit - back


def _beyond(leaf: Threshold, value: Fraction) -> bool:
    return {
        "below": value < leaf.value,
        "above": value > leaf.value,
        "at_or_below": value <= leaf.value,
        "at_or_above": value >= leaf.value,
    }[leaf.op]


def _signed(node: Node, *, negated: bool = False) -> Iterator[tuple[Node, bool]]:
    if isinstance(node, All | Any_):
        for part in node.parts:
            yield from _signed(part, negated=negated)
    elif isinstance(node, Not):
        yield from _signed(node.part, negated=not negated)
    else:
        yield node, negated


def _leaves(node: Node) -> Iterator[Node]:
    return (leaf for leaf, _ in _signed(node))


def _ns(seconds: float | str) -> int:
    return round(float(seconds) * SECOND)
