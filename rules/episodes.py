"""The life of a condition: asked, pending, active, ended."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from math import inf
from typing import Any, Final

from hearthward.core.errors import RuleError
from hearthward.core.ids import stable_id
from rules.compiled import Compiled, Peaks, Plan, Planner
from rules.conditions import Count, Leaf, Score, leaves
from rules.evaluate import UNFIT, Memo, Verdict, evaluate, fresh_until, judge_alone, render, worst_of
from rules.intake import came_late
from rules.model import Adopt, Measured
from rules.rule import SECOND, Rule, RuleSet
from rules.state import NEVER, Episode, Row, Snapshot, State, Subject, Watched
from rules.transitions import Transitions
from rules.words import CLOSED, NOT_APPLICABLE, WITHDRAWN

__all__ = ["LATE_MERGE", "UPDATE_EVERY", "Episodes"]

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
        _forget_extremes(subject)
        subject.breaching.clear()
        self.memo.clear()
        subject.lates = {key: times for key, times in subject.lates.items() if key in rules}
        for key, episode in sorted(subject.episodes.items()):
            if key in rules:
                subject.episodes[key] = _carry(episode, rules[key], self._changed(key), at)
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
            self._transition("reset", name, rule, hashes[rule.key], episode, max(at, episode.started))

    # -- judging

    def frozen(self, subject: Subject) -> frozenset[str]:
        """Signals of which nothing is learned now: an alarm on them is open."""
        rules = self.state.rules.by_id
        return frozenset(
            m
            for key, e in subject.episodes.items()
            if e.condition == "active" and not e.early and key in rules and rules[key].kind == "physiological"
            for m in rules[key].inputs
        )

    def watch(self, name: str, subject: Subject) -> None:
        """Work out what open episodes want of each signal.

        An active one that goes on being breached, and was told so, changes only by a new extreme.
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
            steady = e.condition == "active" and e.told and not e.early and e.clear_at is None
            calm = steady and key in subject.breaching
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
        verdict = evaluate(compiled, subject, self.state.context(name), at, self.memo)
        subject.breaching.pop(compiled.key, None)
        if verdict.opens:
            subject.breaching[compiled.key] = fresh_until(compiled, subject, at)
        episode = subject.episodes.get(compiled.key)
        if episode is None:
            if verdict.opens:
                onset = verdict.onset() if again else at
                self._open(name, subject, compiled, verdict, onset, late=late)
        elif episode.condition == "asked":
            self._second(name, subject, compiled, verdict, news)
        elif episode.condition == "pending":
            if verdict.opens:
                subject.episodes[compiled.key] = _rescored(_worsen(compiled, episode, verdict), verdict)
            else:
                del subject.episodes[compiled.key]
        else:
            self._hold(name, subject, compiled, verdict, late=late)

    def _hold(self, name: str, subject: Subject, compiled: Compiled, verdict: Verdict, *, late: bool) -> None:
        """Judge an active condition: does it go on, worsen, end?"""
        at, episode = verdict.at, subject.episodes[compiled.key]
        if episode.early and at < episode.onset:
            if verdict.opens:
                earlier = replace(episode, onset=verdict.onset(), started=at, early=False)
                adopted = _worsen(compiled, earlier, verdict)
                subject.episodes[compiled.key] = adopted = self._told(compiled, adopted, at)
                self._tell("update", name, compiled, adopted, at)
            return
        if episode.early:
            episode = subject.episodes[compiled.key] = replace(episode, early=False)
        if verdict.holds(episode.peaks, _needed(compiled, episode)):
            episode = replace(_worsen(compiled, episode, verdict), clear_at=None)
            if not episode.told and at - episode.told_at >= UPDATE_EVERY:
                episode = self._told(compiled, episode, at)
                self._tell("update", name, compiled, replace(episode, late=late), at)
            subject.episodes[compiled.key] = episode
            return
        since = at if episode.clear_at is None else episode.clear_at
        shot = verdict.snapshot()
        text = render(compiled, compiled.rule.cleared, shot)
        done = replace(episode, clear_at=since, values=shot.values, text=text, late=late)
        if at - since >= compiled.clear_after:
            self._end(name, subject, compiled, done, at, shot.inputs)
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
        done = replace(done, limit=compiled.limit)
        self._tell("end", name, compiled, done, max(at, done.started), inputs=inputs)

    def _open(
        self, name: str, subject: Subject, compiled: Compiled, verdict: Verdict, onset: int, *, late: bool
    ) -> None:
        """Begin a condition; without a delay it is active at once."""
        at = verdict.at
        _forget_extremes(subject)
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
        self._open(name, subject, compiled, verdict, verdict.at, late=late)
        episode = subject.episodes[compiled.key]
        if episode.condition == "pending":
            self.end_wait(name, subject, compiled.key, verdict.at)
        subject.episodes[compiled.key] = replace(subject.episodes[compiled.key], early=True)

    def end_wait(self, name: str, subject: Subject, key: str, at: int) -> None:
        """A delay, the wait for a second measurement, or the time of being clear has ended."""
        compiled = self.plan(name, subject).rules[key]
        episode = subject.episodes[key]
        if episode.condition == "active":
            verdict = evaluate(compiled, subject, self.state.context(name), at, self.memo)
            if verdict.holds(episode.peaks, _needed(compiled, episode)):
                subject.episodes[key] = replace(episode, clear_at=None)  # too old by now: unknown, not clear
                return
            shot = verdict.snapshot()
            text = render(compiled, compiled.rule.cleared, shot)
            done = replace(episode, values=shot.values, text=text)
            self._end(name, subject, compiled, done, at, shot.inputs)
            return
        why = "timeout" if episode.condition == "asked" else episode.why
        if compiled.repeat is not None and not why:
            why = "timeout"
        self._activate(name, subject, compiled, replace(episode, why=why), at)

    def _activate(self, name: str, subject: Subject, compiled: Compiled, episode: Episode, at: int) -> None:
        if not episode.alarm:
            episode = self._named(name, compiled, episode)
        active = self._told(compiled, replace(episode, condition="active", started=at), at)
        subject.episodes[compiled.key] = active
        self.state.alarms[active.alarm] = name, compiled.key
        self._tell("start", name, compiled, active, at)

    def _second(
        self, name: str, subject: Subject, compiled: Compiled, verdict: Verdict, news: list[Measured]
    ) -> None:
        """Judge while a second measurement is asked for."""
        at, episode = verdict.at, subject.episodes[compiled.key]
        asked_for = _breached(compiled, episode)
        second = any(m.metric in asked_for and m.time >= episode.onset + compiled.needs_after for m in news)
        if second and not verdict.critical:
            verdict = evaluate(compiled, _remeasured(subject, news), self.state.context(name), at)
        if verdict.critical or (second and verdict.opens):
            why = "critical" if verdict.critical else "confirmed"
            self._activate(name, subject, compiled, replace(_worsen(compiled, episode, verdict), why=why), at)
        elif second:
            shot = verdict.snapshot()
            text = render(compiled, compiled.rule.cleared, shot)
            done = replace(episode, values=shot.values, text=text, why="refuted")
            self._end(name, subject, compiled, done, at, shot.inputs)
        elif verdict.opens:
            subject.episodes[compiled.key] = _worsen(compiled, episode, verdict)

    def worklist(
        self, name: str, subject: Subject, compiled: Compiled, time: int, readings: list[Measured]
    ) -> None:
        """Note a breach that came too late to signal."""
        verdict = judge_alone(compiled, readings, time, self.state.context(name))
        if not verdict.opens:
            return
        key = compiled.key
        known = subject.lates.get(key)
        if known is not None and known[0] - LATE_MERGE <= time <= known[1] + LATE_MERGE:
            subject.lates[key] = min(known[0], time), max(known[1], time)
            return
        subject.lates[key] = time, time
        shot = verdict.snapshot()
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
            text=render(compiled, compiled.rule.explanation, shot),
            limit=compiled.limit,
        )
        self._tell("late", name, compiled, entry, time, inputs=shot.inputs)
        self.transitions[-1] = replace(
            self.transitions[-1], condition="inactive" if present is None else present.condition
        )

    # -- what the other side has opened

    def adopt(self, event: Adopt, subject: Subject) -> None:
        """Take over an alarm under the name that the other side has given it; ours, if any, keeps its own.

        Raises RuleError when the rule is not in force for the subject.
        """
        name, compiled = event.subject, self.plan(event.subject, subject).rules.get(event.rule)
        if compiled is None:
            msg = f"rule {event.rule!r} is not in force for {name!r}"
            raise RuleError(msg, rule=event.rule, subject=name)
        episode = subject.episodes.get(event.rule)
        if episode is not None and (episode.condition == "active" or event.alarm == episode.alarm):
            return
        asked = "" if episode is None else episode.alarm
        peaks = tuple(event.values.get(_like(leaf)[1]) for leaf in compiled.leaves)
        adopted = Episode(
            condition="active",
            onset=event.onset if episode is None else min(event.onset, episode.onset),
            due=event.at,
            seq=self.seq,
            late=False,
            peaks=peaks if episode is None else worst_of(compiled, episode.peaks, peaks),
            snapshot=Snapshot(values=dict(event.values)),
            told=True,
            told_at=event.at,
            alarm=asked or event.alarm,
            started=event.at,
            priority=compiled.rule.priority,
            values=dict(event.values),
            text=dict(event.text) or dict(compiled.rule.title),
            early=True,
            why="adopted",
            limit=compiled.limit,
        )
        _forget_extremes(subject)
        subject.episodes[event.rule] = adopted
        self.state.alarms[adopted.alarm] = name, compiled.key
        self._tell("start", name, compiled, adopted, event.at)


