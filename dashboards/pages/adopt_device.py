"""Taking in a device that was seen: a form with what is known of it, then whether its values come."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context
from dashboards.api.around import ConsentBody, adopt, give_consent
from dashboards.api.directory import ENTRIES
from dashboards.api.drafts import AdoptDraft
from dashboards.around_models import SeenDevice
from dashboards.backend import DirectoryError
from dashboards.i18n import N_
from dashboards.models import Association, Device, Gateway, Kind
from dashboards.pages.admin_forms import FORMS, REASONS, TRANSPORTS, Attempt, Input, blamed
from dashboards.pages.find_devices import Manage
from dashboards.pages.picking import choices_of, resolved_in
from dashboards.pages.render import is_htmx, page
from dashboards.problems import MissingError
from dashboards.profile_words import titles_in
from hearthward.core.codes import METRICS
from hearthward.core.device_states import Cause
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
WHOM: Final = (
    Input("patient", N_("Patient"), "patient", hint=N_("whom it measures from now on; empty: nobody yet")),
    Input("bed", N_("or who lies in bed"), "bed"),
)
CONSENT: Final = (
    Input("user", N_("User on the device"), kind="number", hint=N_("for scales that ask for consent")),
    Input("code", N_("Code of that user"), kind="number", hint=N_("four digits that the scale shows for it")),
)
WEIGHED: Final = frozenset({"body_weight", "body_fat"})
FIXED: Final = ("transport", "address")
NAMES: Final = ("id", "label", "gateway", "profile", "timezone")
FIELDS: Final = tuple(field for name in NAMES for field in FORMS["device"] if field.name == name)
TRIES: Final = 20
VALUES: Final = 4
"""So many of a device's first values are shown."""


@router.get("/devices/find/adopt")
async def form(
    request: Request, context: Manage, gateway: str = "", transport: str = "ble", address: str = ""
) -> Response:
    """The form with what was seen of the device at that address filled in."""
    kind = "serial" if transport == "serial" else "ble"
    typed = {"gateway": gateway.strip()[:64], "transport": kind, "address": address.strip()[:120]}
    seen = await _seen(context, typed)
    typed["profile"] = "" if seen is None else seen.profile
    typed["id"] = await _free_id(context, seen, typed)
    if seen is not None and seen.profile:  # no name of somebody's phone
        typed["label"] = seen.name
    return await _form(request, context, Attempt("device", values=typed), seen)


@router.post("/devices/find/adopt")
async def take_in(request: Request, context: Manage) -> Response:
    """Adopt it, both or nothing; on refusal the form again with what was typed."""
    given = {k: str(v) for k, v in (await request.form()).items() if k != "csrf"}
    typed = {**dict.fromkeys((*NAMES, *FIXED), ""), **given}
    try:
        form = await resolved_in(context, (*FIELDS, *WHOM), typed)
        done = await adopt(context, AdoptDraft.model_validate(form), request.app.state.profiles)
    except (ValidationError, DirectoryError) as error:
        attempt = blamed("device", "", typed, error)
        return await _form(request, context, attempt, await _seen(context, typed), status=422)
    return RedirectResponse(f"/devices/{done.device.id}/adopted", status_code=303)


@router.get("/devices/{device}/adopted")
async def adopted(request: Request, context: Manage, device: str) -> Response:
    """How it is until its values come; htmx fetches the part that changes."""
    return await _adopted(request, context, await _device(context, device))


@router.post("/devices/{device}/consent")
async def consent(request: Request, context: Manage, device: str) -> Response:
    """Have the device's gateway keep the consent of one of its users; on refusal the page with why."""
    row = await _device(context, device)
    typed = {k: str(v) for k, v in (await request.form()).items() if k in {"user", "code"}}
    try:
        body = ConsentBody.model_validate(typed)
        await give_consent(context, row, body.user, body.code)
    except (ValidationError, DirectoryError) as error:
        return await _adopted(request, context, row, blamed("device", device, typed, error))
    return RedirectResponse(f"/devices/{device}/adopted?given=1", status_code=303)


async def _device(context: Context, device: str) -> Device:
    row = await context.backend.item(context.scope, "device", device)
    if not isinstance(row, Device) or row.ended is not None:
        raise MissingError(ENTRIES["device"].kind, device)
    return row


