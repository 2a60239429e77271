"""Fields and frames of a profile file: where each number stands in the bytes and what it means."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from firmware_profiles.schema_base import Bit, Certainty, Day, Hex, Name, Positive, QualityName, Strict, Text

__all__ = [
    "BitPart",
    "Condition",
    "FieldSpec",
    "Frame",
    "QualityRule",
    "Scale",
    "Spread",
    "UnitIf",
    "WaveSpec",
]


class Condition(Strict):
    """Whether ``bit`` of an earlier integer field is ``is``."""

    field: Name
    bit: Bit
    is_: Literal[0, 1] = Field(1, alias="is")


class Scale(Strict):
    """Wire number * times / over."""

    times: Annotated[float, Field(gt=0)] = 1.0
    over: Annotated[float, Field(gt=0)] = 1.0


class UnitIf(Strict):
    """Another unit on the wire when a flag is set, and another scale when the step differs with it."""

    field: Name
    bit: Bit
    unit: Text
    scale: Scale | None = None
    """Instead of the field's own; the field's own when not given."""


class QualityRule(Strict):
    """``flag`` is set when any of ``any_bit`` is set, or when the bits low..high are one of ``is``."""

    flag: QualityName
    any_bit: tuple[Bit, ...] = ()
    bits: tuple[Bit, Bit] | None = None
    is_: tuple[int, ...] = Field((), alias="is")


class BitPart(Strict):
    """The bits low..high of an earlier integer field, as a part of a number put together from several."""

    field: Name
    bits: tuple[Bit, Bit]


class Spread(Strict):
    """``count`` bytes, each ``every`` bytes after the one before: a status in each part of a packet."""

    every: Annotated[int, Field(ge=1, le=4096)]
    count: Annotated[int, Field(ge=2, le=4096)]


class WaveSpec(Strict):
    """Samples of a waveform: ``count`` of them (or to the end), each ``every`` bytes after the one before."""

    metric: Name
    rate_hz: Positive
    every: Annotated[int, Field(ge=1, le=4096)] | None = None
    """Bytes from sample to sample; the field's own size when not given."""
    count: Annotated[int, Field(ge=1, le=4096)] | None = None
    scale: Scale | None = None
    unit: Text | None = None


class FieldSpec(Strict):
    """One field of a frame, in the order of the bytes; a field without ``metric`` is parsed over."""

    name: Name
    type: Literal[
        "u8",
        "s8",
        "u16",
        "s16",
        "u24",
        "s24",
        "u32",
        "s32",
        "sfloat",
        "float32-11073",
        "dt7",
        "time8",
        "seconds32",
        "utf8",
        "bytes",
        "decimal",
        "hex",
    ]
    endian: Literal["little", "big"] = "little"
    epoch: Day | None = None
    """Of ``seconds32``: the day from whose beginning the seconds are counted (1970-01-01)."""
    present_if: Condition | None = None
    also_if: Condition | None = None
    """Of a field with ``present_if``: there when both hold (an amount in one unit or another by a flag)."""
    repeat: Literal["end"] | None = None
    at: Annotated[int, Field(ge=0, le=65_535)] | None = None
    """In a frame of a fixed ``length``: where the field stands."""
    join: tuple[BitPart, ...] = ()
    """Put the number together from bits of earlier fields, the most significant part first."""
    must_be: Annotated[int, Field(ge=0, le=0xFFFFFFFF)] | None = None
    """The only number that an integer field has in a frame of this kind (a maker's mark)."""
    any_in: Spread | None = None
    """In a frame of a fixed ``length``: the bits that are set in any of several bytes, the first ``at``."""
    wave: WaveSpec | None = None
    role: (
        Literal["clock", "clock_offset_min", "elapsed_min", "start", "utc_offset_quarters", "dst", "size"]
        | None
    ) = None
    """What a field says of time, or of the size of its record (see ``Frame.records``).

    ``clock``: the time of the frame's readings (a dt7, time8 or seconds32 without a role is one).
    ``clock_offset_min``: minutes to be added to it; a number in ``nulls`` makes it unknown. ``elapsed_min``:
    minutes since the device's session began. ``start``: a time of its own; with a ``metric`` it is a
    reading, whose text has the zone that ``utc_offset_quarters`` (15 min) and ``dst`` (as in Bluetooth's
    DST offset) say.
    """
    of: Name | None = None
    """Take the number from this earlier field instead of from the bytes (with ``bits``)."""
    bits: tuple[Bit, Bit] | None = None
    """Only the bits low..high of the number."""
    enum: dict[str, Text] | None = None
    """Number -> text of a coded metric; a number that is not listed gives no reading."""
    nulls: tuple[float, ...] = ()
    """Numbers (before scale) that mean "no value"; NaN and its like do so by themselves."""
    scale: Scale | None = None
    unit: Text | None = None
    unit_if: UnitIf | None = None
    metric: Name | None = None
    range: tuple[float, float] | None = None
    """Plausible values in the metric's unit; the metric table's when not given, and never wider."""
    quality: tuple[QualityRule, ...] = ()
    key: Annotated[str, StringConstraints(pattern=r"^[!-<>-~]+$")] | None = None
    """In a frame of pairs: the name before ``=``."""
    digits: Annotated[int, Field(ge=1, le=20)] | None = None
    """In a frame of pairs: at least so many digits (and no fraction), so that a lost byte is noticed."""
    suffix: Annotated[str, StringConstraints(pattern=r"^[!-~]+$")] | None = None
    """In a frame of pairs: may follow the number."""
    certainty: Certainty | None = None
    """Declared: where less is known than the profile's provenance says."""


class Frame(Strict):
    """One source's payload: binary fields, or a text line of ``KEY=VALUE`` pairs after a time stamp.

    In pairs a value of dashes means "no value", keys that are not listed are ignored, and a line
    without all the ``required`` keys is refused as truncated.
    """

    format: Literal["binary", "pairs"] = "binary"
    stamp: Literal["MM/DD/YY HH:MM:SS"] | None = None
    required: tuple[str, ...] = ()
    integrity: Literal["sum8", "sum7", "xor8", "crc8", "crc8-maxim", "crc16-mcrf4xx"] | None = None
    """The check at the end of a binary frame, over every byte before it."""
    integrity_optional: bool = False
    """A frame that ends right before the check is taken too: the device need not send one."""
    integrity_none: Hex | None = None
    """What stands in the place of the check where the device makes none; anything else must be the check."""
    length: Annotated[int, Field(ge=1, le=65_536)] | None = None
    """A frame of fixed places: exactly so many bytes (the check's too), and every field says where it
    stands (``at``)."""
    records: bool = False
    """The payload is a row of records, each beginning with its size in a byte of the role ``size``, which
    counts the whole record with its check."""
    begins: Hex | None = None
    """Of a source that sends several kinds of message: this frame is of those that begin so; the others are
    something else, of which nothing is read."""
    only_if: tuple[Condition, ...] = ()
    """Another frame says nothing worth keeping (a scale that has not settled): it gives no readings."""
    repeat_s: Annotated[float, Field(gt=0, le=60)] | None = None
    """What says just the same as the last one kept is left out for so long: an instrument sends oftener than
    its values change. Any change is kept at once."""
    fields: tuple[FieldSpec, ...]
