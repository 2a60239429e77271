"""``Engine``: the same decisions as ``rules.step``, in place and fast.

Most readings change nothing: they lie between the same limits as the one before. The engine proves that with
a few comparisons (``rules.compiled.Filter``), remembers the value, and goes on; all else takes the way of
the reference.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import islice
from operator import eq, ge

from rules.compiled import Compiled, Filter
from rules.evaluate import UNFIT, beyond
from rules.intake import FUTURE_SKEW, row_at
from rules.model import Input, Measured, Readings, Transition
from rules.response.react import due as timer_due
from rules.risk import with_risk
from rules.signals import DOUBTED, Series
from rules.state import State, Subject, Watched
from rules.step import answer, apply
from rules.work import Work

__all__ = ["Engine"]


class Engine:
    """Owns a state and changes it in place.

    Not ``responding``, it decides conditions only: nobody is told or asked, nothing escalates, and an alarm
    is over when its condition ends. So it is at the edge, where nobody answers an alarm.

    After any exception but RuleError the state must not be used any more: make it anew from a snapshot and
    the journal.
    """

    def __init__(self, state: State, *, responding: bool = True) -> None:
        self.state = state
        self._responding = responding

    def step(self, event: Input) -> tuple[Transition, ...]:
        """Apply one input. Raises RuleError for a command that is refused; nothing has changed then."""
        work = Work(self.state, event.seq, event.now, copying=False)
        if isinstance(event, Readings):
            self._readings(work, with_risk(work, work.refined(event)))
        else:
            apply(work, event)
        if self._responding:
            return answer(work, event)
        self.state.seq = event.seq
        return tuple(work.transitions)

    def due(self, now: int) -> bool:
        """Whether a Tick at ``now`` (UTC ns) would do anything."""
        if self._responding and timer_due(self.state.responses, now):
            return True
        work = Work(self.state, self.state.seq, now, copying=False)
        return any(work.is_due(name, subject) for name, subject in self.state.subjects.items())

    def _readings(self, work: Work, event: Readings) -> None:
        rows = event.rows
        keys = list(zip(rows.time, rows.patient, rows.device, rows.metric, strict=True))
        order: Sequence[int] = range(len(keys))
        if any(map(ge, keys, islice(keys, 1, None))):
            order = sorted(order, key=keys.__getitem__)
            keys = [keys[i] for i in order]
            if any(map(eq, keys, islice(keys, 1, None))):
                work.readings(event)  # a signal twice at one time: in the reference's order
                return
        work.hear(event)
        rest = _Pass(work, event, order).run()
        known = work.state.rules.by_metric
        for name, indices in rest.items():
            found = [row_at(rows, i, event.now) for i in indices]
            if name:
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
    """One pass over the rows of an input, in order of time, subject, device and signal.

    Rows of one measurement follow each other: they are remembered first and judged together.
    """

    def __init__(self, work: Work, event: Readings, order: Sequence[int]) -> None:
        self._work = work
        self._event = event
        self._order = order
        self._marks: dict[str, int] = {}
        self._rows: list[int] = []
        self._others: list[int] = []
        self._past: list[int] = []
        self._rules: tuple[Compiled, ...] = ()

    def run(self) -> dict[str, list[int]]:  # noqa: C901, PLR0912, PLR0915 - calls would cost more than the work
        """Take what is quick; returns by subject the rows that are not."""
        rows, source = self._event.rows, self._event.source
        patients, devices, metrics, values = rows.patient, rows.device, rows.metric, rows.value
        times, receiveds, qualities = rows.time, rows.received, rows.quality
        subjects, looked_at = self._work.state.subjects, self._work.state.rules.by_metric
        wall = self._work.state.sources[source][0]
        limit, only = self._event.now + FUTURE_SKEW, (source,)
        rest: dict[str, list[int]] = {}
        remembered = self._rows
        now_name, now_device, now_time = "", "", -1
        for i in self._order:
            name, time, device, metric = patients[i], times[i], devices[i], metrics[i]
            if metric not in looked_at:
                continue
            if rest and name in rest:
                rest[name].append(i)
                continue
            if time != now_time or device != now_device or name != now_name:
                if self._rules or self._others or self._past:
                    self._judge()
                remembered.clear()
                now_name, now_device, now_time = name, device, time
                found = subjects.get(name)
                if found is None or found.plan is None or found.waiting or found.evident:
                    rest[name] = [i]
                    continue
                subject = found
                if subject.sources == only:
                    mark = wall
                elif source in subject.sources:
                    mark = self._mark(name, subject)
                else:
                    rest[name] = [i]
                    continue
                if time > mark or time > limit:
                    rest[name] = [i]
                    continue
                if time >= subject.wake:
                    self._work.come(name, subject, time)
                filters, watches, series_of = found.plan.filters, subject.watched, subject.series
            filtered = filters.get(metric)
            if filtered is None:
                if time > subject.clock:
                    subject.clock, subject.struck = time, False
                continue
            value, received, quality = values[i], receiveds[i], qualities[i]
            known = series_of.get(metric)
            series = known.get(device) if known is not None else None
            if (
                series is None
                or value is None
                or value != value  # noqa: PLR0124 - NaN
                or time <= series.time
                or time < series.spoken
                or quality != series.quality
                or quality & UNFIT
                or received - time > filtered.lateness
                or time < subject.clock
            ):
                past = (
                    series is not None
                    and value is not None
                    and value == value  # noqa: PLR0124 - NaN
                    and time < series.time
                    and time < series.spoken
                    and time < subject.clock
                    and not quality & UNFIT
                    and filtered.harmless(value)
                )
                (self._past if past else self._others).append(i)
                continue
            if value.__class__ is not float:
                value = float(value)
            last = series.time
            stale = last < 0 or time - last > filtered.fresh or series.received - last > filtered.lateness
            series.time, series.value, series.received, series.spoken = time, value, received, time
            series.recent.append((time, value))
            cell = filtered.cells.get(value)
            if cell is None:
                cell = filtered.cell(value)
            watched = watches.get(metric) if watches else None
            if series.cell < 0:  # no rule has looked at it yet as it stands
                self._rules += filtered.rules
            if stale:  # known again, and its silence starts anew
                self._rules += filtered.reached(-1, cell, value)
                if quality:
                    self._rules += filtered.flagged
                if filtered.silence is not None:
                    subject.wake = min(subject.wake, time + filtered.silence)
            elif cell != series.cell:
                self._rules += filtered.reached(series.cell, cell, value)
            if watched is not None and (stale or cell != series.cell):
                self._rules += watched.extremes
            series.cell = cell
            if filtered.derived:
                frozen = watched is not None and watched.frozen
                found_rules = _push(series, filtered, value, stale=stale, frozen=frozen)
                if found_rules:
                    self._rules += found_rules
            if watched is not None:
                self._rules += _watch(series, watched, value)
            remembered.append(i)
            if time > subject.clock:
                subject.clock, subject.struck = time, False
        if self._rules or self._others or self._past:
            self._judge()
        return rest

    def _mark(self, name: str, subject: Subject) -> int:
        mark = self._marks.get(name)
        if mark is None:
            mark = self._marks[name] = self._work.watermark(subject)
        return mark

    def _judge(self) -> None:
        """Judge the measurement that has been remembered, with those of its rows that were not quick."""
        rows = self._event.rows
        if self._past:
            if not (self._rows or self._others):
                self._remember_past()
                return
            self._others += self._past
            self._past.clear()
        name = rows.patient[(self._rows or self._others)[0]]
        subject = self._work.state.subjects[name]
        others = [row_at(rows, i, self._event.now) for i in self._others]
        rules, self._rules = self._rules, ()
        self._others.clear()
        if not subject.episodes and not others:
            rules = tuple(c for c in rules if c.required <= subject.series.keys())
        wake = subject.wake
        settle = bool(others or subject.episodes)
        if rules or others:
            taken = [
                Measured(
                    rows.metric[i],
                    rows.device[i],
                    rows.time[i],
                    float(rows.value[i] or 0.0),
                    rows.received[i],
                )
                for i in self._rows
            ]
            self._work.measurement(name, subject, sorted(others), taken, rules)
        if settle or subject.episodes:
            self._work.settle(name, subject)
        else:
            subject.wake = wake

    def _remember_past(self) -> None:
        """A measurement out of a backlog, all of it known newer and none of it beyond any limit."""
        rows = self._event.rows
        subject = self._work.state.subjects[rows.patient[self._past[0]]]
        for i in self._past:
            recent = subject.series[rows.metric[i]][rows.device[i]].recent
            mark = rows.time[i], float(rows.value[i] or 0.0)
            if mark not in recent:
                recent.append(mark)
        self._past.clear()
        subject.doubt()


def _watch(series: Series, watched: Watched, value: float) -> tuple[Compiled, ...]:
    """The rules whose open episodes the value may change."""
    if series.low <= value <= series.high and series.time <= watched.until:
        return watched.always
    series.low, series.high = min(series.low, value), max(series.high, value)
    return watched.always + watched.extremes


def _push(
    series: Series, filtered: Filter, value: float, *, stale: bool, frozen: bool
) -> tuple[Compiled, ...]:
    """Give the newest value to all derived quantities; returns the rules of which one passed a limit."""
    concerned: tuple[Compiled, ...] = ()
    doubted, time = series.quality & DOUBTED, series.time
    for feature, cuts, owners in series.bound_to(filtered.derived):
        before = feature.output
        if not (doubted and feature.sound_only):
            feature.push(time, value, frozen=frozen)
        after = feature.output
        if stale:
            if after is not None:
                concerned += tuple(c for c, leaf in owners if beyond(leaf, after))
            continue
        if before == after:
            continue
        if before is not None and after is not None:
            low = bisect_left(cuts, before) == bisect_left(cuts, after)
            if low and bisect_right(cuts, before) == bisect_right(cuts, after):
                continue
        concerned += tuple(c for c, _ in owners)
    return concerned
