"""One rule as loaded, and the set of rules in force."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal

from hearthward.core.codes import METRICS
from rules.conditions import (
    RISK,
    SYMBOLS,
    All,
    Any_,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Leaf,
    Missing,
    Node,
    Not,
    Repeat,
    Score,
    Threshold,
    UnknownContentError,
    Unusual,
    from_content,
    leaves,
    node_content,
    resolve,
)
from rules.models.deterioration import CHANNEL_OF

__all__ = [
    "SECOND",
    "SHADOW",
    "Audience",
    "Kind",
    "Parameter",
    "Priority",
    "Rule",
    "RuleSet",
    "Setting",
    "SubjectKind",
    "amount",
    "number",
    "span",
]

SECOND: Final = 1_000_000_000
SHADOW: Final = "@shadow"
"""Behind the id of a rule that is decided but never signalled."""

Kind = Literal["physiological", "technical"]
Priority = Literal["high", "medium", "low"]
Audience = Literal["nurse", "doctor", "patient", "engineer"]
Setting = Literal["any", "ward", "home"]
SubjectKind = Literal["patient", "device", "gateway", "component"]


def number(value: float) -> str:
    """A measured value or limit as people write it: ``84``, ``36.6``."""
    return f"{round(value, 2):g}"


def amount(metric: str, value: float) -> str:
    """A value of a signal as people write it, without its unit; a learned risk in percent: ``34 %``."""
    if metric != RISK:
        return number(value)
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{round(100 * value, 1):g} %"  # noqa: PLR2004 - a tenth


def span(seconds: float) -> str:
    """A duration as people write it: ``10 s``, ``5 min``, ``3 d``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of a rule that a clinician may set for one patient, and the bounds within which."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rule:
    """What is wrong, when, how it is told, and where that comes from.

    ``inputs`` maps each signal that is looked at to the age in seconds beyond which a value of it no longer
    counts. ``explanation`` and ``cleared`` are templates by language with the fields ``{limit}``,
    ``{<signal>}`` and those of ``FIELDS``. ``adults``: only from 16 years on and not pregnant. ``raises``:
    the id of the rule of which this one is the graver stage; what of both is open together is one alarm.
    ``shadow``: decided, never signalled.
    """

    id: str
    version: int
    title: dict[str, str]
    kind: Kind
    priority: Priority
    audience: tuple[Audience, ...]
    inputs: dict[str, float]
    condition: Node
    delay_s: float
    max_lateness_s: float
    explanation: dict[str, str]
    cleared: dict[str, str]
    clinical_source: str
    parameters: dict[str, Parameter] = field(default_factory=dict)
    setting: Setting = "any"
    subject: SubjectKind = "patient"
    adults: bool = False
    clear_after_s: float = 0.0
    latching: bool = False
    escalation: str = "default"
    raises: str = ""
    shadow: bool = False

    @property
    def key(self) -> str:
        """The id, marked when the rule is in shadow: both may run side by side."""
        return self.id + SHADOW if self.shadow else self.id

    @property
    def resolved(self) -> Rule:
        """The rule with its own values of its parameters."""
        return self.with_values({})

    def with_values(self, values: Mapping[str, float]) -> Rule:
        """The rule with these values of its parameters, and its own for the others."""
        known = {name: p.value for name, p in self.parameters.items()} | dict(values)
        condition = resolve(self.condition, known)
        return self if condition is self.condition else replace(self, condition=condition)

    @property
    def looks_at(self) -> frozenset[str]:
        """The signals that it is decided by: its inputs, and what the learned risk is computed from."""
        return frozenset(self.inputs) | (CHANNEL_OF.keys() if RISK in self.inputs else frozenset())

    @property
    def alarms_on(self) -> frozenset[str]:
        """The signals that its alarms are on: its inputs, but those of scores."""
        if any(isinstance(leaf, Score) for leaf in leaves(self.condition)):
            return frozenset()
        return frozenset(self.inputs)

    @property
    def limit(self) -> str:
        """What is not to be passed, in one short text: ``< 90``, ``≥ 180/110``, ``< 40 / > 130``."""
        top = self.resolved.condition
        found = [leaf for leaf in _told(top) if leaf_text(leaf)]
        plain = [leaf for leaf in found if isinstance(leaf, Threshold)]
        if plain and plain == found and len({leaf.op for leaf in plain}) == 1:
            values = dict.fromkeys(leaf_text(leaf).partition(" ")[2] for leaf in plain)
            return f"{SYMBOLS[plain[0].op]} {'/'.join(values)}"
        return " / ".join(dict.fromkeys(leaf_text(leaf) for leaf in found))

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
        out: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "shadow"}
        for name in ("title", "explanation", "cleared"):
            out[name] = dict(sorted(out[name].items()))
        for name in ("delay_s", "clear_after_s", "max_lateness_s"):
            out[name] = float(out[name])
        out["audience"] = list(self.audience)
        out["inputs"] = {m: float(s) for m, s in sorted(self.inputs.items())}
        out["condition"] = node_content(self.condition)
        out["parameters"] = {
            name: [float(p.value), float(p.low), float(p.high)] for name, p in sorted(self.parameters.items())
        }
        if not self.raises:
            del out["raises"]  # rules of before that key keep their hashes
        return out

    @classmethod
    def from_content(cls, content: Mapping[str, Any], *, shadow: bool = False) -> Rule:
        """The rule whose ``content`` this is. Raises UnknownContentError for one of a newer version."""
        if unknown := content.keys() - {f.name for f in fields(cls)}:
            raise UnknownContentError(min(unknown))
        values = {
            **content,
            "audience": tuple(content["audience"]),
            "condition": from_content(content["condition"]),
            "parameters": {name: Parameter(*p) for name, p in content["parameters"].items()},
            "shadow": shadow,
        }
        return cls(**values)


