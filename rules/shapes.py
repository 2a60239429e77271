"""What the ``condition`` of a rule file may say: one mapping a node, told apart by its key.

Shapes only; whether what is said makes sense for the rule is ``rules.checks``' concern.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from hearthward.core.codes import METRICS
from rules.conditions import (
    DETECTOR,
    INTERCEPTS,
    SLOPES,
    All,
    Any_,
    Calibration,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Flag,
    Missing,
    Not,
    Number,
    Operator,
    Repeat,
    Score,
    ScoreName,
    Smoothing,
    Threshold,
    Unusual,
)
from rules.detectors.baseline import Asked, Prior
from rules.detectors.novelty import Direction
from rules.document import Where, nearest

__all__ = [
    "CONDITION_KEYS",
    "CountFile",
    "LimitFile",
    "NodeFile",
    "NumberFile",
    "RepeatFile",
    "Seconds",
    "Strict",
    "fail",
    "is_tag",
    "place",
    "walk",
]

LONGEST_S: Final = 30 * 86_400
"""No rule looks back, or waits, for longer than thirty days."""
PARAMETER: Final = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")


def fail(where: Where, message: str) -> PydanticCustomError:
    """A finding at a place below the value being checked; the loader adds ``where`` to its path."""
    return PydanticCustomError("rule", "{message}", {"message": message, "where": list(where)})


def is_tag(part: str | int) -> bool:
    """Whether a part of pydantic's path names a kind of condition and nothing in the file."""
    return isinstance(part, str) and part.startswith("<")


class Strict(BaseModel):
    """A mapping; an unknown key is refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise fail((), "must be a mapping of keys to values")
        known = [field.alias or name for name, field in cls.model_fields.items()]
        for key in data:
            if key not in known:
                message = f"unknown key {key!r} ({nearest(key, known)})"
                raise fail((key,), message)
        return data


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise fail((), "must be a valid number or the name of a parameter")
    if isinstance(value, str):
        if not PARAMETER.match(value) and not any(value in row.codes for row in METRICS.values()):
            raise fail((), f"{value!r} is neither a valid number nor the name of a parameter")
        return value
    if not math.isfinite(value):
        raise fail((), "must be a valid number: a finite one")
    return float(value)


NumberFile = Annotated[float | str, BeforeValidator(_number)]
"""A number, the name of one of the rule's parameters, or a coded metric's code."""
Seconds = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Span = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]


def place(signal: str, number: Number) -> Number:
    """A code of a coded metric as its place; any other number as it is."""
    row = METRICS.get(signal)
    if row is None or not isinstance(number, str):
        return number
    found = row.place(number)
    return number if found is None else found


class LimitFile(Strict):
    """One limit on one signal; it clears ``hysteresis`` back from it."""

    metric: str
    op: Operator
    value: NumberFile
    hysteresis: NumberFile = 0.0

    @property
    def signal(self) -> str:
        """The name among the rule's inputs."""
        return self.metric

    def node(self, smoothing: Smoothing | None) -> Threshold:
        """The condition that it means."""
        value, back = place(self.signal, self.value), place(self.signal, self.hysteresis)
        return Threshold(self.signal, self.op, value, back, smoothing)


class CalibrationFile(Strict):
    """What a site has found a learned risk to be worth; made by ``hearthward rules recalibrate``."""

    training: Annotated[int, Field(ge=1)]
    slope: Annotated[float, Field(ge=SLOPES[0], le=SLOPES[1], allow_inf_nan=False)]
    intercept: Annotated[float, Field(ge=INTERCEPTS[0], le=INTERCEPTS[1], allow_inf_nan=False)]


class DetectorFile(Strict):
    """A limit on a detector's score."""

    detector: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    op: Operator
    value: NumberFile
    hysteresis: NumberFile = 0.0
    calibration: CalibrationFile | None = None

    @property
    def signal(self) -> str:
        """The name among the rule's inputs."""
        return DETECTOR + self.detector

    def node(self, smoothing: Smoothing | None) -> Threshold:
        """The condition that it means."""
        told = self.calibration
        own = None if told is None else Calibration(told.training, told.slope, told.intercept)
        return Threshold(self.signal, self.op, self.value, self.hysteresis, smoothing, own)


