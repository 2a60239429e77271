"""One step under way: readings, timers, commands and configurations applied to subjects.

How readings are judged
- Per subject in order of measurement time, as far as its sources have told (the watermark); what lies beyond
  waits. Values of one device and time are one measurement and are judged together. Before it is judged,
  timers that end by its time end.
- A limit without delay signals even what still waits; when its turn comes, the alarm is known.
- A repeated reading (device, signal, time and value as one of the last 16) is ignored.
- A reading older than its device's newest of that signal, or measured over a minute before it was received
  and older than any device's newest, is superseded: it never changes a condition. If it breaches it becomes
  a ``late`` entry for the worklist, as does a breach received later than the rule's ``max_lateness_s``, and
  one out of a device's memory of which nobody knows when it was measured, or that its device calls not valid:
  these change nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hearthward.core.errors import RuleError
from rules.adoption import Adoption
from rules.compiled import Compiled
from rules.detectors.quality import refine
from rules.evaluate import deadline, due, judge_alone, too_late
from rules.intake import FUTURE_SKEW, Taken, came_late, measurements, rows_of, take
from rules.model import Adopt, Configuration, Measured, Readings, Transition
from rules.rule import SECOND
from rules.state import NEVER, Row, State, Subject
from rules.words import INVALID, UNDATED

__all__ = ["IDLE", "Work"]

IDLE: Final = 5 * SECOND
"""A source not heard of for so long holds nobody's watermark back."""
SOURCES_KEPT: Final = 16


