"""One device: where it stands and why, its history, what was found, the work on it, its last frames."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.fleet import Watch, calibrate, serve, show_device, watch_frames
from dashboards.api.work_orders import open_order
from dashboards.backend import DirectoryError
from dashboards.fleet_charts import histories
from dashboards.fleet_models import OrderDraft
from dashboards.fleet_views import MAX_NOTE
from dashboards.fleet_words import REFUSED, advice_for
from dashboards.i18n import N_
from dashboards.models import Device
from dashboards.pages.fleet_common import See, Work, hands_of, said_of, words
from dashboards.pages.forms import form_of
from dashboards.pages.ledger import REASONS
from dashboards.pages.render import is_htmx, page, safe_path
from dashboards.problems import MissingError
from dashboards.zones import local, moment_in
from hearthward.core.columns import fits_int64
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
Calibrate = Annotated[Context, Depends(Guard(Action.MAINTAIN_DEVICE, "device"))]
FRAMES: Final = 20
MOST_ID: Final = 64
DAYS: Final = 90


@router.get("/fleet/devices/{device}")
async def device(request: Request, context: See, device: str, finding: str = "") -> Response:
    """All that is known of a device; with ``finding`` the form for work is about that one."""
    return await _show(request, context, device, {"finding": finding})


@router.get("/fleet/devices/{device}/frames")
async def frames(request: Request, context: See, device: str, values: str = "") -> Response:
    """Its last frames, a part of its page that fetches itself.

    What was measured of a patient is shown to those who may read it, when they ask for it. Audited.
    """
    shown = values == "1" and context.may(Action.VIEW_READINGS, "reading")
    found = await context.backend.device_frames(context.scope, device, values=shown, limit=FRAMES)
    if found is None:
        raise MissingError(kind="device", key=device)
    if shown:
        detail = {"device": device, "frames": len(found)}
        await context.audit(Action.VIEW_READINGS, "reading", target=device, detail=detail)
    return page(request, context, "fleet_frames.html", frames=found, device=device, shown=shown)


@router.get("/fleet/devices/{device}/watch")
async def watched(request: Request, context: Watch, device: str) -> Response:
    """The bytes that the caller looks at, a part of its page that fetches itself until their time is over."""
    return await _show_watch(request, context, device)


@router.post("/fleet/devices/{device}/watch")
async def watch(request: Request, context: Watch, device: str) -> Response:
    """Look at the bytes of its frames for two minutes. Audited."""
    refused = ""
    try:
        await watch_frames(context, device)
    except DirectoryError as error:
        refused = REFUSED.get((error.field, error.code), N_("Nothing was changed: this is not valid."))
    if is_htmx(request):
        return await _show_watch(request, context, device, refused=refused)
    if refused:
        return await _show(request, context, device, {}, wrong=refused)
    return RedirectResponse(f"/fleet/devices/{quote(device, safe='')}#watch", status_code=303)


async def _show_watch(request: Request, context: Context, device: str, *, refused: str = "") -> Response:
    found = await context.backend.watched_frames(context.who, device)
    if found is None and await context.backend.fleet_device(context.scope, device, days=1) is None:
        raise MissingError(kind="device", key=device)
    return page(
        request, context, "fleet_watch.html", watch=found, device=device, refused=refused, reasons=REASONS
    )


@router.post("/fleet/devices/{device}/orders")
async def order(request: Request, context: Work, device: str) -> Response:
    """Open a work order for a device, or for what was found of it; back to where the button was."""
    form = await form_of(request)
    try:
        made = await open_order(context, _draft(context, device, form))
    except DirectoryError as error:
        if error.field == "device":
            raise MissingError(kind="device", key=device) from error
        return await _show(request, context, device, form, wrong=said_of(error))
    return RedirectResponse(safe_path(form.get("next")) or f"/fleet/orders/{made.id}", status_code=303)


def _draft(context: Context, device: str, form: dict[str, str]) -> OrderDraft:
    """What the form asks for. Raises DirectoryError."""
    text, due = form.get("text", ""), None
    if len(text) > MAX_NOTE:
        raise DirectoryError(field="text", code="invalid", value=text[:40])
    if len(device) > MOST_ID:
        raise DirectoryError(field="device", code="unknown", value=device[:MOST_ID])
    try:
        due = moment_in(form["due"], "UTC") if form.get("due") else None  # a day, as those that are proposed
    except (ValueError, OverflowError) as error:
        raise DirectoryError(field="due", code="invalid", value=form["due"][:40]) from error
    if due is not None and not fits_int64(due):
        raise DirectoryError(field="due", code="invalid", value=form["due"][:40])
    assignee = context.who.user if form.get("assignee") == "me" else form.get("assignee", "")[:MOST_ID]
    return OrderDraft(
        device=device,
        text=text,
        finding=form.get("finding", "")[:MOST_ID] or None,
        assignee=assignee or None,
        due=due,
    )


@router.post("/fleet/devices/{device}/calibrated")
async def calibrated(request: Request, context: Calibrate, device: str) -> Response:
    """Note on which day a device was calibrated (none: today), and how often that is due."""
    form = await form_of(request)
    every = form.get("every_days", "")

    async def note() -> None:
        known = (await show_device(context, device, 1)).calibrated
        day = moment_in(form["day"], context.zone) if form.get("day") else context.backend.clock.now_ns()
        if known is not None and form.get("day") == _day_of(context, known):
            day = known  # another interval, and not another calibration
        if not every.isascii() or not every.isdigit():
            raise DirectoryError(field="every_days", code="bounds", value="1 to 3650")
        await calibrate(context, device, day, int(every[:6]), _hours(form))

    return await _noted(request, context, device, form, note())


@router.post("/fleet/devices/{device}/serviced")
async def serviced(request: Request, context: Calibrate, device: str) -> Response:
    """Note on which day a device was serviced (none: nobody knows), and after how many hours that is due."""
    form = await form_of(request)

    async def note() -> None:
        known = await show_device(context, device, 1)
        day = moment_in(form["day"], context.zone) if form.get("day") else None
        same = known.serviced is not None and form.get("day") == _day_of(context, known.serviced)
        await serve(context, device, known.serviced if same else day, _hours(form))

    return await _noted(request, context, device, {**form, "service": "1"}, note())


def _day_of(context: Context, at: int | None) -> str:
    """A day as forms have it; empty: none."""
    return "" if at is None else local(at, context.zone).date().isoformat()


def _hours(form: dict[str, str]) -> int | None:
    """The interval in hours of use; None where none is given. Raises DirectoryError."""
    every = form.get("every_hours", "").strip()
    if not every:
        return None
    if not every.isascii() or not every.isdigit():
        raise DirectoryError(field="every_hours", code="bounds", value="1 to 100000")
    return int(every[:9])


async def _noted(
    request: Request, context: Context, device: str, form: dict[str, str], step: Awaitable[None]
) -> Response:
    """Do it, then show the device; or show it with what was wrong."""
    try:
        await step
    except DirectoryError as error:
        return await _show(request, context, device, form, wrong=said_of(error))
    except (ValueError, OverflowError):
        wrong = said_of(DirectoryError(field="due", code="invalid"))
        return await _show(request, context, device, form, wrong=wrong)
    return RedirectResponse(f"/fleet/devices/{quote(device, safe='')}", status_code=303)


async def _show(
    request: Request, context: Context, key: str, typed: dict[str, str], *, wrong: str = ""
) -> Response:
    port, scope = context.backend, context.scope
    found = await port.fleet_device(scope, key, days=DAYS)
    frames = await port.device_frames(scope, key, values=False, limit=FRAMES)
    if found is None or frames is None:
        raise MissingError(kind="device", key=key)
    entry = await context.backend.item(scope, "device", key)
    return page(
        request,
        context,
        "fleet_device.html",
        status=422 if wrong else 200,
        wrong=wrong,
        today=local(context.backend.clock.now_ns(), context.zone).date(),
        typed=typed,
        serviced_on=_day_of(context, found.serviced),
        file=found,
        row=found.row,
        entry=entry if isinstance(entry, Device) else None,
        charts=histories(found.days, context.language),
        about=next((f for f in found.findings if f.id == typed.get("finding") and f.gone is None), None),
        hands=await hands_of(context),
        frames=frames,
        watch=await port.watched_frames(context.who, key) if context.may(Action.WATCH_FRAMES) else None,
        refused="",
        reasons=REASONS,
        device=key,
        shown=False,
        advice=lambda cause: advice_for(context.language, cause),
        **words(context),
    )
