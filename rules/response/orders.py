"""Commands: what people do with an alarm or a subject, each checked before anything changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from hearthward.core.errors import RuleError
from rules.model import Command
from rules.response.answers import remote
from rules.response.model import (
    AUDIO_PAUSE,
    LONGEST,
    NEVER,
    Inactivation,
    InactivationKind,
    Response,
    Told,
)
from rules.response.signals import Signals
from rules.response.timetable import ns
from rules.rule import SECOND

__all__ = ["COMMANDS", "RELEARN", "Orders"]

RELEARN: Final = "relearn"
"""What is usual of the signal ``to`` has changed for good (``cloud_ingest.level_watch``)."""

_OFF: Final[dict[str, InactivationKind]] = {
    "audio_off": "audio_off",
    "pause_alarms": "alarm_paused",
    "alarms_off": "alarm_off",
    "maintenance": "maintenance",
}
_ON_ALARM: Final = frozenset(
    {
        "accept",
        "take_over",
        "reject",
        "release",
        "redirect",
        "acknowledge",
        "note",
        "undelivered",
        RELEARN,
    }
)
COMMANDS: Final = _ON_ALARM | _OFF.keys() | {"pause_audio", "resume_audio", "resume"}
"""All kinds of command."""


def refused(*, code: str, text: str, **details: Any) -> RuleError:
    """The error of a command that cannot be done; ``code`` is for programs."""
    return RuleError(text, code=code, **details)


class Orders(Signals):
    """Carries commands out. Raises RuleError before anything of them is done."""

    def command(self, command: Command) -> None:
        """Do what is asked. Raises RuleError with ``code``."""
        kind = command.kind
        if kind not in COMMANDS:
            msg = f"unknown command {kind!r}; there are: {', '.join(sorted(COMMANDS))}"
            raise refused(code="unknown", text=msg, kind=kind)
        if kind in _OFF:
            self._switch_off(command, _OFF[kind])
        elif kind == "resume":
            self._resume(command)
        elif kind in {"pause_audio", "resume_audio"}:
            self._audio(command)
        else:
            response = self._known(command.alarm)
            act: Callable[[Command, Response], None] = getattr(self, f"_{kind}")
            act(command, response)

    def _known(self, alarm: str) -> Response:
        name = self.aliases.get(alarm, alarm)
        response = self.open.get(self.joined.get(name, name))
        if response is None:
            msg = f"no active alarm {alarm!r}"
            raise refused(code="no_alarm", text=msg, alarm=alarm)
        return response

    def _active(self, response: Response) -> None:
        if response.condition != "active":
            msg = "the condition has ended: acknowledge it"
            raise refused(code="ended", text=msg, alarm=response.alarm)

    # -- responsibility

    def _own(self, response: Response, owner: str) -> Response:
        """Somebody is responsible: the timetable ends, reminders begin."""
        return self.put(
            replace(
                response,
                owner=owner,
                owned_at=self.now,
                due=NEVER,
                why="",
                pending=(),
                next_to=(),
                remind=self.reminder(response, self.now),
            )
        )

    @staticmethod
    def _given_up(response: Response, **changes: Any) -> Response:
        """Nobody is responsible any more, so it is heard again."""
        signal = "on" if response.signal == "acknowledged" else response.signal
        return replace(response, owner=None, owned_at=None, remind=NEVER, signal=signal, **changes)

    def _accept(self, command: Command, response: Response) -> None:
        self._active(response)
        if response.owner == command.actor:
            return
        if response.owner is not None:
            msg = "already accepted by somebody else"
            raise refused(code="taken", text=msg, alarm=response.alarm, by=response.owner)
        after = self._own(response, command.actor)
        self.tell("accept", after, actor=command.actor, note=command.note)

    def _take_over(self, command: Command, response: Response) -> None:
        self._active(response)
        if response.owner == command.actor:
            return
        before = response.owner
        after = self._own(response, command.actor)
        if before is None:
            self.tell("accept", after, actor=command.actor, note=command.note)
        else:
            self.tell("take_over", after, actor=command.actor, note=command.note, before=before)

    def _reject(self, command: Command, response: Response) -> None:
        """They cannot come: the next ones are told at once."""
        self._active(response)
        if response.owner not in {None, command.actor}:
            msg = "somebody else has accepted it: nothing is asked of you"
            raise refused(code="taken", text=msg, alarm=response.alarm, by=response.owner)
        if response.owner is None and command.actor in response.rejected:
            return  # they have said so before
        rejected = tuple(dict.fromkeys((*response.rejected, command.actor)))
        after = self.put(self._given_up(response, rejected=rejected))
        if self.tells(after):
            after = self.hasten(after, "rejected")
        self.tell("reject", after, actor=command.actor, note=command.note)

    def _release(self, command: Command, response: Response) -> None:
        """Who had it gives it back: it is told anew from the beginning."""
        self._active(response)
        if response.owner != command.actor:
            msg = "only who is responsible can give an alarm back"
            raise refused(code="not_owner", text=msg, alarm=response.alarm, by=response.owner or "")
        after = self.put(self._given_up(response))
        after = self.rearm(after, "released")
        self.tell("release", after, actor=command.actor, note=command.note)

    def _redirect(self, command: Command, response: Response) -> None:
        """Ask somebody else; without an answer the timetable goes on."""
        self._active(response)
        person = self.duty.people.get(command.to)
        if person is None:
            msg = f"nobody is known as {command.to!r}"
            raise refused(code="unknown_user", text=msg, to=command.to)
        wait = ns(self.table(response).redirect_s)
        told: tuple[Told, ...] = ()
        rejected = tuple(u for u in response.rejected if u != person.id)
        after = self._given_up(response, rejected=rejected)
        if self.tells(after):
            dead = self.dead()
            told = tuple((c, person.id) for c in person.channels if c in self.duty.channels and c not in dead)
            due = self.now + wait if told else self.now
            why = "redirected" if told else "nobody"
            known = tuple(dict.fromkeys((*after.told, *told)))
            after = replace(after, due=due, why=why, pending=remote(told) or told, told=known)
            after = replace(after, next_to=self.next_to(after, self.table(after), due))
        self.put(after)
        self.tell("redirect", after, actor=command.actor, note=command.note, told=told, to=person.id)

    def _acknowledge(self, command: Command, response: Response) -> None:
        """Seen: of what has ended nothing is left; what lasts makes no sound until it gets worse."""
        if response.condition == "latched":
            self.drop(response)
            self.tell(
                "reset", response, actor=command.actor, note=command.note, gone=True, why="acknowledged"
            )
            return
        if response.owner != command.actor:
            msg = "accept the alarm first: only who is responsible can silence it"
            raise refused(code="not_owner", text=msg, alarm=response.alarm, by=response.owner or "")
        if self.inactive(response) is not None or response.signal == "acknowledged":
            return
        after = self.put(replace(response, signal="acknowledged", until=0))
        self.tell("acknowledge", after, actor=command.actor, note=command.note)

    def _note(self, command: Command, response: Response) -> None:
        if not command.note.strip():
            raise refused(code="nothing", text="a note needs a text", alarm=response.alarm)
        self.tell("note", response, actor=command.actor, note=command.note)

    def _relearn(self, command: Command, response: Response) -> None:
        """Said in the alarm's life; the learning is the rules' (``rules.step.answer``)."""
        self._active(response)
        self.tell("note", response, why=RELEARN, metric=command.to)

    def _undelivered(self, command: Command, response: Response) -> None:
        """A hop failed for good; when none of the step's is left, the next one is taken.

        After the last one there is none: a repetition is never brought forward, or a wrong number would be
        called again and again without a pause.
        """
        channel, _, who = command.to.partition(":")
        hop = channel, who
        if hop not in response.pending:
            return
        pending = tuple(h for h in response.pending if h != hop)
        after = self.put(replace(response, pending=pending))
        left = after.step < len(self.table(after).steps) or after.why == "redirected"
        if not pending and after.due != NEVER and left:
            after = self.hasten(after, "undelivered")
        self.tell("undelivered", after, actor=command.actor, note=command.note, hop=list(hop))

    # -- signals

    def _audio(self, command: Command) -> None:
        """Pause the sound of one alarm, or of all present ones of a subject, or let it be heard again."""
        if command.alarm:
            found = [self._known(command.alarm)]
        else:
            found = [r for r in self.open.values() if r.subject == command.subject]
        found = [r for r in found if r.condition == "active"]
        if not found:
            raise refused(code="nothing", text="there is no alarm to pause", subject=command.subject)
        if command.kind == "resume_audio":
            for response in found:
                self.resume_audio(response, command.actor)
            return
        self._check_until(command, AUDIO_PAUSE)
        for response in found:
            self.pause_audio(response, command.until, command.actor)

    def _check_until(self, command: Command, longest: int) -> None:
        if command.until <= self.now:
            raise refused(code="past", text="the end of the pause has passed already")
        if command.until - self.now > longest:
            limit = longest // SECOND
            raise refused(code="too_long", text=f"at most {limit} s", limit_s=limit)

    def _switch_off(self, command: Command, kind: InactivationKind) -> None:
        subject, reason = command.subject, command.note.strip()
        equipment = subject.startswith(("device:", "gateway:"))
        if not subject or equipment is not (kind == "maintenance") or (":" in subject and not equipment):
            wanted = "device:... or gateway:..." if kind == "maintenance" else "a patient"
            raise refused(code="subject", text=f"{command.kind} is for {wanted}", subject=subject)
        if not reason:
            raise refused(code="reason", text="say why")
        self._check_until(command, LONGEST[kind])
        self.switch_off(Inactivation(subject, kind, command.actor, reason, self.now, command.until))

    def _resume(self, command: Command) -> None:
        found = [
            i
            for i in list(self.inactivations.values())
            if i.subject == command.subject and command.to in {"", i.kind}
        ]
        if not found:
            raise refused(code="nothing", text="nothing is switched off there", subject=command.subject)
        for switched in found:
            self.switch_on(switched, actor=command.actor, at=self.now, why="asked")
