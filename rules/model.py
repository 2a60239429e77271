"""What decisions are made of: rules, the inputs of a step, and the transitions that come out of it.

Times are UTC nanoseconds; durations in rules are seconds. Everything here is data without behaviour in
time: ``rules.step.step`` is the only place where a condition changes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

__all__ = [
    "SECOND",
    "Alarm",
    "Command",
    "Condition",
    "ConditionState",
    "Configuration",
    "Input",
    "Kind",
    "Operator",
    "Priority",
    "Readings",
    "Rows",
    "Rule",
    "RuleSet",
    "Tick",
    "Transition",
    "TransitionKind",
    "number",
]

SECOND: Final = 1_000_000_000

Operator = Literal["below", "above", "at_or_below", "at_or_above"]
Kind = Literal["physiological", "technical"]
Priority = Literal["high", "medium", "low"]
ConditionState = Literal["inactive", "pending", "active"]
TransitionKind = Literal[
    "start", "continue", "update", "escalate", "de-escalate", "end", "reset", "accept", "late"
]

_SYMBOLS: Final[dict[str, str]] = {"below": "<", "above": ">", "at_or_below": "≤", "at_or_above": "≥"}


def number(value: float) -> str:
    """A measured value or limit as people write it: ``84``, ``36.6``."""
    return f"{value:g}"


@dataclass(frozen=True, slots=True)
class Condition:
    """One limit on one metric; ``hysteresis`` (in its unit) is how far back it must come to clear."""

    metric: str
    op: Operator
    value: float
    hysteresis: float = 0.0

    @property
    def falling(self) -> bool:
        """Whether lower values are worse."""
        return self.op in {"below", "at_or_below"}

    def breaches(self, value: float) -> bool:
        """Whether the value is beyond the limit."""
        match self.op:
            case "below":
                return value < self.value
            case "above":
                return value > self.value
            case "at_or_below":
                return value <= self.value
            case "at_or_above":
                return value >= self.value

    def clears(self, value: float) -> bool:
        """Whether the value is back on the safe side by at least the hysteresis."""
        if self.breaches(value):
            return False
        if self.falling:
            return value >= self.value + self.hysteresis
        return value <= self.value - self.hysteresis

    def worse(self, value: float, than: float) -> bool:
        """Whether ``value`` lies further beyond the limit than another."""
        return value < than if self.falling else value > than


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as loaded: when it is breached (any of its conditions), how it is told, where it comes from.

    ``inputs`` maps each metric that is looked at to the age in seconds beyond which a value of it no longer
    counts. ``explanation`` and ``cleared`` are templates by language with the fields ``{limit}`` and
    ``{<metric>}``.
    """

    id: str
    version: int
    title: dict[str, str]
    kind: Kind
    priority: Priority
    inputs: dict[str, float]
    conditions: tuple[Condition, ...]
    delay_s: float
    max_lateness_s: float
    explanation: dict[str, str]
    cleared: dict[str, str]
    clinical_source: str

    @property
    def limit(self) -> str:
        """All limits in one short text: ``< 90``, ``≥ 180/110``, ``< 40 / > 130``."""
        if len({c.op for c in self.conditions}) == 1:
            values = "/".join(number(c.value) for c in self.conditions)
            return f"{_SYMBOLS[self.conditions[0].op]} {values}"
        return " / ".join(f"{_SYMBOLS[c.op]} {number(c.value)}" for c in self.conditions)

    @property
    def delay_ns(self) -> int:
        """How long a breach must last before it is told."""
        return round(self.delay_s * SECOND)

    @property
    def hash(self) -> str:
        """Sixteen hexadecimal digits over the rule's whole content (its examples are not part of it)."""
        text = json.dumps(self.content(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def content(self) -> dict[str, Any]:
        """The rule as plain data: the same rule always gives the same; ``from_content`` is the way back."""
        return {
            "id": self.id,
            "version": self.version,
            "title": dict(sorted(self.title.items())),
            "kind": self.kind,
            "priority": self.priority,
            "inputs": {m: float(s) for m, s in sorted(self.inputs.items())},
            "conditions": [[c.metric, c.op, float(c.value), float(c.hysteresis)] for c in self.conditions],
            "delay_s": float(self.delay_s),
            "max_lateness_s": float(self.max_lateness_s),
            "explanation": dict(sorted(self.explanation.items())),
            "cleared": dict(sorted(self.cleared.items())),
            "clinical_source": self.clinical_source,
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> Rule:
        """The rule whose ``content`` this is."""
        conditions = tuple(Condition(*c) for c in content["conditions"])
        return cls(**{**content, "conditions": conditions})

    def render(self, template: Mapping[str, str], values: Mapping[str, float]) -> dict[str, str]:
        """Fill a template in every language; a metric without a value shows as a dash."""
        fields = {m: number(values[m]) if m in values else "--" for m in self.inputs}
        return {language: text.format(**fields, limit=self.limit) for language, text in template.items()}


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in force, ordered by id; ids are unique."""

    rules: tuple[Rule, ...] = ()
    by_id: dict[str, Rule] = field(init=False, repr=False, compare=False)
    by_metric: dict[str, tuple[Rule, ...]] = field(init=False, repr=False, compare=False)
    hashes: dict[str, str] = field(init=False, repr=False, compare=False)
    hash: str = field(init=False, compare=False)
    memory_ns: int = field(init=False, repr=False, compare=False)
    """For how long any rule may still look at a reading."""

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.rules, key=lambda r: r.id))
        by_id = {r.id: r for r in ordered}
        if len(by_id) != len(ordered):
            msg = "rule ids must be unique in a set"
            raise ValueError(msg)
        hashes = {r.id: r.hash for r in ordered}
        metrics = sorted({m for r in ordered for m in r.inputs})
        digest = hashlib.blake2b(digest_size=8)
        for rule, content in hashes.items():
            digest.update(f"{rule}={content};".encode())
        derived = {
            "rules": ordered,
            "by_id": by_id,
            "by_metric": {m: tuple(r for r in ordered if m in r.inputs) for m in metrics},
            "hashes": hashes,
            "hash": digest.hexdigest(),
            "memory_ns": round(
                SECOND * max((max(r.max_lateness_s, *r.inputs.values()) for r in ordered), default=0)
            ),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def __len__(self) -> int:
        return len(self.rules)


@dataclass(slots=True)
class Rows:
    """Patient-attributed readings as equally long columns; ``time`` is the corrected one.

    The values of one measurement (one payload) must be in one ``Rows``: they are judged together.
    """

    patient: list[str] = field(default_factory=list)
    device: list[str] = field(default_factory=list)
    metric: list[str] = field(default_factory=list)
    value: list[float | None] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str, str, float | None, int, int, int]]) -> Rows:
        """Columns from (patient, device, metric, value, time, received, quality)."""
        out = cls()
        for row in rows:
            out.append(*row)
        return out

    def append(
        self,
        patient: str,
        device: str,
        metric: str,
        value: float | None,
        time: int,
        received: int,
        quality: int = 0,
    ) -> None:
        """Add one row."""
        self.patient.append(patient)
        self.device.append(device)
        self.metric.append(metric)
        self.value.append(value)
        self.time.append(time)
        self.received.append(received)
        self.quality.append(quality)

    def __len__(self) -> int:
        return len(self.patient)


@dataclass(frozen=True, slots=True)
class Readings:
    """New readings. ``seq`` is the ingest journal's number, ``now`` the ingest time."""

    seq: int
    now: int
    rows: Rows


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has come to ``now``: delays that end by then end, though no message came."""

    seq: int
    now: int


@dataclass(frozen=True, slots=True)
class Command:
    """A person's act on an alarm; its kind is ``accept`` (take responsibility), others are refused."""

    seq: int
    now: int
    kind: str
    alarm: str
    actor: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The rules in force from now on; alarms of ``closed_patients`` (encounter ended) are reset."""

    seq: int
    now: int
    rules: RuleSet
    closed_patients: frozenset[str] = frozenset()


Input: TypeAlias = Readings | Tick | Command | Configuration


@dataclass(frozen=True, slots=True)
class Transition:
    """One entry of an alarm's history: what changed, when, why, by which rule and on which readings.

    ``at`` is event time; ``onset`` the first breaching reading's; ``decided`` the input's ``now``.
    ``inputs`` are the readings (metric, value, time, received, device) that decided. ``kind`` ``late``
    is no alarm but an entry of the worklist: a breach that came too late to signal; its ``alarm`` is the
    entry's own id and ``condition`` the rule's present one. ``late``: measured more than a minute before
    the gateway received it.
    """

    alarm: str
    patient: str
    rule: str
    rule_hash: str
    kind: TransitionKind
    condition: ConditionState
    priority: Priority
    at: int
    onset: int
    seq: int
    values: dict[str, float]
    limit: str
    text: dict[str, str]
    inputs: tuple[dict[str, Any], ...] = ()
    actor: str | None = None
    late: bool = False
    decided: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A present alarm as people see it: the text and values are those last told."""

    id: str
    patient: str
    rule: str
    rule_hash: str
    kind: Kind
    priority: Priority
    onset: int
    started: int
    values: dict[str, float]
    limit: str
    text: dict[str, str]
    accepted_by: str | None = None
    accepted_at: int | None = None
    late: bool = False
