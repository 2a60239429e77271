"""What a rule can ask for: a tree of leaves (limits, changes, scores, silence, states) under and / or / not.

Plain data. A number may be the name of one of the rule's parameters until ``resolve`` puts its value there;
``rules.evaluate`` judges resolved trees only. Units are those of the metric; durations are seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal, TypeAlias, get_args

from rules.detectors.baseline import Asked, Prior
from rules.detectors.novelty import Direction

__all__ = [
    "DETECTOR",
    "HEARTBEAT",
    "INTERCEPTS",
    "RISK",
    "SLOPES",
    "SYMBOLS",
    "All",
    "Any_",
    "Calibration",
    "Change",
    "Count",
    "Deviation",
    "DeviceFlag",
    "Flag",
    "Leaf",
    "Missing",
    "Node",
    "Not",
    "Number",
    "Operator",
    "Repeat",
    "Score",
    "ScoreName",
    "Smoothing",
    "Threshold",
    "UnknownContentError",
    "Unusual",
    "from_content",
    "leaves",
    "node_content",
    "parameter_names",
    "resolve",
]

Operator = Literal["below", "above", "at_or_below", "at_or_above"]
Flag = Literal[
    "sensor_off",
    "poor_signal",
    "motion",
    "clock_unset",
    "clock_wrong",
    "future",
    "out_of_range",
    "suspect",
    "bad",
    "impossible",
    "dropout",
    "zero",
    "jump",
    "spikes",
    "flat",
    "disagrees",
]
ScoreName = Literal["news2", "news2_three"]
Number: TypeAlias = float | str
"""A value, or the name of the rule's parameter that has it."""

SYMBOLS: Final[dict[str, str]] = {"below": "<", "above": ">", "at_or_below": "≤", "at_or_above": "≥"}
HEARTBEAT: Final = "heartbeat"
"""The signal of gateways and components: any sign of life."""
DETECTOR: Final = "detector:"
"""What the names of detectors' signals begin with; their values lie within 0..1."""
RISK: Final = f"{DETECTOR}deterioration"
"""The learned risk of deterioration (``rules.risk``)."""


@dataclass(frozen=True, slots=True)
class Smoothing:
    """Judge the mean or median of the last ``window_s`` seconds, once it holds ``min_count`` values.

    Only values above ``above`` are among them: a line that is flat measures nothing.
    """

    kind: Literal["mean", "median"]
    window_s: float
    min_count: int = 1
    above: float | None = None


class UnknownContentError(ValueError):
    """A rule was made by a newer version of this software."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"a rule has {what!r}, which this version does not know: a newer one made it; start that one "
            "again, or roll the rule back there before this one is started"
        )


SLOPES: Final = (0.2, 5.0)
INTERCEPTS: Final = (-6.0, 6.0)
"""Beyond these a calibration would say that the model is of no use at the site: it is refused."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a site has found a learned risk to be worth: its log-odds times ``slope`` plus ``intercept``.

    It belongs to one ``training`` of the model, and counts for no other.
    """

    training: int
    slope: float
    intercept: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """One limit on one signal; it clears ``hysteresis`` back from it."""

    metric: str
    op: Operator
    value: Number
    hysteresis: Number = 0.0
    smoothing: Smoothing | None = None
    calibration: Calibration | None = None

    @property
    def plain(self) -> bool:
        """Whether the value itself is judged, and nothing that is derived from it."""
        return self.smoothing is None and self.calibration is None

    @property
    def falling(self) -> bool:
        """Whether lower values are worse."""
        return self.op in {"below", "at_or_below"}


@dataclass(frozen=True, slots=True)
class Change:
    """The newest value lies ``by`` above the lowest (rise), or below the highest (fall), of ``within_s``.

    It clears when the difference is ``by`` minus ``hysteresis`` or less, and less than ``by``.
    """

    metric: str
    direction: Literal["rise", "fall"]
    by: Number
    within_s: float
    hysteresis: Number = 0.0


@dataclass(frozen=True, slots=True)
class Deviation:
    """The value lies ``by`` from the patient's own level: a mean that forgets with ``tau_s``.

    Judged once the level has been learned over ``learn_s``; learning rests while an alarm on the metric is
    open. It clears ``hysteresis`` nearer to the level. With ``asked`` it is the baseline of
    ``rules.detectors.baseline`` that begins with ``prior``: ``by`` is in spreads, or in units a week.
    """

    metric: str
    direction: Literal["above", "below", "either"]
    by: Number
    tau_s: float
    learn_s: float
    hysteresis: Number = 0.0
    asked: Asked | None = None
    prior: Prior | None = None


@dataclass(frozen=True, slots=True)
class Unusual:
    """The signal is unusual for this patient: its score (``rules.detectors.novelty``) is ``value`` or more.

    Only what lies in ``direction`` counts. It clears below ``clear_below``. ``pace_s``: the mean of what
    comes in so many seconds is judged, at once where less comes.
    """

    metric: str
    direction: Direction
    value: Number
    clear_below: Number
    pace_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Score:
    """A score at or above ``value``; it clears below ``clear_below``, all that raised it being known again.

    ``news2``: the sum (a lower bound while inputs are missing); ``news2_three``: the points of the worst
    single parameter. Of several fresh values of one parameter the worst counts.
    """

    score: ScoreName
    value: Number
    clear_below: Number


@dataclass(frozen=True, slots=True)
class Missing:
    """Nothing usable came of a signal for ``for_s`` seconds, though it is expected (or came before).

    With ``unseen``, one that never came and is not expected counts as missing too.
    """

    metric: str
    for_s: Number
    unseen: bool = False


@dataclass(frozen=True, slots=True)
class DeviceFlag:
    """The newest word of a device on itself carries this flag; ``metric`` None: on any of its signals."""

    flag: Flag
    metric: str | None = None


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any_:  # noqa: N801 - ``Any`` is typing's
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part is known not to hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class Count:
    """``of`` was breached by at least ``at_least`` readings within ``within_s`` seconds."""

    of: Threshold
    at_least: int
    within_s: float


@dataclass(frozen=True, slots=True)
class Repeat:
    """Ask for a second measurement, then decide; only at the top of a rule.

    ``of`` breached: people are asked to measure again, not before ``after_s``. The second one decides; when
    none comes within ``timeout_s``, the first does. ``critical`` never waits.
    """

    of: Node
    after_s: float
    timeout_s: float
    critical: Node | None = None


Leaf = Threshold | Change | Deviation | Unusual | Score | Missing | DeviceFlag | Count
Node = Leaf | All | Any_ | Not | Repeat

_NUMBERS: Final = ("value", "hysteresis", "by", "for_s", "clear_below")
_KINDS: Final[dict[str, type]] = {
    "threshold": Threshold,
    "change": Change,
    "deviation": Deviation,
    "unusual": Unusual,
    "score": Score,
    "missing": Missing,
    "flag": DeviceFlag,
    "count": Count,
    "all": All,
    "any": Any_,
    "not": Not,
    "repeat": Repeat,
}
_LATER: Final = frozenset({"asked", "prior", "calibration"})
"""Fields of leaves that came later: a rule without them is the same as ever."""
_NAMES: Final = {cls: name for name, cls in _KINDS.items()}


def children(node: Node) -> tuple[Node, ...]:
    """The nodes directly below."""
    match node:
        case All(parts) | Any_(parts):
            return parts
        case Not(part):
            return (part,)
        case Repeat():
            return (node.of,) if node.critical is None else (node.of, node.critical)
    return ()


def leaves(node: Node) -> Iterator[Leaf]:
    """The leaves from left to right; a Count is one leaf; those of ``critical`` come last."""
    if isinstance(node, get_args(Leaf)):
        yield node
    for child in children(node):
        yield from leaves(child)


def parameter_names(node: Node) -> set[str]:
    """The parameters that the tree's numbers refer to."""
    found = {v for name in _NUMBERS if isinstance(v := getattr(node, name, None), str)}
    below = (node.of,) if isinstance(node, Count) else children(node)
    return found.union(*(parameter_names(child) for child in below))


