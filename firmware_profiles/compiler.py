"""Frame descriptions -> Python functions, one per source, generated and compiled once at load.

The generated code reads runs of fields with one ``struct`` call each and holds no tables to walk, which
keeps it near hand-written speed. ``generate`` gives its text, for tests and the curious.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from firmware_profiles.compiler_layout import one_record, read_binary, read_pairs, read_records
from firmware_profiles.compiler_text import Code
from firmware_profiles.compiler_values import may_be_none, struct_code
from firmware_profiles.profile import Decoder, WaveDecoder
from firmware_profiles.schema import FieldSpec, Frame
from firmware_profiles.types import CLOCKS, size_of
from hearthward.core.codes import METRICS, Metric

__all__ = ["Tell", "compile_frame", "compile_trace", "compile_waves", "generate"]

Tell = Callable[[str, int | None, int | None, Any], None]
"""Told of each field as it is read: its name, offset, bytes (None: it has none of its own) and value."""


def compile_waves(frames: Mapping[str, Frame]) -> Mapping[str, WaveDecoder]:
    """A decoder of samples for each source that carries any."""
    return MappingProxyType(
        {
            name: cast("WaveDecoder", _compiled(f"waves {name}", *generate(name, frame, waves=True), "waves"))
            for name, frame in frames.items()
            if any(spec.wave for spec in frame.fields)
        }
    )


def compile_frame(source: str, frame: Frame, record: str | None = None) -> Decoder:
    """The decoder of one source."""
    return cast("Decoder", _compiled(f"frame {source}", *generate(source, frame, record), "decode"))


def compile_trace(source: str, frame: Frame) -> Callable[[bytes, Tell], Any]:
    """The decoder of one source that tells of its fields, also of those before what it refuses."""
    text, names = generate(source, frame, traced=True)
    return cast("Callable[[bytes, Tell], Any]", _compiled(f"trace {source}", text, names, "decode"))


def _compiled(title: str, text: str, namespace: dict[str, Any], name: str) -> Any:
    exec(compile(text, f"<{title}>", "exec"), namespace)  # noqa: S102 - our own text, from checked names
    return namespace[name]


def generate(
    source: str, frame: Frame, record: str | None = None, *, waves: bool = False, traced: bool = False
) -> tuple[str, dict[str, Any]]:
    """The text of one source's decoder, of readings or of ``waves``, and the names it uses."""
    if waves:  # of the fields with a metric only the quality matters
        code = Code(
            source, frame.model_copy(update={"fields": tuple(map(_without_value, frame.fields))}), None
        )
        read_binary(code)
        _waves(code)
        return code.text("waves(p)"), code.names
    code = Code(source, frame, record, traced=traced)
    if frame.format == "pairs":
        read_pairs(code)
        _readings(code)
    elif frame.records:
        read_records(code)
        with code.under("while at < end:"):
            one_record(code)
            _put_readings(code)
            code.put("at += n")
        code.put("return tuple(out)")
    else:
        read_binary(code)
        _readings(code)
    return code.text("decode(p, X)" if traced else "decode(p)"), code.names


def _without_value(spec: FieldSpec) -> FieldSpec:
    return spec.model_copy(update={"metric": None})


def _readings(code: Code) -> None:
    given = [spec for spec in code.frame.fields if spec.metric]
    if all(_always(code, spec) for spec in given):
        code.put(f"Q = {_graded(code)}")
        code.put(f"return ({''.join(f'{_reading(code, spec)}, ' for spec in given)})")
        return
    code.put("out = []")
    _put_readings(code)
    code.put("return tuple(out)")


def _put_readings(code: Code) -> None:
    """Put the values together, in the order of the fields."""
    code.put(f"Q = {_graded(code)}")
    for spec in code.frame.fields:
        if not spec.metric:
            continue
        var = f"v_{spec.name}"
        if spec.type in CLOCKS:
            code.put(f"{var} = moment_text({_moment(spec)}, {_zone(code)})")
        if spec.repeat:
            code.put(f"for x in {var}: out.append({_reading(code, spec, 'x')})")
        else:
            test = "" if _always(code, spec) else f"if {var} is not None: "
            code.put(f"{test}out.append({_reading(code, spec)})")


def _graded(code: Code) -> str:
    return "QUALITY[q]" if code.graded else "QUALITY[0]"


def _always(code: Code, spec: FieldSpec) -> bool:
    return not (may_be_none(spec) or spec.repeat or code.presence(spec))


def _moment(spec: FieldSpec) -> str:
    return f"s_{spec.name}" if spec.role == "start" else "t"


def _zone(code: Code) -> str:
    roles = {spec.role: f"f_{spec.name}" for spec in code.frame.fields if spec.role}
    return f"{roles.get('utc_offset_quarters')}, {roles.get('dst')}"


def _reading(code: Code, spec: FieldSpec, var: str = "") -> str:
    row: Metric = METRICS[cast("str", spec.metric)]
    var = var or f"v_{spec.name}"
    value, text = ("None", var) if row.kind == "coded" else (var, "None")
    at = _moment(spec) if spec.type in CLOCKS else "t" if code.timed else "None"
    elapsed = ", e" if code.elapses else ""
    return f"R({row.key!r}, {value}, {text}, {row.unit!r}, {at}, Q, {code.record}{elapsed})"


def _waves(code: Code) -> None:
    """Take the samples out, each run of them by one slice or one struct."""
    code.put(f"Q = {_graded(code)}")
    chunks = []
    for spec in code.frame.fields:
        wave = spec.wave
        if wave is None:
            continue
        row = METRICS[wave.metric]
        scale = 1.0 if wave.scale is None else wave.scale.times / wave.scale.over
        var = f"w_{spec.name}"
        code.put(f"{var} = {_samples(code, spec)}")
        chunks.append(f"W({row.key!r}, {wave.rate_hz!r}, {var}, {scale!r}, {row.unit!r}, Q), ")
    code.put(f"return ({''.join(chunks)})")


def _samples(code: Code, spec: FieldSpec) -> str:
    wave, size = spec.wave, size_of(spec.type)
    assert wave is not None  # noqa: S101 - the caller looked
    start = spec.at if spec.at is not None else code.offset
    every = wave.every or size
    order = ">" if spec.endian == "big" else "<"
    if wave.count is None:
        one = struct.Struct(order + struct_code(spec)).iter_unpack
        samples = f"tuple([x for x, in {code.const('iterate', one)}(p[{start}:])])"
    elif spec.type == "u8":
        place = spec.at or 0
        samples = f"tuple(p[{place}:{place + (wave.count - 1) * every + 1}:{every}])"
    else:
        gap = f"{every - size}x" * (every > size)
        layout = order + (struct_code(spec) + gap) * (wave.count - 1) + struct_code(spec)
        samples = f"{code.const('unpack', struct.Struct(layout).unpack_from)}(p, {start})"
    if spec.bits is None:
        return samples
    low, high = spec.bits
    return f"tuple([x >> {low} & {(1 << (high - low + 1)) - 1} for x in {samples}])"