class RiseFile(Strict):
    """So much above the lowest of a time."""

    rise: str
    by: NumberFile
    within_s: Span
    hysteresis: NumberFile = 0.0

    @property
    def signal(self) -> str:
        """The name among the rule's inputs."""
        return self.rise

    def node(self, _smoothing: Smoothing | None) -> Change:
        """The condition that it means."""
        return Change(self.rise, "rise", self.by, self.within_s, self.hysteresis)


class FallFile(Strict):
    """So much below the highest of a time."""

    fall: str
    by: NumberFile
    within_s: Span
    hysteresis: NumberFile = 0.0

    @property
    def signal(self) -> str:
        """The name among the rule's inputs."""
        return self.fall

    def node(self, _smoothing: Smoothing | None) -> Change:
        """The condition that it means."""
        return Change(self.fall, "fall", self.by, self.within_s, self.hysteresis)


class PriorFile(Strict):
    """What is known of the population before the patient is: ``rules.detectors.baseline.Prior``."""

    level: Annotated[float, Field(allow_inf_nan=False)]
    spread: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    weight: Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
    every_s: Seconds = 0.0


class DeviationFile(Strict):
    """So far from the patient's own level."""

    deviates: str
    direction: Literal["above", "below", "either"]
    by: NumberFile
    tau_s: Span
    learn_s: Seconds
    hysteresis: NumberFile = 0.0
    of: Asked | None = None
    prior: PriorFile | None = None

    @model_validator(mode="after")
    def _whole(self) -> DeviationFile:
        if (self.of is None) is not (self.prior is None):
            raise fail(("prior",), "of and prior belong together")
        return self

    @property
    def signal(self) -> str:
        """The name among the rule's inputs."""
        return self.deviates

    def node(self, _smoothing: Smoothing | None) -> Deviation:
        """The condition that it means."""
        known = None if self.prior is None else Prior(*self.prior.model_dump().values())
        back = self.hysteresis
        return Deviation(
            self.deviates, self.direction, self.by, self.tau_s, self.learn_s, back, self.of, known
        )


class UnusualFile(Strict):
    """A signal that is unusual for the patient."""

    unusual: str
    direction: Direction
    value: NumberFile
    clear_below: NumberFile
    pace_s: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 60.0

    @property
    def signal(self) -> str:
        """The name among the rule's inputs."""
        return self.unusual

    def node(self, _smoothing: Smoothing | None) -> Unusual:
        """The condition that it means."""
        return Unusual(self.unusual, self.direction, self.value, self.clear_below, self.pace_s)


class ScoreFile(Strict):
    """A score at or above a value."""

    score: ScoreName
    value: NumberFile
    clear_below: NumberFile

    def node(self, _smoothing: Smoothing | None) -> Score:
        """The condition that it means."""
        return Score(self.score, self.value, self.clear_below)


class MissingFile(Strict):
    """Nothing usable came of a signal for a time; ``unseen``: one that never came counts too."""

    missing: str
    for_s: NumberFile
    unseen: bool = False

    @property
    def signal(self) -> str:
        """The name among the rule's inputs."""
        return self.missing

    def node(self, _smoothing: Smoothing | None) -> Missing:
        """The condition that it means."""
        return Missing(self.missing, self.for_s, self.unseen)


class FlagFile(Strict):
    """What a device says of itself."""

    flag: Flag
    metric: str | None = None

    def node(self, _smoothing: Smoothing | None) -> DeviceFlag:
        """The condition that it means."""
        return DeviceFlag(self.flag, self.metric)


class CountedFile(Strict):
    """So many breaches of one limit within a time."""

    of: LimitFile
    at_least: Annotated[int, Field(ge=1, le=100_000)]
    within_s: Span


class CountFile(Strict):
    """The node of ``CountedFile``."""

    count: CountedFile

    def node(self, _smoothing: Smoothing | None) -> Count:
        """The condition that it means; single readings are counted, smoothing does not apply."""
        return Count(self.count.of.node(None), self.count.at_least, self.count.within_s)


class RepeatedFile(Strict):
    """Ask for a second measurement, then decide."""

    of: NodeFile
    after_s: Seconds
    timeout_s: Span
    critical: NodeFile | None = None


