"""``step``: the one function by which anything about an alarm is decided.

How a batch of readings is judged
- In order of measurement time (stable). Values of one patient, device and time are one measurement and
  are judged together. Before news is judged, the patient's delays that end by its time end.
- A repeated reading (device, metric, time and value as one of the last 16) is ignored.
- A reading older than its device's newest of that metric, or measured over a minute before it was received
  and older than any device's newest, is superseded: it never changes a condition. If it breaches it becomes
  a ``late`` entry for the worklist, as does a breach received later than the rule's ``max_lateness_s``.
  Late breaches of one rule and patient within ten minutes of each other make one entry.
- While pending, one judgement without any breach is enough to drop the condition unseen; an active one ends
  only when all readings that count are clear by the hysteresis, and only where each metric that breached has
  such a reading: no data never ends an alarm.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from hearthward.core.errors import RuleError
from hearthward.core.ids import stable_id
from rules.intake import Draft, came_late, measurements
from rules.judge import Judgement, Measured, judge, too_late, verdict, worst_of
from rules.model import (
    SECOND,
    Command,
    Configuration,
    Input,
    Readings,
    Rule,
    Tick,
    Transition,
    TransitionKind,
)
from rules.state import Episode, State, Subject

__all__ = ["step"]

UPDATE_EVERY: Final = 60 * SECOND
"""A worsening is told at most once in this time."""
LATE_MERGE: Final = 600 * SECOND
"""Late breaches closer than this are one entry of the worklist."""

_PRIORITIES: Final = ("low", "medium", "high")
_WITHDRAWN: Final = {
    "en": "Ended: the rule is no longer in force",
    "zh": "报警结束 (规则已停用)",
}
_CLOSED: Final = {
    "en": "Ended: the patient's stay is closed",
    "zh": "报警结束 (患者已离院)",
}


def step(state: State, event: Input) -> tuple[State, tuple[Transition, ...]]:
    """Apply one input. Pure: the same state and input always give the same result.

    Raises RuleError for a command on an alarm that is not active or that somebody else accepted; the state
    then stays as it was.
    """
    work = _Work(state, event.seq, event.now)
    match event:
        case Readings():
            for measurement in measurements(event.rows, state.rules):
                work.measurement(*measurement)
        case Tick():
            for _, patient in sorted((at, p) for p, at in state.due.items() if at <= event.now):
                work.fire(patient, event.now)
        case Command():
            work.command(event)
        case Configuration():
            work.configure(event)
    return work.result(), tuple(work.transitions)


class _Work:
    """One step under way: copies of the patients that it touches, and the transitions so far."""

    def __init__(self, state: State, seq: int, now: int) -> None:
        self._state = state
        self._rules = state.rules
        self._seq = seq
        self._now = now
        self._drafts: dict[str, Draft] = {}
        self._closed: frozenset[str] = frozenset()
        self.transitions: list[Transition] = []

    def _draft(self, patient: str) -> Draft:
        draft = self._drafts.get(patient)
        if draft is None:
            draft = Draft.of(self._state.subjects.get(patient) or Subject())
            self._drafts[patient] = draft
        return draft

    def result(self) -> State:
        """The state after the step; patients not touched are shared with the one before."""
        state = self._state
        if not self._drafts and not self._closed:
            return State(state.node, self._rules, self._seq, state.subjects, state.due, state.alarms)
        subjects = {p: s for p, s in state.subjects.items() if p not in self._closed}
        due = {p: at for p, at in state.due.items() if p not in self._closed and p not in self._drafts}
        alarms = {
            a: where
            for a, where in state.alarms.items()
            if where[0] not in self._closed and where[0] not in self._drafts
        }
        for patient, draft in self._drafts.items():
            subjects[patient] = draft.subject()
            at = draft.next_due()
            if at is not None:
                due[patient] = at
            for rule, episode in draft.episodes.items():
                if episode.condition == "active":
                    alarms[episode.alarm] = patient, rule
        return State(state.node, self._rules, self._seq, subjects, due, alarms)

    # -- readings

    def measurement(self, patient: str, device: str, time: int, readings: list[Measured]) -> None:
        """Take one measurement: remember it, end delays, judge every rule that looks at it."""
        draft = self._draft(patient)
        news, superseded = draft.take(device, readings, self._rules.memory_ns)
        if news:
            self.fire(patient, time)
        late = any(came_late(m) for m in readings)
        concerned = {r.id: r for m in (*news, *superseded) for r in self._rules.by_metric[m.metric]}
        for _, rule in sorted(concerned.items()):
            fresh = [m for m in news if m.metric in rule.inputs]
            worklist = [m for m in superseded if m.metric in rule.inputs]
            worklist += [m for m in fresh if too_late(rule, m.time, m.received)]
            if any(not too_late(rule, m.time, m.received) for m in fresh):
                self._judge(patient, draft, rule, time, late=late)
            if worklist:
                self._worklist(patient, draft, rule, time, worklist)

    def _judge(self, patient: str, draft: Draft, rule: Rule, at: int, *, late: bool) -> None:
        found = judge(rule, draft.latest, at)
        episode = draft.episodes.get(rule.id)
        if episode is None:
            if found.breaching:
                self._open(patient, draft, rule, at, found, late=late)
        elif episode.condition == "pending":
            if found.breaching:
                draft.episodes[rule.id] = _worsen(rule, episode, found)
            else:
                del draft.episodes[rule.id]
        elif _ended(rule, episode, found):
            del draft.episodes[rule.id]
            snapshot = found.snapshot(rule)
            done = replace(
                episode,
                values=snapshot.values,
                text=rule.render(rule.cleared, snapshot.values),
                late=late,
            )
            self._tell("end", patient, rule, done, max(at, episode.started), inputs=snapshot.inputs)
        else:
            episode = _worsen(rule, episode, found)
            if not episode.told and at - episode.told_at >= UPDATE_EVERY:
                episode = _told(rule, episode, at)
                told = replace(episode, late=late)
                self._tell("update", patient, rule, told, at, inputs=episode.snapshot.inputs)
            draft.episodes[rule.id] = episode

    def _open(self, patient: str, draft: Draft, rule: Rule, at: int, found: Judgement, *, late: bool) -> None:
        """Begin a condition; without a delay it is active at once."""
        onset = found.onset(at)
        due = max(onset + rule.delay_ns, at)
        draft.episodes[rule.id] = Episode(
            condition="pending",
            onset=onset,
            due=due,
            seq=self._seq,
            late=late,
            worst=found.breach,
            snapshot=found.snapshot(rule),
            priority=rule.priority,
        )
        if due <= at:
            self._activate(patient, draft, rule)

    def _activate(self, patient: str, draft: Draft, rule: Rule) -> None:
        pending = draft.episodes[rule.id]
        parts = self._state.node, rule.id, patient, pending.onset, pending.seq
        alarm = stable_id("alm", *parts)
        again = sum(t.kind == "start" and t.alarm.startswith(alarm) for t in self.transitions)
        if again:
            alarm = f"{alarm}_{again + 1}"  # values of one time that breached, cleared and breached
        active = replace(pending, condition="active", alarm=alarm, started=pending.due)
        active = _told(rule, active, pending.due)
        draft.episodes[rule.id] = active
        self._tell("start", patient, rule, active, pending.due, inputs=active.snapshot.inputs)

    def fire(self, patient: str, upto: int) -> None:
        """Make the patient's pending conditions active whose delay ends by ``upto``."""
        draft = self._drafts.get(patient)
        first = self._state.due.get(patient) if draft is None else draft.next_due()
        if first is None or first > upto:
            return
        draft = self._draft(patient)
        ready = sorted(
            (e.due, rule) for rule, e in draft.episodes.items() if e.condition == "pending" and e.due <= upto
        )
        for _, rule in ready:
            self._activate(patient, draft, self._rules.by_id[rule])

    def _worklist(self, patient: str, draft: Draft, rule: Rule, time: int, readings: list[Measured]) -> None:
        found = verdict(rule, readings)
        if not found.breaching:
            return
        span = draft.lates.get(rule.id)
        if span is not None and span[0] - LATE_MERGE <= time <= span[1] + LATE_MERGE:
            draft.lates[rule.id] = min(span[0], time), max(span[1], time)
            return
        draft.lates[rule.id] = time, time
        snapshot = found.snapshot(rule)
        present = draft.episodes.get(rule.id)
        self.transitions.append(
            Transition(
                alarm=stable_id("late", self._state.node, rule.id, patient, time, self._seq),
                patient=patient,
                rule=rule.id,
                rule_hash=self._rules.hashes[rule.id],
                kind="late",
                condition="inactive" if present is None else present.condition,
                priority=rule.priority,
                at=time,
                onset=time,
                seq=self._seq,
                values=snapshot.values,
                limit=rule.limit,
                text=rule.render(rule.explanation, snapshot.values),
                inputs=snapshot.inputs,
                late=any(came_late(m) for m in readings),
                decided=self._now,
            )
        )

    # -- commands and configuration

    def command(self, command: Command) -> None:
        """Take responsibility for an alarm; doing so again oneself changes nothing."""
        if command.kind != "accept":
            msg = f"unknown command {command.kind!r}; there is: accept"
            raise RuleError(msg, kind=command.kind)
        alarm = self._state.alarm(command.alarm)
        if alarm.accepted_by == command.actor:
            return
        if alarm.accepted_by is not None:
            msg = f"already accepted by {alarm.accepted_by}"
            raise RuleError(msg, alarm=alarm.id, actor=alarm.accepted_by)
        draft = self._draft(alarm.patient)
        episode = replace(draft.episodes[alarm.rule], accepted_by=command.actor, accepted_at=command.now)
        draft.episodes[alarm.rule] = episode
        rule = self._rules.by_id[alarm.rule]
        self._tell(
            "accept", alarm.patient, rule, episode, command.now, actor=command.actor, note=command.note
        )

    def configure(self, event: Configuration) -> None:
        """Put other rules in force: conditions of rules that stay are kept, of those that go are reset."""
        old, new = self._rules, event.rules
        self._closed = event.closed_patients & self._state.subjects.keys()
        for patient, subject in sorted(self._state.subjects.items()):
            closed = patient in self._closed
            if not closed and old.hash == new.hash:
                continue
            draft = self._draft(patient)
            for rule_id, episode in sorted(subject.episodes.items()):
                rule = None if closed else new.by_id.get(rule_id)
                if rule is None:
                    del draft.episodes[rule_id]
                    gone = replace(episode, text=_CLOSED if closed else _WITHDRAWN)
                    if episode.condition == "active":
                        self._tell("reset", patient, old.by_id[rule_id], gone, event.now)
                else:
                    draft.episodes[rule_id] = _carry(episode, old.by_id[rule_id], rule, event.now)
        self._rules = new
        for patient in self._closed:
            del self._drafts[patient]
        for patient, draft in self._drafts.items():
            draft.latest = {m: d for m, d in draft.latest.items() if m in new.by_metric}
            draft.lates = {r: span for r, span in draft.lates.items() if r in new.by_id}
            self._reprioritise(patient, draft, event.now)

    def _reprioritise(self, patient: str, draft: Draft, now: int) -> None:
        for rule_id, before in sorted(draft.episodes.items()):
            rule = self._rules.by_id[rule_id]
            if rule.priority == before.priority:
                continue
            up = _PRIORITIES.index(rule.priority) > _PRIORITIES.index(before.priority)
            episode = replace(before, priority=rule.priority)
            draft.episodes[rule_id] = episode
            if episode.condition == "active":
                self._tell("escalate" if up else "de-escalate", patient, rule, episode, now)

    def _tell(
        self,
        kind: TransitionKind,
        patient: str,
        rule: Rule,
        episode: Episode,
        at: int,
        *,
        inputs: tuple[dict[str, Any], ...] = (),
        actor: str | None = None,
        note: str = "",
    ) -> None:
        self.transitions.append(
            Transition(
                alarm=episode.alarm,
                patient=patient,
                rule=rule.id,
                rule_hash=self._rules.hashes[rule.id],
                kind=kind,
                condition="inactive" if kind in {"end", "reset"} else "active",
                priority=episode.priority,
                at=at,
                onset=episode.onset,
                seq=self._seq,
                values=dict(episode.values),
                limit=rule.limit,
                text=dict(episode.text),
                inputs=tuple(dict(i) for i in inputs),
                actor=actor,
                late=episode.late,
                decided=self._now,
                note=note,
            )
        )


