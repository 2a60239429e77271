"""What is around each gateway: known, of a known kind, and strangers; and having a gateway listen now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.around import scan
from dashboards.around_models import Around, GatewayEars, SeenDevice
from dashboards.backend import DirectoryError
from dashboards.device_words import spoken_in
from dashboards.directory_port import AskedItems
from dashboards.models import Gateway, ProfileChoice
from dashboards.pages.forms import form_of
from dashboards.pages.render import is_htmx, page
from dashboards.paging import Pager, page_number
from dashboards.seen_words import MAKERS, SERVICES, strength_of
from hearthward.core.clock import SECOND
from hearthward.core.device_states import Cause
from hearthward.core.device_words import CAUSES, why_unmatched
from hearthward.trust.access import Action

__all__ = ["KIND", "Manage", "router"]

router = APIRouter(include_in_schema=False)
KIND: Final = "gateway"
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_DEVICES, "device"))]
Listen = Annotated[Context, Depends(Guard(Action.MANAGE_DEVICES, KIND))]
GATEWAYS: Final = 10
"""So many stand on one page."""
SHOWN: Final = 40
"""So many devices of one gateway are shown; a search finds the others."""
LISTEN_S: Final = 15
OLD_NS: Final = 60 * SECOND
"""What was not heard for longer is said to be so."""
ASKED: Final = ("q", "hide", "gateway", "page")


@dataclass(frozen=True, slots=True)
class Row:
    """A device as the page tells it."""

    seen: SeenDevice
    title: str
    """Of the profile that fits."""
    bars: int
    strength: str
    why: str
    old: bool
    adopt: str
    """Where it is adopted."""


@dataclass(frozen=True, slots=True)
class Place:
    """A gateway with what is around it; ``unheard`` says in words why its radio cannot listen."""

    gateway: Gateway
    ears: GatewayEars | None
    until: int | None
    unheard: str
    rows: Sequence[Row] = field(default=())
    more: int = 0
    hidden: int = 0


@router.get("/devices/find")
async def find(request: Request, context: Manage) -> Response:
    """What is around; htmx fetches the part that changes."""
    asked = _asked(request.query_params)
    if not is_htmx(request):  # the page as it renews itself is one look
        await context.audit(Action.MANAGE_DEVICES, KIND, detail={"do": "look around", "read": True})
    return await _show(request, context, asked)


@router.post("/devices/find/listen")
async def listen(request: Request, context: Listen) -> Response:
    """Have a gateway's radio listen now."""
    form = await form_of(request)
    asked, refused = _asked(form), ""
    try:
        await scan(context, form.get("listen", ""), LISTEN_S)
    except DirectoryError as error:
        refused = error.code
    if is_htmx(request) or refused:
        return await _show(request, context, asked, refused=refused)
    return RedirectResponse("/devices/find" + _query(asked), status_code=303)


def _asked(given: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(given.get(name, "")).strip()[:120] for name in ASKED}


def _query(asked: Mapping[str, str]) -> str:
    query = urlencode({name: text for name, text in asked.items() if text})
    return f"?{query}" if query else ""


async def _show(request: Request, context: Context, asked: dict[str, str], *, refused: str = "") -> Response:
    number = page_number(asked["page"])
    wanted = AskedItems("gateway", asked["gateway"], limit=GATEWAYS, offset=(number - 1) * GATEWAYS)
    found = await context.backend.item_page(context.scope, wanted)
    around = await context.backend.around(context.scope)
    profiles = {p.id: p for p in request.app.state.profiles}
    gateways = [g for g in found.items if isinstance(g, Gateway)]
    places = [_place(context, g, around, asked, profiles) for g in gateways]
    known = {g.id for g in await context.backend.items(context.scope, "gateway", ended=True)}
    return page(
        request,
        context,
        "find_part.html" if is_htmx(request) else "find.html",
        status=409 if refused and not is_htmx(request) else 200,
        places=places,
        strangers=[g.gateway for g in around.gateways if g.gateway not in known][:GATEWAYS],
        asked=asked,
        again="/devices/find" + _query(asked),
        pager=Pager("/devices/find", asked, found.total, number, size=GATEWAYS),
        refused=refused,
        services=SERVICES,
        makers=MAKERS,
        seconds=LISTEN_S,
    )


def _place(
    context: Context,
    gateway: Gateway,
    around: Around,
    asked: Mapping[str, str],
    profiles: Mapping[str, ProfileChoice],
) -> Place:
    here = [one for one in around.items if one.gateway == gateway.id]
    words = asked["q"].lower().split()
    meant = [one for one in here if all(any(w in t for t in _texts(one)) for w in words)]
    shown = [one for one in meant if not (asked["hide"] and one.device)]
    shown.sort(key=lambda one: (_rank(one), -(one.rssi or -999), one.address))
    ears = next((ears for ears in around.gateways if ears.gateway == gateway.id), None)
    return Place(
        gateway,
        ears,
        around.listening.get(gateway.id),
        _unheard(context, gateway, ears),
        [_row(context, one, profiles) for one in shown[:SHOWN]],
        more=max(0, len(shown) - SHOWN),
        hidden=len(meant) - len(shown),
    )


def _texts(one: SeenDevice) -> list[str]:
    return [text.lower() for text in (one.name, one.address, one.profile, one.device)]


def _rank(one: SeenDevice) -> int:
    """What could be adopted first, then ports, then what is configured, passers-by last."""
    if one.device:
        return 2
    return 0 if one.profile else 1 if one.transport == "serial" else 3


def _row(context: Context, one: SeenDevice, profiles: Mapping[str, ProfileChoice]) -> Row:
    profile = profiles.get(one.profile)
    bars, strength = (0, "") if one.rssi is None else strength_of(one.rssi)
    key = {"gateway": one.gateway, "transport": one.transport, "address": one.address}
    return Row(
        one,
        title=one.profile if profile is None else profile.title,
        bars=bars,
        strength=strength,
        why="" if one.profile else why_unmatched(one.why, spoken_in(context.language)),
        old=context.backend.clock.now_ns() - one.last > OLD_NS,
        adopt=f"/devices/find/adopt?{urlencode(key)}",
    )


def _unheard(context: Context, gateway: Gateway, ears: GatewayEars | None) -> str:
    """Why its radio cannot listen, in words; empty when it can, or when that is not known."""
    if ears is None or ears.hearing or not gateway.online:
        return ""
    causes = {condition.cause for condition in gateway.conditions.values()}
    cause = Cause.RADIO_STUCK if Cause.RADIO_STUCK in causes else Cause.NO_RADIO
    return CAUSES[cause][spoken_in(context.language)]