def _forget_extremes(subject: Subject) -> None:
    """A new episode has been judged on nothing yet."""
    for devices in subject.series.values():
        for series in devices.values():
            series.low, series.high = inf, -inf


def _worsen(compiled: Compiled, episode: Episode, verdict: Verdict) -> Episode:
    """The episode with a new extreme, if this is one: what was shown then is what people are told next."""
    peaks = worst_of(compiled, episode.peaks, verdict.peaks)
    if peaks == episode.peaks:
        return episode
    return replace(episode, peaks=peaks, snapshot=verdict.snapshot(), told=False)


def _rescored(episode: Episode, verdict: Verdict) -> Episode:
    """The episode as it is now, if its score is as high as ever but made of other points than before.

    Else people would be told of the parameter that began it, which may be well again.
    """
    if verdict.peaks != episode.peaks or "score" not in episode.snapshot.detail:
        return episode
    shot = verdict.snapshot()
    same = shot.detail.get("score") == episode.snapshot.detail["score"]
    return episode if same else replace(episode, snapshot=shot)


def _carry(episode: Episode, new: Compiled, old: Rule | None, now: int) -> Episode:
    """An episode under a changed rule: its delay counts anew, its extremes stay where a like leaf is."""
    if old is None:
        return episode
    known: defaultdict[tuple[str, str], list[float | None]] = defaultdict(list)
    for leaf, peak in zip(leaves(old.condition), episode.peaks, strict=True):
        known[_like(leaf)].append(peak)
    peaks: Peaks = tuple(known[_like(leaf)].pop(0) if known[_like(leaf)] else None for leaf in new.leaves)
    due = episode.due
    if episode.condition == "pending":
        due = max(episode.onset + new.delay, now)
    elif episode.condition == "asked":
        due = max(episode.onset + new.timeout, now)
    return replace(episode, peaks=peaks, due=due)