async def _adopted(
    request: Request, context: Context, row: Device, attempt: Attempt | None = None
) -> Response:
    device = row.id
    worn, somebody = await context.backend.worn(context.scope, device)
    samples = await context.backend.latest(context.scope, {device})
    since = worn.start if worn else 0
    new = sorted((s for s in samples if s.received >= since), key=lambda s: (s.received, s.metric))[-VALUES:]
    reads = context.may(Action.VIEW_READINGS) and worn is not None
    if new and reads:
        await context.audit(Action.VIEW_READINGS, "reading", target=worn.patient if worn else "")
    people = "" if is_htmx(request) else await _names(context, worn)  # no part of what renews itself
    return page(
        request,
        context,
        "adopted_part.html" if is_htmx(request) else "adopted.html",
        status=422 if attempt else 200,
        attempt=attempt or Attempt("device", device),
        consent=CONSENT if _may_ask(request, row) else (),
        given="given" in request.query_params,
        reasons=REASONS,
        choices={},
        device=row,
        worn=worn,
        somebody=somebody,
        patient=people,
        samples=new,
        reads=reads,
        units={metric: known.unit for metric, known in METRICS.items()},
    )


def _may_ask(request: Request, device: Device) -> bool:
    """Whether it may be one that asks for a user's consent: a scale, or nobody knows what it is."""
    asks = device.condition is not None and device.condition.cause == Cause.NEEDS_CONSENT.value
    known = {one.id: one.metrics for one in request.app.state.profiles}
    told = [known.get(part) for part in (device.profile or "").split("+")]
    scale = any(metrics is None or metrics & WEIGHED for metrics in told)
    return device.transport == "ble" and (asks or scale)


async def _names(context: Context, worn: Association | None) -> str:
    """Whom it is on, for those who may know."""
    if worn is None or not context.may(Action.VIEW_PATIENT):
        return ""
    await context.audit(Action.VIEW_PATIENT, "patient", target=worn.patient)
    names = await context.backend.item_names(context.scope, {"patient": {worn.patient}})
    return names.get(("patient", worn.patient), worn.patient)


async def _seen(context: Context, typed: Mapping[str, str]) -> SeenDevice | None:
    """What its gateway, or else another one, told of it."""
    place = typed.get("transport", ""), typed.get("address", "").upper()
    around = await context.backend.around(context.scope)
    found = [one for one in around.items if (one.transport, one.address.upper()) == place]
    if place[0] == "serial":
        found = [one for one in found if one.gateway == typed.get("gateway")]
    return min(found, key=lambda one: one.gateway != typed.get("gateway"), default=None)


async def _free_id(context: Context, seen: SeenDevice | None, typed: Mapping[str, str]) -> str:
    """An id to suggest: what it is, and the end of its address."""
    what = (seen.profile if seen else "").removeprefix("sig-") or "device"
    tail = re.sub(r"[^A-Za-z0-9]", "", typed["address"].rsplit("/", 1)[-1])[-4:].lower()
    tail = typed["address"].rsplit("/", 1)[-1].lower() if typed["transport"] == "serial" else tail
    first = re.sub(r"[^A-Za-z0-9_-]", "-", f"{what}-{tail}".strip("-"))[:60]
    for n in range(1, TRIES):
        ident = first if n == 1 else f"{first}-{n}"
        if await context.backend.item(context.scope, "device", ident) is None:
            return ident
    return ""


async def _form(
    request: Request, context: Context, attempt: Attempt, seen: SeenDevice | None, *, status: int = 200
) -> Response:
    gives = context.may(Action.ASSIGN_DEVICE, "association")
    kinds: tuple[Kind, ...] = ("gateway", "patient", "bed") if gives else ("gateway",)
    choices = {kind: await choices_of(context, kind) for kind in kinds if context.may(ENTRIES[kind].see)}
    serial = attempt.values.get("transport") == "serial"
    known = titles_in(context.language, request.app.state.profiles).values()
    mine = [p for p in known if (p.transport == "serial") == serial]
    gateway = await context.backend.item(context.scope, "gateway", attempt.values.get("gateway", ""))
    return page(
        request,
        context,
        "adopt.html",
        status=status,
        attempt=attempt,
        seen=seen,
        gateway=gateway if isinstance(gateway, Gateway) else None,
        fields=FIELDS,
        whom=WHOM if gives else (),
        consent=() if serial else CONSENT,
        choices=choices,
        profiles=mine,
        transports=TRANSPORTS,
        reasons=REASONS,
        names={},
    )
