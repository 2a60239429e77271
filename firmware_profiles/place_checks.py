"""What fixed places, records, samples, joined numbers and roles must be; findings with their paths."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_profiles.document import Where
from firmware_profiles.errors import did_you_mean
from firmware_profiles.refusals import INTEGRITY
from firmware_profiles.schema import FieldSpec, Frame
from firmware_profiles.types import CLOCKS, INTEGERS, TAILS, WIDTHS, size_of
from hearthward.core.codes import METRICS
from hearthward.core.waves import MAX_SAMPLES

__all__ = ["Finding", "bad", "field_place_findings", "flag_findings", "frame_place_findings", "plain_integer"]

Finding = tuple[Where, str]

_ROLE_TYPES = {
    "clock": CLOCKS,
    "start": CLOCKS,
    "clock_offset_min": frozenset({"s8", "s16", "s32", "u8", "u16", "u32"}),
    "elapsed_min": frozenset({"u8", "u16", "u24", "u32"}),
    "utc_offset_quarters": frozenset({"s8"}),
    "dst": frozenset({"u8"}),
    "size": frozenset({"u8"}),
}
_NOT_WITH_WAVE = ("metric", "present_if", "repeat", "of", "join", "any_in", "enum", "role")


def bad(*tests: tuple[bool, Where, str]) -> Iterator[Finding]:
    """The findings whose test holds."""
    return ((path, message) for wrong, path, message in tests if wrong)


def frame_place_findings(frame: Frame) -> Iterator[Finding]:
    """What is wrong with the frame's length, records, check and conditions."""
    text, fixed = frame.format == "pairs", frame.length is not None
    sizes = [i for i, spec in enumerate(frame.fields) if spec.role == "size"]
    fields = {spec.name: spec for spec in frame.fields}
    yield from bad(
        (text and fixed, ("length",), "is for binary frames"),
        (text and frame.records, ("records",), "is for binary frames"),
        (fixed and frame.records, ("records",), "a frame has either a fixed length or records"),
        (frame.records and sizes != [0], ("records",), "the first field, and only that, needs the role size"),
        (not frame.records and bool(sizes), ("fields",), "the role size is for frames with records: true"),
        (
            frame.records and any(map(_endless, frame.fields)),
            ("records",),
            "a record's end is said by its size: no field may reach to the end",
        ),
        (
            frame.records and any(map(_own_clock, frame.fields)),
            ("records",),
            "records have no clock of their own yet: say elapsed_min",
        ),
        (
            frame.integrity_optional and (frame.integrity is None or fixed),
            ("integrity_optional",),
            "goes with integrity, and not with a fixed length",
        ),
        (
            frame.integrity_optional and any(map(_endless, frame.fields)),
            ("integrity_optional",),
            "no field may reach to the end: what is left could not be told from the check",
        ),
        (
            frame.integrity_none is not None and (frame.integrity_optional or frame.records),
            ("integrity_none",),
            "goes with a check that has its place in every frame, and not with records",
        ),
        (
            frame.integrity_none is not None and _wrong_size(frame),
            ("integrity_none",),
            "has as many bytes as the check",
        ),
        (
            frame.begins is not None and (text or frame.records or not frame.begins.strip()),
            ("begins",),
            "is at least one byte of a binary frame without records",
        ),
        (bool(frame.only_if) and (frame.records or text), ("only_if",), "is not for records or pairs"),
    )
    for i, condition in enumerate(frame.only_if):
        yield from flag_findings(("only_if", i), condition.field, condition.bit, fields)
        if condition.field in fields and fields[condition.field].join:
            yield ("only_if", i, "field"), f"{condition.field} is joined: look at one of its parts"
    for role in ("clock_offset_min", "elapsed_min", "utc_offset_quarters", "dst"):
        if sum(spec.role == role for spec in frame.fields) > 1:
            yield ("fields",), f"a frame has at most one field of the role {role}"


def _wrong_size(frame: Frame) -> bool:
    size = INTEGRITY[frame.integrity][0] if frame.integrity else 0
    return len(bytes.fromhex(frame.integrity_none or "")) != size


