"""What the pages of alarms say of states, acts and refusals."""

from __future__ import annotations

from typing import Final

from dashboards.i18n import N_

__all__ = ["CONDITIONS", "DONE", "OFF", "REFUSED", "SIGNALS", "VIEWS"]

VIEWS: Final = {
    "open": N_("Open"),
    "unaccepted": N_("Nobody has it"),
    "mine": N_("Mine"),
    "latched": N_("To acknowledge"),
    "worklist": N_("Came too late"),
    "all": N_("Everything"),
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
    "first": N_("{name} was first and accepted it at {time}"),
    "not_owner": N_("only who has accepted it may do that"),
    "ended": N_("it has ended; acknowledge it"),
    "risen": N_("it has become graver meanwhile: look at it and accept it then"),
    "no_alarm": N_("it has ended"),
    "unknown_user": N_("there is nobody of that name"),
    "too_long": N_("it may not be switched off for so long"),
    "reason": N_("say why"),
    "past": N_("the end has passed already"),
    "subject": N_("that cannot be switched off here"),
    "nothing": N_("there was nothing to do"),
}