def _ended(rule: Rule, episode: Episode, found: Judgement) -> bool:
    """Whether all that counts is clear, and every metric that breached is among it."""
    breached = {c.metric for c, w in zip(rule.conditions, episode.worst, strict=True) if w is not None}
    return found.clear and bool(found.counted) and breached <= found.metrics


def _worsen(rule: Rule, episode: Episode, found: Judgement) -> Episode:
    """The episode with a new extreme, if this is one: what was shown then is what people are told next."""
    worst = worst_of(rule, episode.worst, found.breach)
    if worst == episode.worst:
        return episode
    return replace(episode, worst=worst, snapshot=found.snapshot(rule), told=False)


def _told(rule: Rule, episode: Episode, at: int) -> Episode:
    values = dict(episode.snapshot.values)
    return replace(episode, told=True, told_at=at, values=values, text=rule.render(rule.explanation, values))


def _carry(episode: Episode, old: Rule, new: Rule, now: int) -> Episode:
    """An episode under a changed rule: its delay counts anew, its extremes stay where a like condition is."""
    if old == new:
        return episode
    known = {(c.metric, c.falling): w for c, w in zip(old.conditions, episode.worst, strict=True)}
    worst = tuple(known.get((c.metric, c.falling)) for c in new.conditions)
    due = max(episode.onset + new.delay_ns, now) if episode.condition == "pending" else episode.due
    return replace(episode, worst=worst, due=due)