def _remeasured(subject: Subject, news: list[Measured]) -> Subject:
    """The subject as a second measurement shows it: of its signals no other device's values count."""
    out = Subject()
    out.clock, out.series = subject.clock, dict(subject.series)
    for m in news:
        out.series[m.metric] = {m.device: subject.series[m.metric][m.device]}
    return out


def _like(leaf: Leaf) -> tuple[str, str]:
    metric = leaf.of.metric if isinstance(leaf, Count) else getattr(leaf, "metric", "") or ""
    return type(leaf).__name__ + str(getattr(leaf, "falling", "")), metric


def _breached(compiled: Compiled, episode: Episode) -> set[str]:
    """The signals of the leaves that had a part in the breach."""
    return {
        _like(leaf)[1]
        for leaf, peak in zip(compiled.leaves, episode.peaks, strict=True)
        if peak is not None and not isinstance(leaf, Score)
    }


def _needed(compiled: Compiled, episode: Episode) -> frozenset[str]:
    """What must be known for a score to end: all that raised it."""
    if not any(isinstance(leaf, Score) for leaf in compiled.leaves):
        return frozenset()
    score: dict[str, dict[str, int]] = episode.snapshot.detail.get("score", {})
    return frozenset(p for p, points in score.get("points", {}).items() if points)
