"""Who watches over a patient now, as the patient may know it: that somebody does and until when, no names."""

from __future__ import annotations

from dataclasses import dataclass

from rules.response.duty import Duty

__all__ = ["Phones", "Watch", "watch_of"]

ROLES = ("nurse", "charge", "doctor")


@dataclass(frozen=True, slots=True)
class Phones:
    """Numbers that a patient can call; None: none is set, the page then names none."""

    care: str | None = None
    emergency: str | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """Whether somebody is on duty for a patient, until when (None: there is no schedule), else from when."""

    there: bool
    until: int | None = None
    again: int | None = None


def watch_of(duty: Duty, patient: str, now: int) -> Watch:
    """Who is on duty for a patient at ``now`` (UTC ns); shifts that follow each other count as one."""
    if patient not in duty.patients:
        return Watch(there=False)  # no longer in care here
    ward = duty.patients[patient]
    turns = [
        (s.start, s.end)
        for s in duty.shifts
        if s.role in ROLES and (ward is None or s.ward in {None, ward}) and s.user in duty.people
    ]
    until = now
    for start, end in sorted(turns):
        if start <= until < end:
            until = end
    if until > now:
        return Watch(there=True, until=until)
    if any(duty.on_duty(ward, role, now) for role in ROLES) and ward not in duty.scheduled:
        return Watch(there=True)
    return Watch(there=False, again=min((start for start, _ in turns if start > now), default=None))
