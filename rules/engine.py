"""``Engine``: the same decisions as ``rules.step``, in place and fast.

Most readings change nothing: they lie between the same limits as the one before. The engine proves that with
a few comparisons (``rules.compiled.Filter``), remembers the value, and goes on; all else takes the way of
the reference.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise

from rules.compiled import Compiled, Filter
from rules.evaluate import UNFIT
from rules.intake import FUTURE_SKEW, row_at
from rules.model import Input, Measured, Readings, Rows, Transition
from rules.signals import Series
from rules.state import State, Subject, Watched
from rules.step import apply
from rules.work import Work

__all__ = ["Engine"]


class Engine:
    """Owns a state and changes it in place.

    After any exception but RuleError the state must not be used any more: make it anew from a snapshot and
    the journal.
    """

    def __init__(self, state: State) -> None:
        self.state = state

    def step(self, event: Input) -> tuple[Transition, ...]:
        """Apply one input. Raises RuleError for a command that is refused; nothing has changed then."""
        work = Work(self.state, event.seq, event.now, copying=False)
        if isinstance(event, Readings):
            self._readings(work, event)
        else:
            apply(work, event)
        self.state.seq = event.seq
        return tuple(work.transitions)

    def due(self, now: int) -> bool:
        """Whether a Tick at ``now`` (UTC ns) would do anything."""
        work = Work(self.state, self.state.seq, now, copying=False)
        return any(work.is_due(name, subject) for name, subject in self.state.subjects.items())

    def _readings(self, work: Work, event: Readings) -> None:
        rows = event.rows
        keys = list(zip(rows.time, rows.device, rows.metric, strict=True))
        order: Sequence[int] = range(len(keys))
        if any(a >= b for a, b in pairwise(keys)):
            order = sorted(order, key=keys.__getitem__)
            if any(keys[i] == keys[j] for i, j in pairwise(order)):
                work.readings(event)  # a signal twice at one time: in the reference's order
                return
        work.hear(event)
        rest = _Pass(work, event, order).run()
        known = work.state.rules.by_metric
        for name, indices in rest.items():
            found = [row_at(rows, i, event.now) for i in indices if rows.metric[i] in known]
            if name and found:
                subject = work.subject(name)
                work.add_source(subject, event.source)
                work.arrive(name, subject, found)
        if work.transitions:
            first: dict[str, int] = {}
            for i, name in enumerate(rows.patient):
                if rows.metric[i] in known:
                    first.setdefault(name, i)
            work.transitions.sort(key=lambda t: first[t.patient])


class _Pass:
    """One pass over the rows of an input, in order of time."""

    def __init__(self, work: Work, event: Readings, order: Sequence[int]) -> None:
        self._work = work
        self._event = event
        self._order = order
        self._marks: dict[str, int] = {}

    def run(self) -> dict[str, list[int]]:  # noqa: C901, PLR0912, PLR0915 - calls would cost more than the work
        """Take what is quick; returns by subject the rows that are not."""
        rows, source = self._event.rows, self._event.source
        patients, devices, metrics, values = rows.patient, rows.device, rows.metric, rows.value
        times, receiveds, qualities = rows.time, rows.received, rows.quality
        subjects = self._work.state.subjects
        wall = self._work.state.sources[source][0]
        limit, only = self._event.now + FUTURE_SKEW, (source,)
        rest: dict[str, list[int]] = {}
        skip: set[int] = set()
        for i in self._order:
            name = patients[i]
            if name in rest:
                rest[name].append(i)
                continue
            if i in skip:
                continue
            subject = subjects.get(name)
            if subject is None or subject.plan is None or subject.waiting:
                rest[name] = [i]
                continue
            time, metric = times[i], metrics[i]
            if subject.sources == only:
                mark = wall
            elif source in subject.sources:
                mark = self._mark(name, subject)
            else:
                rest[name] = [i]
                continue
            if time > mark or time > limit or time >= subject.wake:
                rest[name] = [i]
                continue
            filtered = subject.plan.filters.get(metric)
            if filtered is None:
                if metric in self._work.state.rules.by_metric and time > subject.clock:
                    subject.clock = time
                continue
            value, received, quality = values[i], receiveds[i], qualities[i]
            known = subject.series.get(metric)
            series = known.get(devices[i]) if known is not None else None
            if (
                series is None
                or value is None
                or value != value  # noqa: PLR0124 - NaN
                or time <= series.time
                or time < series.spoken
                or quality != series.quality
                or quality & UNFIT
                or received - time > filtered.lateness
            ):
                rest[name] = [i]
                continue
            if value.__class__ is not float:
                value = float(value)
            stale = (
                series.time < 0
                or time - series.time > filtered.fresh
                or series.received - series.time > filtered.lateness
            )
            series.time, series.value, series.received, series.spoken = time, value, received, time
            series.recent.append((time, value))
            cell = filtered.cells.get(value)
            if cell is None:
                cell = filtered.cell(value)
            concerned = filtered.rules if stale else ()
            if stale:
                subject.wake = -1  # a silence that had ended its timer starts it anew
            if cell != series.cell:
                concerned = concerned or filtered.between(series.cell, cell)
                series.cell = cell
            watched = subject.watched.get(metric)
            if filtered.derived:
                frozen = watched is not None and watched.frozen
                concerned = _push(series, filtered, time, value, concerned, frozen=frozen)
            if watched is not None:
                concerned = _watch(series, watched, value, concerned)
            if concerned:
                taken = Measured(metric, devices[i], time, value, received)
                self._judge(name, subject, i, taken, concerned, skip)
            elif time > subject.clock:
                subject.clock = time
        return rest

    def _mark(self, name: str, subject: Subject) -> int:
        mark = self._marks.get(name)
        if mark is None:
            mark = self._marks[name] = self._work.watermark(subject)
        return mark

    def _judge(
        self,
        name: str,
        subject: Subject,
        i: int,
        taken: Measured,
        rules: tuple[Compiled, ...],
        skip: set[int],
    ) -> None:
        """Judge the measurement that row ``i`` belongs to, with the rows of it that are still to come."""
        rows: Rows = self._event.rows
        seen = {taken.metric}
        others = []
        for j in range(self._order.index(i) + 1, len(self._order)):
            k = self._order[j]
            if rows.time[k] != taken.time or rows.device[k] != taken.device:
                break
            if rows.patient[k] == name and rows.metric[k] not in seen:
                seen.add(rows.metric[k])
                others.append(row_at(rows, k, self._event.now))
                skip.add(k)
        if not subject.episodes and not others:
            rules = tuple(c for c in rules if c.required <= subject.series.keys())
            if not rules:
                subject.clock = max(subject.clock, taken.time)
                if subject.wake < 0:
                    self._work.settle(name, subject)
                return
        had, wake = bool(subject.episodes), subject.wake
        self._work.measurement(name, subject, sorted(others), taken, rules)
        if others or had or subject.episodes or wake < 0:
            self._work.settle(name, subject)
        else:
            subject.wake = wake


def _watch(
    series: Series, watched: Watched, value: float, concerned: tuple[Compiled, ...]
) -> tuple[Compiled, ...]:
    """Adds the rules whose open episodes the value may change."""
    found = (*concerned, *watched.always)
    if series.time > watched.until or not series.low <= value <= series.high:
        series.low, series.high = min(series.low, value), max(series.high, value)
        found = (*found, *watched.extremes)
    return found


def _push(
    series: Series,
    filtered: Filter,
    time: int,
    value: float,
    concerned: tuple[Compiled, ...],
    *,
    frozen: bool,
) -> tuple[Compiled, ...]:
    """Give the value to all derived quantities; adds the rules of which one passed a limit."""
    for key, cuts, owners in filtered.derived:
        feature = series.features[key]
        before = feature.output
        feature.push(time, value, frozen=frozen)
        after = feature.output
        if before == after:
            continue
        if before is not None and after is not None:
            low = bisect_left(cuts, before) == bisect_left(cuts, after)
            if low and bisect_right(cuts, before) == bisect_right(cuts, after):
                continue
        concerned = tuple({c.key: c for c in (*concerned, *owners)}.values())
    return concerned