class RepeatFile(Strict):
    """The node of ``RepeatedFile``."""

    repeat: RepeatedFile

    def node(self, smoothing: Smoothing | None) -> Repeat:
        """The condition that it means."""
        what = self.repeat
        critical = None if what.critical is None else what.critical.node(smoothing)
        return Repeat(what.of.node(smoothing), what.after_s, what.timeout_s, critical)


class AllFile(Strict):
    """Every part holds."""

    all: Annotated[list[NodeFile], Field(min_length=1, max_length=16)]

    def node(self, smoothing: Smoothing | None) -> All:
        """The condition that it means."""
        return All(tuple(part.node(smoothing) for part in self.all))


class AnyFile(Strict):
    """One part is enough."""

    any: Annotated[list[NodeFile], Field(min_length=1, max_length=16)]

    def node(self, smoothing: Smoothing | None) -> Any_:
        """The condition that it means."""
        return Any_(tuple(part.node(smoothing) for part in self.any))


class NotFile(Strict):
    """The part is known not to hold."""

    part: NodeFile = Field(alias="not")

    def node(self, smoothing: Smoothing | None) -> Not:
        """The condition that it means."""
        return Not(self.part.node(smoothing))


CONDITION_KEYS: Final = (
    "rise",
    "fall",
    "deviates",
    "unusual",
    "score",
    "missing",
    "flag",
    "detector",
    "count",
    "repeat",
    "all",
    "any",
    "not",
    "metric",
)
"""The keys that tell what a node is; ``metric`` last, as a flag may name one too."""


def _known_kind(data: Any) -> Any:
    if isinstance(data, BaseModel):
        return data
    if not isinstance(data, dict):
        raise fail((), "must be a condition: a mapping of keys to values")
    named = [key for key in CONDITION_KEYS[:-1] if key in data]
    if len(named) > 1:
        raise fail(
            (named[1],), f"{named[0]!r} and {named[1]!r} are two conditions: put them under all or any"
        )
    if not named and "metric" not in data:
        first = next(iter(data), "")
        raise fail(
            (first,) if data else (), f"unknown condition {first!r} ({nearest(first, CONDITION_KEYS)})"
        )
    return data


def _tag(data: Any) -> str:
    return next((f"<{key}>" for key in CONDITION_KEYS if key in data), "<metric>")


NodeFile: TypeAlias = Annotated[
    Annotated[LimitFile, Tag("<metric>")]
    | Annotated[DetectorFile, Tag("<detector>")]
    | Annotated[RiseFile, Tag("<rise>")]
    | Annotated[FallFile, Tag("<fall>")]
    | Annotated[DeviationFile, Tag("<deviates>")]
    | Annotated[UnusualFile, Tag("<unusual>")]
    | Annotated[ScoreFile, Tag("<score>")]
    | Annotated[MissingFile, Tag("<missing>")]
    | Annotated[FlagFile, Tag("<flag>")]
    | Annotated[CountFile, Tag("<count>")]
    | Annotated[RepeatFile, Tag("<repeat>")]
    | Annotated[AllFile, Tag("<all>")]
    | Annotated[AnyFile, Tag("<any>")]
    | Annotated[NotFile, Tag("<not>")],
    Discriminator(_tag),
    BeforeValidator(_known_kind),
]

for _model in (RepeatedFile, RepeatFile, AllFile, AnyFile, NotFile):
    _model.model_rebuild()


def walk(node: NodeFile, path: Where) -> Iterator[tuple[Where, NodeFile]]:
    """Each node of the tree with its place in the file, from the top down; a count is one node."""
    yield path, node
    below: list[tuple[Where, NodeFile]]
    match node:
        case AllFile():
            below = [(("all", i), part) for i, part in enumerate(node.all)]
        case AnyFile():
            below = [(("any", i), part) for i, part in enumerate(node.any)]
        case NotFile():
            below = [(("not",), node.part)]
        case RepeatFile():
            below = [(("repeat", "of"), node.repeat.of)]
            if node.repeat.critical is not None:
                below.append((("repeat", "critical"), node.repeat.critical))
        case _:
            return
    for where, part in below:
        yield from walk(part, (*path, *where))
