"""The life of a condition: asked, pending, active, ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from hearthward.core.ids import stable_id
from rules.compiled import Compiled, Plan, Planner
from rules.evaluate import UNFIT, Memo, Verdict, evaluate, fresh_until, judge_alone
from rules.evidence import seen_at, still_needed
from rules.extremes import (
    alike,
    breached,
    carry,
    forget_extremes,
    needed,
    remeasured,
    rescored,
    unclear,
    worsen,
)
from rules.filling import render
from rules.intake import came_late
from rules.model import Measured
from rules.rule import SECOND, Rule, RuleSet
from rules.shared import NOTHING, Span
from rules.state import NEVER, Episode, Row, State, Subject, Watched
from rules.transitions import Transitions
from rules.words import CLOSED, NOT_APPLICABLE, WITHDRAWN, followed

__all__ = ["GRACE", "LATE_MERGE", "UPDATE_EVERY", "Episodes"]

GRACE: Final = 30 * SECOND
"""So long a gateway's word that an episode is over may take longer than the reading that ended it."""
UPDATE_EVERY: Final = 60 * SECOND
"""A worsening is told at most once in this time."""
LATE_MERGE: Final = 600 * SECOND
"""Late breaches closer than this are one entry of the worklist."""
_PRIORITIES: Final = ("low", "medium", "high")


