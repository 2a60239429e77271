"""What the web shows and takes of answering alarms: acts, walls, and those who may be asked to take over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from hearthward.trust.access import POLICY, Action, Role
from rules.response.model import AUDIO_PAUSE, LONGEST

__all__ = [
    "ANSWERS",
    "LONGEST_S",
    "SWITCHES",
    "Act",
    "Answer",
    "Switch",
    "WallState",
    "can_answer",
]

Answer = Literal[
    "accept",
    "take_over",
    "reject",
    "release",
    "redirect",
    "acknowledge",
    "note",
    "pause_audio",
    "resume_audio",
]
"""What somebody can do about one alarm."""
Switch = Literal["pause_audio", "audio_off", "pause_alarms", "alarms_off", "maintenance", "resume"]
"""What somebody can do about all alarms of a patient, device or gateway."""
ANSWERS: Final[tuple[Answer, ...]] = get_args(Answer)
SWITCHES: Final[tuple[Switch, ...]] = get_args(Switch)
SECOND: Final = 1_000_000_000
LONGEST_S: Final = {
    "pause_audio": AUDIO_PAUSE // SECOND,
    "audio_off": LONGEST["audio_off"] // SECOND,
    "pause_alarms": LONGEST["alarm_paused"] // SECOND,
    "alarms_off": LONGEST["alarm_off"] // SECOND,
    "maintenance": LONGEST["maintenance"] // SECOND,
}
"""For how many seconds at most something can be switched off."""


def can_answer(roles: Iterable[str], *, equipment: bool = True) -> bool:
    """Whether somebody with these roles can be responsible for alarms of ``equipment``, or of patients."""
    known = frozenset(Role)
    action = Action.ANSWER_TECHNICAL_ALARM if equipment else Action.ACCEPT_ALARM
    return any(action in POLICY[Role(r)] for r in roles if r in known)


@dataclass(frozen=True, slots=True)
class Act:
    """What a person does about an alarm or a subject: ``until`` in UTC ns, ``to`` whom or which kind.

    ``seen`` is the rule that an alarm was shown with to who takes it; empty: nothing is known of that.
    """

    kind: Answer | Switch
    actor: str
    note: str = ""
    until: int = 0
    to: str = ""
    seen: str = ""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class WallState(_View):
    """The walls of one ward as the server knows them."""

    ward: str
    name: str = ""
    connected: int = Field(0, description="walls that have reported within the last seconds")
    audible: int = Field(0, description="those of them that let sound out")
