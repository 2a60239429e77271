"""Where the fields of a frame stand: text that reads them in runs, from fixed places, or by their keys."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Final

from firmware_profiles.compiler_text import Code, Presence
from firmware_profiles.compiler_values import (
    looked_at,
    may_be_none,
    meaning,
    nothing,
    number,
    present,
    quality,
    struct_code,
    targets,
)
from firmware_profiles.schema import FieldSpec
from firmware_profiles.types import TAILS, WIDTHS, size_of
from hearthward.core.model import Quality

__all__ = ["one_record", "read_binary", "read_pairs", "read_records"]


def read_binary(code: Code) -> None:
    """Read all fields of a binary payload and refuse what is left over."""
    frame = code.frame
    if frame.begins:
        begins = bytes.fromhex(frame.begins)
        with code.under(f"if p[:{len(begins)}] != {begins!r}:"):
            short = f"{begins!r}.startswith(bytes(p))"
            code.put(f"if {short}: raise truncated({code.source!r}, {len(begins)}, len(p))")
            code.put("return ()")
    if frame.integrity and not frame.integrity_optional and frame.length is None:
        code.put(f"p = {_trailer(code)}")
    code.put("n = len(p)")
    if frame.length is None:
        _sequence(code)
    else:
        _places(code, frame.length)


def _trailer(code: Code) -> str:
    none = code.frame.integrity_none
    instead = "" if none is None else f", {bytes.fromhex(none)!r}"
    return f"check_trailer({code.source!r}, {code.frame.integrity!r}, p{instead})"


def read_records(code: Code) -> None:
    """Open the loop over a row of records; ``p`` and ``n`` are then one record's."""
    code.put("row, at, end = p, 0, len(p)")
    code.put(f"if not end: raise truncated({code.source!r}, 1, 0)")
    code.put("out = []")


def one_record(code: Code) -> None:
    """Read the fields of the record that begins at ``at``, and refuse one of another size than it says."""
    code.put("n = row[at]")
    code.put(f"if n > end - at: raise truncated({code.source!r}, at + n, end)")
    code.put("p = row[at:at + n]")
    _sequence(code)


# ---------------------------------------------------------------------- one field after the other


def _sequence(code: Code) -> None:
    nothing(code)
    condition: Presence = ()
    before: Presence = ()
    kind = ""
    for (condition, _, kind, _), specs in groupby(code.frame.fields, key=lambda spec: _run_key(code, spec)):
        _run(code, condition, list(specs), kind, otherwise=bool(condition) and condition == _opposite(before))
        before = condition
    _nothing_more(code, tail=kind == "tail", conditional=bool(condition))
    only_if(code)


def _nothing_more(code: Code, *, tail: bool, conditional: bool) -> None:
    if tail and not conditional:
        return
    lead, end, frame = "elif" if tail else "if", code.offset, code.frame
    if frame.integrity and frame.records and not frame.integrity_optional:
        code.put(f"check_end({code.source!r}, {frame.integrity!r}, p, {end})")
    elif frame.integrity and (frame.records or frame.integrity_optional):
        code.put(f"{lead} n != {end}: check_end({code.source!r}, {frame.integrity!r}, p, {end})")
    else:
        code.put(f"{lead} n != {end}: raise oversized({code.source!r}, {end}, n)")


def _run_key(code: Code, spec: FieldSpec) -> tuple[Presence, str, str, str]:
    """Neighbours with an equal key are read together: presence, byte order, kind."""
    condition = code.presence(spec)
    if spec.repeat or spec.type in TAILS or spec.wave:
        return condition, spec.name, "tail", spec.endian
    return condition, "", "run", spec.endian


def _opposite(presence: Presence) -> Presence:
    return tuple((name, bit, 1 - wanted) for name, bit, wanted in presence) if len(presence) == 1 else ()


