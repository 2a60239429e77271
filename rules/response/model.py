"""What is known of the answer to each open alarm, and of what people have switched off.

An alarm has four independent axes (IEC 60601-1-8, IHE DEV ACM): its *condition* (``rules.episodes``, plus
``latched`` here), its *signal*, its *responsibility*, and its *delivery* (kept with the notifications).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, TypeAlias

from rules.conditions import Missing, leaves
from rules.response.duty import NOBODY, Duty
from rules.rule import SECOND, Kind, Priority, Rule

__all__ = [
    "AUDIO_PAUSE",
    "INACTIVATIONS",
    "LONGEST",
    "NEVER",
    "Inactivation",
    "InactivationKind",
    "Part",
    "Response",
    "Responses",
    "Signal",
    "Told",
    "wake_of",
    "watches_silence",
]

NEVER: Final = 2**63 - 1
"""Later than any time."""
AUDIO_PAUSE: Final = 120 * SECOND
"""The longest audio pause."""

Signal = Literal["on", "audio_paused", "audio_off", "alarm_paused", "alarm_off", "acknowledged"]
"""``paused`` is timed by itself; ``off`` needs a role, a reason and an expiry as well."""
InactivationKind = Literal["audio_off", "alarm_paused", "alarm_off", "maintenance"]
INACTIVATIONS: Final[tuple[InactivationKind, ...]] = ("alarm_off", "maintenance", "alarm_paused", "audio_off")
"""What can be switched off for a whole subject; the strongest first."""
_HOUR: Final = 3600 * SECOND
LONGEST: Final[Mapping[InactivationKind, int]] = {
    "alarm_paused": 4 * _HOUR,
    "audio_off": 24 * _HOUR,
    "alarm_off": 7 * 24 * _HOUR,
    "maintenance": 30 * 24 * _HOUR,
}
"""For how long at most (ns)."""

Told: TypeAlias = tuple[str, str]
"""(channel, who): a user's id, ``wall``, or ``@name`` of an endpoint in the settings."""


def watches_silence(rule: Rule) -> bool:
    """Whether a rule tells that something has fallen silent: such alarms form the technical tree."""
    return rule.kind == "technical" and any(isinstance(x, Missing) for x in leaves(rule.condition))


@dataclass(frozen=True, slots=True)
class Inactivation:
    """Somebody has switched signals off for a subject: who, why, until when (UTC ns)."""

    subject: str
    kind: InactivationKind
    by: str
    reason: str
    start: int
    until: int

    def content(self) -> list[Any]:
        """As plain data; ``Inactivation(*content)`` is the way back."""
        return [self.subject, self.kind, self.by, self.reason, self.start, self.until]


@dataclass(frozen=True, slots=True)
class Part:
    """One condition of an alarm that has several: what the rules call it (``alarm``), as last told.

    ``ended`` it counts on if it is ``latching``, and stands for the alarm until that is over; ``gone`` it was
    reset. ``above``: it is the graver stage.
    """

    alarm: str
    state: Literal["active", "ended", "gone"]
    above: bool
    key: str
    rule: str
    rule_hash: str
    priority: Priority
    policy: str
    latching: bool
    audience: tuple[str, ...]
    onset: int
    values: dict[str, float]
    limit: str
    text: dict[str, str]
    late: bool

    @property
    def counts(self) -> bool:
        """Whether the alarm is as grave as this, still."""
        return self.state == "active" or (self.state == "ended" and self.latching)

    def content(self) -> list[Any]:
        """As plain data."""
        return [_plain(getattr(self, name)) for name in _PART_FIELDS]

    @classmethod
    def of(cls, content: list[Any]) -> Part:
        """The part whose ``content`` this is."""
        values = dict(zip(_PART_FIELDS, content, strict=True))
        for name in ("values", "text"):
            values[name] = {k: v for k, v in values[name]}  # noqa: C416 - pairs are lists
        return cls(**{**values, "audience": tuple(values["audience"])})


_PART_FIELDS: Final = tuple(f.name for f in fields(Part))


def _plain(value: Any) -> Any:
    """Mappings and tuples as lists, in an order that equal ones share."""
    if isinstance(value, dict):
        return [[k, value[k]] for k in sorted(value)]
    if isinstance(value, tuple):
        return [_plain(x) if isinstance(x, tuple) else x for x in value]
    return value


