"""Frame descriptions -> Python functions, one per source, generated and compiled once at load.

The generated code reads runs of fields with one ``struct`` call each and holds no tables to walk, which
keeps it near hand-written speed. ``generate`` gives its text, for tests and the curious.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import groupby
from types import MappingProxyType
from typing import Any, Final, cast

from firmware_profiles import numbers, refusals
from firmware_profiles.profile import DecodedReading, Decoder
from firmware_profiles.schema import Condition, FieldSpec, Frame, QualityRule
from firmware_profiles.types import CONVERSIONS, STRUCT_CODES, WIDTHS
from hearthward.core.codes import METRICS, Metric
from hearthward.core.model import Quality

__all__ = ["compile_frame", "compile_frames", "generate"]

_ALL_QUALITIES = tuple(Quality(bits) for bits in range(2 * max(Quality)))
_BASE: Final[dict[str, Any]] = {
    "R": DecodedReading,
    "QUALITY": _ALL_QUALITIES,
    "sfloat": numbers.sfloat,
    "float32": numbers.float32,
    "dt7_ns": numbers.dt7_ns,
    "stamp_ns": numbers.stamp_ns,
    "text_of": numbers.text_of,
    "truncated": refusals.truncated,
    "oversized": refusals.oversized,
    "trailing_record": refusals.trailing_record,
    "out_of_range": refusals.out_of_range,
    "check_trailer": refusals.check_trailer,
    "split_pairs": refusals.split_pairs,
    "decimal_of": refusals.decimal_of,
    "hex_of": refusals.hex_of,
    "inf": float("inf"),
}


def compile_frames(frames: Mapping[str, Frame], record: str | None = None) -> Mapping[str, Decoder]:
    """A decoder per source; ``record`` names the field with the device's record number."""
    return MappingProxyType({name: compile_frame(name, frame, record) for name, frame in frames.items()})


def compile_frame(source: str, frame: Frame, record: str | None = None) -> Decoder:
    """The decoder of one source."""
    text, namespace = generate(source, frame, record)
    exec(compile(text, f"<frame {source}>", "exec"), namespace)  # noqa: S102 - our own text, from checked names
    return cast("Decoder", namespace["decode"])


def generate(source: str, frame: Frame, record: str | None = None) -> tuple[str, dict[str, Any]]:
    """The text of one source's decoder and the names it uses."""
    code = _Code(source, frame, record)
    if frame.format == "pairs":
        code.pairs()
    else:
        code.binary()
    code.readings()
    return "def decode(p):\n" + "".join(f"    {line}\n" for line in code.lines), code.names