def resolve(node: Node, values: Mapping[str, float]) -> Node:
    """The same tree with every parameter's value in its place."""
    changes: dict[str, Any] = {}
    for name in _NUMBERS:
        number = getattr(node, name, None)
        if isinstance(number, str):
            changes[name] = float(values[number])
    match node:
        case All(parts) | Any_(parts):
            changes["parts"] = tuple(resolve(p, values) for p in parts)
        case Not(part):
            changes["part"] = resolve(part, values)
        case Count(of=of):
            changes["of"] = resolve(of, values)
        case Repeat(of=of, critical=critical):
            changes["of"] = resolve(of, values)
            changes["critical"] = None if critical is None else resolve(critical, values)
    return replace(node, **changes) if changes else node


def node_content(node: Node) -> dict[str, Any]:
    """The tree as plain data; ``from_content`` is the way back."""
    out: dict[str, Any] = {"kind": _NAMES[type(node)]}
    for field in fields(node):
        if field.name not in _LATER or getattr(node, field.name) is not None:
            out[field.name] = _plain(getattr(node, field.name))
    return out


def _plain(value: Any) -> Any:
    if isinstance(value, Smoothing):
        return [value.kind, float(value.window_s), value.min_count, value.above]
    if isinstance(value, Calibration):
        return [value.training, float(value.slope), float(value.intercept)]
    if isinstance(value, Prior):
        return [float(value.level), float(value.spread), float(value.weight), float(value.every_s)]
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if type(value) in _NAMES:
        node: Any = value
        return node_content(node)
    return value


def from_content(content: Mapping[str, Any]) -> Node:
    """The tree whose ``node_content`` this is. Raises UnknownContentError for one of a newer version."""
    cls = _KINDS.get(content["kind"])
    if cls is None:
        raise UnknownContentError(str(content["kind"]))
    if unknown := content.keys() - {"kind", *(field.name for field in fields(cls))}:
        raise UnknownContentError(min(unknown))
    values = {key: _rich(key, value) for key, value in content.items() if key != "kind"}
    node: Node = cls(**values)
    return node


def _rich(key: str, value: Any) -> Any:
    if key == "smoothing" and value is not None:
        return Smoothing(*value)
    if key == "calibration" and value is not None:
        return Calibration(*value)
    if key == "prior" and value is not None:
        return Prior(*value)
    if key == "parts":
        return tuple(from_content(v) for v in value)
    if isinstance(value, Mapping):
        return from_content(value)
    return value