def _told(node: Node) -> Iterator[Leaf]:
    """The leaves that make a rule's limit for people: not what only keeps it from being wrong.

    Of the parts of an ``all`` the first on each signal; silence only where it is all that there is.
    """
    match node:
        case Repeat(of=of):
            yield from _told(of)
        case Any_(parts):
            for part in parts:
                yield from _told(part)
        case All(parts):
            found = [leaf for part in parts for leaf in _told(part)]
            seen: set[str] = set()
            for leaf in found:
                metric = str(getattr(leaf, "metric", ""))
                if metric not in seen and not (isinstance(leaf, Missing) and len(found) > 1):
                    yield leaf
                seen.add(metric)
        case Not():
            return
        case _:
            yield node


_OF: Final = {None: "", "spreads": " SD", "trend": " / 7 d"}


def leaf_text(leaf: Leaf) -> str:  # noqa: PLR0911 - one a kind of leaf
    """The limit of one leaf as people read it; empty for what has none, or only in one language."""
    match leaf:
        case Threshold(metric=metric, op=op, value=value):
            known = METRICS.get(metric)
            if known is None or not known.codes or isinstance(value, str):
                return f"{SYMBOLS[op]} {value if isinstance(value, str) else amount(metric, value)}"
            code = known.codes[int(value)]
            return f"{SYMBOLS[op]} {code}" if len(code) == 1 else ""
        case Change(direction=direction, by=by, within_s=within):
            return f"{'+' if direction == 'rise' else '−'}{_n(by)} / {span(within)}"  # noqa: RUF001
        case Deviation(direction=direction, by=by, asked=of):
            sign = {"above": "+", "below": "−", "either": "±"}[direction]  # noqa: RUF001
            sign = "" if of == "spreads" and direction == "either" else sign
            return f"{sign}{_n(by)}{_OF[of]}"
        case Score(value=value) | Unusual(value=value):
            return f"≥ {_n(value)}"
        case Missing(for_s=for_s):
            return f"> {span(float(for_s))}" if not isinstance(for_s, str) else f"> {for_s}"
        case DeviceFlag():
            return ""
        case Count(of=of, at_least=at_least, within_s=within):
            return f"{at_least} x {leaf_text(of)} / {span(within)}"


def _n(value: float | str) -> str:
    return value if isinstance(value, str) else number(value)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules in force, ordered by key; keys are unique."""

    rules: tuple[Rule, ...] = ()
    by_id: dict[str, Rule] = field(init=False, repr=False, compare=False)
    """By key: a rule in shadow has its own."""
    by_metric: dict[str, tuple[Rule, ...]] = field(init=False, repr=False, compare=False)
    hashes: dict[str, str] = field(init=False, repr=False, compare=False)
    hash: str = field(init=False, compare=False)
    memory_ns: int = field(init=False, repr=False, compare=False)
    """For how long any rule may still look at a reading."""

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.rules, key=lambda r: r.key))
        by_id = {r.key: r for r in ordered}
        if len(by_id) != len(ordered):
            msg = "rule ids must be unique in a set"
            raise ValueError(msg)
        hashes = {r.key: r.hash for r in ordered}
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