class _Code:
    """The growing text of one decoder: ``f_x`` is field x's number on the wire, ``v_x`` its value or None."""

    def __init__(self, source: str, frame: Frame, record: str | None) -> None:
        self.source = source
        self.frame = frame
        self.record = record
        self.lines: list[str] = []
        self.names: dict[str, Any] = dict(_BASE)
        self._indent = 0
        self._specs = {spec.name: spec for spec in frame.fields}
        self._at: int | None = 0
        """The offset while it is known beforehand; afterwards the variable ``o`` has it."""
        self._clock = frame.stamp is not None or any(spec.type == "dt7" for spec in frame.fields)
        self._graded = self._clock or any(spec.quality for spec in frame.fields)

    def put(self, line: str) -> None:
        """Add a line at the present indentation."""
        self.lines.append("    " * self._indent + line)

    def const(self, stem: str, value: Any) -> str:
        """A name for a value in the decoder's namespace."""
        name = f"{stem}{len(self.names)}"
        self.names[name] = value
        return name

    # ------------------------------------------------------------------ binary frames

    def binary(self) -> None:
        """Read all fields of a binary payload, and refuse what is left over."""
        if self.frame.integrity:
            self.put(f"p = check_trailer({self.source!r}, {self.frame.integrity!r}, p)")
        self.put("n = len(p)")
        self._defaults()
        runs = groupby(self.frame.fields, key=self._run_key)
        for (condition, _, kind, _), specs in runs:
            self._run(condition, list(specs), kind)
        end = self._offset()
        if kind == "tail" and condition is None:
            return
        if kind == "tail":
            self.put(f"elif n != {end}: raise oversized({self.source!r}, {end}, n)")
        else:
            self.put(f"if n != {end}: raise oversized({self.source!r}, {end}, n)")

    def _condition(self, spec: FieldSpec) -> Condition | None:
        return self._specs[spec.of].present_if if spec.of else spec.present_if

    def _run_key(self, spec: FieldSpec) -> tuple[Condition | None, str, str, str]:
        """Neighbours with an equal key are read together: presence, byte order, kind."""
        condition = self._condition(spec)
        if spec.repeat or spec.type == "utf8":
            return condition, spec.name, "tail", spec.endian
        return condition, "", "run", spec.endian

    def _defaults(self) -> None:
        self.put("t = None")
        if self._graded:
            self.put("q = 0")
        looked_at = {
            flag.field for spec in self.frame.fields for flag in (spec.present_if, spec.unit_if) if flag
        }
        for spec in self.frame.fields:
            if self._condition(spec) is None:
                continue
            if spec.name in looked_at:
                self.put(f"f_{spec.name} = 0")
            if spec.metric:
                self.put(f"v_{spec.name} = {'()' if spec.repeat else None}")

    def _offset(self) -> str:
        return "o" if self._at is None else str(self._at)

    def _run(self, condition: Condition | None, specs: list[FieldSpec], kind: str) -> None:
        if condition is not None:
            if self._at is not None:
                self.put(f"o = {self._at}")
                self._at = None
            present = f"f_{condition.field} & {1 << condition.bit}"
            self.put(f"if {present}:" if condition.is_ else f"if not {present}:")
            self._indent += 1
        if kind == "tail":
            self._tail(specs[0])
        else:
            self._fixed(specs)
        if condition is not None:
            self._indent -= 1

    def _fixed(self, specs: list[FieldSpec]) -> None:
        """Unpack a run of fields of fixed size, then work out their values."""
        wire = [spec for spec in specs if not spec.of]
        order = ">" if specs[0].endian == "big" else "<"
        if wire:
            codes = "".join(_code(spec) for spec in wire)
            size = struct.calcsize(order + codes)
            start = self._offset()
            end = f"o + {size}" if self._at is None else str(self._at + size)
            self.put(f"if n < {end}: raise truncated({self.source!r}, {end}, n)")
            if codes == "B":
                self.put(f"f_{wire[0].name} = p[{start}]")
            else:
                unpack = self.const("unpack", struct.Struct(order + codes).unpack_from)
                targets = [name for spec in wire for name in _targets(spec)]
                self.put(f"{', '.join(targets)}, = {unpack}(p, {start})")
            if self._at is None:
                self.put(f"o += {size}")
            else:
                self._at += size
        for spec in specs:
            self._meaning(spec)

    def _tail(self, spec: FieldSpec) -> None:
        """The last field: a list of numbers, or a text, to the end of the payload."""
        start, name = self._offset(), f"v_{spec.name}"
        if spec.type == "utf8":
            self.put(f"{name} = text_of(p[{start}:], {spec.name!r})")
            return
        step = struct.Struct((">" if spec.endian == "big" else "<") + _code(spec))
        iterate = self.const("iterate", step.iter_unpack)
        self.put(f"if (n - {start}) % {step.size}: raise trailing_record({self.source!r}, {step.size}, n)")
        self.put(f"{name} = []")
        self.put(f"for f_{spec.name}, in {iterate}(p[{start}:]):")
        self._indent += 1
        self._number(spec, "x")
        self.put(f"{'if x is not None: ' if _may_be_none(spec) else ''}{name}.append(x)")
        self._indent -= 1

    def _meaning(self, spec: FieldSpec) -> None:
        """Everything that one field says, once its number is read."""
        if spec.type == "u24" and not spec.of:
            low, high = _targets(spec)
            parts = f"{low} << 16 | {high}" if spec.endian == "big" else f"{low} | {high} << 16"
            self.put(f"f_{spec.name} = {parts}")
        if spec.type == "dt7":
            self.put(f"t = dt7_ns({', '.join(_targets(spec))})")
            self.put(f"if t is None: q |= {int(Quality.CLOCK_UNSET)}")
        if spec.metric:
            self._number(spec, f"v_{spec.name}")
        self._quality(spec)

    # ------------------------------------------------------------------ lines of pairs

    def pairs(self) -> None:
        """Read all fields of a text line of pairs."""
        self.put(f"s, d = split_pairs({self.source!r}, {tuple(self.frame.required)!r}, p)")
        self.put("q = 0")
        self.put("t = stamp_ns(s)")
        self.put(f"if t is None: q |= {int(Quality.CLOCK_UNSET)}")
        for spec in self.frame.fields:
            at = f"{self.source!r}, {spec.name!r}, d.get({spec.key!r})"
            if spec.type == "hex":
                self.put(f"f_{spec.name} = hex_of({at}, {spec.digits or 0}) or 0")
                self._quality(spec)
            else:
                self.put(f"f_{spec.name} = decimal_of({at}, {spec.suffix or ''!r}, {spec.digits or 0})")
            if spec.metric:
                self._number(spec, f"v_{spec.name}")

    # ------------------------------------------------------------------ what both share

    def _number(self, spec: FieldSpec, var: str) -> None:
        """``var`` = the field's value in its metric's unit, or None; refuses what is out of range."""
        raw = f"f_{spec.of or spec.name}"
        if spec.bits:
            raw = _slice(raw, spec.bits)
        if spec.enum is not None:
            table = self.const("enum", {int(key, 0): text for key, text in spec.enum.items()})
            self.put(f"{var} = {table}.get({raw})")
            return
        decode = {"sfloat": "sfloat", "float32-11073": "float32", "decimal": ""}.get(spec.type, "float")
        self.put(f"{var} = {decode}({raw})")
        if spec.nulls:
            self.put(f"if {var} in {tuple(spec.nulls)!r}: {var} = None")
        row = METRICS[cast("str", spec.metric)]
        low, high = spec.range or (row.low, row.high)
        if _surely_within(spec, low, high):
            return
        guarded = _may_be_none(spec)
        if guarded:
            self.put(f"if {var} is not None:")
            self._indent += 1
        self._scale(spec, var)
        refuse = f"out_of_range({self.source!r}, {spec.name!r}, {var}, {low!r}, {high!r}, {row.unit!r})"
        self.put(f"if not {low!r} <= {var} <= {high!r}: raise {refuse}")
        if guarded:
            self._indent -= 1

    def _scale(self, spec: FieldSpec, var: str) -> None:
        if spec.scale:
            times = f" * {spec.scale.times!r}" if spec.scale.times != 1 else ""
            over = f" / {spec.scale.over!r}" if spec.scale.over != 1 else ""
            self.put(f"{var} = {var}{times}{over}")
        unit = METRICS[cast("str", spec.metric)].unit
        factor = CONVERSIONS.get((spec.unit or "", unit or ""))
        other = CONVERSIONS.get((spec.unit_if.unit, unit or "")) if spec.unit_if else None
        if spec.unit_if:
            flag = f"f_{spec.unit_if.field} & {1 << spec.unit_if.bit}"
            if other:
                self.put(f"if {flag}: {var} *= {other!r}")
            if factor:
                self.put(f"if not {flag}: {var} *= {factor!r}")
        elif factor:
            self.put(f"{var} *= {factor!r}")

    def _quality(self, spec: FieldSpec) -> None:
        raw = f"f_{spec.of or spec.name}"
        wrap = len(spec.quality) > 1 and all(0 not in rule.is_ for rule in spec.quality)
        if wrap:
            self.put(f"if {raw}:")
            self._indent += 1
        for rule in spec.quality:
            self.put(f"if {_rule_test(rule, raw)}: q |= {int(Quality[rule.flag.upper()])}")
        if wrap:
            self._indent -= 1

    def readings(self) -> None:
        """Put the values together, in the order of the fields."""
        self.put(f"Q = {'QUALITY[q]' if self._graded else 'QUALITY[0]'}")
        record = f"f_{self.record}" if self.record in self._specs else "None"
        self.put("out = []")
        for spec in self.frame.fields:
            if not spec.metric:
                continue
            row, var = METRICS[spec.metric], f"v_{spec.name}"
            if spec.repeat:
                self.put(f"for x in {var}: out.append({_reading(row, 'x', record)})")
            else:
                test = "" if self._always(spec) else f"if {var} is not None: "
                self.put(f"{test}out.append({_reading(row, var, record)})")
        self.put("return tuple(out)")

    def _always(self, spec: FieldSpec) -> bool:
        return not _may_be_none(spec) and self._condition(spec) is None


