"""What the fields of one frame must be to each other; each finding with its path within the frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from firmware_profiles.document import Where
from firmware_profiles.errors import did_you_mean
from firmware_profiles.place_checks import (
    Finding,
    bad,
    field_place_findings,
    flag_findings,
    frame_place_findings,
    plain_integer,
)
from firmware_profiles.schema import FieldSpec, Frame, QualityRule
from firmware_profiles.types import CLOCKS, INTEGERS, PAIR_TYPES, TAILS, WIDTHS, units_of
from hearthward.core.codes import CLOCK_SKEW, INTERNAL, METRICS, Metric

__all__ = ["Finding", "bad", "carries_clock", "frame_findings", "is_day"]

_BINARY_KEYS = frozenset(
    {
        "also_if",
        "endian",
        "present_if",
        "repeat",
        "of",
        "unit_if",
        "at",
        "join",
        "any_in",
        "must_be",
        "wave",
        "role",
    }
)
_METRIC_KEYS = frozenset({"enum", "nulls", "scale", "unit", "unit_if", "range", "bits"})
_NUMBER_KEYS = frozenset({"nulls", "scale", "unit", "unit_if", "range"})
_FIRST_DAY = date(1970, 1, 1)
_NUMBER = re.compile(r"0x[0-9a-fA-F]+|0|[1-9][0-9]*")


def is_day(text: str) -> bool:
    """Whether a year, month and day are one of the calendar, from 1970 on."""
    try:
        return date.fromisoformat(text) >= _FIRST_DAY
    except ValueError:
        return False


def carries_clock(frame: Frame) -> bool:
    """Whether the frame has the device's own time."""
    return frame.stamp is not None or any(map(_is_clock, frame.fields))


def _is_clock(spec: FieldSpec) -> bool:
    return spec.type in CLOCKS and spec.role != "start"


def frame_findings(frame: Frame) -> Iterator[Finding]:
    """Everything that is wrong with a frame."""
    text = frame.format == "pairs"
    clocks = sum(map(_is_clock, frame.fields))
    yield from bad(
        (not frame.fields, ("fields",), "a frame needs at least one field"),
        (text and frame.stamp is None, (), "a frame of pairs needs the stamp it begins with"),
        (text and frame.integrity is not None, ("integrity",), "is for binary frames"),
        (not text and bool(frame.stamp or frame.required), (), "stamp and required are for frames of pairs"),
        (
            clocks > 1,
            ("fields",),
            "a frame has at most one dt7, time8 or seconds32: the time of its readings",
        ),
    )
    yield from frame_place_findings(frame)
    before: dict[str, FieldSpec] = {}
    last = len(frame.fields) - 1
    for i, spec in enumerate(frame.fields):
        endless = bool(spec.repeat or (spec.wave and frame.length is None)) or spec.type in TAILS
        findings = (
            *bad(
                (spec.name in before, ("name",), f"field {spec.name!r} stands there twice"),
                (endless and i != last, (), f"{spec.name} reaches to the end, so it must be the last field"),
            ),
            *(_in_text(spec) if text else _in_bytes(frame, spec, before)),
            *_number(spec),
            *(_metric(spec) if spec.metric else _without_metric(spec)),
            *_quality(spec),
        )
        yield from ((("fields", i, *path), message) for path, message in findings)
        before[spec.name] = spec


def _in_text(spec: FieldSpec) -> Iterator[Finding]:
    idle = ", ".join(sorted(_BINARY_KEYS & spec.model_fields_set))
    return bad(
        (spec.type not in PAIR_TYPES, ("type",), f"{spec.type} is not for a frame of pairs"),
        (spec.key is None, (), "a field of a frame of pairs needs its key"),
        (bool(idle), (), f"not in a frame of pairs: {idle}"),
        (spec.type == "hex" and bool(spec.suffix), ("suffix",), "is for decimals"),
    )


def _in_bytes(frame: Frame, spec: FieldSpec, before: dict[str, FieldSpec]) -> Iterator[Finding]:
    listable = spec.type not in CLOCKS | TAILS and spec.metric and not (spec.of or spec.quality)
    yield from bad(
        (spec.type in PAIR_TYPES, ("type",), f"{spec.type} is for frames of pairs"),
        (bool(spec.key or spec.digits or spec.suffix), (), "key, digits and suffix are for frames of pairs"),
        (
            bool(spec.repeat) and not listable,
            ("repeat",),
            "is for numbers with a metric and without of and quality",
        ),
    )
    if spec.present_if is not None:
        yield from flag_findings(("present_if",), spec.present_if.field, spec.present_if.bit, before)
    if spec.also_if is not None:
        yield from flag_findings(("also_if",), spec.also_if.field, spec.also_if.bit, before)
        if spec.present_if is None:
            yield ("also_if",), "goes with present_if: one condition alone stands there"
    if spec.unit_if is not None:
        yield from flag_findings(("unit_if",), spec.unit_if.field, spec.unit_if.bit, before)
    yield from field_place_findings(frame, spec, before)
    if spec.of is not None:
        yield from _of(spec, spec.of, before)
    if spec.epoch is not None:
        yield from _epoch(spec, spec.epoch)


