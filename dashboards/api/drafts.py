"""What people send to make or change directory entries."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, create_model

from dashboards.models import Instant, Kind
from dashboards.zones import known_zone
from hearthward.core.sightings import MOST_CODE, MOST_USER

__all__ = ["CHANGES", "DRAFTS", "AdoptDraft", "Draft", "EndDraft"]

BLE_ADDRESS: Final = r"(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"


def _blank_is_none(value: object) -> object:
    """An empty field of a form means that nothing was given."""
    return None if isinstance(value, str) and not value.strip() else value


def _zone(value: str) -> str:
    """The name of a time zone. Raises ValueError."""
    if known_zone(value) is None:
        msg = "not an IANA time zone such as Asia/Shanghai"
        raise ValueError(msg)
    return value


Text = Annotated[str, Field(min_length=1, max_length=120)]
Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
OptionalKey = Annotated[Key | None, BeforeValidator(_blank_is_none)]
RequiredZone = Annotated[str, AfterValidator(_zone)]
Zone = Annotated[RequiredZone | None, BeforeValidator(_blank_is_none)]
_Date = Annotated[
    str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$", examples=["1948-05-02"])
]
Date = Annotated[_Date | None, BeforeValidator(_blank_is_none)]
Flag = Annotated[bool, BeforeValidator(lambda value: _blank_is_none(value) or False)]
OptionalText = Annotated[Text | None, BeforeValidator(_blank_is_none)]
OptionalInstant = Annotated[Instant | None, BeforeValidator(_blank_is_none)]
OptionalOutcome = Annotated[
    Literal["discharged", "intensive_care", "died"] | None, BeforeValidator(_blank_is_none)
]
_Seconds = Annotated[float, Field(gt=0, le=7 * 86_400, allow_inf_nan=False)]
Seconds = Annotated[_Seconds | None, BeforeValidator(_blank_is_none)]
OptionalUser = Annotated[Annotated[int, Field(ge=0, le=MOST_USER)] | None, BeforeValidator(_blank_is_none)]
OptionalCode = Annotated[Annotated[int, Field(ge=0, le=MOST_CODE)] | None, BeforeValidator(_blank_is_none)]


class Draft(BaseModel):
    """Strict: an unknown field is an error, surrounding blanks are not."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class WardDraft(Draft):
    """A new ward."""

    name: Text = Field(examples=["Ward A"])
    wall_expected: Flag = False


class BedDraft(Draft):
    """A new bed."""

    ward: Key
    label: Text = Field(examples=["A-01"])


class PatientDraft(Draft):
    """A new patient."""

    name: Text = Field(examples=["Rosa Lindqvist"])
    birth_date: Date = None
    mrn: OptionalText = Field(None, examples=["100234"], description="the hospital's own number")
    language: Literal["en", "zh"] = "en"
    phone: OptionalText = Field(None, examples=["+8613800138000"], description="E.164")
    email: OptionalText = None
    pregnant: Flag = False


class EncounterDraft(Draft):
    """A stay in a bed (the ward follows from it) or care at home."""

    patient: Key
    kind: Literal["ward", "home"]
    ward: OptionalKey = None
    bed: OptionalKey = None
    start: OptionalInstant = None


class GatewayDraft(Draft):
    """A gateway; its id is what its settings call it (``edge.gateway``)."""

    id: Key = Field(examples=["gw-1"])
    label: str = Field("", max_length=120)
    ward: OptionalKey = None
    timezone: Zone = None


class DeviceDraft(Draft):
    """A device at a gateway."""

    id: OptionalKey = Field(None, examples=["oxi-7"])
    gateway: Key
    transport: Literal["ble", "serial"]
    address: Text = Field(examples=["C4:12:5D:00:AE:91", "/dev/ttyUSB0"])
    profile: OptionalText = Field(None, examples=["sig-heart-rate"])
    timezone: Zone = None
    interval_s: Seconds = None
    label: str = Field("", max_length=120)


class AdoptDraft(DeviceDraft):
    """A device that was seen, and whom it measures from now on: a patient, who lies in a bed, or nobody."""

    patient: OptionalKey = None
    bed: OptionalKey = None
    user: OptionalUser = Field(None, description="whose measurements a scale of several users is to tell")
    code: OptionalCode = Field(None, description="the code that the scale shows for that user")


class AssociationDraft(Draft):
    """From when on a device measures a patient."""

    device: Key
    patient: Key
    start: OptionalInstant = None


class EndDraft(Draft):
    """When it ended; now if not given."""

    at: OptionalInstant = None


DRAFTS: Final[dict[Kind, type[Draft]]] = {
    "ward": WardDraft,
    "bed": BedDraft,
    "patient": PatientDraft,
    "encounter": EncounterDraft,
    "gateway": GatewayDraft,
    "device": DeviceDraft,
    "association": AssociationDraft,
}
_FIXED: Final[dict[Kind, frozenset[str]]] = {
    "bed": frozenset({"ward"}),
    "encounter": frozenset({"patient"}),
    "gateway": frozenset({"id"}),
    "device": frozenset({"id", "transport"}),
    "association": frozenset({"device"}),
}
"""What cannot be changed afterwards: end the entry and make another."""


def _change(kind: Kind, draft: type[Draft]) -> type[Draft]:
    """The draft with every field left out by default, for PATCH; null stays as forbidden as it was."""
    fields: dict[str, Any] = {
        name: (Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation, None)
        for name, info in draft.model_fields.items()
        if name not in _FIXED.get(kind, ())
    }
    if kind in {"association", "encounter"}:
        fields["end"] = OptionalInstant, None
    if kind == "encounter":
        fields["outcome"] = OptionalOutcome, None
    name = draft.__name__.replace("Draft", "Change")
    changes: type[Draft] = create_model(
        name, __base__=Draft, __doc__=f"What to change of a {kind}; what is left out stays.", **fields
    )
    return changes


CHANGES: Final[dict[Kind, type[Draft]]] = {kind: _change(kind, draft) for kind, draft in DRAFTS.items()}
