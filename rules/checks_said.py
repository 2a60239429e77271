"""Whether a rule file's texts and examples fit the rule."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Final

from hearthward.core.codes import METRICS
from rules.conditions import DETECTOR, HEARTBEAT, RISK
from rules.document import Where, nearest
from rules.finding import Finding, value_range
from rules.models.deterioration import CHANNEL_OF
from rules.schema import LANGUAGES, ContextFile, ExampleFile, RuleFile, SampleFile
from rules.shapes import (
    DetectorFile,
    DeviationFile,
    FallFile,
    FlagFile,
    MissingFile,
    NodeFile,
    RepeatFile,
    RiseFile,
    ScoreFile,
    UnusualFile,
)

__all__ = ["FIELD_OF", "said"]

FIELD_OF: Final[Mapping[str, tuple[type, ...]]] = {
    "limit": (),
    "score": (ScoreFile,),
    "worst": (ScoreFile,),
    "missing": (ScoreFile,),
    "change": (RiseFile, FallFile, DeviationFile),
    "baseline": (DeviationFile,),
    "spread": (DeviationFile,),
    "trend": (DeviationFile,),
    "missed": (DeviationFile,),
    "silence": (MissingFile,),
    "silent": (MissingFile,),
    "flag": (FlagFile,),
    "risk": (DetectorFile,),
    "reasons": (DetectorFile,),
    "unusual": (UnusualFile,),
}
"""Fields of texts besides the signals, and what the condition must hold for each."""


MOST_SAMPLES: Final = 2000
"""A sample that comes again and again does so at most as often."""


def said(file: RuleFile, nodes: list[NodeFile]) -> Iterator[Finding]:
    """What does not fit in texts and examples."""
    for key, texts in (("explanation", file.explanation), ("cleared", file.cleared)):
        for language in LANGUAGES:
            yield from _template(file, nodes, getattr(texts, language), (key, language))
    for kind in ("firing", "silent"):
        for i, example in enumerate(getattr(file.examples, kind)):
            yield from _example(file, example, ("examples", kind, i))


def _template(file: RuleFile, nodes: list[NodeFile], template: str, where: Where) -> Iterator[Finding]:
    known = {*FIELD_OF, *(s for s in file.inputs if not s.startswith(DETECTOR) and s != HEARTBEAT)}
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as e:
        yield Finding(where, f"is not a template: {e}")
        return
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name not in known:
            yield Finding(where, f"unknown field {{{name}}} ({nearest(name, known)})")
        elif spec or conversion:
            yield Finding(where, f"field {{{name}}} takes no format")
        elif (need := FIELD_OF.get(name)) and not any(isinstance(node, need) for node in nodes):
            yield Finding(where, f"field {{{name}}} never has a value here: the condition has none")


# -- examples


def _example(file: RuleFile, example: ExampleFile, where: Where) -> Iterator[Finding]:
    for i, sample in enumerate(example.readings):
        yield from _sample(file, sample, (*where, "readings", i))
    last = max((s.last for s in example.readings), default=0.0)
    if example.until < last:
        yield Finding((*where, "until"), f"is before the last reading came ({last:g} s)")
    if where[1] == "silent":
        for key in ("onset", "text", "end", "lasts", "why"):
            if getattr(example, key) not in {None, False}:
                yield Finding((*where, key), "has no place in a silent example")
    elif example.lasts and example.end is not None:
        yield Finding((*where, "lasts"), "an alarm that lasts has no end")
    for key in ("why", "asks"):
        if getattr(example, key) and not isinstance(file.condition, RepeatFile):
            yield Finding((*where, key), "only a repeated measurement has that")
    if example.context is not None:
        yield from _context(file, example.context, (*where, "context"))


def _context(file: RuleFile, context: ContextFile, where: Where) -> Iterator[Finding]:
    for i, signal in enumerate(context.expected or ()):
        if signal not in file.inputs:
            message = f"{signal!r} is not among the rule's inputs ({nearest(signal, file.inputs)})"
            yield Finding((*where, "expected", i), message)
    for name, value in context.limits.items():
        place = *where, "limits", name
        parameter = file.parameters.get(name)
        if parameter is None:
            hint = nearest(name, file.parameters) if file.parameters else "the rule declares none"
            yield Finding(place, f"unknown parameter {name!r} ({hint})")
        elif not parameter.low <= value <= parameter.high:
            yield Finding(place, f"lies outside {parameter.low:g}..{parameter.high:g}")


def _sample(file: RuleFile, sample: SampleFile, where: Where) -> Iterator[Finding]:
    for signal, value in sample.values.items():
        yield from _value(file, signal, value, (*where, "values", signal))
    if sample.received is not None and sample.received < sample.at:
        yield Finding((*where, "received"), "is before the measurement")
    if (sample.to is None) is not (sample.every_s is None):
        yield Finding((*where, "at"), "to and every_s belong together")
    elif sample.to is not None and sample.every_s is not None:
        if sample.received is not None:
            yield Finding((*where, "received"), "does not go with to and every_s")
        if sample.to < sample.at:
            yield Finding((*where, "to"), "is before at")
        elif (sample.to - sample.at) / sample.every_s > MOST_SAMPLES:
            yield Finding((*where, "every_s"), f"gives more than {MOST_SAMPLES} readings")


def _value(file: RuleFile, signal: str, value: float | str | None, where: Where) -> Iterator[Finding]:
    if signal not in file.inputs and not (RISK in file.inputs and signal in CHANNEL_OF):
        yield Finding(where, f"{signal!r} is not among the rule's inputs ({nearest(signal, file.inputs)})")
        return
    codes = METRICS[signal].codes if signal in METRICS else ()
    bounds = value_range(signal)
    if isinstance(value, str) and value not in codes:
        known = nearest(value, codes) if codes else "a number is meant"
        yield Finding(where, f"unknown code {value!r} ({known})")
    elif isinstance(value, float) and bounds and not bounds[0] <= value <= bounds[1]:
        yield Finding(where, f"{signal} lies within {bounds[0]:g}..{bounds[1]:g}")
