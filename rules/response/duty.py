"""Who is there to be told: people, shifts, teams, and which place, device and patient belongs where.

All of it is an input of deciding, so that any escalation can be worked out again. It holds no address: only
by which channels somebody can be reached.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from rules.response.policy import Policy, Step, Target

__all__ = [
    "NOBODY",
    "OF_WARD",
    "Assignment",
    "Duty",
    "Person",
    "Shift",
    "Team",
    "channel_of",
    "duty_of",
    "flood_of",
    "wall_of",
    "ward_in",
]

WALL: Final = "wall"
ENDPOINT: Final = "@"
"""Before the name of an endpoint where a user's id could stand."""


def wall_of(ward: str) -> str:
    """The subject that stands for a ward's walls: ``component:wall-<ward>``."""
    return f"component:wall-{ward}"


def channel_of(channel: str) -> str:
    """The subject that stands for a channel: ``component:channel-<name>``."""
    return f"component:channel-{channel}"


def duty_of(ward: str) -> str:
    """The subject that stands for who is on duty in a ward: ``component:duty-<ward>``."""
    return f"component:duty-{ward}"


def flood_of(ward: str) -> str:
    """The subject that stands for the number of a ward's alarms: ``component:flood-<ward>``."""
    return f"component:flood-{ward}"


RELATIVE: Final = "family"
_CARING: Final = frozenset({"nurse", "doctor"})
"""Who sees patients' alarms; engineers see those of equipment."""
OF_WARD: Final = ("wall", "duty", "flood")
"""Parts of the system that belong to one ward: ``component:wall-<ward>``."""
_PREFIXES: Final = tuple(f"component:{part}-" for part in OF_WARD)


