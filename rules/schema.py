"""What a rule file may say (strict), and the rule that it means."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from hearthward.core.codes import METRICS
from hearthward.core.model import Quality, quality_names
from rules.conditions import Smoothing
from rules.document import nearest
from rules.rule import Audience, Kind, Parameter, Priority, Rule, Setting, SubjectKind
from rules.shapes import LONGEST_S, NodeFile, Seconds, Strict, fail

__all__ = ["LANGUAGES", "ContextFile", "ExampleFile", "RuleFile", "SampleFile"]

LANGUAGES = ("en", "zh")
_FLAGS = {flag.name.lower(): flag for flag in Quality if flag.name}

Text = Annotated[str, Field(min_length=1, max_length=800)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class InputFile(Strict):
    """How old a value of a signal may be and still count."""

    max_age_s: Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]


class ParameterFile(Strict):
    """A number that a clinician may set for one patient, and the bounds within which."""

    value: Finite
    low: Finite
    high: Finite


class SmoothingFile(Strict):
    """Judge the mean or median of a time window instead of single values."""

    kind: Literal["mean", "median"]
    window_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
    min_count: Annotated[int, Field(ge=1, le=10_000)] = 1
    above: Annotated[float, Field(allow_inf_nan=False)] | None = None


class TextFile(Strict):
    """A text in every language."""

    en: Text
    zh: Text


def _value(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise fail((), "must be a valid number, a code, or null (only what the device says of itself)")
    return float(value)


Value = Annotated[float | str | None, BeforeValidator(_value)]


class SampleFile(Strict):
    """Values measured at ``at`` seconds (and received then, unless ``received`` says later).

    With ``to`` and ``every_s`` the same values come again until then.
    """

    at: Seconds
    to: Seconds | None = None
    every_s: Annotated[float, Field(ge=1, le=LONGEST_S, allow_inf_nan=False)] | None = None
    values: Annotated[dict[str, Value], Field(min_length=1)]
    received: Seconds | None = None
    quality: Annotated[list[str], Field(default_factory=list)]
    device: Annotated[str, Field(min_length=1, max_length=64)] = "device"

    @field_validator("quality")
    @classmethod
    def _known_flags(cls, names: list[str]) -> list[str]:
        for i, name in enumerate(names):
            if name not in _FLAGS:
                raise fail((i,), f"unknown quality flag {name!r} ({nearest(name, _FLAGS)})")
        return names

    @property
    def flags(self) -> int:
        """The quality as bits."""
        bits = sum(_FLAGS[name] for name in set(self.quality))
        assert set(quality_names(bits)) == set(self.quality)  # noqa: S101 - the two tables are one
        return bits

    def times(self) -> list[tuple[float, float]]:
        """When the values were measured and when they were received, one pair a time."""
        if self.to is None or self.every_s is None:
            return [(self.at, self.at if self.received is None else self.received)]
        count = int((self.to - self.at) // self.every_s) + 1
        return [(at, at) for at in (self.at + i * self.every_s for i in range(count))]

    @property
    def last(self) -> float:
        """When the last of the values was received."""
        return max(number for number in (self.at, self.to, self.received) if number is not None)

    def numbers(self) -> dict[str, float | None]:
        """The values as rules look at them: codes as their places."""
        return {
            signal: METRICS[signal].place(value) if isinstance(value, str) else value
            for signal, value in self.values.items()
        }


class ContextFile(Strict):
    """The patient of an example; what is left out is not known."""

    setting: Literal["ward", "home"] | None = None
    adult: bool | None = None
    pregnant: bool = False
    spo2_scale: Literal[1, 2] = 1
    expected: list[str] | None = None
    limits: Annotated[dict[str, Finite], Field(default_factory=dict)]


class ExampleFile(Strict):
    """Readings, then time passing ``until``.

    A firing example may say what is expected of the first alarm: its ``onset``, its ``text`` in English,
    the ``end`` in seconds, or ``lasts`` (still there at ``until``), and ``why`` a repeated measurement
    decided as it did. ``asks``: a second measurement is asked for.
    """

    readings: list[SampleFile]
    until: Seconds
    context: ContextFile | None = None
    onset: Seconds | None = None
    text: str | None = None
    end: Seconds | None = None
    lasts: bool = False
    why: Literal["timeout", "critical", "confirmed"] | None = None
    asks: bool = False


class ExamplesFile(Strict):
    """At least one that fires and one that does not."""

    firing: Annotated[list[ExampleFile], Field(min_length=1)]
    silent: Annotated[list[ExampleFile], Field(min_length=1)]


class RuleFile(Strict):
    """A whole rule file; ``rules.checks`` says whether its parts fit each other."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
    version: Annotated[int, Field(ge=1)]
    title: TextFile
    kind: Kind
    priority: Priority
    audience: Annotated[list[Audience], Field(min_length=1)]
    setting: Setting = "any"
    subject: SubjectKind = "patient"
    adults: bool = False
    inputs: Annotated[dict[str, InputFile], Field(min_length=1)]
    parameters: Annotated[dict[str, ParameterFile], Field(default_factory=dict)]
    condition: NodeFile
    smoothing: SmoothingFile | None = None
    delay_s: Seconds
    clear_after_s: Seconds = 0.0
    max_lateness_s: Seconds
    latching: bool = False
    escalation: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)] = "default"
    raises: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)] | None = None
    explanation: TextFile
    cleared: TextFile
    clinical_source: Text
    examples: ExamplesFile

    def rule(self) -> Rule:
        """The rule that the file describes."""
        smooth = self.smoothing
        smoothing = (
            None
            if smooth is None
            else Smoothing(smooth.kind, smooth.window_s, smooth.min_count, smooth.above)
        )
        return Rule(
            id=self.id,
            version=self.version,
            title=self.title.model_dump(),
            kind=self.kind,
            priority=self.priority,
            audience=tuple(self.audience),
            setting=self.setting,
            subject=self.subject,
            adults=self.adults,
            inputs={signal: entry.max_age_s for signal, entry in sorted(self.inputs.items())},
            parameters={
                name: Parameter(p.value, p.low, p.high) for name, p in sorted(self.parameters.items())
            },
            condition=self.condition.node(smoothing),
            delay_s=self.delay_s,
            clear_after_s=self.clear_after_s,
            max_lateness_s=self.max_lateness_s,
            latching=self.latching,
            escalation=self.escalation,
            raises=self.raises or "",
            explanation=self.explanation.model_dump(),
            cleared=self.cleared.model_dump(),
            clinical_source=self.clinical_source,
        )