def _epoch(spec: FieldSpec, day: str) -> Iterator[Finding]:
    if spec.type != "seconds32":
        yield ("epoch",), f"is for seconds32, not {spec.type}"
    elif not is_day(day):
        yield ("epoch",), f"{day!r} is no day of the calendar"


def _of(spec: FieldSpec, name: str, before: dict[str, FieldSpec]) -> Iterator[Finding]:
    if not plain_integer(before.get(name)):
        yield ("of",), f"{name!r} is no earlier integer field{did_you_mean(name, before)}"
        return
    yield from bad(
        (before[name].type != spec.type, ("of",), f"{name} is {before[name].type}, not {spec.type}"),
        (spec.present_if is not None, ("of",), "is there when its field is: present_if cannot go with it"),
        ("endian" in spec.model_fields_set, ("of",), "has its field's byte order: endian cannot go with it"),
    )


def _number(spec: FieldSpec) -> Iterator[Finding]:
    """What is taken from the field's number."""
    if spec.type not in INTEGERS:
        for key in ("bits", "enum", "of"):
            if getattr(spec, key) is not None:
                yield (key,), f"is for integers, not for {spec.type}"
    elif spec.bits is not None and not _within(spec.bits, spec.type):
        yield ("bits",), f"{list(spec.bits)} is not low..high within {spec.type}"
    for key in spec.enum or ():
        if not _NUMBER.fullmatch(key):
            yield ("enum", key), f"{key!r} is no number"


def _within(bits: tuple[int, int], kind: str) -> bool:
    return bits[0] <= bits[1] < WIDTHS[kind]


def _without_metric(spec: FieldSpec) -> Iterator[Finding]:
    used = {"nulls"} if spec.role == "clock_offset_min" else {"bits"} if spec.wave else set()
    idle = ", ".join(sorted((_METRIC_KEYS - used) & spec.model_fields_set))
    return bad((bool(idle), (), f"without a metric nothing comes of {idle}"))


def _metric(spec: FieldSpec) -> Iterator[Finding]:
    name = spec.metric or ""
    row = METRICS.get(name)
    if row is None:
        yield ("metric",), f"unknown metric {name!r}{did_you_mean(name, METRICS)}"
        return
    if name in INTERNAL or name == CLOCK_SKEW:
        yield ("metric",), f"no device measures {name}: our own parts say it"
        return
    text = spec.type in TAILS | CLOCKS or spec.enum is not None
    coded = row.kind == "coded"
    yield from bad(
        (spec.type == "hex", ("metric",), "hex is for quality rules, not for readings"),
        (row.kind == "wave", ("metric",), f"{name} is a waveform: put it under wave"),
        (
            coded != text and row.kind != "wave",
            ("metric",),
            f"{name} is {row.kind}: texts (utf8, bytes, times, enum) are coded, numbers numeric",
        ),
        (
            coded and bool(_NUMBER_KEYS & spec.model_fields_set),
            (),
            "nulls, scale, unit and range are for numbers",
        ),
    )
    if not coded:
        yield from _unit(spec, row)


def _unit(spec: FieldSpec, row: Metric) -> Iterator[Finding]:
    units: list[tuple[Where, str | None]] = [(("unit",), spec.unit)]
    if spec.unit_if is not None:
        units.append((("unit_if", "unit"), spec.unit_if.unit))
    known = units_of(row)
    for path, unit in units:
        if unit not in known:
            yield path, f"the unit of {row.key} must be one of {', '.join(map(repr, known))}, not {unit!r}"
    if spec.range is not None and not row.low <= spec.range[0] < spec.range[1] <= row.high:
        yield ("range",), f"must be low < high within {row.low:g} to {row.high:g}, the metric's own"


def _quality(spec: FieldSpec) -> Iterator[Finding]:
    if spec.quality and spec.type not in INTEGERS:
        yield ("quality",), f"is for integers, not for {spec.type}"
        return
    for i, rule in enumerate(spec.quality):
        yield from ((("quality", i, *path), message) for path, message in _rule(rule, spec.type))


def _rule(rule: QualityRule, kind: str) -> Iterator[Finding]:
    by_value = rule.bits is not None and bool(rule.is_) and not rule.any_bit
    by_bit = bool(rule.any_bit) and rule.bits is None and not rule.is_
    if not (by_value or by_bit):
        yield (), "a rule has either any_bit, or bits and is"
    elif rule.bits is not None and not _within(rule.bits, kind):
        yield ("bits",), f"{list(rule.bits)} is not low..high within {kind}"
    elif any(bit >= WIDTHS[kind] for bit in rule.any_bit):
        yield ("any_bit",), f"{kind} has bits 0 to {WIDTHS[kind] - 1}"
