"""What a field's number means: value, unit, plausible range, quality and time, as text of a decoder."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import cast

from firmware_profiles.compiler_text import Code, Presence
from firmware_profiles.numbers import converter
from firmware_profiles.schema import FieldSpec, QualityRule
from firmware_profiles.schema_fields import Scale
from firmware_profiles.types import (
    CLOCKS,
    FLOATS,
    INTEGERS,
    STRUCT_CODES,
    TAILS,
    WIDTHS,
    Conversion,
    conversion,
)
from hearthward.core.clock import SECOND
from hearthward.core.codes import METRICS, Metric
from hearthward.core.model import Quality

__all__ = [
    "looked_at",
    "may_be_none",
    "meaning",
    "nothing",
    "number",
    "present",
    "quality",
    "struct_code",
    "targets",
]

_MINUTE_NS = 60 * SECOND
_EPOCH = "1970-01-01"
_MOMENTS = {"dt7": "dt7_ns", "time8": "time8_ns", "seconds32": "seconds_ns"}
_UNSET = int(Quality.CLOCK_UNSET)


def struct_code(spec: FieldSpec) -> str:
    """How ``struct`` reads the field; 24 bits in two parts."""
    if WIDTHS.get(spec.type) == 24:  # noqa: PLR2004 - no code of struct has as many
        high = "b" if spec.type == "s24" else "B"
        return f"{high}H" if spec.endian == "big" else f"H{high}"
    return STRUCT_CODES[spec.type]


def targets(spec: FieldSpec) -> list[str]:
    """The variables that the parts of the struct are read into."""
    parts = len(struct_code(spec))
    return [f"f_{spec.name}"] if parts == 1 else [f"f_{spec.name}_{i}" for i in range(parts)]


def may_be_none(spec: FieldSpec) -> bool:
    """Whether a field that is there may have no value."""
    if spec.enum is not None or spec.nulls:
        return True
    return spec.type not in INTEGERS


def present(presence: Presence) -> str | None:
    """The line under which what hangs on a flag stands."""
    flags = [f"{'' if wanted else 'not '}f_{name} & {1 << bit}" for name, bit, wanted in presence]
    return f"if {' and '.join(flags)}:" if flags else None


def nothing(code: Code) -> None:
    """The time, quality and values of a frame before anything of it is read."""
    if code.timed:
        code.put("t = None")
    if code.graded:
        code.put("q = 0")
    if code.elapses:
        code.put("e = None")
    seen = looked_at(code)
    for spec in code.frame.fields:
        if not code.presence(spec):
            continue
        if spec.name in seen:
            code.put(f"f_{spec.name} = 0")
        if spec.type in CLOCKS and spec.role == "start":
            code.put(f"s_{spec.name} = None")
        if spec.metric:
            code.put(f"v_{spec.name} = {'()' if spec.repeat else None}")


def looked_at(code: Code) -> set[str]:
    """The fields whose number is asked for outside of the place where they are read."""
    fields = code.frame.fields
    flags = {flag.field for spec in fields for flag in (spec.present_if, spec.also_if, spec.unit_if) if flag}
    parts = {part.field for spec in fields for part in spec.join}
    return flags | parts | {condition.field for condition in code.frame.only_if}


def meaning(code: Code, spec: FieldSpec) -> None:
    """Everything that one field says, once its number is read."""
    raw = f"f_{spec.name}"
    if WIDTHS.get(spec.type) == 24 and not (spec.of or spec.join):  # noqa: PLR2004
        first, second = targets(spec)
        parts = f"{first} << 16 | {second}" if spec.endian == "big" else f"{first} | {second} << 16"
        code.put(f"{raw} = {parts}")
    if spec.join:
        code.put(f"{raw} = {_joined(spec)}")
    if spec.must_be is not None:
        refuse = f"unlike({code.source!r}, {spec.name!r}, {raw}, {spec.must_be})"
        code.put(f"if {raw} != {spec.must_be}: raise {refuse}")
    if spec.type in CLOCKS:
        _clock(code, spec)
    elif spec.role == "clock_offset_min":
        if spec.nulls:
            with code.under(f"if {raw} in {tuple(map(int, spec.nulls))!r}:"):
                code.put(f"t = None; q |= {_UNSET}")
        code.put(f"if t is not None: t += {raw} * {_MINUTE_NS}")
    elif spec.role == "elapsed_min":
        code.put(f"e = {raw} * {_MINUTE_NS}")
    if spec.metric and spec.type not in CLOCKS:
        number(code, spec, f"v_{spec.name}")
    quality(code, spec)


def _joined(spec: FieldSpec) -> str:
    parts, low = [], sum(high - low + 1 for low, high in (part.bits for part in spec.join))
    for part in spec.join:
        low -= part.bits[1] - part.bits[0] + 1
        parts.append(f"{_slice(f'f_{part.field}', part.bits)}{f' << {low}' if low else ''}")
    return " | ".join(parts)


def _epoch(spec: FieldSpec) -> str:
    """What is given to the reader of seconds besides them: their beginning, in seconds since 1970."""
    if spec.type != "seconds32":
        return ""
    return f", {int(datetime.fromisoformat(spec.epoch or _EPOCH).replace(tzinfo=UTC).timestamp())}"


def _clock(code: Code, spec: FieldSpec) -> None:
    read = f"{_MOMENTS[spec.type]}({', '.join(targets(spec))}{_epoch(spec)})"
    if spec.role == "start":
        code.put(f"s_{spec.name} = {read}")
        return
    code.put(f"t = {read}")
    code.put(f"if t is None: q |= {_UNSET}")


def number(code: Code, spec: FieldSpec, var: str) -> None:
    """``var`` = the field's value in its metric's unit, or None; refuses what is out of range."""
    raw = f"f_{spec.of or spec.name}"
    if spec.bits:
        raw = _slice(raw, spec.bits)
    if spec.enum is not None:
        table = code.const("enum", {int(key, 0): text for key, text in spec.enum.items()})
        code.put(f"{var} = {table}.get({raw})")
        return
    row = METRICS[cast("str", spec.metric)]
    if spec.type in TAILS:
        return
    low, high = spec.range or (row.low, row.high)
    sure = _surely_within(spec, row, low, high)
    if spec.type in FLOATS:
        code.put(f"{var} = {_converted(code, spec, row, raw)}")
    elif spec.type == "decimal":
        _decimal(code, spec, row, raw, var)
    else:
        _integer(code, spec, row, raw, var)
    if not sure:
        refuse = f"out_of_range({code.source!r}, {spec.name!r}, {var}, {low!r}, {high!r}, {row.unit!r})"
        guard = f"{var} is not None and " if may_be_none(spec) else ""
        code.put(f"if {guard}not {low!r} <= {var} <= {high!r}: raise {refuse}")


def _converted(code: Code, spec: FieldSpec, row: Metric, raw: str) -> str:
    """An 11073 float's value, by a function that also converts and knows the nulls."""

    def function(scale: Scale | None, unit: str | None) -> str:
        times, plus = _linear(scale, conversion(unit, row))
        if times == 1 and not plus and not spec.nulls:
            return "sfloat" if spec.type == "sfloat" else "float32"
        return code.const("convert", converter(spec.type, times, plus, spec.nulls))

    usual = function(spec.scale, spec.unit)
    if spec.unit_if is None:
        return f"{usual}({raw})"
    other = function(spec.unit_if.scale or spec.scale, spec.unit_if.unit)
    return f"{other}({raw}) if f_{spec.unit_if.field} & {1 << spec.unit_if.bit} else {usual}({raw})"


