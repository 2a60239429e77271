"""Giving a device to a patient by scanning: the device's code, then the patient's, each followed by Enter.

A scanner that types does the same as a keyboard, so that there is nothing to set up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.directory import ENTRIES, end_item
from dashboards.backend import DirectoryError
from dashboards.directory_port import AskedItems
from dashboards.i18n import N_
from dashboards.models import Association, Device, Encounter, Kind, Patient
from dashboards.pages.forms import form_of
from dashboards.pages.picking import OFFERED, pick
from dashboards.pages.render import page
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
Give = Annotated[Context, Depends(Guard(Action.ASSIGN_DEVICE, "association"))]
WRONG: Final = {
    "device": N_("There is no such device here: {value}"),
    "patient": N_("There is no such patient here: {value}"),
    "devices": N_("Several devices are called so: choose one."),
    "patients": N_("Which patient? Choose one."),
    "elsewhere": N_("This device is on a patient of another ward. Have it taken off there first."),
    "meanwhile": N_("Meanwhile somebody else has given this device away: see where it is now."),
    "already": N_("It is on this patient already."),
    "free": N_("It is on nobody."),
}


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as one makes sure of who it is."""

    patient: Patient
    place: str = ""


@dataclass(slots=True)
class Scan:
    """What has been scanned so far, and what stands in the way."""

    device: Device | None = None
    worn: Association | None = None
    elsewhere: bool = False
    wearer: Person | None = None
    to: Person | None = None
    typed: str = ""
    wrong: str = ""
    offered: list[tuple[str, str]] = field(default_factory=list)
    given: Association | None = None
    taken_off: bool = False


@router.get("/assign")
async def assign(
    request: Request, context: Give, device: str = "", given: str = "", taken_off: str = ""
) -> Response:
    """Ask for the device; once it is known, for the patient."""
    scan = Scan()
    if given or taken_off:
        await _tell(context, scan, given or taken_off, off=bool(taken_off))
    elif device.strip():
        await _scan_device(context, scan, device)
    return _show(request, context, scan)


@router.post("/assign")
async def give(request: Request, context: Give) -> Response:
    """Give the device to the patient; one that is with somebody else only with ``was``, the confirmation."""
    form = await form_of(request)
    scan = Scan()
    await _scan_device(context, scan, form.get("device", ""))
    if scan.device is None or scan.elsewhere:
        return _show(request, context, scan, status=422)
    await _scan_patient(context, scan, form.get("patient", ""))
    if scan.to is None:
        return _show(request, context, scan, status=422)
    if scan.worn is not None and scan.worn.patient == scan.to.patient.id:
        scan.wrong, scan.to = "already", None
        return _show(request, context, scan, status=409)
    if scan.worn is not None and form.get("was") != scan.worn.id:
        return _show(request, context, scan, status=409)
    try:
        done = await _give(context, scan.device, scan.to.patient, scan.worn)
    except DirectoryError:
        scan = Scan()
        await _scan_device(context, scan, form.get("device", ""))
        scan.wrong = "meanwhile"
        return _show(request, context, scan, status=409)
    return RedirectResponse(f"/assign?given={done.id}", status_code=303)


@router.post("/assign/off")
async def take_off(request: Request, context: Give) -> Response:
    """Take the device off whom it is on, if that is still who was shown (``was``)."""
    form = await form_of(request)
    scan = Scan()
    await _scan_device(context, scan, form.get("device", ""))
    if scan.worn is None:
        scan.wrong = scan.wrong or "free"
        return _show(request, context, scan, status=409)
    if form.get("was") != scan.worn.id:
        scan.wrong = "meanwhile"
        return _show(request, context, scan, status=409)
    try:
        done = await end_item(context, ENTRIES["association"], scan.worn.id, None)
    except DirectoryError:
        scan.wrong = "meanwhile"
        return _show(request, context, scan, status=409)
    return RedirectResponse(f"/assign?taken_off={done.id}", status_code=303)


async def _give(context: Context, device: Device, patient: Patient, worn: Association | None) -> Association:
    """Carry it out for the caller, audited. Raises DirectoryError, AccessError."""
    for person in {patient.id, worn.patient if worn else patient.id}:
        await context.demand(Action.ASSIGN_DEVICE, "association", patient=person)
    done = await context.backend.give_device(
        context.scope, device.id, patient.id, was=worn.id if worn else None
    )
    detail = {"do": "give", "device": device.id, "patient": patient.id}
    if worn is not None:
        detail |= {"taken_off": worn.id, "patient_was": worn.patient}
    await context.audit(Action.ASSIGN_DEVICE, "association", target=done.id, detail=detail)
    return done


async def _scan_device(context: Context, scan: Scan, text: str) -> None:
    """Find the device, and whom it is on."""
    found = await pick(context, "device", text)
    scan.typed = text.strip()[:120]
    if len(found) != 1:
        scan.offered = await _offered(context, "device", scan.typed, found)
        scan.wrong = "devices" if scan.offered else "device"
        return
    device = await context.backend.item(context.scope, "device", found[0])
    if not isinstance(device, Device):
        scan.wrong = "device"
        return
    scan.device, scan.typed = device, ""
    scan.worn, somebody = await context.backend.worn(context.scope, device.id)
    scan.elsewhere = somebody and scan.worn is None
    if scan.elsewhere:
        scan.wrong = "elsewhere"
    if scan.worn is not None:
        scan.wearer = await _person(context, scan.worn.patient)


async def _scan_patient(context: Context, scan: Scan, text: str) -> None:
    """Find the patient by id, hospital number, bed or name; what fits only in part is offered."""
    found = await pick(context, "patient", text)
    scan.typed = text.strip()[:120]
    if len(found) == 1:
        scan.to, scan.typed = await _person(context, found[0]), ""
        return
    scan.offered = await _offered(context, "patient", scan.typed, found)
    scan.wrong = "patients" if scan.offered else "patient"


async def _offered(context: Context, kind: Kind, words: str, ids: list[str]) -> list[tuple[str, str]]:
    """What to choose from: what is called so, else what has the words in it."""
    if not words:
        return []
    if ids:
        names = await context.backend.item_names(context.scope, {kind: set(ids)})
        return [(key, names.get((kind, key), key)) for key in ids]
    page = await context.backend.item_page(context.scope, AskedItems(kind, words, limit=OFFERED))
    return [(row.id, page.names.get((kind, row.id), row.id)) for row in page.items]


async def _person(context: Context, key: str) -> Person | None:
    """A patient with the bed; the read is audited."""
    patient = await context.backend.item(context.scope, "patient", key)
    if not isinstance(patient, Patient):
        return None
    await context.audit(Action.VIEW_PATIENT, "patient", target=key)
    stays = await context.backend.item_page(context.scope, AskedItems("encounter", patient=key, limit=1))
    for stay in stays.items:
        if isinstance(stay, Encounter):
            named = (("bed", stay.bed), ("ward", stay.ward))
            return Person(patient, next((stays.names[k, v] for k, v in named if (k, v) in stays.names), ""))  # type: ignore[index]
    return Person(patient)


async def _tell(context: Context, scan: Scan, key: str, *, off: bool) -> None:
    """What has just been done."""
    done = await context.backend.item(context.scope, "association", key)
    if not isinstance(done, Association):
        return
    device = await context.backend.item(context.scope, "device", done.device)
    scan.given, scan.taken_off = done, off
    scan.device = device if isinstance(device, Device) else None
    scan.to = await _person(context, done.patient)


def _show(request: Request, context: Context, scan: Scan, *, status: int = 200) -> Response:
    return page(request, context, "assign.html", status=status, scan=scan, wrong=WRONG)