def _endless(spec: FieldSpec) -> bool:
    return bool(spec.repeat or spec.wave) or spec.type in TAILS


def _own_clock(spec: FieldSpec) -> bool:
    return spec.type in CLOCKS


def field_place_findings(frame: Frame, spec: FieldSpec, before: dict[str, FieldSpec]) -> Iterator[Finding]:
    """What is wrong with where a field of a binary frame stands and with the part that it plays."""
    yield from _place(frame, spec)
    if spec.must_be is not None:
        signed = not spec.type.startswith("u")
        part = spec.of or spec.join or spec.any_in or spec.wave or spec.repeat or spec.metric
        yield from bad(
            (signed or spec.type not in WIDTHS, ("must_be",), "is for u8, u16, u24 and u32"),
            (spec.must_be >> WIDTHS.get(spec.type, 32) > 0, ("must_be",), f"does not fit into {spec.type}"),
            (bool(part), ("must_be",), "is a mark in its own bytes: no metric and nothing else comes of it"),
        )
    if spec.join:
        yield from _join(spec, before)
    if spec.wave is not None:
        yield from _wave(frame, spec)
    if spec.role is not None:
        yield from _role(spec, before)


def _place(frame: Frame, spec: FieldSpec) -> Iterator[Finding]:
    derived = bool(spec.of or spec.join)
    if frame.length is None:
        yield from bad(
            (spec.at is not None, ("at",), "is for frames with a fixed length: give the frame its length"),
            (spec.any_in is not None, ("any_in",), "is for frames with a fixed length"),
        )
        return
    yield from bad(
        (spec.at is None and not derived, (), f"a frame of fixed length needs at: where {spec.name} stands"),
        (
            spec.at is not None and derived,
            ("at",),
            "the number is taken from other fields: at has no meaning",
        ),
        (spec.repeat is not None, ("repeat",), "is not for frames with a fixed length: use wave or any_in"),
        (spec.type in TAILS, ("type",), f"{spec.type} reaches to the end: not in a frame of fixed length"),
        (
            spec.any_in is not None and (spec.type != "u8" or spec.metric is not None),
            ("any_in",),
            "is for u8 without a metric: the bits of several bytes together are flags, not a number",
        ),
    )
    if spec.at is None:
        return
    last = spec.at + _width(spec)
    room = frame.length - (INTEGRITY[frame.integrity][0] if frame.integrity else 0)
    if last > room:
        yield ("at",), f"{spec.name} would end at byte {last}, but the fields have {room}"


def _width(spec: FieldSpec) -> int:
    """Bytes from the field's first to behind its last."""
    size = size_of(spec.type)
    if spec.wave is not None and spec.wave.count is not None:
        return (spec.wave.count - 1) * (spec.wave.every or size) + size
    return (spec.any_in.count - 1) * spec.any_in.every + 1 if spec.any_in else size


def _join(spec: FieldSpec, before: dict[str, FieldSpec]) -> Iterator[Finding]:
    total = 0
    for i, part in enumerate(spec.join):
        other, at = before.get(part.field), ("join", i)
        if other is None or not plain_integer(other):
            near = did_you_mean(part.field, before)
            yield (*at, "field"), f"{part.field!r} is no earlier integer field{near}"
        elif not part.bits[0] <= part.bits[1] < WIDTHS[other.type]:
            yield (*at, "bits"), f"{list(part.bits)} is not low..high within {other.type}"
        elif other.present_if not in {None, spec.present_if} or other.also_if not in {None, spec.also_if}:
            yield (*at, "field"), f"{part.field} is not always there: give {spec.name} the same present_if"
        total += part.bits[1] - part.bits[0] + 1
    yield from bad(
        (spec.type not in INTEGERS, ("join",), f"makes an integer, not {spec.type}"),
        (
            spec.type in WIDTHS and total > WIDTHS.get(spec.type, 0),
            ("join",),
            f"{total} bits do not fit into {spec.type}",
        ),
        (spec.type.startswith("s"), ("type",), "a joined number has no sign: use u8, u16, u24 or u32"),
        (bool(spec.of or spec.bits or spec.repeat), ("join",), "cannot go with of, bits or repeat"),
        ("endian" in spec.model_fields_set, ("endian",), "a joined number has no byte order of its own"),
    )


