"""What the rules remember: per subject its signals, episodes and waiting readings.

``rules.step`` works on copies of the subjects that it touches, ``rules.engine`` in place; both leave equal
states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple, cast

import msgpack

from hearthward.core.errors import RuleError
from rules.compiled import Compiled, Plan, Planner
from rules.conditions import UnknownContentError
from rules.context import Context
from rules.detectors.quality import Gate, SubjectGate
from rules.model import Alarm
from rules.models.watch import Watch
from rules.response.model import NEVER, Response, Responses
from rules.rule import SHADOW, Priority, Rule, RuleSet
from rules.shared import Shared
from rules.signals import Series

__all__ = ["NEVER", "Episode", "Row", "Snapshot", "State", "Subject", "Watched"]

_VERSION: Final = 6
_APART: Final = 5
"""Every condition had an alarm of its own."""
_UNGATED: Final = 4
"""Nothing was kept of what each value is worth."""
_ALONE: Final = 3
"""Nothing was known of what gateways decide."""
_BEFORE: Final = 2
"""Who accepted an alarm stood in its episode; nothing else was known of the answer to it."""


class Row(NamedTuple):
    """One row of ``Rows`` as it is kept and ordered: by time, then by all else, however it arrived.

    ``known`` False: no value came (``value`` is 0.0 then).
    """

    time: int
    device: str
    metric: str
    received: int
    known: bool
    value: float
    quality: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values at one moment as shown to people, the readings they are taken from, and fields of texts."""

    values: dict[str, float] = field(default_factory=dict)
    inputs: tuple[dict[str, Any], ...] = ()
    fields: dict[str, dict[str, str]] = field(default_factory=dict)
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Episode:
    """One breach of one rule by one subject, from its first reading to its end.

    ``due`` is when a pending one becomes active, or the wait for a second measurement (asked) ends;
    ``peaks`` the most extreme value per leaf of the rule that had a part in the breach; ``snapshot`` what
    was shown when they last changed, ``told`` whether people were told it. ``clear_at`` is since when all
    is clear. ``early``: told before its turn came. ``alarm`` is empty while pending: nobody may see it yet.
    """

    condition: Literal["asked", "pending", "active"]
    onset: int
    due: int
    seq: int
    late: bool
    peaks: tuple[float | None, ...]
    snapshot: Snapshot
    told: bool = False
    told_at: int = 0
    alarm: str = ""
    started: int = 0
    priority: Priority = "high"
    values: dict[str, float] = field(default_factory=dict)
    text: dict[str, str] = field(default_factory=dict)
    clear_at: int | None = None
    early: bool = False
    why: str = ""
    limit: str = ""


class Watched(NamedTuple):
    """What open episodes want of a signal: judge every value; judge a new extreme; learn nothing of it.

    ``until`` is when the first of the values becomes too old that made the breaches judged at extremes only.
    """

    always: tuple[Compiled, ...]
    extremes: tuple[Compiled, ...]
    until: int
    frozen: bool