class Episodes(Transitions):
    """Changes the episodes of one step's subjects and collects the transitions."""

    def __init__(self, state: State, seq: int, now: int) -> None:
        super().__init__(state, seq, now)
        self.memo: Memo = {}
        """What several rules look at in one measurement, worked out once; cleared before each."""
        self._rules_before = state.rules

    # -- plans

    def plan(self, name: str, subject: Subject) -> Plan:
        """The rules as they stand for a subject."""
        if subject.plan is None:
            known = subject.planned if subject.planned >= 0 else subject.clock
            self._set_plan(name, subject, known if known >= 0 else self.now)
            self.watch(name, subject)  # one that a snapshot gave back has open episodes already
        assert subject.plan is not None  # noqa: S101 - just made
        return subject.plan

    def _set_plan(self, name: str, subject: Subject, at: int) -> None:
        context = self.state.context(name)
        subject.plan = plan = self.state.planner.plan(name, context, at)
        subject.planned = at
        subject.plan_until = context.next_change(at) or NEVER
        for metric in [m for m in subject.series if m not in plan.filters]:
            del subject.series[metric]
        for metric, devices in subject.series.items():
            for series in devices.values():
                series.need(plan.filters[metric].features)
                series.cell = -1

    def replan(self, name: str, subject: Subject, at: int, told: int) -> None:
        """Rules, limits or context changed: carry what stays over, reset what does not, judge anew.

        What holds at ``at`` is put in force at once; it is judged as far as the sources have ``told``.
        """
        self._set_plan(name, subject, at)
        rules = self.plan(name, subject).rules
        forget_extremes(subject)
        subject.breaching.clear()
        self.memo.clear()
        subject.lates = {key: times for key, times in subject.lates.items() if key in rules}
        for key, episode in sorted(subject.episodes.items()):
            if key in rules:
                subject.episodes[key] = carry(episode, rules[key], self._changed(key), at)
                self._reprioritise(name, subject, rules[key], at)
                continue
            del subject.episodes[key]
            text = NOT_APPLICABLE if key in self.state.rules.by_id else WITHDRAWN
            rule = self.state.rules.by_id.get(key) or self._rules_before.by_id[key]
            self._reset(name, rule, replace(episode, text=text), at)
        for _, compiled in sorted(rules.items()):
            self.judge(name, subject, compiled, told, late=False, news=[], again=True)

    def _changed(self, key: str) -> Rule | None:
        """The rule before its set was changed; None: it is the same."""
        before, now = self._rules_before, self.state.rules
        return None if before.hashes[key] == now.hashes[key] else before.by_id[key]

    def change_rules(self, rules: RuleSet) -> None:
        """Put another set in force; ``replan`` every subject afterwards."""
        self._rules_before = self.state.rules
        self.state.rules, self.state.planner = rules, Planner(rules)

    def forget_old_rules(self) -> None:
        """To be called when every subject has its new plan."""
        self._rules_before = self.state.rules

    def _reprioritise(self, name: str, subject: Subject, compiled: Compiled, at: int) -> None:
        before = subject.episodes[compiled.key]
        rule = compiled.rule
        if rule.priority == before.priority:
            return
        up = _PRIORITIES.index(rule.priority) > _PRIORITIES.index(before.priority)
        episode = subject.episodes[compiled.key] = replace(before, priority=rule.priority)
        if episode.condition == "active":
            self._tell("escalate" if up else "de-escalate", name, compiled, episode, at)

    def close(self, name: str, subject: Subject) -> None:
        """The patient has left: reset what is open."""
        for key, episode in sorted(subject.episodes.items()):
            self._reset(name, self.state.rules.by_id[key], replace(episode, text=CLOSED), self.now)
        subject.episodes = {}

    def _reset(self, name: str, rule: Rule, episode: Episode, at: int) -> None:
        self.state.alarms.pop(episode.alarm, None)
        if episode.alarm:
            hashes = (
                self.state.rules.hashes if rule.key in self.state.rules.hashes else self._rules_before.hashes
            )
            at = max(at, episode.started)
            self._transition("reset", name, rule, hashes[rule.key], episode, at)
            subject = self.state.subjects[name]
            if episode.condition == "active":
                self.over(subject, rule.key, Span(episode.alarm, episode.onset, at, entry=False))

    # -- judging

    def frozen(self, subject: Subject) -> frozenset[str]:
        """Signals of which nothing is learned now: an alarm on them is open.

        That of a score is about the patient and lasts for days: it holds back no signal.
        """
        rules = self.state.rules.by_id
        return frozenset(
            m
            for key, e in subject.episodes.items()
            if e.condition == "active" and not e.early and key in rules and rules[key].kind == "physiological"
            for m in rules[key].alarms_on
        )

    def watch(self, name: str, subject: Subject) -> None:
        """Work out what open episodes want of each signal.

        An active one that goes on being breached, and was told so, changes only by a new extreme, and so does
        one that is pending.
        """
        subject.watched = {}
        if not subject.episodes:
            return
        frozen = self.frozen(subject)
        rules = self.plan(name, subject).rules
        always: defaultdict[str, list[Compiled]] = defaultdict(list)
        extremes: defaultdict[str, list[Compiled]] = defaultdict(list)
        for key, e in sorted(subject.episodes.items()):
            compiled = rules[key]
            told = e.condition == "active" and e.told and not e.early and e.clear_at is None
            calm = (told or e.condition == "pending") and key in subject.breaching
            for metric in compiled.rule.inputs:
                quiet = calm and metric not in compiled.derived
                (extremes if quiet else always)[metric].append(compiled)
        for metric in {*always, *extremes}:
            until = min((subject.breaching[c.key] for c in extremes[metric]), default=NEVER)
            subject.watched[metric] = Watched(
                tuple(always[metric]), tuple(extremes[metric]), until, metric in frozen
            )

    @staticmethod
    def usable(subject: Subject, row: Row) -> bool:
        """Whether a waiting row may signal ahead of its turn: a fit value that nothing newer supersedes."""
        if not row.known or row.quality & UNFIT:
            return False
        own = subject.series.get(row.metric, {}).get(row.device)
        return own is None or own.time < row.time

    def judge(
        self,
        name: str,
        subject: Subject,
        compiled: Compiled,
        at: int,
        *,
        late: bool,
        news: list[Measured],
        again: bool = False,
    ) -> None:
        """Judge one rule on what is known at ``at``.

        ``news`` has just come; ``again``: it is the rule, a limit or the context that changed.
        """
        verdict = self.look(name, subject, compiled, at)
        shared = subject.shared.get(compiled.key, NOTHING)
        subject.breaching.pop(compiled.key, None)
        if verdict.opens and not shared.seen:
            subject.breaching[compiled.key] = fresh_until(compiled, subject, at)
        episode = subject.episodes.get(compiled.key)
        if episode is None:
            onset = verdict.onset() if again else at
            clock = max(at, subject.clock) if again else subject.clock
            if verdict.opens and any(shared.covers(x, clock) for x in (at, onset)):
                subject.doubt()  # told already; the next reading is to be looked at whatever it is
            elif verdict.opens:
                self._open(name, subject, compiled, verdict, onset, late=late)
        elif episode.condition == "asked":
            self._second(name, subject, compiled, verdict, news)
        elif episode.condition == "pending":
            if verdict.opens:
                subject.episodes[compiled.key] = rescored(worsen(compiled, episode, verdict), verdict)
            else:
                del subject.episodes[compiled.key]
        else:
            self._hold(name, subject, compiled, verdict, late=late)

    def look(self, name: str, subject: Subject, compiled: Compiled, at: int) -> Verdict:
        """Judge a rule on what is known, by way of gateways' decisions, too; forgets what is not needed."""
        context, shared = self.state.context(name), subject.shared.get(compiled.key, NOTHING)
        if not shared.seen:
            return evaluate(compiled, subject, context, at, self.memo)
        seen = still_needed(subject, compiled, shared, at)
        if len(seen) < len(shared.seen):
            subject.share(compiled.key, replace(shared, seen=seen))
            forget_extremes(subject)  # those of readings that were known to be superseded
        return evaluate(compiled, seen_at(subject, compiled, seen, at), context, at)

    @staticmethod
    def held(subject: Subject, compiled: Compiled, episode: Episode) -> bool:
        """Whether a gateway that goes by the same limits keeps an episode open."""
        shared = subject.shared.get(compiled.key)
        held = () if shared is None else shared.holding(episode.alarm)
        return any(alike(compiled, e.rule_hash, e.limit) for e in held)

    def clear_after(self, subject: Subject, compiled: Compiled, episode: Episode) -> int:
        """For how long (ns) all must be clear for an episode to end.

        A gateway that keeps it open is given the time to say so itself; and what is derived from a past of
        which we may lack a part must rest on what we have.
        """
        if self.held(subject, compiled, episode):
            return compiled.clear_after + compiled.window + GRACE
        return compiled.clear_after

    def _hold(self, name: str, subject: Subject, compiled: Compiled, verdict: Verdict, *, late: bool) -> None:
        """Judge an active condition: does it go on, worsen, end?"""
        at, episode = verdict.at, subject.episodes[compiled.key]
        if episode.early and at < episode.onset:
            others = subject.shared.get(compiled.key, NOTHING)
            if verdict.opens and others.alone(verdict.onset(), episode.onset):
                earlier = replace(episode, onset=verdict.onset(), started=at, early=False)
                adopted = worsen(compiled, earlier, verdict)
                subject.episodes[compiled.key] = adopted = self._told(compiled, adopted, at)
                self._tell("update", name, compiled, adopted, at)
            elif verdict.opens:
                forget_extremes(subject)
            return
        if episode.early:
            episode = subject.episodes[compiled.key] = replace(episode, early=False)
        if verdict.holds(episode.peaks, needed(compiled, episode)):
            episode = worsen(compiled, unclear(episode), verdict)
            if not episode.told and at - episode.told_at >= UPDATE_EVERY:
                episode = self._told(compiled, episode, at)
                self._tell("update", name, compiled, replace(episode, late=late), at)
            subject.episodes[compiled.key] = episode
            return
        shared = subject.shared.get(compiled.key)
        if shared is not None and any(at <= e.last for e in shared.holding(episode.alarm)):
            return  # a gateway knew more of that time
        since = at if episode.clear_at is None else episode.clear_at
        shot = verdict.snapshot()
        text = render(compiled, compiled.rule.cleared, shot)
        done = replace(episode, clear_at=since, values=shot.values, text=text, late=late)
        if at - since >= self.clear_after(subject, compiled, episode):
            # a held one has waited for a reading: it was over when the time of being clear was
            over = since + compiled.clear_after if self.held(subject, compiled, episode) else at
            self._end(name, subject, compiled, done, over, shot.inputs)
        elif episode.clear_at is None:
            subject.episodes[compiled.key] = replace(episode, clear_at=since)

    def _end(
        self,
        name: str,
        subject: Subject,
        compiled: Compiled,
        done: Episode,
        at: int,
        inputs: tuple[dict[str, Any], ...] = (),
    ) -> None:
        del subject.episodes[compiled.key]
        self.state.alarms.pop(done.alarm, None)
        shared = subject.shared.get(compiled.key, NOTHING)
        done, at = replace(done, limit=compiled.limit), max(done.started, shared.until(done.started, at))
        self._tell("end", name, compiled, done, at, inputs=inputs)
        if done.condition == "active":
            known = {e.ours for e in shared.elsewhere}
            entries = [s for s in shared.overlapping(done.onset, at, entry=True) if s.alarm in known]
            self.absorb(name, subject, compiled, done.alarm, entries)
            self.over(subject, compiled.key, Span(done.alarm, done.onset, at, entry=False))

    def absorb(
        self, name: str, subject: Subject, compiled: Compiled, into: str, entries: Iterable[Span]
    ) -> None:
        """Entries of the worklist turn out to be parts of an alarm: they are to be looked at there."""
        for span in list(entries):
            subject.share(
                compiled.key, subject.shared[compiled.key].without_past(span.alarm).moved(span.alarm, into)
            )
            if subject.lates.get(compiled.key) == span[1:3]:
                del subject.lates[compiled.key]
            self._note("late", name, compiled.rule, compiled.hash, span, {"why": "merged", "into": into})

    def over(self, subject: Subject, key: str, span: Span) -> None:
        """An alarm is over: gateways' words on that time are about it."""
        subject.share(key, subject.shared.get(key, NOTHING).with_past(span))

    def _open(
        self, name: str, subject: Subject, compiled: Compiled, verdict: Verdict, onset: int, *, late: bool
    ) -> None:
        """Begin a condition; without a delay it is active at once."""
        at = verdict.at
        shared = subject.shared.get(compiled.key)
        if shared is not None:
            onset = shared.free_from(onset, subject.clock)
        forget_extremes(subject)
        ask = compiled.repeat is not None and not verdict.critical
        wait = compiled.timeout if ask else compiled.delay
        episode = subject.episodes[compiled.key] = Episode(
            condition="asked" if ask else "pending",
            onset=onset,
            due=max(onset + wait, at),
            seq=self.seq,
            late=late,
            peaks=verdict.peaks,
            snapshot=verdict.snapshot(),
            priority=compiled.rule.priority,
            why="critical" if verdict.critical else "",
        )
        if episode.due <= max(at, subject.clock):
            self.end_wait(name, subject, compiled.key, episode.due)
        elif ask:
            asked = self._told(compiled, self._named(name, compiled, episode), at)
            asked = subject.episodes[compiled.key] = replace(asked, started=at)
            self.state.alarms[asked.alarm] = name, compiled.key
            self._tell("ask", name, compiled, asked, at)

    def open_early(
        self, name: str, subject: Subject, compiled: Compiled, verdict: Verdict, *, late: bool
    ) -> None:
        """Signal a limit without delay before the reading's turn has come."""
        if subject.shared.get(compiled.key, NOTHING).covers(verdict.at, subject.clock):
            return
        self._open(name, subject, compiled, verdict, verdict.at, late=late)
        episode = subject.episodes.get(compiled.key)
        if episode is not None and episode.condition == "pending":
            self.end_wait(name, subject, compiled.key, verdict.at)
            episode = subject.episodes.get(compiled.key)
        if episode is not None:
            subject.episodes[compiled.key] = replace(episode, early=True)

    def end_wait(self, name: str, subject: Subject, key: str, at: int) -> None:
        """A delay, the wait for a second measurement, or the time of being clear has ended."""
        compiled = self.plan(name, subject).rules[key]
        episode = subject.episodes[key]
        shared = subject.shared.get(key, NOTHING)
        if episode.condition == "active":
            verdict = self.look(name, subject, compiled, at)
            if verdict.holds(episode.peaks, needed(compiled, episode)):
                subject.episodes[key] = replace(episode, clear_at=None)  # too old by now: unknown, not clear
                return
            shot = verdict.snapshot()
            text = render(compiled, compiled.rule.cleared, shot)
            done = replace(episode, values=shot.values, text=text)
            self._end(name, subject, compiled, done, at, shot.inputs)
            return
        if (
            episode.condition == "pending"
            and shared.seen
            and not self.look(name, subject, compiled, at).opens
        ):
            del subject.episodes[key]  # a gateway has seen that it ended
            return
        why = "timeout" if episode.condition == "asked" else episode.why
        if compiled.repeat is not None and not why:
            why = "timeout"
        self._activate(name, subject, compiled, replace(episode, why=why), at)

    def _activate(self, name: str, subject: Subject, compiled: Compiled, episode: Episode, at: int) -> None:
        shared = subject.shared.get(compiled.key)
        if shared is not None:
            if shared.covers(at, subject.clock):
                self._told_elsewhere(name, subject, compiled, episode, at)
                return
            onset = shared.free_from(episode.onset, max(at, subject.clock))
            episode, at = replace(episode, onset=onset), max(at, onset)
        if not episode.alarm:
            episode = self._named(name, compiled, episode)
        active = self._told(compiled, replace(episode, condition="active", started=at), at)
        subject.episodes[compiled.key] = active
        self.state.alarms[active.alarm] = name, compiled.key
        self._tell("start", name, compiled, active, at)

    def _told_elsewhere(
        self, name: str, subject: Subject, compiled: Compiled, episode: Episode, at: int
    ) -> None:
        """What would begin now is a part of what a gateway has told all about."""
        subject.doubt()
        if episode.alarm:
            self._end(name, subject, compiled, replace(episode, why="told_elsewhere"), at)
        else:
            del subject.episodes[compiled.key]

    def _second(
        self, name: str, subject: Subject, compiled: Compiled, verdict: Verdict, news: list[Measured]
    ) -> None:
        """Judge while a second measurement is asked for."""
        at, episode = verdict.at, subject.episodes[compiled.key]
        asked_for = breached(compiled, episode)
        second = any(m.metric in asked_for and m.time >= episode.onset + compiled.needs_after for m in news)
        again = verdict.opens
        if second and not verdict.critical:
            verdict = evaluate(compiled, remeasured(subject, news), self.state.context(name), at)
        if verdict.critical or (second and verdict.opens):
            why = "critical" if verdict.critical else "confirmed"
            self._activate(name, subject, compiled, replace(worsen(compiled, episode, verdict), why=why), at)
        elif second:
            shot = verdict.snapshot()
            text = render(compiled, compiled.rule.cleared, shot)
            done = replace(episode, values=shot.values, text=text, why="refuted")
            self._end(name, subject, compiled, done, at, shot.inputs)
            if again:  # by another device's value: the next reading is to be looked at whatever it is
                subject.doubt()
        elif verdict.opens:
            subject.episodes[compiled.key] = worsen(compiled, episode, verdict)

    def worklist(
        self,
        name: str,
        subject: Subject,
        compiled: Compiled,
        time: int,
        readings: list[Measured],
        words: dict[str, str] | None = None,
    ) -> None:
        """Note a breach that came too late to signal, or that was put aside: ``words`` say why."""
        verdict = judge_alone(compiled, readings, time, self.state.context(name))
        if not verdict.opens:
            return
        key, shared = compiled.key, subject.shared.get(compiled.key, NOTHING)
        if shared.tells_of(time):
            return
        known = subject.lates.get(key)
        if known is not None and known[0] - LATE_MERGE <= time <= known[1] + LATE_MERGE:
            subject.lates[key] = first, last = min(known[0], time), max(known[1], time)
            grown = next((s for s in shared.past if s.entry and s[1:3] == known), None)
            if grown is not None:
                self.over(subject, key, Span(grown.alarm, first, last, entry=True))
            return
        subject.lates[key] = time, time
        shot = verdict.snapshot()
        text = render(compiled, compiled.rule.explanation, shot)
        present = subject.episodes.get(key)
        entry = Episode(
            condition="pending",
            onset=time,
            due=time,
            seq=self.seq,
            late=any(came_late(m) for m in readings),
            peaks=verdict.peaks,
            snapshot=shot,
            alarm=stable_id("late", self.state.node, key, name, time, self.seq),
            priority=compiled.rule.priority,
            values=shot.values,
            text=text if words is None else followed(text, words),
            limit=compiled.limit,
        )
        self._tell("late", name, compiled, entry, time, inputs=shot.inputs)
        self.transitions[-1] = replace(
            self.transitions[-1], condition="inactive" if present is None else present.condition
        )
        self.over(subject, key, Span(entry.alarm, time, time, entry=True))
