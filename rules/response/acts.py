"""What happens to the answers: conditions that the rules decided, what people do, another configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from rules.model import Configuration, Transition
from rules.response.answers import SILENT, WALL, remote
from rules.response.duty import channel_of
from rules.response.model import NEVER, Response, watches_silence
from rules.response.orders import Orders
from rules.rule import Rule

__all__ = ["Acts"]

_CLOSING: Final = frozenset({"end", "reset"})


class Acts(Orders):
    """Applies one input."""

    # -- conditions

    def condition(self, decided: Transition) -> None:
        """Take what the rules decided about one alarm; what is none for people passes as it is."""
        if decided.shadow or decided.kind == "late":
            self.out.append(decided)
            return
        response = self.open.get(decided.alarm)
        if decided.kind == "start":
            self._start(decided)
        elif decided.detail.get("why") == "merged" and response is not None:
            self._merged(decided, response)
        elif response is None:
            told = [list(WALL)] if decided.kind in {"ask", *_CLOSING} else []
            detail = {**decided.detail, "told": told} if told else decided.detail
            self.out.append(replace(decided, detail=detail))
        elif decided.kind in _CLOSING:
            self.end_condition(decided, response)
        else:
            self.change(decided, response)

    def _start(self, decided: Transition) -> None:
        rule = self.rules.by_id[decided.rule]
        response = self._opened(decided, rule)
        before = self.succeeded(response.subject, response.key, response.alarm)
        if before is not None:
            response = replace(response, episodes=before.episodes + 1, since=before.since or before.onset)
        response = replace(response, root=self.root_of(response))
        signal, until = self.signal(response)
        response = self.put(replace(response, signal=signal, until=until))
        detail: dict[str, Any] = {}
        if self.tells(response):
            response, detail = self.first_step(response)
        if before is not None:
            detail |= {"before": before.alarm, "episodes": response.episodes}
        self.complete(decided, response, **detail)
        if "alias" in decided.detail:
            self.also_called(decided, response.alarm)
        if response.silence:
            self.reroot()
        self._lost(response)

    def _opened(self, t: Transition, rule: Rule) -> Response:
        return Response(
            alarm=t.alarm,
            subject=t.patient,
            key=rule.key,
            rule=rule.id,
            rule_hash=t.rule_hash,
            kind=rule.kind,
            priority=t.priority,
            onset=t.onset,
            started=t.at,
            policy=rule.escalation,
            latching=rule.latching,
            audience=tuple(rule.audience),
            silence=watches_silence(rule),
            devices=tuple(sorted({str(i["device"]) for i in t.inputs if i.get("device")})),
            values=dict(t.values),
            limit=t.limit,
            text=dict(t.text),
            late=t.late,
        )

    def succeeded(self, subject: str, key: str, by: str) -> Response | None:
        """An earlier episode that nobody has acknowledged gives way, visibly, to the alarm ``by``."""
        before = next(
            (
                r
                for r in self.open.values()
                if r.condition == "latched" and (r.subject, r.key) == (subject, key)
            ),
            None,
        )
        if before is not None:
            self.drop(before)
            self.tell("update", before, gone=True, why="succeeded", succeeded_by=by)
        return before

    def _lost(self, response: Response) -> None:
        """A ward's walls or a channel are lost: who counted on them is told in another way at once."""
        if not response.subject.startswith(("component:wall-", "component:channel-")):
            return
        dead = self.dead()
        ward = self.duty.ward_of(response.subject)
        for other in list(self.open.values()):
            if other.due == NEVER or other.alarm == response.alarm:
                continue
            if ward is not None and self.duty.ward_of(other.subject) == ward:
                if not remote(other.told):
                    self.hasten(other, "no_wall")
            elif other.pending and all(channel in dead for channel, _ in other.pending):
                self.hasten(other, "undelivered")

    def also_called(self, decided: Transition, alarm: str) -> None:
        """A gateway's name is another one of this alarm, unless another alarm of ours is called so."""
        alias = str(decided.detail["alias"])
        if alias not in self.open:
            self.aliases[alias] = alarm

    def _merged(self, decided: Transition, before: Response) -> None:
        """A gateway's name of this alarm is another name of it; nobody is called up for that."""
        self.also_called(decided, before.alarm)
        self.complete(decided, self.put(replace(before, onset=min(before.onset, decided.onset))))

    def change(self, decided: Transition, before: Response) -> None:
        """It goes on, got worse, or counts for more or less than before."""
        response = replace(
            before,
            priority=decided.priority,
            values=dict(decided.values),
            limit=decided.limit,
            text=dict(decided.text),
            rule_hash=decided.rule_hash,
            onset=decided.onset,
            late=decided.late,
        )
        worse = decided.kind == "escalate"
        heard = {"update": {"acknowledged"}, "escalate": {"acknowledged", "audio_paused"}}
        if response.signal in heard.get(decided.kind, ()):
            response = replace(response, signal="on", until=0)
        if response.owner is not None and response.priority != before.priority:
            response = replace(response, remind=self.reminder(response, self.at))
        response = self.put(response)
        detail: dict[str, Any] = {}
        if worse and self.tells(response):
            if response.owner is None:
                response, detail = self.first_step(response)
            else:
                detail = {"told": self.owner_hops(response)}
        elif decided.kind == "de-escalate":
            response = self.reschedule(response)
        self.complete(decided, response, **detail)

    def first_step(self, response: Response) -> tuple[Response, dict[str, Any]]:
        """The timetable begins, and its first step is part of the transition that begins it."""
        response, detail = self.step(self.arm(response, self.now))
        del detail["why"]  # there is a reason of the condition's own
        return response, detail

    def end_condition(self, decided: Transition, before: Response) -> None:
        """It is over: the alarm stays until somebody acknowledges it, if its rule says so."""
        told = self.told_of_end(before)
        ended = replace(
            before,
            due=NEVER,
            remind=NEVER,
            pending=(),
            next_to=(),
            root=None,
            why="",
            signal=before.signal if before.signal in SILENT else "on",
        )
        if before.latching and decided.kind == "end":
            ended = replace(ended, condition="latched")
            self.put(replace(ended, until=0) if ended.signal == "on" else ended)
        else:
            self.drop(before)
        self.complete(decided, ended, told=told)
        if before.silence:
            self.reroot()
        self._reconnected(before)

    def _reconnected(self, ended: Response) -> None:
        """A channel works again: what it would have told meanwhile, and is still so, it tells now."""
        channel = ended.subject.removeprefix(channel_of(""))
        if channel == ended.subject or channel in self.dead():
            return
        for response in list(self.open.values()):
            if response.owner is not None or not self.tells(response):
                continue
            steps = self.table(response).steps[: response.step]
            hops = dict.fromkeys(hop for step in steps for hop in self.hops(response, step, self.at))
            told = tuple(hop for hop in hops if hop[0] == channel and hop not in response.told)
            if told:
                after = self.put(replace(response, told=(*response.told, *told)))
                self.tell("continue", after, told=told, why="reconnected")

    @staticmethod
    def told_of_end(response: Response) -> list[tuple[str, str]]:
        """Whoever was told of it, but nobody is called up for its end."""
        return [hop for hop in response.told if hop[0] != "voice"]

    # -- configuration

    def _reminded(self, response: Response) -> Response:
        """With a reminder, where there was no policy to go by when somebody accepted it."""
        if response.owner is None or response.remind != NEVER or response.condition != "active":
            return response
        return self.put(replace(response, remind=self.reminder(response, self.at)))

    def configure(self, event: Configuration) -> None:
        """Others are there to be told, or patients have left."""
        for response in list(self.open.values()):
            if response.subject in event.closed_patients:
                self.drop(response)
                self.tell("reset", response, gone=True, told=self.told_of_end(response), why="closed")
        for switched in list(self.inactivations.values()):
            if switched.subject in event.closed_patients:
                self.switch_on(switched, actor=None, at=self.now, why="closed")
        if event.duty is None or event.duty == self.duty:
            return
        gone = self.duty.people.keys() - event.duty.people.keys()
        self.duty, self.changed = event.duty, True
        for response in list(self.open.values()):
            if response.owner in gone and response.condition == "active":
                after = self.rearm(self.put(self._given_up(response)), "released")
                self.tell("release", after, why="gone", before=response.owner)
        for response in list(self.open.values()):
            after = self.reschedule(self._reminded(response))
            following = self.next_to(after, self.table(after), after.due)
            if following != after.next_to:
                self.put(replace(after, next_to=following))
        self.reroot()
