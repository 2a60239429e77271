"""Stages of one condition are one alarm, which rises with the graver one (docs/adr/0041-rising-alarms.md).

The rules decide each stage by itself, at the edge as in the cloud; here their alarms become one for people. A
rise is told like a new alarm of that priority, whoever had accepted what there was before. When the graver
stage is over the alarm falls to the one that is left, unless the graver one latches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from rules.conditions import Repeat
from rules.model import Transition, TransitionKind
from rules.response.acts import Acts
from rules.response.model import NEVER, Part, Response
from rules.response.orders import refused
from rules.response.timetable import ns
from rules.rule import Rule, RuleSet

__all__ = ["Rising", "check_seen", "graver_first"]

_GRAVER: Final = ("low", "medium", "high")
_CLOSING: Final = frozenset({"end", "reset"})


def graver_first(decided: Sequence[Transition], rules: RuleSet) -> list[Transition]:
    """The same, but of two stages that begin at one moment the graver first: that is one alarm, told once."""
    out = list(decided)
    for graver in decided:
        rule = rules.by_id.get(graver.rule)
        if graver.kind != "start" or graver.shadow or rule is None or not rule.raises:
            continue
        mark = graver.patient, rule.raises, graver.at
        at = out.index(graver)
        for i, t in enumerate(out[:at]):
            if t.kind == "start" and not t.shadow and (t.patient, t.rule, t.at) == mark:
                out.insert(i, out.pop(at))
                break
    return out


def check_seen(response: Response | None, seen: str, rules: RuleSet) -> None:
    """Raise RuleError (``risen``) where an alarm shows a graver stage than that of the rule ``seen``."""
    stage, below = (None if response is None else rules.by_id.get(response.rule)), set[str]()
    while response is not None and stage is not None and stage.raises and stage.id not in below:
        below.add(stage.id)
        if stage.raises == seen:
            msg = f"it is {response.rule!r} now, graver than {seen!r}, which was seen"
            raise refused(code="risen", text=msg, alarm=response.alarm, rule=response.rule)
        stage = rules.by_id.get(stage.raises)


class Rising(Acts):
    """Applies one input."""

    def conditions(self, decided: Sequence[Transition]) -> None:
        """Take all that the rules decided by one input."""
        self._closed = frozenset(t.alarm for t in decided if t.kind in _CLOSING)
        for transition in graver_first(decided, self.rules):
            self.condition(transition)

    def condition(self, decided: Transition) -> None:
        """Take what the rules decided about one alarm, or about a part of one."""
        name = self.joined.get(decided.alarm, decided.alarm)
        if decided.shadow:
            super().condition(decided)
        elif decided.kind == "late":
            super().condition(self._into(decided))
        elif decided.kind == "start":
            rule = self.rules.by_id[decided.rule]
            present = None if self._over_already(decided) else self._present(decided.patient, rule)
            if present is None:
                super().condition(decided)
            else:
                self._join(decided, rule, present)
        elif (found := self.open.get(name)) is not None and found.parts:
            self._part(decided, found)
        else:
            super().condition(replace(decided, alarm=name))

    def _into(self, entry: Transition) -> Transition:
        """An entry of the worklist that is part of an alarm: by the name that people know."""
        into = entry.detail.get("into")
        if into not in self.joined:
            return entry
        return replace(entry, detail={**entry.detail, "into": self.joined[into]})

    # -- a further stage begins

    def _over_already(self, decided: Transition) -> bool:
        """Whether it is told late of what has ended at a gateway: that is no part of what is open now."""
        origin = decided.detail.get("origin")
        return origin is not None and (origin["ended"] is not None or decided.alarm in self._closed)

    def _present(self, subject: str, rule: Rule) -> Response | None:
        """The active alarm of which a rule's condition is another stage."""
        if isinstance(rule.condition, Repeat):
            return None
        for response in self.open.values():
            if response.subject != subject or response.condition != "active":
                continue
            keys = _keys(response)
            for key in keys if rule.key not in keys else ():
                other = self.rules.by_id.get(key)
                if other is None or other.kind != rule.kind or isinstance(other.condition, Repeat):
                    continue
                if rule.raises == key or other.raises == rule.key:
                    return response
        return None

    def _join(self, decided: Transition, rule: Rule, before: Response) -> None:
        """It is a part of an open alarm from now on: that rises, unless the graver stage is there already."""
        earlier = self.succeeded(before.subject, rule.key, before.alarm)
        parts = before.parts or (self._whole(before),)
        again = any(p.key == rule.key and p.counts for p in parts)
        part = _part_of(decided, rule)
        episodes, since = before.episodes, before.since
        if earlier is not None or again:
            first = before if earlier is None else earlier
            episodes, since = episodes + first.episodes * (first is earlier) + 1, first.since or first.onset
        after = _shown(
            replace(
                before,
                parts=(*(p for p in parts if p.key != rule.key), part),
                onset=min(before.onset, decided.onset),
                episodes=episodes,
                since=since,
            )
        )
        self.joined[decided.alarm] = before.alarm
        if "alias" in decided.detail:
            self.also_called(decided, before.alarm)
        more: dict[str, Any] = {"part": _shown_part(part), "why": "joined"}
        if earlier is not None:
            more["before"] = earlier.alarm
        if rule.raises in _keys(before) or _rank(after) > _rank(before):
            self._rise(decided, before, after, more)
        else:
            self.complete(_as_alarm(decided, after, "update"), self.put(after), **more)

    def _rise(self, decided: Transition, before: Response, after: Response, more: dict[str, Any]) -> None:
        """Nobody has answered this yet: it is heard, and told from the first step on."""
        fresh = replace(after, owner=None, owned_at=None, remind=NEVER, rejected=(), signal="on", until=0)
        signal, until = self.signal(fresh)
        fresh = self.put(replace(fresh, signal=signal, until=until))
        if self.tells(fresh):
            fresh, step = self._told_anew(before, fresh)
            more |= step
        else:
            fresh = self.disarm(fresh)
        more["why"] = "raised"
        if before.owner is not None:
            more["owner_before"] = before.owner
        self.complete(_as_alarm(decided, fresh, "escalate"), fresh, **more)

    def _told_anew(self, before: Response, fresh: Response) -> tuple[Response, dict[str, Any]]:
        """The first step now. What nobody had answered waits for its next step no longer than it would have.

        Its timetable goes on from when it began: values around the limit would begin it again and again.
        Of the steps passed those that would tell somebody new are taken all the same.
        """
        running = before.owner is None and self.tells(before) and before.due != NEVER and before.step > 0
        told, detail = self.first_step(fresh)
        if not running:
            return told, detail
        table = self.table(told)
        steps, told_of = table.steps, set(before.told)
        passed = range(1, min(before.step, len(steps)))
        number = next(
            (n for n in passed if not told_of.issuperset(self.hops(told, steps[n], self.now))), before.step
        )
        if number < len(steps):
            wait = ns(steps[number].after_s - steps[number - 1].after_s)
        else:
            wait = ns(table.repeat_s) or NEVER - self.now
        due = told.due if told.why else min(before.due, self.now + wait)  # nobody is there: at once
        after = replace(told, armed=before.armed, step=number, due=due, why=told.why or before.why)
        return self.put(replace(after, next_to=self.next_to(after, table, due))), detail

    def _whole(self, response: Response) -> Part:
        """The one condition that an alarm has had so far, as a part."""
        rule = self.rules.by_id.get(response.key)
        return Part(
            alarm=response.alarm,
            state="active",
            above=rule is not None and bool(rule.raises),
            key=response.key,
            rule=response.rule,
            rule_hash=response.rule_hash,
            priority=response.priority,
            policy=response.policy,
            latching=response.latching,
            audience=response.audience,
            onset=response.onset,
            values=dict(response.values),
            limit=response.limit,
            text=dict(response.text),
            late=response.late,
        )

    # -- a stage changes or ends

    def _part(self, decided: Transition, before: Response) -> None:
        part = next((p for p in before.parts if p.alarm == decided.alarm), None)
        merged = decided.detail.get("why") == "merged"
        if part is None or merged or part.state != "active":
            if merged and "alias" in decided.detail:
                self.also_called(decided, before.alarm)
                before = replace(before, onset=min(before.onset, decided.onset))
            self.complete(_as_alarm(decided, before, "update"), self.put(before))
        elif decided.kind in _CLOSING:
            over = replace(part, state="ended" if decided.kind == "end" else "gone")
            after = replace(before, parts=_swapped(before.parts, over))
            if any(p.state == "active" for p in after.parts):
                self._left(decided, before, _shown(after), over)
            else:
                self._all_over(decided, after, over)
        else:
            self._worse(decided, before, part)

    def _worse(self, decided: Transition, before: Response, part: Part) -> None:
        """A part goes on, got worse, or counts for more or less than before."""
        changed = replace(
            part,
            priority=decided.priority,
            values=dict(decided.values),
            limit=decided.limit,
            text=dict(decided.text),
            rule_hash=decided.rule_hash,
            onset=decided.onset,
            late=decided.late,
        )
        after = _shown(
            replace(
                before,
                parts=_swapped(before.parts, changed),
                onset=min(before.onset, decided.onset),
            )
        )
        kind: TransitionKind = "update"
        if _rank(after) != _rank(before):
            kind = "escalate" if _rank(after) > _rank(before) else "de-escalate"
        told = _as_alarm(decided, after, kind, part=_shown_part(changed))
        self.change(told, replace(after, priority=before.priority))

    def _left(self, decided: Transition, before: Response, after: Response, over: Part) -> None:
        """One part is over, the alarm goes on: it falls to what is left of it."""
        fell = _rank(after) < _rank(before)
        if fell and after.owner is not None:
            after = replace(after, remind=self.reminder(after, self.at))
        after = self.put(after)
        if fell:
            after = self.reschedule(after)
        told = self.told_of_end(before) if fell else []
        shown = _as_alarm(decided, after, "de-escalate" if fell else "update")
        self.complete(shown, after, told=told, why="part_over", part=_shown_part(over))

    def _all_over(self, decided: Transition, response: Response, last: Part) -> None:
        """Nothing of it is left but what latches."""
        latches = any(p.counts for p in response.parts)
        response = _shown(response) if latches else replace(response, latching=False)
        told = replace(
            decided,
            alarm=response.alarm,
            kind="end" if latches else decided.kind,
            onset=response.onset,
            priority=response.priority,
            detail={**decided.detail, "part": _shown_part(last)},
        )
        self.end_condition(told, response)


