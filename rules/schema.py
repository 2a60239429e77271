"""What a rule file may say (strict), and the rule that it means."""

from __future__ import annotations

import string
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from hearthward.core.codes import METRICS
from hearthward.core.model import Quality, quality_names
from rules.document import nearest
from rules.model import Condition, Kind, Operator, Priority, Rule

__all__ = ["ExampleFile", "RuleFile", "SampleFile"]

LANGUAGES = ("en", "zh")
_FLAGS = {flag.name.lower(): flag for flag in Quality if flag.name}

Text = Annotated[str, Field(min_length=1, max_length=500)]
Seconds = Annotated[float, Field(ge=0, le=30 * 86_400, allow_inf_nan=False)]
Limit = Annotated[float, Field(allow_inf_nan=False)]


def _fail(where: tuple[str | int, ...], message: str) -> PydanticCustomError:
    """A finding at a place below the value being checked; the loader adds ``where`` to its path."""
    return PydanticCustomError("rule", "{message}", {"message": message, "where": list(where)})


class Strict(BaseModel):
    """A mapping; an unknown key is refused with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            raise _fail((), "must be a mapping of keys to values")
        for key in data:
            if key not in cls.model_fields:
                message = f"unknown key {key!r} ({nearest(key, cls.model_fields)})"
                raise _fail((key,), message)
        return data


class InputFile(Strict):
    """How old a value of a metric may be and still count."""

    max_age_s: Annotated[float, Field(gt=0, le=30 * 86_400, allow_inf_nan=False)]


class ConditionFile(Strict):
    """One limit; it clears ``hysteresis`` back from it."""

    metric: str
    op: Operator
    value: Limit
    hysteresis: Annotated[float, Field(ge=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _can_come_and_go(self) -> Self:
        row = METRICS.get(self.metric)
        if row is None:
            message = f"unknown metric {self.metric!r} ({nearest(self.metric, METRICS)})"
            raise _fail(("metric",), message)
        condition = Condition(self.metric, self.op, self.value, self.hysteresis)
        safe, wrong = (row.high, row.low) if condition.falling else (row.low, row.high)
        if not condition.breaches(wrong):
            raise _fail(("value",), f"{self.metric} lies within {row.low:g}..{row.high:g}: it never breaches")
        if not condition.clears(safe):
            raise _fail(("hysteresis",), f"{self.metric} lies within {row.low:g}..{row.high:g}: never clears")
        return self


class AnyFile(Strict):
    """Limits of which one is enough."""

    any: Annotated[list[ConditionFile], Field(min_length=1, max_length=8)]


class TextFile(Strict):
    """A text in every language."""

    en: Text
    zh: Text


class SampleFile(Strict):
    """Values measured at ``at`` seconds (and received then, unless ``received`` says later)."""

    at: Seconds
    values: Annotated[dict[str, float], Field(min_length=1)]
    received: Seconds | None = None
    quality: list[str] = []

    @field_validator("quality")
    @classmethod
    def _known_flags(cls, names: list[str]) -> list[str]:
        for i, name in enumerate(names):
            if name not in _FLAGS:
                raise _fail((i,), f"unknown quality flag {name!r} ({nearest(name, _FLAGS)})")
        return names

    @property
    def flags(self) -> int:
        """The quality as bits."""
        bits = sum(_FLAGS[name] for name in set(self.quality))
        assert set(quality_names(bits)) == set(self.quality)  # noqa: S101 - the two tables are one
        return bits


class ExampleFile(Strict):
    """Readings, then time passing ``until``; a firing one may say the onset and the text expected."""

    readings: Annotated[list[SampleFile], Field(min_length=1)]
    until: Seconds
    onset: Seconds | None = None
    text: str | None = None


class ExamplesFile(Strict):
    """At least one that fires and one that does not."""

    firing: Annotated[list[ExampleFile], Field(min_length=1)]
    silent: Annotated[list[ExampleFile], Field(min_length=1)]


class RuleFile(Strict):
    """A whole rule file."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    version: Annotated[int, Field(ge=1)]
    title: TextFile
    kind: Kind
    priority: Priority
    inputs: Annotated[dict[str, InputFile], Field(min_length=1)]
    condition: AnyFile
    delay_s: Seconds
    max_lateness_s: Seconds
    explanation: TextFile
    cleared: TextFile
    clinical_source: Text
    examples: ExamplesFile

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for metric in self.inputs:
            if metric not in METRICS or METRICS[metric].kind != "numeric":
                raise _fail(("inputs", metric), f"unknown metric {metric!r} ({nearest(metric, METRICS)})")
        for i, condition in enumerate(self.condition.any):
            if condition.metric not in self.inputs:
                where = "condition", "any", i, "metric"
                raise _fail(where, f"{condition.metric!r} is not among the rule's inputs")
        for key, texts in (("explanation", self.explanation), ("cleared", self.cleared)):
            for language in LANGUAGES:
                _check_template(getattr(texts, language), {*self.inputs, "limit"}, (key, language))
        kinds: tuple[Literal["firing"], Literal["silent"]] = "firing", "silent"
        for kind in kinds:
            for i, example in enumerate(getattr(self.examples, kind)):
                _check_example(example, kind, i, self.inputs)
        return self

    def rule(self) -> Rule:
        """The rule that the file describes."""
        return Rule(
            id=self.id,
            version=self.version,
            title=self.title.model_dump(),
            kind=self.kind,
            priority=self.priority,
            inputs={metric: entry.max_age_s for metric, entry in sorted(self.inputs.items())},
            conditions=tuple(Condition(c.metric, c.op, c.value, c.hysteresis) for c in self.condition.any),
            delay_s=self.delay_s,
            max_lateness_s=self.max_lateness_s,
            explanation=self.explanation.model_dump(),
            cleared=self.cleared.model_dump(),
            clinical_source=self.clinical_source,
        )


def _check_template(template: str, known: set[str], where: tuple[str, str]) -> None:
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as e:
        raise _fail(where, f"is not a template: {e}") from e
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name not in known:
            raise _fail(where, f"unknown field {{{name}}} ({nearest(name, known)})")
        if spec or conversion:
            raise _fail(where, f"field {{{name}}} takes no format")


def _check_example(example: ExampleFile, kind: str, i: int, inputs: dict[str, InputFile]) -> None:
    where = "examples", kind, i
    for j, sample in enumerate(example.readings):
        for metric in sample.values:
            if metric not in inputs:
                message = f"{metric!r} is not among the rule's inputs ({nearest(metric, inputs)})"
                raise _fail((*where, "readings", j, "values", metric), message)
        if sample.received is not None and sample.received < sample.at:
            raise _fail((*where, "readings", j, "received"), "is before the measurement")
    if kind == "silent":
        for key in ("onset", "text"):
            if getattr(example, key) is not None:
                raise _fail((*where, key), "has no place in a silent example")
