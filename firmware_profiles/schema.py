"""The shape of a profile file (``catalog/*.yaml``); what refers to other parts is checked in ``checks``.

Every key here changes what happens, except those marked *declared*: they describe the device for people
and for ``describe``, and nothing is computed from them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from firmware_profiles.firmware import FirmwareRange
from firmware_profiles.schema_base import Certainty, Hex, Ident, Name, QualityName, Strict, Text, Uuid
from firmware_profiles.schema_fields import Condition, FieldSpec, Frame, QualityRule
from firmware_profiles.schema_transport import Framing, StepSpec, TransportSpec

__all__ = [
    "BleCriteria",
    "Condition",
    "FieldSpec",
    "FieldUse",
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


class FieldUse(Strict):
    """A use of the real device with Hearthward at patients or volunteers (declared): when, which firmware."""

    date: Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    firmware: Text | None = None
    report: Text
    """What was compared with what, and where one can read it."""


class Provenance(Strict):
    """Where the layout is known from (declared)."""

    source: Text
    licence: Text
    certainty: Certainty
    field: tuple[FieldUse, ...] = ()


class BleCriteria(Strict):
    """All given ones must hold; the regular expressions match the whole text, whatever its case."""

    name: Text | None = None
    company_id: Annotated[int, Field(ge=0, le=0xFFFF)] | None = None
    services: tuple[Uuid, ...] = ()
    manufacturer: Text | None = None
    model: Text | None = None


class SerialCriteria(Strict):
    """Either is enough: the port's own USB id, or what the instrument sends of its own accord."""

    usb: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{4}:[0-9a-f]{4}$")] | None = None
    """``vid:pid`` of the instrument's own port, not of a common adapter cable."""
    hears: Name | None = None
    """This profile's frames are heard on the line, told from all others by their form: the framing's source.

    Nothing is sent for it; so it is only for instruments that stream by themselves.
    """


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


class Quirk(Strict):
    """A difference to the profile named by ``extends``: keys of one field; null takes a key away."""

    frame: str
    field: Name
    set: dict[str, Any]


class Time(Strict):
    """What the device's clock shows: the place's time (``local``), ``utc``, or its own ``device-offset``.

    ``skew_limit_s``: off by more, a technical alarm is raised. ``resolution_s``: the steps in which it tells
    times; those in which its frames do where left out.
    """

    zone: Literal["local", "utc", "device-offset"]
    skew_limit_s: Annotated[float, Field(ge=30, le=86_400)] = 300.0
    resolution_s: Annotated[float, Field(gt=0, le=3600)] | None = None


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
    hex: Hex | None = None
    text: str | None = None
    origin: Text
    readings: tuple[VectorReading, ...] | None = None
    refused: Literal["truncated", "oversized", "malformed", "out_of_range", "integrity"] | None = None
    evidence: Literal["derived", "published", "captured"] = "derived"
    """Whether the bytes were made from the layout, published by somebody with a real device, or recorded."""

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
    composes: bool = False
    """It reads some services of a device, not all: it is joined with all others of the kind that match."""
    extends: Ident | None = None
    includes: tuple[Ident, ...] = ()
    transport: TransportSpec | None = None
    session: tuple[StepSpec, ...] = ()
    framing: Framing | None = None
    frames: dict[str, Frame] = Field(default_factory=dict)
    quirks: tuple[Quirk, ...] = ()
    time: Time | None = None
    store: Literal["sent"] | None = None
    """Declared: what it measured while nobody was there it sends by itself, once it is connected."""
    dedupe: Dedupe | None = None
    health: Health | None = None
    update: Update | None = None
    vectors: tuple[Vector, ...]
