"""What the rules remember, as an immutable value that is shared between steps as far as it is unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import msgpack

from hearthward.core.errors import RuleError
from rules.model import Alarm, Priority, Rule, RuleSet

__all__ = ["Episode", "Seen", "Snapshot", "State", "Subject"]

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """The newest reading of one metric by one device, and the last few (time, value) to know repeats by."""

    time: int
    value: float
    received: int
    recent: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values at one moment as shown to people, and the readings they are taken from."""

    values: dict[str, float]
    inputs: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Episode:
    """One breach of one rule by one patient, from its first reading to its end.

    ``due`` is when a pending one becomes active; ``worst`` the most extreme breaching value per condition of
    the rule; ``snapshot`` what was shown when ``worst`` last changed, ``told`` whether people were told it.
    ``alarm`` is empty while pending: nobody may see it yet.
    """

    condition: Literal["pending", "active"]
    onset: int
    due: int
    seq: int
    late: bool
    worst: tuple[float | None, ...]
    snapshot: Snapshot
    told: bool = False
    told_at: int = 0
    alarm: str = ""
    started: int = 0
    priority: Priority = "high"
    values: dict[str, float] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    accepted_by: str | None = None
    accepted_at: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """One patient: newest readings by metric and device, episodes by rule, worklist spans by rule."""

    latest: Mapping[str, Mapping[str, Seen]] = field(default_factory=dict)
    episodes: Mapping[str, Episode] = field(default_factory=dict)
    lates: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def next_due(self) -> int | None:
        """When the first pending episode becomes active."""
        return min((e.due for e in self.episodes.values() if e.condition == "pending"), default=None)


@dataclass(frozen=True, slots=True)
class State:
    """All that decisions depend on. Opaque: read it by ``active()``, change it only by ``rules.step``.

    ``seq`` is the last input's number. ``due`` and ``alarms`` are indexes: patient -> first timer, and
    alarm -> (patient, rule).
    """

    node: str
    rules: RuleSet = field(default_factory=RuleSet)
    seq: int = 0
    subjects: Mapping[str, Subject] = field(default_factory=dict)
    due: Mapping[str, int] = field(default_factory=dict)
    alarms: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @classmethod
    def empty(cls, node: str, rules: RuleSet | None = None) -> State:
        """Nothing seen yet; without ``rules`` nothing is decided until a Configuration comes."""
        return cls(node=node, rules=rules or RuleSet())

    def active(self) -> list[Alarm]:
        """The present alarms, the oldest first."""
        found = [self._view(alarm, *where) for alarm, where in self.alarms.items()]
        return sorted(found, key=lambda a: (a.started, a.id))

    def alarm(self, alarm: str) -> Alarm:
        """One present alarm. Raises RuleError when there is none of that id."""
        try:
            where = self.alarms[alarm]
        except KeyError:
            msg = f"no active alarm {alarm!r}"
            raise RuleError(msg, alarm=alarm) from None
        return self._view(alarm, *where)

    def _view(self, alarm: str, patient: str, rule_id: str) -> Alarm:
        episode = self.subjects[patient].episodes[rule_id]
        rule = self.rules.by_id[rule_id]
        return Alarm(
            id=alarm,
            patient=patient,
            rule=rule_id,
            rule_hash=self.rules.hashes[rule_id],
            kind=rule.kind,
            priority=episode.priority,
            onset=episode.onset,
            started=episode.started,
            values=dict(episode.values),
            limit=rule.limit,
            text=dict(episode.text),
            accepted_by=episode.accepted_by,
            accepted_at=episode.accepted_at,
            late=episode.late,
        )

    def to_bytes(self) -> bytes:
        """A snapshot, rules included; equal histories give equal bytes."""
        subjects = [[p, *_pack_subject(s)] for p, s in sorted(self.subjects.items())]
        rules = [r.content() for r in self.rules]
        return cast("bytes", msgpack.packb([_VERSION, self.node, self.seq, rules, subjects]))

    @classmethod
    def from_bytes(cls, payload: bytes) -> State:
        """The state of a snapshot. Raises RuleError when it is damaged or of another version."""
        try:
            version, node, seq, rules, subjects = msgpack.unpackb(payload, use_list=True)
            if version != _VERSION:
                msg = f"rule snapshot of version {version}; this software reads {_VERSION}"
                raise RuleError(msg)
            ruleset = RuleSet(tuple(Rule.from_content(r) for r in rules))
            restored = {row[0]: _unpack_subject(*row[1:]) for row in subjects}
            state = cls(node, ruleset, seq, restored)
        except RuleError:
            raise
        except Exception as error:
            msg = f"rule snapshot is damaged: {type(error).__name__}"
            raise RuleError(msg) from error
        return state.indexed()

    def digest(self) -> str:
        """Sixteen hexadecimal digits over ``to_bytes``."""
        return hashlib.blake2b(self.to_bytes(), digest_size=8).hexdigest()

    def indexed(self) -> State:
        """The same state with ``due`` and ``alarms`` made anew from the subjects."""
        due = {p: at for p, s in self.subjects.items() if (at := s.next_due()) is not None}
        alarms = {
            e.alarm: (p, r)
            for p, s in self.subjects.items()
            for r, e in s.episodes.items()
            if e.condition == "active"
        }
        return State(self.node, self.rules, self.seq, self.subjects, due, alarms)


def _pack_subject(subject: Subject) -> list[object]:
    latest = [
        [metric, [[device, s.time, s.value, s.received, s.recent] for device, s in sorted(devices.items())]]
        for metric, devices in sorted(subject.latest.items())
    ]
    episodes = [[rule, *_pack_episode(e)] for rule, e in sorted(subject.episodes.items())]
    return [latest, episodes, sorted([rule, *span] for rule, span in subject.lates.items())]


def _unpack_subject(latest: list[Any], episodes: list[Any], lates: list[Any]) -> Subject:
    return Subject(
        latest={
            metric: {
                device: Seen(time, value, received, tuple((t, v) for t, v in recent))
                for device, time, value, received, recent in devices
            }
            for metric, devices in latest
        },
        episodes={row[0]: _unpack_episode(row[1:]) for row in episodes},
        lates={rule: (first, last) for rule, first, last in lates},
    )


def _pack_episode(e: Episode) -> list[object]:
    return [
        e.condition,
        e.onset,
        e.due,
        e.seq,
        e.late,
        e.worst,
        [sorted(e.snapshot.values.items()), [sorted(i.items()) for i in e.snapshot.inputs]],
        e.told,
        e.told_at,
        e.alarm,
        e.started,
        e.priority,
        sorted(e.values.items()),
        sorted(e.text.items()),
        e.accepted_by,
        e.accepted_at,
    ]


def _unpack_episode(row: list[Any]) -> Episode:
    values, inputs = row[6]
    row[5] = tuple(row[5])
    row[6] = Snapshot({k: v for k, v in values}, tuple({k: v for k, v in i} for i in inputs))  # noqa: C416
    row[12] = {k: v for k, v in row[12]}  # noqa: C416
    row[13] = {k: v for k, v in row[13]}  # noqa: C416
    return Episode(*row)