def _integer(code: Code, spec: FieldSpec, row: Metric, raw: str, var: str) -> None:
    """Exact in integers up to one division, so that 0.005 kg * 14000 is 70 and nothing beside it."""
    usual = _exact(raw, *_linear(spec.scale, conversion(spec.unit, row)))
    if spec.unit_if is not None:
        other = _linear(spec.unit_if.scale or spec.scale, conversion(spec.unit_if.unit, row))
        flag = f"f_{spec.unit_if.field} & {1 << spec.unit_if.bit}"
        usual = f"{_exact(raw, *other)} if {flag} else {usual}"
    if spec.nulls:
        nulls = tuple(int(n) if float(n).is_integer() else n for n in spec.nulls)
        test = f"== {nulls[0]}" if len(nulls) == 1 else f"in {nulls!r}"
        usual = f"None if {raw} {test} else {usual}"
    code.put(f"{var} = {usual}")


def _decimal(code: Code, spec: FieldSpec, row: Metric, raw: str, var: str) -> None:
    code.put(f"{var} = {raw}")
    if spec.nulls:
        code.put(f"if {var} in {tuple(spec.nulls)!r}: {var} = None")
    times, plus = _linear(spec.scale, conversion(spec.unit, row))
    if times != 1 or plus:
        code.put(f"if {var} is not None: {var} = {var} * {float(times)!r} + {float(plus)!r}")


