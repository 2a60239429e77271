"""What the pages of alarms say of states, acts and refusals, and the lines of an alarm's history: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from dashboards.i18n import N_
from dashboards.models import AlarmDetail, AlarmTransition

__all__ = ["CONDITIONS", "DONE", "OFF", "REFUSED", "SIGNALS", "VIEWS", "Line", "lines_of"]

VIEWS: Final = {
    "open": N_("Open"),
    "unaccepted": N_("Nobody has it"),
    "mine": N_("Mine"),
    "latched": N_("To acknowledge"),
    "worklist": N_("Came too late"),
    "all": N_("All"),
}
CONDITIONS: Final = {
    "active": N_("active"),
    "latched": N_("ended, to be acknowledged"),
    "inactive": N_("ended"),
    "asked": N_("waits for the second measurement"),
}
SIGNALS: Final = {
    "on": N_("on"),
    "audio_paused": N_("sound paused"),
    "audio_off": N_("sound off"),
    "alarm_paused": N_("alarms paused"),
    "alarm_off": N_("alarms off"),
    "acknowledged": N_("sound off: acknowledged"),
}
OFF: Final = {
    "audio_off": N_("sound off"),
    "alarm_paused": N_("alarms paused"),
    "alarm_off": N_("alarms off"),
    "maintenance": N_("maintenance"),
}
DONE: Final = {
    "accept": N_("You are responsible for it now."),
    "take_over": N_("You are responsible for it now."),
    "reject": N_("The next on the timetable is told."),
    "release": N_("Given back; the timetable has begun anew."),
    "redirect": N_("Passed on."),
    "acknowledge": N_("Acknowledged."),
    "note": N_("Noted."),
    "pause_audio": N_("Its sound is paused for 120 s."),
    "resume_audio": N_("It sounds again."),
}
REFUSED: Final = {
    "taken": N_("somebody else has accepted it already"),
    "not_owner": N_("only who has accepted it may do that"),
    "ended": N_("it has ended; acknowledge it"),
    "no_alarm": N_("it has ended"),
    "unknown_user": N_("there is nobody of that name"),
    "too_long": N_("it may not be switched off for so long"),
    "reason": N_("say why"),
    "past": N_("the end has passed already"),
    "subject": N_("that cannot be switched off here"),
    "nothing": N_("there was nothing to do"),
}
LINES: Final = {
    "start": N_("began"),
    "update": N_("updated"),
    "continue": N_("goes on"),
    "escalate": N_("got worse"),
    "de-escalate": N_("got less bad"),
    "end": N_("ended"),
    "reset": N_("reset"),
    "accept": N_("accepted"),
    "take_over": N_("taken over"),
    "reject": N_("rejected"),
    "release": N_("given back"),
    "redirect": N_("passed on to {to}"),
    "acknowledge": N_("acknowledged: no sound until it gets worse"),
    "note": N_("note"),
    "signal": N_("signal: {signal}"),
    "undelivered": N_("could not be delivered: {hop}"),
    "tell": N_("step {step} of {of}"),
    "late": N_("came too late to signal"),
    "ask": N_("a second measurement was asked for"),
}
WHYS: Final = {
    "reminder": N_("reminder: it still goes on"),
    "resumed": N_("a pause was over: signals again"),
    "root": N_("another alarm explains it, or no longer does"),
    "acknowledged": N_("acknowledged"),
    "closed": N_("the patient has left"),
    "succeeded": N_("a new one has begun in its place"),
    "merged": N_("the gateway has another name for it"),
    "rejected": N_("because somebody rejected it"),
    "redirected": N_("because nobody answered to whom it was passed on"),
    "undelivered": N_("because the step before reached nobody"),
    "nobody": N_("because there was nobody to tell"),
    "repeated": N_("again: nobody has accepted it"),
    "released": N_("because it was given back"),
    "no_wall": N_("because no wall was heard"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the history: a text and what fills it, why, who and what they said, and who was told."""

    at: int
    text: str
    fields: Mapping[str, str]
    why: str = ""
    actor: str = ""
    note: str = ""
    told: tuple[tuple[str, str], ...] = ()
    signal: str = ""
    values: str = ""
    key: str = field(default="", compare=False)


def lines_of(alarm: AlarmDetail, names: Mapping[str, str]) -> list[Line]:
    """The history, oldest first; ``names`` are those of users, by id."""
    return [_line(t, names) for t in alarm.transitions]


def _line(t: AlarmTransition, names: Mapping[str, str]) -> Line:
    detail: Mapping[str, Any] = t.detail
    axes = detail.get("axes") or {}
    told = tuple((str(c), names.get(str(who), str(who))) for c, who in detail.get("told") or ())
    to = str(detail.get("to", ""))
    hop = detail.get("hop") or ()
    fields = {
        "to": names.get(to, to),
        "step": str(int(detail.get("step") or 0) + 1),
        "of": str(detail.get("of", "")),
        "hop": ", ".join(names.get(str(part), str(part)) for part in hop),
    }
    ended = t.kind == "end" and t.condition == "latched"
    return Line(
        at=t.at,
        text=LINES["end"] if ended else LINES.get(t.kind, t.kind),
        fields=fields,
        why=WHYS.get(str(detail.get("why", "")), ""),
        actor=t.actor_name or t.actor or "",
        note=t.note,
        told=told,
        signal=SIGNALS.get(str(axes.get("signal", "on")), ""),
        key=t.kind,
    )