class Subject:
    """One patient (or device, gateway, component): signals by metric and device, episodes by rule.

    ``clock`` is how far its timers have run (``struck``: those of silence, too, that end just then),
    ``planned`` as of when limits and context were looked up,
    ``waiting`` the readings beyond the watermark, ``sources`` who sends for it, ``shared`` by rule the alarms
    that are over and what gateways have decided, ``watch`` what the learned risk rests on. Derived: the plan,
    ``evident`` (gateways know readings that have not come), ``wake`` (no later than the next timer),
    ``breaching`` (rules that were breached when last judged, and until when at least that needs no other
    look), ``watched`` (what open episodes want of each signal).
    """

    __slots__ = (
        "breaching",
        "clock",
        "episodes",
        "evident",
        "lates",
        "plan",
        "plan_until",
        "planned",
        "series",
        "shared",
        "sources",
        "struck",
        "waiting",
        "wake",
        "watch",
        "watched",
    )

    def __init__(self) -> None:
        self.series: dict[str, dict[str, Series]] = {}
        self.episodes: dict[str, Episode] = {}
        self.lates: dict[str, tuple[int, int]] = {}
        self.waiting: list[Row] = []
        self.sources: tuple[str, ...] = ()
        self.shared: dict[str, Shared] = {}
        self.watch: Watch | None = None
        self.evident = False
        self.clock = -1
        self.struck = False
        self.plan: Plan | None = None
        self.plan_until = -1
        self.planned = -1
        self.wake = -1
        self.breaching: dict[str, int] = {}
        self.watched: dict[str, Watched] = {}

    def move(self, at: int, *, struck: bool) -> None:
        """Let the clock come to ``at``; it never goes back."""
        if at > self.clock:
            self.clock, self.struck = at, struck
        elif at == self.clock:
            self.struck = self.struck or struck

    def past(self, silence: int) -> bool:
        """Whether what falls silent at that time has done so."""
        return silence < self.clock or (silence == self.clock and self.struck)

    def share(self, key: str, shared: Shared) -> Shared:
        """Keep what is known of a rule besides the present episode."""
        before = self.shared.get(key)
        self.shared[key] = shared
        if shared.seen or (before is not None and before.seen):
            self.evident = any(s.seen for s in self.shared.values())
        return shared

    def doubt(self) -> None:
        """Time went back, or what counted counts no more: every rule is to look at each signal again."""
        self.breaching.clear()
        for devices in self.series.values():
            for series in devices.values():
                series.cell = -1

    def copy(self) -> Subject:
        """The same, to be changed on its own."""
        out = Subject()
        out.series = {m: {d: s.copy() for d, s in devices.items()} for m, devices in self.series.items()}
        out.episodes, out.lates = dict(self.episodes), dict(self.lates)
        out.waiting, out.sources = list(self.waiting), self.sources
        out.shared, out.evident = dict(self.shared), self.evident
        out.watch = None if self.watch is None else self.watch.copy()
        out.clock, out.struck, out.planned = self.clock, self.struck, self.planned
        return out

    def pack(self) -> list[Any]:
        """All of it as plain data; equal histories give equal data."""
        series = [
            [metric, [[device, *s.pack()] for device, s in sorted(devices.items())]]
            for metric, devices in sorted(self.series.items())
        ]
        episodes = [[rule, *_pack_episode(e)] for rule, e in sorted(self.episodes.items())]
        lates = sorted([rule, *times] for rule, times in self.lates.items())
        waiting = [list(row) for row in self.waiting]
        shared = [[rule, *s.pack()] for rule, s in sorted(self.shared.items())]
        clocks = [self.clock, self.struck, self.planned]
        watch = [] if self.watch is None else [self.watch.pack()]
        return [series, episodes, lates, waiting, sorted(self.sources), *clocks, shared, *watch]

    @classmethod
    def unpacked(cls, packed: list[Any]) -> Subject:
        """The subject that ``pack`` described."""
        out = cls()
        series, episodes, lates, waiting, sources, out.clock, out.struck, out.planned, *rest = packed
        for rule, *shared in rest[0] if rest else ():
            out.share(rule, Shared.unpacked(shared))
        out.watch = Watch.unpacked(rest[1]) if len(rest) > 1 else None
        out.series = {m: {row[0]: Series.unpacked(row[1:]) for row in rows} for m, rows in series}
        out.episodes = {row[0]: _unpack_episode(row[1:]) for row in episodes}
        out.lates = {rule: (first, last) for rule, first, last in lates}
        out.waiting = [Row(*row) for row in waiting]
        out.sources = tuple(sources)
        return out