def ward_in(subject: str) -> str | None:
    """The ward whose walls, duty or flood a subject stands for; None: it stands for none."""
    return next((subject.removeprefix(p) for p in _PREFIXES if subject.startswith(p)), None)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who can be told; ``wards`` None: all. ``channels``: by which they can be reached."""

    id: str
    name: str
    roles: tuple[str, ...]
    wards: tuple[str, ...] | None
    channels: tuple[str, ...]
    patient: str | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """Somebody is on duty in [start, end) (UTC ns) in a role, in one ward or (None) all."""

    user: str
    role: str
    ward: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Team:
    """People who look after patients together."""

    id: str
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Assignment:
    """A patient is looked after by a person or a team in [start, end) (UTC ns)."""

    patient: str
    user: str | None
    team: str | None
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Duty:
    """Everything that decides who is told.

    ``scheduled`` wards have a schedule; in the others everybody of the ward counts as on duty. ``patients``,
    ``gateways`` map to their ward (None: none known); ``devices`` to (gateway, patient or None).
    ``endpoints`` maps channels to the names that the settings give.
    """

    people: Mapping[str, Person] = field(default_factory=dict)
    shifts: tuple[Shift, ...] = ()
    scheduled: frozenset[str] = frozenset()
    teams: Mapping[str, Team] = field(default_factory=dict)
    assignments: tuple[Assignment, ...] = ()
    patients: Mapping[str, str | None] = field(default_factory=dict)
    devices: Mapping[str, tuple[str, str | None]] = field(default_factory=dict)
    gateways: Mapping[str, str | None] = field(default_factory=dict)
    policies: Mapping[str, Policy] = field(default_factory=dict)
    channels: tuple[str, ...] = ("in_app",)
    endpoints: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    worn: Mapping[str, tuple[str, ...]] = field(init=False, repr=False, compare=False)
    """Patient -> their devices, derived."""

    def __post_init__(self) -> None:
        worn: dict[str, tuple[str, ...]] = {}
        for device, (_, patient) in sorted(self.devices.items()):
            if patient is not None:
                worn[patient] = (*worn.get(patient, ()), device)
        object.__setattr__(self, "worn", worn)

    # -- where something belongs

    def ward_of(self, subject: str) -> str | None:
        """The ward that a subject of an alarm belongs to."""
        kind, colon, name = subject.partition(":")
        if not colon:
            return self.patients.get(subject)
        if kind == "gateway":
            return self.gateways.get(name)
        if kind == "device":
            gateway, patient = self.devices.get(name, ("", None))
            return self.patients.get(patient or "") or self.gateways.get(gateway)
        return ward_in(subject)

    def gateways_of(self, subject: str, devices: Iterable[str]) -> frozenset[str]:
        """The gateways without which nothing comes of a subject (or of just these of its devices)."""
        kind, colon, name = subject.partition(":")
        if colon:
            return frozenset({self.devices[name][0]}) if kind == "device" and name in self.devices else NONE
        known = [d for d in devices if d in self.devices] or self.worn.get(subject, ())
        return frozenset(self.devices[d][0] for d in known)

    # -- who is there

    def on_duty(self, ward: str | None, role: str, at: int) -> list[str]:
        """Who is on duty in a role at ``at`` (UTC ns), in the order in which they came on.

        For what is in no ward (``ward`` None) anybody on duty anywhere. Where there is no schedule, and
        nobody is on duty for the whole house, everybody of the ward who has the role.
        """
        there = sorted(
            (s.start, s.user)
            for s in self.shifts
            if s.role == role
            and s.start <= at < s.end
            and (ward is None or s.ward in {None, ward})
            and s.user in self.people
        )
        if not there and ward not in self.scheduled:
            return sorted(p.id for p in self.people.values() if role in p.roles and _of(p, ward))
        return list(dict.fromkeys(user for _, user in there))

    def present(self, user: str, ward: str | None, at: int) -> bool:
        """Whether somebody is on duty in a ward in any role."""
        if ward not in self.scheduled:
            return user in self.people
        return any(s.user == user and s.start <= at < s.end and s.ward in {None, ward} for s in self.shifts)

    def team_of(self, patient: str, at: int) -> list[str]:
        """Everybody of the teams that look after a patient."""
        teams = [
            a.team for a in self.assignments if a.patient == patient and a.start <= at < a.end and a.team
        ]
        found = [m for team in teams if team in self.teams for m in self.teams[team].members]
        return [m for m in dict.fromkeys(found) if m in self.people]

    def assigned(self, patient: str, at: int) -> list[str]:
        """Who looks after a patient: persons by name, else the teams."""
        named = [
            a.user for a in self.assignments if a.patient == patient and a.start <= at < a.end and a.user
        ]
        return [u for u in dict.fromkeys(named) if u in self.people] or self.team_of(patient, at)

    # -- whom a step tells

    def recipients(
        self,
        step: Step,
        subject: str,
        at: int,
        *,
        audience: Iterable[str] = (),
        dead: frozenset[str] = frozenset(),
        wall: bool = True,
    ) -> tuple[tuple[str, str], ...]:
        """(channel, who) for each hop of a step at ``at`` (UTC ns); nobody twice.

        ``dead`` channels are left out, and the walls where there is none (``wall`` False).
        """
        found: dict[tuple[str, str], None] = {}
        for target in step.targets:
            for channel in step.channels:
                if channel in dead or channel not in self.channels:
                    continue
                for who in self._who(target, channel, subject, at, frozenset(audience), wall=wall):
                    found[channel, who] = None
        return tuple(found)

    def _who(
        self, target: Target, channel: str, subject: str, at: int, audience: frozenset[str], *, wall: bool
    ) -> list[str]:
        if target.kind == "wall":
            return [WALL] if channel == "in_app" and wall else []
        if target.kind == "endpoints":
            return [f"{ENDPOINT}{name}" for name in self.endpoints.get(channel, ())]
        people = (self.people[user] for user in self.named(target, subject, at, audience))
        return [p.id for p in people if channel in p.channels and self.may_know(p, subject)]

    def may_know(self, person: Person, subject: str) -> bool:
        """Whether somebody may be told of a subject: of a patient only who cares for them, or themselves.

        A relative is told of nothing: what a patient lets them see is no message to them.
        """
        if ":" in subject:
            return person.patient is None
        if person.patient is not None:
            return person.patient == subject and RELATIVE not in person.roles
        ward = self.ward_of(subject)
        here = person.wards is None or (ward is not None and ward in person.wards)
        return here and bool(_CARING & set(person.roles))

    def named(
        self, target: Target, subject: str, at: int, audience: frozenset[str] = frozenset()
    ) -> list[str]:
        """The people whom a target means at ``at``, whatever they can be reached by."""
        ward = self.ward_of(subject)
        found: list[str] = []
        match target.kind:
            case "assigned":
                found = [u for u in self.assigned(subject, at) if self._there(u, ward, at)]
                found = found or self.on_duty(ward, "nurse", at)
            case "team":
                found = [u for u in self.team_of(subject, at) if self._there(u, ward, at)]
            case "on_duty":
                found = self.on_duty(ward, target.role, at)
            case "patient" if "patient" in audience:
                found = sorted(p.id for p in self.people.values() if p.patient == subject)
            case "user" if target.user in self.people:
                found = [target.user]
            case _:
                pass
        return found

    def _there(self, user: str, ward: str | None, at: int) -> bool:
        """Whether who looks after a patient is on duty, and of the ward that the patient is in now."""
        return self.present(user, ward, at) and _of(self.people[user], ward)

    # -- as plain data

    def content(self) -> list[Any]:
        """As plain data; ``Duty.of`` is the way back."""
        people = [
            [
                p.id,
                p.name,
                list(p.roles),
                None if p.wards is None else list(p.wards),
                list(p.channels),
                p.patient,
            ]
            for _, p in sorted(self.people.items())
        ]
        return [
            people,
            [[s.user, s.role, s.ward, s.start, s.end] for s in self.shifts],
            sorted(self.scheduled),
            [[t.id, list(t.members)] for _, t in sorted(self.teams.items())],
            [[a.patient, a.user, a.team, a.start, a.end] for a in self.assignments],
            [list(x) for x in sorted(self.patients.items())],
            [[d, *at] for d, at in sorted(self.devices.items())],
            [list(x) for x in sorted(self.gateways.items())],
            [p.content() for _, p in sorted(self.policies.items())],
            list(self.channels),
            [[c, list(names)] for c, names in sorted(self.endpoints.items())],
        ]

    @classmethod
    def of(cls, content: list[Any]) -> Duty:
        """The duty whose ``content`` this is."""
        people, shifts, scheduled, teams, given, patients, devices, gateways, policies, channels, ends = (
            content
        )
        return cls(
            people={
                i: Person(
                    i, name, tuple(roles), None if wards is None else tuple(wards), tuple(ways), patient
                )
                for i, name, roles, wards, ways, patient in people
            },
            shifts=tuple(Shift(*s) for s in shifts),
            scheduled=frozenset(scheduled),
            teams={i: Team(i, tuple(members)) for i, members in teams},
            assignments=tuple(Assignment(*a) for a in given),
            patients={p: ward for p, ward in patients},  # noqa: C416 - pairs are lists
            devices={d: (gateway, patient) for d, gateway, patient in devices},
            gateways={g: ward for g, ward in gateways},  # noqa: C416 - pairs are lists
            policies={(p := Policy.of(c)).id: p for c in policies},
            channels=tuple(channels),
            endpoints={c: tuple(names) for c, names in ends},
        )


def _of(person: Person, ward: str | None) -> bool:
    return person.wards is None or ward is None or ward in person.wards


NONE: Final[frozenset[str]] = frozenset()
NOBODY: Final = Duty()
"""Nobody is known: alarms are told on the walls only."""