@dataclass(frozen=True, slots=True)
class Response:
    """One open alarm as people deal with it.

    ``armed`` is the zero of the escalation's timetable, ``step`` the next one to take, ``due`` when (NEVER:
    none), ``why`` what makes it due before its time. ``pending`` are the hops of the step last taken that
    have not failed, ``told`` all that were told since the start. ``root`` is the alarm that this one is shown
    under. ``episodes`` counts the earlier ones that nobody has acknowledged, the first of them at ``since``.
    Of a latched one only this record is left: ``values``, ``limit`` and ``text`` are those last told.
    ``parts``: its conditions, where a graver stage and the one below it are one alarm; rule, priority, policy
    and what is shown are those of the gravest that counts.
    """

    alarm: str
    subject: str
    key: str
    rule: str
    rule_hash: str
    kind: Kind
    priority: Priority
    onset: int
    started: int
    policy: str
    latching: bool
    audience: tuple[str, ...]
    silence: bool
    devices: tuple[str, ...]
    values: dict[str, float]
    limit: str
    text: dict[str, str]
    late: bool = False
    condition: Literal["active", "latched"] = "active"
    signal: Signal = "on"
    until: int = 0
    owner: str | None = None
    owned_at: int | None = None
    rejected: tuple[str, ...] = ()
    root: str | None = None
    armed: int = 0
    step: int = 0
    due: int = NEVER
    why: str = ""
    remind: int = NEVER
    told: tuple[Told, ...] = ()
    pending: tuple[Told, ...] = ()
    next_to: tuple[str, ...] = ()
    episodes: int = 0
    since: int = 0
    parts: tuple[Part, ...] = ()

    @classmethod
    def adopted(cls, rule: Rule, *, owner: str | None, started: int, **fields: Any) -> Response:
        """The record of an alarm that was there before there were such records: nobody was told but walls."""
        return cls(
            key=rule.key,
            rule=rule.id,
            rule_hash=rule.hash,
            kind=rule.kind,
            priority=rule.priority,
            policy=rule.escalation,
            latching=rule.latching,
            audience=tuple(rule.audience),
            silence=watches_silence(rule),
            devices=(),
            owner=owner,
            started=started,
            armed=started,
            due=started if owner is None else NEVER,
            **fields,
        )

    def axes(self) -> dict[str, Any]:
        """Signal, responsibility and escalation as they stand in a transition and in the alarm's row."""
        return {
            "signal": self.signal,
            "until": self.until or None,
            "owner": self.owner,
            "owned_at": self.owned_at,
            "rejected": list(self.rejected),
            "root": self.root,
            "policy": self.policy,
            "step": self.step,
            "next_at": None if self.due == NEVER else self.due,
            "next_to": list(self.next_to),
            "episodes": self.episodes,
            "since": self.since or self.onset,
        }

    def content(self) -> list[Any]:
        """As plain data; equal records give equal data."""
        out = [_plain(getattr(self, name)) for name in _FIELDS[:-1]]
        return [*out, [part.content() for part in self.parts]]

    @classmethod
    def of(cls, content: list[Any]) -> Response:
        """The record whose ``content`` this is; before there were parts it ended without them."""
        alone = len(content) == len(_FIELDS) - 1
        values = dict(zip(_FIELDS, [*content, []] if alone else content, strict=True))
        values["parts"] = tuple(map(Part.of, values["parts"]))
        for name in ("values", "text"):
            values[name] = {k: v for k, v in values[name]}  # noqa: C416 - pairs are lists
        for name in ("audience", "devices", "rejected", "next_to"):
            values[name] = tuple(values[name])
        for name in ("told", "pending"):
            values[name] = tuple((channel, who) for channel, who in values[name])
        return cls(**values)


_FIELDS: Final = tuple(f.name for f in fields(Response))


@dataclass(frozen=True, slots=True)
class Responses:
    """The answers to all open alarms; changed only by ``rules.response.react``.

    ``clock`` is the latest time seen (UTC ns, the cloud's); ``wake`` no later than the next timer.
    ``aliases`` are other names of open alarms: an edge's and the cloud's for one episode. ``joined``: of
    which alarm a condition is a part that the rules know under a name of its own; the newest that are over
    are kept, as a gateway's word on one may come late.
    """

    open: Mapping[str, Response] = field(default_factory=dict)
    inactivations: Mapping[tuple[str, str], Inactivation] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    duty: Duty = NOBODY
    clock: int = 0
    wake: int = field(default=NEVER, compare=False)
    joined: Mapping[str, str] = field(default_factory=dict)

    def find(self, alarm: str) -> Response | None:
        """The open alarm of that name or alias."""
        return self.open.get(self.name_of(alarm))

    def name_of(self, alarm: str) -> str:
        """What people know an alarm by, whatever the rules or a gateway call it."""
        alarm = self.aliases.get(alarm, alarm)
        return self.joined.get(alarm, alarm)

    def content(self) -> list[Any]:
        """As plain data; equal histories give equal data."""
        return [
            [r.content() for _, r in sorted(self.open.items())],
            [i.content() for _, i in sorted(self.inactivations.items())],
            [list(pair) for pair in sorted(self.aliases.items())],
            self.duty.content(),
            self.clock,
            [list(pair) for pair in self.joined.items()],
        ]

    @classmethod
    def of(cls, content: list[Any]) -> Responses:
        """The responses whose ``content`` this is."""
        rows, inactive, aliases, duty, clock, *joined = content
        responses = [Response.of(row) for row in rows]
        switched = [Inactivation(*row) for row in inactive]
        return cls(
            {r.alarm: r for r in responses},
            {(i.subject, i.kind): i for i in switched},
            {alias: alarm for alias, alarm in aliases},  # noqa: C416 - pairs are lists
            Duty.of(duty),
            clock,
            wake_of(responses, switched),
            {part: alarm for part, alarm in joined[0]} if joined else {},  # noqa: C416 - pairs are lists
        )


def wake_of(responses: Iterable[Response], switched: Iterable[Inactivation]) -> int:
    """When the next timer ends; NEVER when none runs."""
    timers = [min(r.due, r.remind, r.until or NEVER) for r in responses]
    return min([*timers, *(i.until for i in switched)], default=NEVER)