def _linear(scale: Scale | None, unit: Conversion | None) -> tuple[Fraction, Fraction]:
    """Scale and unit together: factor and summand."""
    times = Fraction(1) if scale is None else Fraction(repr(scale.times)) / Fraction(repr(scale.over))
    return (times, Fraction(0)) if unit is None else (times * unit.times, unit.plus)


def _exact(raw: str, times: Fraction, plus: Fraction) -> str:
    """``raw`` * times + plus in whole numbers, divided once at the end."""
    bottom = times.denominator * plus.denominator
    top, summand = times.numerator * plus.denominator, plus.numerator * times.denominator
    if (bottom, summand) == (1, 0):
        return f"{raw}{'' if top == 1 else f' * {top}'} + 0.0"  # quicker than calling float
    scaled = raw if top == 1 else f"{raw} * {top}"
    return f"({scaled}{f' + {summand}' if summand else ''}) / {bottom}"


def quality(code: Code, spec: FieldSpec) -> None:
    """What the field says against the frame's readings."""
    raw = f"f_{spec.of or spec.name}"
    wrap = len(spec.quality) > 1 and all(0 not in rule.is_ for rule in spec.quality)
    with code.under(f"if {raw}:" if wrap else None):
        for rule in spec.quality:
            code.put(f"if {_rule_test(rule, raw)}: q |= {int(Quality[rule.flag.upper()])}")


def _slice(raw: str, bits: tuple[int, int]) -> str:
    low, high = bits
    return f"({raw}{f' >> {low}' if low else ''} & {(1 << (high - low + 1)) - 1})"


def _surely_within(spec: FieldSpec, row: Metric, low: float, high: float) -> bool:
    """Whether every number that the bits can hold is plausible, so that no check is needed."""
    bits = WIDTHS.get(spec.type, 0)
    if (
        not spec.type.startswith("u")
        or not bits
        or spec.unit_if
        or _linear(None, conversion(spec.unit, row))[1]
    ):
        return False
    if spec.bits is not None:
        bits = spec.bits[1] - spec.bits[0] + 1
    if spec.join:
        bits = sum(top - bottom + 1 for bottom, top in (part.bits for part in spec.join))
    times, _ = _linear(spec.scale, conversion(spec.unit, row))
    return low <= 0 and ((1 << bits) - 1) * times <= high


def _rule_test(rule: QualityRule, raw: str) -> str:
    if rule.any_bit:
        return f"{raw} & {sum(1 << bit for bit in set(rule.any_bit))}"
    values = tuple(sorted(set(rule.is_)))
    test = f"== {values[0]}" if len(values) == 1 else f"in {values!r}"
    return f"{_slice(raw, cast('tuple[int, int]', rule.bits))} {test}"