def _code(spec: FieldSpec) -> str:
    if spec.type == "u24":
        return "BH" if spec.endian == "big" else "HB"
    return STRUCT_CODES[spec.type]


def _targets(spec: FieldSpec) -> list[str]:
    """The variables that a field's part of the struct is read into."""
    parts = {"u24": 2, "dt7": 6}.get(spec.type, 1)
    return [f"f_{spec.name}"] if parts == 1 else [f"f_{spec.name}_{i}" for i in range(parts)]


def _may_be_none(spec: FieldSpec) -> bool:
    if spec.enum is not None or spec.nulls:
        return True
    return spec.type in {"sfloat", "float32-11073", "utf8", "decimal"}


def _slice(raw: str, bits: tuple[int, int]) -> str:
    low, high = bits
    return f"({raw} >> {low} & {(1 << (high - low + 1)) - 1})"


def _surely_within(spec: FieldSpec, low: float, high: float) -> bool:
    """Whether every number that the bits can hold is plausible, so that no check is needed."""
    converted = (spec.unit, METRICS[spec.metric or ""].unit) in CONVERSIONS
    if not spec.type.startswith("u") or spec.type not in WIDTHS or spec.scale or spec.unit_if or converted:
        return False
    bits = WIDTHS[spec.type] if spec.bits is None else spec.bits[1] - spec.bits[0] + 1
    return low <= 0 and (1 << bits) - 1 <= high


def _rule_test(rule: QualityRule, raw: str) -> str:
    if rule.any_bit:
        return f"{raw} & {sum(1 << bit for bit in set(rule.any_bit))}"
    number = _slice(raw, cast("tuple[int, int]", rule.bits))
    values = tuple(sorted(set(rule.is_)))
    test = f"== {values[0]}" if len(values) == 1 else f"in {values!r}"
    return f"{number} {test}"


def _reading(row: Metric, var: str, record: str) -> str:
    value, code = ("None", var) if row.kind == "coded" else (var, "None")
    return f"R({row.key!r}, {value}, {code}, {row.unit!r}, t, Q, {record})"