class Work:
    """The subjects that a step touches; with ``copying`` it leaves the ones before as they were."""

    def __init__(self, state: State, seq: int, now: int, *, copying: bool) -> None:
        self.state = state
        self.now = now
        self._own: set[str] | None = set() if copying else None
        self.episodes = Adoption(state, seq, now)

    @property
    def transitions(self) -> list[Transition]:
        """What has come of it so far."""
        return self.episodes.transitions

    def subject(self, name: str) -> Subject:
        """A subject that may be changed; made when it is new."""
        found = self.state.subjects.get(name)
        if found is None:
            found = self.state.subjects[name] = Subject()
        elif self._own is not None and name not in self._own:
            found = self.state.subjects[name] = found.copy()
        if self._own is not None:
            self._own.add(name)
        return found

    # -- readings

    def refined(self, event: Readings) -> Readings:
        """The same with what the quality gate says of each value: before anything else is made of them."""
        keep, until = self.state.rules.memory_ns, self.now + FUTURE_SKEW
        rows = refine(self.state.gate, event.rows, keep, until, copying=self._own is not None)
        return event if rows is event.rows else replace(event, rows=rows)

    def hear(self, event: Readings) -> None:
        """Note how far the source has told: never further than a little ahead of our own time."""
        wall = min(event.wall or self.now, self.now + FUTURE_SKEW)
        self.state.sources[event.source] = wall, self.now

    def readings(self, event: Readings) -> None:
        """Take all rows: those within their subject's watermark are judged, others wait."""
        self.hear(event)
        arrived: defaultdict[str, list[Row]] = defaultdict(list)
        for name, row in rows_of(event.rows, self.now, self.state.rules):
            arrived[name].append(row)
        for name, rows in arrived.items():
            subject = self.subject(name)
            self.add_source(subject, event.source)
            self.arrive(name, subject, rows)

    def add_source(self, subject: Subject, source: str) -> None:
        """Remember who sends for the subject."""
        if source not in subject.sources:
            subject.sources = (*subject.sources, source)[-SOURCES_KEPT:]

    def watermark(self, subject: Subject) -> int:
        """How far all talking sources of a subject have told (UTC ns)."""
        told = self.state.sources
        walls = [told[s][0] for s in subject.sources if s in told and self.now - told[s][1] < IDLE]
        return min(walls, default=self.now)

    def arrive(self, name: str, subject: Subject, rows: list[Row]) -> None:
        """Judge what has its turn, let the rest wait; undelayed limits signal it all the same."""
        mark = self.watermark(subject)
        later = sorted(r for r in rows if r.time > mark)
        ready = [r for r in rows if r.time <= mark]
        if later or subject.waiting:
            known = set(subject.waiting)
            ready += [r for r in subject.waiting if r.time <= mark]
            subject.waiting = sorted({r for r in (*known, *later) if r.time > mark})
        for measurement in measurements(sorted(ready)):
            self.measurement(name, subject, measurement)
        self._ahead(name, subject, later)
        self.settle(name, subject)

    def measurement(
        self,
        name: str,
        subject: Subject,
        rows: list[Row],
        taken: Sequence[Measured] = (),
        rules: tuple[Compiled, ...] = (),
    ) -> None:
        """Judge one measurement. ``taken`` are remembered already, and concern just ``rules``."""
        time = taken[0].time if taken else rows[0].time
        behind = time < subject.clock
        self.fire(name, subject, time, arriving=True)
        plan = self.episodes.plan(name, subject)
        frozen = self.episodes.frozen(subject) if rows else frozenset[str]()
        found = take(subject, plan, rows, self.state.rules.memory_ns, frozen)
        news, superseded, undated, invalid, told = found
        late = any(came_late(m) for m in (*news, *superseded))
        concerned: dict[str, Compiled] = {c.key: c for c in rules}
        for reading in (*news, *superseded, *undated, *invalid):
            concerned.update({c.key: c for c in plan.filters[reading.metric].rules})
        for metric in told:
            concerned.update({c.key: c for c in plan.filters[metric].flagged})
        news[:0] = taken
        subject.wake = -1
        self.episodes.memo.clear()
        for _, compiled in sorted(concerned.items()):
            self._consider(name, subject, compiled, time, found, late=late)
        if behind or any(m.received - m.time > plan.filters[m.metric].lateness for m in news):
            subject.doubt()

    def _consider(
        self,
        name: str,
        subject: Subject,
        compiled: Compiled,
        time: int,
        found: Taken,
        *,
        late: bool,
    ) -> None:
        """Judge one rule on a measurement, and note for the worklist what cannot signal any more."""
        news, superseded, undated, invalid, told = found
        inputs = compiled.rule.inputs
        fresh = [m for m in news if m.metric in inputs]
        worklist = [m for m in superseded if m.metric in inputs]
        worklist += [m for m in fresh if too_late(compiled, m.time, m.received)]
        usable = [m for m in fresh if not too_late(compiled, m.time, m.received)]
        filters = self.episodes.plan(name, subject).filters
        flagged = any(compiled in filters[m].flagged for m in told)
        possible = compiled.key in subject.episodes or compiled.required <= subject.series.keys()
        if possible and (usable or flagged):
            self.episodes.judge(name, subject, compiled, time, late=late, news=usable)
        if worklist:
            self.episodes.worklist(name, subject, compiled, time, worklist)
        for readings, words in ((undated, UNDATED), (invalid, INVALID)):
            if aside := [m for m in readings if m.metric in inputs]:
                self.episodes.worklist(name, subject, compiled, time, aside, words)

    def _ahead(self, name: str, subject: Subject, rows: list[Row]) -> None:
        """Signal at once what undelayed limits say of measurements that still wait."""
        if not rows:
            return
        plan = self.episodes.plan(name, subject)
        for part in measurements(rows):
            readings = [
                Measured(r.metric, r.device, r.time, r.value, r.received)
                for r in part
                if r.metric in plan.filters and self.episodes.usable(subject, r)
            ]
            concerned = {c.key: c for m in readings for c in plan.filters[m.metric].rules if c.prompt}
            for _, compiled in sorted(concerned.items()):
                fit = [m for m in readings if not too_late(compiled, m.time, m.received)]
                verdict = judge_alone(compiled, fit, part[0].time)
                told = compiled.key in subject.episodes or compiled.prompt is None
                if not told and compiled.prompt and compiled.prompt(verdict.results) is True:
                    late = any(came_late(m) for m in fit)
                    self.episodes.open_early(name, subject, compiled, verdict, late=late)

    # -- timers

    def tick(self) -> None:
        """Let time come to what each subject's sources have told."""
        for name in sorted(n for n, s in self.state.subjects.items() if self.is_due(n, s)):
            subject = self.subject(name)
            mark = self.watermark(subject)
            self.arrive(name, subject, [])
            self.fire(name, subject, mark)
            self.settle(name, subject)

    def is_due(self, name: str, subject: Subject) -> bool:
        """Whether a tick would change anything about the subject."""
        mark = self.watermark(subject)
        if subject.waiting and subject.waiting[0].time <= mark:
            return True
        if subject.wake > mark:
            return False
        subject.wake = self.next_timer(name, subject)[0]
        return subject.wake <= mark

    def settle(self, name: str, subject: Subject) -> None:
        """Bring what is derived up to date after a change."""
        subject.wake = self.next_timer(name, subject)[0]
        self.episodes.watch(name, subject)

    def fire(self, name: str, subject: Subject, upto: int, *, arriving: bool = False) -> None:
        """End what ends by ``upto``, in order of time.

        What is ``arriving`` at ``upto`` comes in time: nothing counts as missing just then.
        """
        if subject.clock < 0 or upto < subject.wake:
            subject.move(upto, struck=not arriving)
            return
        silence = upto - 1 if arriving else upto
        while True:
            at, kind, key = self.next_timer(name, subject, silence)
            if at > upto:
                break
            subject.move(at, struck=kind == "missing")
            if kind == "plan":
                self.episodes.replan(name, subject, at, at)
            elif kind == "missing":
                for compiled in self._silent(name, subject, at):
                    self.episodes.judge(name, subject, compiled, at, late=False, news=[])
            else:
                self.episodes.end_wait(name, subject, key, at)
        subject.move(upto, struck=not arriving)

    def come(self, name: str, subject: Subject, at: int) -> None:
        """``fire`` and ``settle`` for what arrives at ``at``, in one look where no timer has ended."""
        if subject.clock >= 0 and subject.plan is not None:
            first, wake = self._timers(name, subject, at - 1)
            if first[0] > at:
                subject.move(at, struck=False)
                subject.wake = wake
                return
        self.fire(name, subject, at, arriving=True)
        self.settle(name, subject)

    def _silent(self, name: str, subject: Subject, at: int) -> list[Compiled]:
        """The rules to whom a signal counts as missing from just ``at`` on."""
        context = self.state.context(name)
        timed = self._patient(subject, self.episodes.plan(name, subject).timed)
        return [c for c in timed if any(deadline(x, subject, context, c.key) == at for x in c.missing)]

    @staticmethod
    def _patient(subject: Subject, timed: tuple[Compiled, ...]) -> list[Compiled]:
        """Those of the rules that wait for silence which it may open or has opened."""
        known, episodes = subject.series.keys(), subject.episodes
        return [c for c in timed if not c.required or c.key in episodes or c.required <= known]

    def next_timer(self, name: str, subject: Subject, silence: int = NEVER) -> tuple[int, str, str]:
        """(when, of what kind, whose) the next timer ends; ``NEVER`` when there is none.

        At one time what falls silent comes first, all of it at once: the clock tells what has been. What
        falls silent after ``silence`` is left out.
        """
        return self._timers(name, subject, silence)[0]

    def _timers(self, name: str, subject: Subject, silence: int) -> tuple[tuple[int, str, str], int]:
        """``next_timer``, and when it would end if nothing were left out."""
        best, later = self._first_wait(name, subject), NEVER
        if subject.clock < 0:
            return best, best[0]
        expected = self.state.context(name).expected
        for compiled in self._patient(subject, self.episodes.plan(name, subject).timed):
            for leaf in compiled.silences:
                at = due(*leaf, subject, expected, compiled.key)
                if at is None or subject.past(at):
                    continue
                if at > silence:
                    later = min(later, at)
                elif at <= best[0]:
                    best = min(best, (at, "missing", compiled.key))
        return best, min(best[0], later)

    def _first_wait(self, name: str, subject: Subject) -> tuple[int, str, str]:
        """The first timer to end that waits for no reading."""
        rules = self.episodes.plan(name, subject).rules
        best = subject.plan_until, "plan", ""
        for key, episode in subject.episodes.items():
            if episode.condition != "active":
                best = min(best, (episode.due, "wait", key))
            elif episode.clear_at is None or key not in rules:
                continue
            elif not self.episodes.held(subject, rules[key], episode):  # else it ends by a reading only
                best = min(best, (episode.clear_at + rules[key].clear_after, "wait", key))
        return best

    def adopt(self, event: Adopt) -> None:
        """Take what a gateway has decided. Raises RuleError before anything is changed."""
        if event.rule not in self.state.rules.by_id:
            msg = f"there is no rule {event.rule!r}"
            raise RuleError(msg, rule=event.rule, subject=event.subject)
        subject = self.subject(event.subject)
        if subject.clock < 0:
            subject.clock = min(event.onset, self.now)
        self.episodes.adopt(event, subject)
        self.settle(event.subject, subject)

    def relearn(self, name: str, metric: str) -> None:
        """A subject's signal has a new level for good: what is usual of it is learned anew."""
        if name not in self.state.subjects:
            return
        subject = self.subject(name)
        for series in subject.series.get(metric, {}).values():
            series.relearn()
        subject.doubt()

    # -- configuration

    def configure(self, event: Configuration) -> None:
        """Put other rules or contexts in force; conditions of rules that stay are kept."""
        state = self.state
        for name in sorted(event.closed_patients & state.subjects.keys()):
            self.episodes.close(name, self.subject(name))
            del state.subjects[name]
        for name in event.closed_patients:
            state.contexts.pop(name, None)
            state.gate.pop(name, None)
        changed = self._recontext(event)
        rules = event.rules
        if rules is not None and rules.hash != state.rules.hash:
            changed |= set(state.subjects)
            self.episodes.change_rules(rules)
        for name in sorted(changed):
            subject = self.subject(name)
            if subject.clock < 0:
                subject.clock = self.now
            subject.plan = None
            told = max(self.watermark(subject), subject.clock)
            self.episodes.replan(name, subject, max(self.now, subject.clock), told)
            self.settle(name, subject)
        self.episodes.forget_old_rules()
        for name, metrics in sorted(event.relearn.items()):
            for metric in metrics:
                self.relearn(name, metric)

    def _recontext(self, event: Configuration) -> set[str]:
        """Take over contexts; returns the subjects for whom something changed."""
        changed = set()
        for name, context in event.contexts.items():
            if name in event.closed_patients or self.state.contexts.get(name) == context:
                continue
            if context is None:
                self.state.contexts.pop(name, None)
            else:
                self.state.contexts[name] = context
            if name in self.state.subjects or (context is not None and context.expected):
                changed.add(name)
        return changed
