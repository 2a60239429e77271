"""The shape of a profile file (``catalog/*.yaml``); what refers to other parts is checked in ``checks``.

Every key here changes what happens, except those marked *declared*: they describe the device for people
and for ``describe``, and nothing is computed from them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from firmware_profiles.firmware import FirmwareRange

__all__ = [
    "BleCriteria",
    "Condition",
    "FieldSpec",
    "Frame",
    "Framing",
    "Match",
    "ProfileDocument",
    "QualityRule",
    "Quirk",
    "SerialCriteria",
    "StepSpec",
    "TransportSpec",
    "Vector",
    "VectorReading",
]

Ident = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=40)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True)]
Uuid = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{4}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})$")]
Positive = Annotated[float, Field(gt=0, le=86_400 * 366)]
Bit = Annotated[int, Field(ge=0, le=31)]
QualityName = Literal[
    "demo", "test", "clock_unset", "sensor_off", "poor_signal", "motion", "ongoing", "out_of_range"
]
Certainty = Literal["spec", "captured", "inferred"]


class Strict(BaseModel):
    """A mapping whose unknown keys are named together with the nearest known one."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _only_known_keys(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            kind, message = "not_a_mapping", "must be a mapping of keys to values"
            raise PydanticCustomError(kind, message)
        known = {info.alias or name for name, info in cls.model_fields.items()}
        if unknown := [key for key in data if key not in known]:
            kind, message = "unknown_keys", "unknown keys"
            raise PydanticCustomError(kind, message, {"unknown": unknown, "known": sorted(known)})
        return data


class Provenance(Strict):
    """Where the layout is known from (declared)."""

    source: Text
    licence: Text
    certainty: Certainty


class BleCriteria(Strict):
    """All given ones must hold; the regular expressions match the whole text, whatever its case."""

    name: Text | None = None
    company_id: Annotated[int, Field(ge=0, le=0xFFFF)] | None = None
    services: tuple[Uuid, ...] = ()
    manufacturer: Text | None = None
    model: Text | None = None


class SerialCriteria(Strict):
    """The USB id of the instrument's own port (not of a common adapter cable), ``vid:pid``."""

    usb: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")]


class Match(Strict):
    """Which devices this profile is for: any of the criteria; none at all = only when named by people."""

    ble: tuple[BleCriteria, ...] = ()
    serial: tuple[SerialCriteria, ...] = ()
    firmware: str | None = None
    priority: Annotated[int, Field(ge=-100, le=100)] = 0

    @property
    def firmware_range(self) -> FirmwareRange:
        """The versions this profile is for; every version when none is given."""
        return FirmwareRange.parse(self.firmware or "")


class TransportSpec(Strict):
    """How to reach the device and how long to wait; the port's settings are for ``serial`` only."""

    kind: Literal["ble", "serial"]
    expected_interval_s: Positive | None = None
    connect_timeout_s: Positive = 20.0
    idle_s: Positive | None = None
    backoff_first_s: Positive = 1.0
    backoff_max_s: Positive = 60.0
    baudrate: Annotated[int, Field(ge=50, le=4_000_000)] | None = None
    bytesize: Literal[7, 8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1


class StepSpec(Strict):
    """Exactly one of ``subscribe`` (with ``mode``) and ``read``, naming a characteristic that has a frame."""

    subscribe: Uuid | None = None
    read: Uuid | None = None
    mode: Literal["notify", "indicate"] | None = None
    optional: bool = False


class Framing(Strict):
    """Frames of a byte stream: they end with ``delimiter`` and belong to the frame named ``source``."""

    kind: Literal["delimiter"]
    source: str
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=8)]
    max_length: Annotated[int, Field(ge=1, le=65_536)]


class Condition(Strict):
    """Whether ``bit`` of an earlier integer field is ``is``."""

    field: Name
    bit: Bit
    is_: Literal[0, 1] = Field(1, alias="is")


class UnitIf(Strict):
    """Another unit on the wire when a flag is set."""

    field: Name
    bit: Bit
    unit: Text


class Scale(Strict):
    """Wire number * times / over."""

    times: Annotated[float, Field(gt=0)] = 1.0
    over: Annotated[float, Field(gt=0)] = 1.0


class QualityRule(Strict):
    """``flag`` is set when any of ``any_bit`` is set, or when the bits low..high are one of ``is``."""

    flag: QualityName
    any_bit: tuple[Bit, ...] = ()
    bits: tuple[Bit, Bit] | None = None
    is_: tuple[int, ...] = Field((), alias="is")


class FieldSpec(Strict):
    """One field of a frame, in the order of the bytes; a field without ``metric`` is parsed over."""

    name: Name
    type: Literal[
        "u8",
        "s8",
        "u16",
        "s16",
        "u24",
        "u32",
        "s32",
        "sfloat",
        "float32-11073",
        "dt7",
        "utf8",
        "decimal",
        "hex",
    ]
    endian: Literal["little", "big"] = "little"
    present_if: Condition | None = None
    repeat: Literal["end"] | None = None
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
    integrity: Literal["sum8", "xor8", "crc16-mcrf4xx"] | None = None
    """The check at the end of a binary frame, over every byte before it."""
    fields: tuple[FieldSpec, ...]


class Quirk(Strict):
    """A difference to the profile named by ``extends``: keys of one field; null takes a key away."""

    frame: str
    field: Name
    set: dict[str, Any]


class Time(Strict):
    """What the device's clock shows (declared): ``local`` is the only kind, a time without a zone."""

    zone: Literal["local"]


class Dedupe(Strict):
    """``record``: the integer field that is the device's own record number."""

    record: Name


class Health(Strict):
    """Which metric tells the battery's state (declared)."""

    battery: Name


class Update(Strict):
    """How firmware is installed (declared): not by Hearthward."""

    method: Literal["none"]


class VectorReading(Strict):
    """A reading that a vector gives; ``value`` for numbers, ``code`` for coded metrics."""

    metric: Name
    value: float | None = None
    code: str | None = None
    time: str | None = None
    quality: tuple[QualityName, ...] = ()
    record: int | None = None


class Vector(Strict):
    """Bytes and what they must give: all the readings, or the reason of their refusal."""

    source: str
    hex: Annotated[str, StringConstraints(pattern=r"^\s*([0-9a-fA-F]{2}\s*)*$")] | None = None
    text: str | None = None
    origin: Text
    readings: tuple[VectorReading, ...] | None = None
    refused: Literal["truncated", "oversized", "malformed", "out_of_range", "integrity"] | None = None

    @property
    def payload(self) -> bytes:
        """The bytes."""
        if self.hex is not None:
            return bytes.fromhex(self.hex)
        return (self.text or "").encode()


class ProfileDocument(Strict):
    """One file, as written or with everything it extends and includes put in."""

    schema_: Literal[1] = Field(alias="schema")
    id: Ident
    version: Annotated[int, Field(ge=1)]
    title: Text
    provenance: Provenance
    match: Match
    extends: Ident | None = None
    includes: tuple[Ident, ...] = ()
    transport: TransportSpec | None = None
    session: tuple[StepSpec, ...] = ()
    framing: Framing | None = None
    frames: dict[str, Frame] = {}
    quirks: tuple[Quirk, ...] = ()
    time: Time | None = None
    dedupe: Dedupe | None = None
    health: Health | None = None
    update: Update | None = None
    vectors: tuple[Vector, ...]
