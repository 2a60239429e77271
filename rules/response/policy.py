"""Escalation policies: who is told of an alarm, by which channels, how long after it began.

A policy is a fixed timetable: what anybody received, read or clicked away does not move it; only accepting
ends it, and a rejection or a hop that failed brings the next step forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from rules.rule import Kind, Priority

__all__ = ["CONFIRMING", "TARGETS", "Policy", "Step", "Target", "TargetKind", "Timetable"]

TargetKind = Literal["wall", "assigned", "team", "on_duty", "patient", "user", "endpoints"]
TARGETS: Final[tuple[TargetKind, ...]] = (
    "wall",
    "assigned",
    "team",
    "on_duty",
    "patient",
    "user",
    "endpoints",
)
CONFIRMING: Final = frozenset({"in_app", "voice"})
"""Channels by which somebody can answer; the others never are the only measure."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a step tells.

    ``wall``: the walls of the ward. ``assigned``: who looks after the patient and is on duty, or else the
    ward's nurses on duty. ``team``: all of the patient's team who are on duty. ``on_duty`` with ``role``:
    everybody on duty in the ward in that role. ``patient``: the patient, where the rule is also meant for
    patients. ``user`` with ``user``: one person, on duty or not. ``endpoints``: what the settings name for
    the step's channels (numbers, addresses of other systems).
    """

    kind: TargetKind
    role: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One row of a timetable: so long after the alarm, these are told by these channels."""

    after_s: float
    targets: tuple[Target, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Timetable:
    """The steps in order; the last is repeated every ``repeat_s`` (0: not) until somebody accepts.

    Who has accepted is reminded every ``remind_s`` (0: not) while the condition lasts. After a redirection
    the next step waits ``redirect_s``.
    """

    steps: tuple[Step, ...]
    repeat_s: float = 0.0
    remind_s: float = 0.0
    redirect_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Timetables by kind and priority of alarm, such as ``physiological.high``.

    Physiological and technical alarms have their own. One that is not there is told on the walls only.
    """

    id: str
    version: int
    title: Mapping[str, str]
    timetables: Mapping[str, Timetable]

    def timetable(self, kind: Kind, priority: Priority) -> Timetable:
        """The timetable for such alarms."""
        return self.timetables.get(f"{kind}.{priority}", _WALL_ONLY)

    def content(self) -> list[Any]:
        """As plain data; ``Policy.of`` is the way back."""
        tables = [
            [
                name,
                [
                    [float(s.after_s), [[t.kind, t.role, t.user] for t in s.targets], list(s.channels)]
                    for s in t.steps
                ],
                float(t.repeat_s),
                float(t.remind_s),
                float(t.redirect_s),
            ]
            for name, t in sorted(self.timetables.items())
        ]
        return [self.id, self.version, sorted(self.title.items()), tables]

    @classmethod
    def of(cls, content: list[Any]) -> Policy:
        """The policy whose ``content`` this is."""
        name, version, title, tables = content
        return cls(
            name,
            version,
            dict(map(tuple, title)),
            {
                key: Timetable(
                    tuple(
                        Step(after, tuple(Target(*t) for t in targets), tuple(channels))
                        for after, targets, channels in steps
                    ),
                    repeat,
                    remind,
                    redirect,
                )
                for key, steps, repeat, remind, redirect in tables
            },
        )


_WALL_ONLY: Final = Timetable((Step(0.0, (Target("wall"),), ("in_app",)),))