def _wave(frame: Frame, spec: FieldSpec) -> Iterator[Finding]:
    wave, size = spec.wave, size_of(spec.type)
    if wave is None:
        return
    row = METRICS.get(wave.metric)
    waves = [key for key, one in METRICS.items() if one.kind == "wave"]
    if row is None or row.kind != "wave":
        yield ("wave", "metric"), f"{wave.metric!r} is no waveform{did_you_mean(wave.metric, waves)}"
    elif wave.unit is not None and wave.unit != row.unit:
        yield ("wave", "unit"), f"the unit of {row.key} is {row.unit!r}: bring it there with scale"
    other = [key for key in _NOT_WITH_WAVE if getattr(spec, key)]
    fixed = frame.length is not None
    yield from bad(
        (bool(other), ("wave",), f"cannot go with {', '.join(other)}"),
        (
            spec.type not in INTEGERS - {"hex", "u24", "s24"},
            ("type",),
            f"samples are integers, not {spec.type}",
        ),
        (
            bool(spec.quality),
            ("quality",),
            "a sample says nothing of quality: put it into a field of its own",
        ),
        (fixed and wave.count is None, ("wave",), "a frame of fixed length needs count: how many samples"),
        (
            not fixed and bool(wave.count or wave.every),
            ("wave",),
            "every and count are for frames with a fixed length; elsewhere samples reach to the end",
        ),
        ((wave.every or size) < size, ("wave", "every"), f"is less than the {size} bytes of {spec.type}"),
        ((wave.count or 0) > MAX_SAMPLES, ("wave", "count"), f"more than {MAX_SAMPLES} make no chunk"),
    )


def _role(spec: FieldSpec, before: dict[str, FieldSpec]) -> Iterator[Finding]:
    types = _ROLE_TYPES[spec.role or "size"]
    earlier = {one.role or ("clock" if one.type in CLOCKS else None) for one in before.values()}
    zoned = any(one.type in CLOCKS and one.metric for one in before.values())
    yield from bad(
        (
            spec.type not in types,
            ("role",),
            f"{spec.role} is for {', '.join(sorted(types))}, not {spec.type}",
        ),
        (
            bool(spec.repeat or spec.of),
            ("role",),
            "is for fields that stand in the bytes once",
        ),
        (
            spec.role == "clock_offset_min" and "clock" not in earlier,
            ("role",),
            "needs an earlier dt7, time8 or seconds32, to which it is added",
        ),
        (
            spec.role in {"utc_offset_quarters", "dst"} and not zoned,
            ("role",),
            "needs an earlier dt7, time8 or seconds32 with a metric, whose zone it says",
        ),
        (
            spec.role in {"utc_offset_quarters", "dst", "size"} and spec.present_if is not None,
            ("role",),
            "must always be there: take present_if away",
        ),
        (
            spec.metric is not None and spec.role not in {"clock", "start"},
            ("metric",),
            f"{spec.role} is no reading",
        ),
    )


def plain_integer(spec: FieldSpec | None) -> bool:
    """Whether conditions and parts may look at the field's bits."""
    return spec is not None and spec.type in INTEGERS and not (spec.repeat or spec.of or spec.wave)


def flag_findings(at: Where, name: str, bit: int, fields: dict[str, FieldSpec]) -> Iterator[Finding]:
    """Whether there is such a bit in a field that can be looked at."""
    spec = fields.get(name)
    if spec is None or not plain_integer(spec):
        yield (*at, "field"), f"{name!r} is no earlier integer field{did_you_mean(name, fields)}"
    elif bit >= WIDTHS[spec.type]:
        yield (*at, "bit"), f"{name} has bits 0 to {WIDTHS[spec.type] - 1}"