def _run(code: Code, condition: Presence, specs: list[FieldSpec], kind: str, *, otherwise: bool) -> None:
    if condition and code.at is not None:
        code.put(f"o = {code.at}")
        code.at = None
    with code.under("else:" if otherwise else present(condition)):
        if kind == "tail":
            _tail(code, specs[0])
        else:
            _fixed(code, specs)


def _fixed(code: Code, specs: list[FieldSpec]) -> None:
    """Unpack a run of fields of fixed size, then work out their values."""
    wire = [spec for spec in specs if not (spec.of or spec.join)]
    order = ">" if specs[0].endian == "big" else "<"
    if wire:
        codes = "".join(map(struct_code, wire))
        size = struct.calcsize(order + codes)
        start = code.offset
        end = f"o + {size}" if code.at is None else str(code.at + size)
        code.put(f"if n < {end}: raise truncated({code.source!r}, {end}, n)")
        if codes == "B":
            code.put(f"f_{wire[0].name} = p[{start}]")
        else:
            unpack = code.const("unpack", struct.Struct(order + codes).unpack_from)
            names = [name for spec in wire for name in targets(spec)]
            code.put(f"{', '.join(names)}, = {unpack}(p, {start})")
        if code.at is None:
            code.put(f"o += {size}")
        else:
            code.at += size
    left = sum(size_of(spec.type) for spec in wire)
    for spec in specs:
        meaning(code, spec)
        if spec.of or spec.join:
            code.tell(spec)
        else:
            code.tell(spec, f"{code.offset} - {left}", size_of(spec.type))
            left -= size_of(spec.type)


def _tail(code: Code, spec: FieldSpec) -> None:
    """The last field: a list of numbers, a text, bytes or samples, to the end of the payload."""
    start, name = code.offset, f"v_{spec.name}"
    if spec.type in TAILS:
        reader = "text_of" if spec.type == "utf8" else "hex_text"
        code.put(f"{name} = {reader}(p[{start}:], {spec.name!r})")
        code.tell(spec, start, f"n - {start}")
        return
    size = size_of(spec.type)
    code.put(f"if (n - {start}) % {size}: raise trailing_record({code.source!r}, {size}, n)")
    if spec.wave:
        code.tell(spec, start, f"n - {start}")
        return
    step = struct.Struct((">" if spec.endian == "big" else "<") + struct_code(spec))
    iterate = code.const("iterate", step.iter_unpack)
    code.put(f"{name} = []")
    with code.under(f"for {', '.join(targets(spec))}, in {iterate}(p[{start}:]):"):
        if WIDTHS.get(spec.type) == 24:  # noqa: PLR2004 - read in two parts
            first, second = targets(spec)
            parts = f"{first} << 16 | {second}" if spec.endian == "big" else f"{first} | {second} << 16"
            code.put(f"f_{spec.name} = {parts}")
        number(code, spec, "x")
        code.put(f"{'if x is not None: ' if may_be_none(spec) else ''}{name}.append(x)")
    code.tell(spec, start, f"n - {start}")


def only_if(code: Code) -> None:
    """Leave where the flags say that nothing in the frame is worth keeping."""
    for condition in code.frame.only_if:
        flag = f"f_{condition.field} & {1 << condition.bit}"
        code.put(f"if {'not ' if condition.is_ else ''}{flag}: return ()")


# ---------------------------------------------------------------------- fields at fixed places


def _places(code: Code, length: int) -> None:
    """Read every field from its own place in a frame of a known length."""
    code.put(f"if n != {length}: raise wrong_length({code.source!r}, {length}, n)")
    if code.frame.integrity:
        code.put(_trailer(code))
    nothing(code)
    _unpack_places(code)
    only_if(code)
    for spec in code.frame.fields:
        if spec.wave:
            code.tell(spec, spec.at, _spread(spec, spec.wave.every, spec.wave.count))
            continue
        with code.under(present(code.presence(spec))):
            meaning(code, spec)
            many = spec.any_in
            size = size_of(spec.type) if many is None else _spread(spec, many.every, many.count)
            code.tell(spec, spec.at, None if spec.at is None else size)