@dataclass(slots=True)
class State:
    """All that decisions depend on. Read it by ``active()``; only ``rules.step`` and the engine change it.

    ``seq`` is the last input's number; ``sources`` maps who sends to how far (corrected time) they have told
    and when (ingest time) they last did; ``alarms`` is an index: alarm -> (subject, rule's key);
    ``responses`` is what became of the alarms that people know of, in the hands of ``rules.response``;
    ``gate`` what the quality gate remembers of each subject's signals.
    """

    node: str
    rules: RuleSet = field(default_factory=RuleSet)
    seq: int = 0
    subjects: dict[str, Subject] = field(default_factory=dict)
    contexts: dict[str, Context] = field(default_factory=dict)
    sources: dict[str, tuple[int, int]] = field(default_factory=dict)
    alarms: dict[str, tuple[str, str]] = field(default_factory=dict)
    responses: Responses = field(default_factory=Responses)
    gate: Gate = field(default_factory=dict)
    planner: Planner = field(init=False, repr=False, compare=False)
    anew: int = field(default=0, compare=False)
    """Of what was read: derived quantities of another version, which are learned anew."""

    def __post_init__(self) -> None:
        self.planner = Planner(self.rules)

    @classmethod
    def empty(cls, node: str, rules: RuleSet | None = None) -> State:
        """Nothing seen yet; without ``rules`` nothing is decided until a Configuration comes."""
        return cls(node=node, rules=rules or RuleSet())

    def fork(self) -> State:
        """A state that shares this one's subjects, which must not be changed but replaced."""
        out = replace(
            self,
            subjects=dict(self.subjects),
            contexts=dict(self.contexts),
            sources=dict(self.sources),
            alarms=dict(self.alarms),
            gate=dict(self.gate),
        )
        out.planner = self.planner
        return out

    def active(self, *, shadow: bool = False) -> list[Alarm]:
        """The present alarms, the oldest first; those of rules in shadow only when asked for."""
        names = {
            self.responses.name_of(alarm): where
            for alarm, where in self.alarms.items()
            if self.rules.by_id[where[1]].shadow is shadow
        }
        found = [self._view(alarm, *where) for alarm, where in names.items()]
        return sorted((a for a in found if a is not None), key=lambda a: (a.started, a.id))

    def alarm(self, alarm: str) -> Alarm:
        """One present alarm that people may see. Raises RuleError when there is none of that id."""
        where = self.alarms.get(alarm)
        view = None
        if where is not None and not where[1].endswith(SHADOW):
            view = self._view(self.responses.name_of(alarm), *where)
        if view is None:
            msg = f"no active alarm {alarm!r}"
            raise RuleError(msg, alarm=alarm)
        return view

    def _view(self, alarm: str, subject: str, key: str) -> Alarm | None:
        episode = self.subjects[subject].episodes[key]
        if episode.condition != "active":
            return None
        rule = self.rules.by_id[key]
        response = self.responses.open.get(alarm)
        if response is not None and response.parts:
            return self._united(response)
        return Alarm(
            id=alarm,
            patient=subject,
            rule=rule.id,
            rule_hash=self.rules.hashes[key],
            kind=rule.kind,
            priority=episode.priority,
            onset=episode.onset,
            started=episode.started,
            values=dict(episode.values),
            limit=episode.limit,
            text=dict(episode.text),
            accepted_by=None if response is None else response.owner,
            accepted_at=None if response is None else response.owned_at,
            late=episode.late,
        )

    @staticmethod
    def _united(response: Response) -> Alarm:
        """An alarm of several conditions: as its gravest."""
        return Alarm(
            id=response.alarm,
            patient=response.subject,
            rule=response.rule,
            rule_hash=response.rule_hash,
            kind=response.kind,
            priority=response.priority,
            onset=response.onset,
            started=response.started,
            values=dict(response.values),
            limit=response.limit,
            text=dict(response.text),
            accepted_by=response.owner,
            accepted_at=response.owned_at,
            late=response.late,
        )

    def context(self, subject: str) -> Context:
        """What is known of a subject besides readings."""
        return self.contexts.get(subject) or _UNKNOWN

    def to_bytes(self) -> bytes:
        """A snapshot, rules included; equal histories give equal bytes."""
        rules = [[r.content(), r.shadow] for r in self.rules]
        contexts = [[subject, c.content()] for subject, c in sorted(self.contexts.items())]
        sources = [[source, *told] for source, told in sorted(self.sources.items())]
        subjects = [[p, s.pack()] for p, s in sorted(self.subjects.items())]
        gate = [[p, g.pack()] for p, g in sorted(self.gate.items())]
        content = [rules, contexts, sources, subjects, self.responses.content(), gate]
        return cast("bytes", msgpack.packb([_VERSION, self.node, self.seq, *content]))

    @classmethod
    def from_bytes(cls, payload: bytes) -> State:
        """The state of a snapshot. Raises RuleError when it is damaged or of another version."""
        try:
            version, *content = msgpack.unpackb(payload, use_list=True, strict_map_key=False)
            if version == _BEFORE:
                content.append(_answers_before(content))
            elif version not in {_ALONE, _UNGATED, _APART, _VERSION}:
                msg = f"rule snapshot of version {version}; this software reads {_VERSION}"
                raise RuleError(msg)
            if version not in {_APART, _VERSION}:
                content.append([])
            node, seq, rules, contexts, sources, subjects, responses, gate = content
            state = cls(
                node=node,
                rules=RuleSet(tuple(Rule.from_content(r, shadow=shadow) for r, shadow in rules)),
                seq=seq,
                subjects={p: Subject.unpacked(packed) for p, packed in subjects},
                contexts={subject: Context.of(c) for subject, c in contexts},
                sources={source: (wall, heard) for source, wall, heard in sources},
                responses=Responses.of(responses),
                gate={p: SubjectGate.unpacked(packed) for p, packed in gate},
            )
        except RuleError:
            raise
        except UnknownContentError as error:
            msg = f"rule snapshot cannot be read: {error}"
            raise RuleError(msg) from error
        except Exception as error:
            msg = f"rule snapshot is damaged: {type(error).__name__}"
            raise RuleError(msg) from error
        known = (
            x for s in state.subjects.values() for devices in s.series.values() for x in devices.values()
        )
        state.anew = sum(series.anew for series in known)
        state.alarms = {
            e.alarm: (p, key) for p, s in state.subjects.items() for key, e in s.episodes.items() if e.alarm
        }
        return state

    def digest(self) -> str:
        """Sixteen hexadecimal digits over ``to_bytes``."""
        return hashlib.blake2b(self.to_bytes(), digest_size=8).hexdigest()


