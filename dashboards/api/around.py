"""What gateways see around them, configured or not; having one listen now; and taking in what was seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.api.directory import ENTRIES, check_device
from dashboards.api.drafts import AdoptDraft, Draft
from dashboards.around_models import Adopted, Around
from dashboards.backend import DirectoryError
from dashboards.directory_port import AskedItems
from dashboards.models import Device, Encounter, ProfileChoice
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from hearthward.core.sightings import MOST_CODE, MOST_SCAN_S, MOST_USER
from hearthward.trust.access import Action

__all__ = ["ConsentBody", "ScanAsked", "adopt", "give_consent", "router", "scan"]

router = APIRouter(prefix="/api/v1", tags=["discovery"], responses=ERROR_RESPONSES)
KIND: Final = "gateway"


class ScanBody(Draft):
    """For how long."""

    seconds: int = Field(10, ge=1, le=MOST_SCAN_S)


class ScanAsked(BaseModel):
    """The gateway was asked; what it sees is among the sightings some seconds after it has listened."""

    gateway: str
    seconds: int


@router.get("/sightings")
async def get_sightings(
    context: Annotated[Context, Depends(Guard(Action.MANAGE_DEVICES, KIND, reads=True))],
) -> Around:
    """All that the gateways in scope heard or found plugged in lately, as each told last.

    For those who may adopt: names of other people's phones are among it. Nothing of it is kept on disk, and
    what a gateway told is forgotten an hour after its last word.
    """
    return await context.backend.around(context.scope)


@router.post("/gateways/{key}/scan", status_code=202)
async def post_scan(
    context: Annotated[Context, Depends(Guard(Action.MANAGE_DEVICES, KIND))],
    key: str,
    body: ScanBody | None = None,
) -> ScanAsked:
    """Have a gateway's radio listen now; connections go on meanwhile."""
    return await scan(context, key, (body or ScanBody(seconds=10)).seconds)


async def scan(context: Context, gateway: str, seconds: int) -> ScanAsked:
    """Ask for the caller, audited. Raises DirectoryError, AccessError."""
    await context.backend.scan(context.scope, gateway, seconds)
    await context.audit(
        Action.MANAGE_DEVICES, KIND, target=gateway, detail={"do": "scan", "seconds": seconds}
    )
    return ScanAsked(gateway=gateway, seconds=seconds)


class ConsentBody(Draft):
    """A user of the device, and the code that it shows for them."""

    user: int = Field(ge=0, le=MOST_USER)
    code: int = Field(ge=0, le=MOST_CODE)


class ConsentGiven(BaseModel):
    """The gateway was told whose measurements the device may tell it."""

    device: str
    gateway: str
    user: int


CONFLICT: Final[dict[int | str, dict[str, Any]]] = {
    200: {"model": Adopted, "description": "It was adopted so already"},
    409: {"model": Problem, "description": "Conflict"},
}


@router.post("/devices/adopt", status_code=201, responses=CONFLICT)
async def post_adopt(
    request: Request,
    response: Response,
    context: Annotated[Context, Depends(Guard(Action.MANAGE_DEVICES, "device"))],
    body: AdoptDraft,
) -> Adopted:
    """Take a device in: into the directory and onto a patient, or who lies in a bed; both or nothing."""
    done = await adopt(context, body, request.app.state.profiles)
    if not done.created:
        response.status_code = 200
    return done


async def adopt(context: Context, draft: AdoptDraft, profiles: Sequence[ProfileChoice]) -> Adopted:
    """Take a device in for the caller, audited. Raises DirectoryError, AccessError.

    The consent of a user goes to the gateway before: what nobody asks for harms nobody, and is not kept here.
    """
    apart = {"patient", "bed", "user", "code"}
    fields = {k: v for k, v in draft.model_dump(exclude=apart).items() if v is not None}
    if draft.transport == "ble":
        fields["address"] = fields["address"].upper()
    check_device({"profile": None, **fields}, profiles, draft.transport)
    patient = await _patient(context, draft)
    if draft.user is not None or draft.code is not None:
        await give_consent(context, draft, draft.user, draft.code)
    done = await context.backend.adopt(context.scope, fields, patient)
    if not done.created:
        return done
    detail = {"do": "adopt", "fields": ",".join(sorted(fields))}
    await context.audit(Action.MANAGE_DEVICES, "device", target=done.device.id, detail=detail)
    if done.association is not None:
        given = {"do": "give", "device": done.device.id, "patient": done.association.patient}
        await context.audit(Action.ASSIGN_DEVICE, "association", target=done.association.id, detail=given)
    return done


@router.post("/devices/{key}/consent", status_code=202)
async def post_consent(
    context: Annotated[Context, Depends(Guard(Action.MANAGE_DEVICES, "device"))], key: str, body: ConsentBody
) -> ConsentGiven:
    """Give a scale's gateway the consent of one of the scale's users: it tells only to whom they trust.

    The gateway keeps it, the cloud does not. It counts from the scale's next connection on.
    """
    device = await context.backend.item(context.scope, "device", key)
    if not isinstance(device, Device) or device.ended is not None:
        raise MissingError(ENTRIES["device"].kind, key)
    await give_consent(context, device, body.user, body.code)
    return ConsentGiven(device=key, gateway=device.gateway, user=body.user)


async def give_consent(context: Context, at: Device | AdoptDraft, user: int | None, code: int | None) -> None:
    """Have a device's gateway keep the consent of one of its users. Raises DirectoryError."""
    if user is None or code is None:
        raise DirectoryError(field="user" if user is None else "code", code="required")
    if at.transport != "ble":
        raise DirectoryError(field="user", code="transport", value=at.transport)
    address = at.address.upper()
    await context.backend.give_user_code(context.scope, at.gateway, address, user, code)
    detail = {"do": "consent", "address": address, "user": user}  # never the code
    await context.audit(Action.MANAGE_DEVICES, KIND, target=at.gateway, detail=detail)


async def _patient(context: Context, draft: AdoptDraft) -> str | None:
    """Whom it is to measure, if the caller may say so. Raises DirectoryError, AccessError."""
    if draft.patient is None and draft.bed is None:
        return None
    if draft.patient is not None and draft.bed is not None:
        raise DirectoryError(field="patient", code="either")
    await context.demand(Action.ASSIGN_DEVICE, "association", patient=None)
    patient = draft.patient
    if draft.bed is not None:
        if await context.backend.item(context.scope, "bed", draft.bed) is None:
            raise DirectoryError(field="bed", code="unknown", value=draft.bed)
        stays = await context.backend.item_page(
            context.scope, AskedItems("encounter", bed=draft.bed, limit=1)
        )
        patient = next((stay.patient for stay in stays.items if isinstance(stay, Encounter)), None)
        if patient is None:
            raise DirectoryError(field="bed", code="empty", value=draft.bed)
    await context.demand(Action.ASSIGN_DEVICE, "association", patient=patient)
    return patient