def _spread(spec: FieldSpec, every: int | None, count: int | None) -> str | int:
    """Bytes from the first of several to the last."""
    size = size_of(spec.type)
    return f"n - {spec.at}" if count is None else (count - 1) * (every or size) + size


_FEW: Final = 4  # single bytes up to here are quicker taken one by one than unpacked


def _unpack_places(code: Code) -> None:
    placed = [spec for spec in code.frame.fields if spec.at is not None and not spec.wave]
    for spec in placed:
        if spec.any_in is not None:
            end = (spec.at or 0) + (spec.any_in.count - 1) * spec.any_in.every + 1
            harmless = code.const("harmless", _harmless(code, spec))
            code.put(f"f_{spec.name} = any_bits(p[{spec.at}:{end}:{spec.any_in.every}], {harmless})")
    plain = [spec for spec in placed if spec.any_in is None]
    single = [spec for spec in plain if spec.type == "u8"]
    if len(single) < _FEW:
        for spec in single:
            code.put(f"f_{spec.name} = p[{spec.at}]")
        plain = [spec for spec in plain if spec.type != "u8"]
    for order, specs in _rows(plain):
        layout, names, at = order, list[str](), 0
        for spec in specs:
            place = spec.at or 0
            layout += f"{place - at}x" * (place > at) + struct_code(spec)
            names += targets(spec)
            at = place + size_of(spec.type)
        code.put(f"{', '.join(names)}, = {code.const('unpack', struct.Struct(layout).unpack_from)}(p)")


def _harmless(code: Code, spec: FieldSpec) -> bytes:
    """The bytes without any bit that something looks at: nearly all of a good packet, and quickly told."""
    if spec.name in looked_at(code) or any(other.of == spec.name for other in code.frame.fields):
        return b"\0"
    mask = 0
    for rule in spec.quality:
        low, high = rule.bits or (0, -1)
        mask |= sum(1 << bit for bit in {*rule.any_bit, *range(low, high + 1)})
    return bytes(byte for byte in range(256) if not byte & mask)


def _rows(specs: Iterable[FieldSpec]) -> Iterator[tuple[str, list[FieldSpec]]]:
    """Fields that one struct can read: of one byte order, none over another."""
    rows: list[tuple[str, list[FieldSpec], int]] = []
    for spec in sorted(specs, key=lambda one: one.at or 0):
        place, end = spec.at or 0, (spec.at or 0) + size_of(spec.type)
        order = ">" if spec.endian == "big" else "<"
        for i, (known, row, free) in enumerate(rows):
            if free <= place and (known == order or size_of(spec.type) == 1):
                rows[i] = known, [*row, spec], end
                break
        else:
            rows.append((order, [spec], end))
    return ((order, row) for order, row, _ in rows)


# ---------------------------------------------------------------------- lines of pairs


def read_pairs(code: Code) -> None:
    """Read all fields of a text line of pairs."""
    code.put(f"s, d = split_pairs({code.source!r}, {tuple(code.frame.required)!r}, p)")
    code.put("q = 0")
    code.put("t = stamp_ns(s)")
    code.put(f"if t is None: q |= {int(Quality.CLOCK_UNSET)}")
    for spec in code.frame.fields:
        at = f"{code.source!r}, {spec.name!r}, d.get({spec.key!r})"
        if spec.type == "hex":
            code.put(f"f_{spec.name} = hex_of({at}, {spec.digits or 0}) or 0")
            quality(code, spec)
        else:
            code.put(f"f_{spec.name} = decimal_of({at}, {spec.suffix or ''!r}, {spec.digits or 0})")
        if spec.metric:
            number(code, spec, f"v_{spec.name}")
        code.tell(spec)