_UNKNOWN: Final = Context()


def _answers_before(content: list[Any]) -> list[Any]:
    """The answers to the open alarms of a snapshot of the version before; its episodes become today's."""
    _, _, rules, _, _, subjects = content
    known = RuleSet(tuple(Rule.from_content(r, shadow=shadow) for r, shadow in rules)).by_id
    found: dict[str, Response] = {}
    for name, packed in subjects:
        for key, *row in packed[1]:
            rule, accepted_by, accepted_at = known[key], row[14], row[15]
            if row[0] == "active" and not rule.shadow:
                found[row[9]] = Response.adopted(
                    rule,
                    alarm=row[9],
                    subject=name,
                    onset=row[1],
                    started=row[10],
                    owner=accepted_by,
                    owned_at=accepted_at,
                    values=_dict(row[12]),
                    text=_dict(row[13]),
                    limit=row[19],
                )
        packed[1] = [[key, *row[:14], *row[16:]] for key, *row in packed[1]]
    return Responses(found).content()


def _pack_episode(e: Episode) -> list[Any]:
    shot = e.snapshot
    return [
        e.condition,
        e.onset,
        e.due,
        e.seq,
        e.late,
        list(e.peaks),
        [_pairs(shot.values), [_pairs(i) for i in shot.inputs], _nested(shot.fields), _nested(shot.detail)],
        e.told,
        e.told_at,
        e.alarm,
        e.started,
        e.priority,
        _pairs(e.values),
        _pairs(e.text),
        e.clear_at,
        e.early,
        e.why,
        e.limit,
    ]


def _unpack_episode(row: list[Any]) -> Episode:
    values, inputs, fields, detail = row[6]
    row[5] = tuple(row[5])
    row[6] = Snapshot(_dict(values), tuple(_dict(i) for i in inputs), fields, detail)
    row[12], row[13] = _dict(row[12]), _dict(row[13])
    return Episode(*row)


def _pairs(mapping: Mapping[str, Any]) -> list[list[Any]]:
    return [[k, mapping[k]] for k in sorted(mapping)]


def _dict(pairs: list[list[Any]]) -> dict[str, Any]:
    return {key: value for key, value in pairs}  # noqa: C416 - pairs are lists


def _nested(value: Any) -> Any:
    """Mappings with their keys in order, so that equal ones give equal bytes."""
    if isinstance(value, Mapping):
        return {k: _nested(value[k]) for k in sorted(value)}
    if isinstance(value, list | tuple):
        return [_nested(v) for v in value]
    return value