def _keys(response: Response) -> tuple[str, ...]:
    """The rules whose conditions an alarm stands for now."""
    return tuple(p.key for p in response.parts if p.state == "active") or (response.key,)


def _rank(response: Response) -> int:
    return _GRAVER.index(response.priority)


def _swapped(parts: tuple[Part, ...], part: Part) -> tuple[Part, ...]:
    return tuple(part if p.alarm == part.alarm else p for p in parts)


def _part_of(decided: Transition, rule: Rule) -> Part:
    return Part(
        alarm=decided.alarm,
        state="active",
        above=bool(rule.raises),
        key=rule.key,
        rule=rule.id,
        rule_hash=decided.rule_hash,
        priority=decided.priority,
        policy=rule.escalation,
        latching=rule.latching,
        audience=tuple(rule.audience),
        onset=decided.onset,
        values=dict(decided.values),
        limit=decided.limit,
        text=dict(decided.text),
        late=decided.late,
    )


def _shown(response: Response) -> Response:
    """The alarm as its gravest part that counts."""
    counting = [p for p in response.parts if p.counts]
    lead = max(counting, key=lambda p: (_GRAVER.index(p.priority), p.above))
    return replace(
        response,
        key=lead.key,
        rule=lead.rule,
        rule_hash=lead.rule_hash,
        priority=lead.priority,
        policy=lead.policy,
        latching=any(p.latching for p in counting),
        audience=tuple(dict.fromkeys(who for p in (lead, *counting) for who in p.audience)),
        values=dict(lead.values),
        limit=lead.limit,
        text=dict(lead.text),
        late=lead.late,
    )


def _as_alarm(decided: Transition, response: Response, kind: TransitionKind, **detail: Any) -> Transition:
    """What was decided of a part as what has become of the alarm: with what that shows."""
    return replace(
        decided,
        alarm=response.alarm,
        kind=kind,
        rule=response.rule,
        rule_hash=response.rule_hash,
        condition="active",
        priority=response.priority,
        onset=response.onset,
        values=dict(response.values),
        limit=response.limit,
        text=dict(response.text),
        late=response.late,
        detail={**decided.detail, **detail},
    )


def _shown_part(part: Part) -> dict[str, Any]:
    """A part as it stands in a transition."""
    return {
        "alarm": part.alarm,
        "rule": part.rule,
        "rule_hash": part.rule_hash,
        "priority": part.priority,
        "onset": part.onset,
        "state": part.state,
        "values": dict(part.values),
        "limit": part.limit,
        "text": dict(part.text),
    }
