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
from dashboards.models import Gateway, Item, ProfileChoice
from dashboards.pages.forms import form_of
from dashboards.pages.render import is_htmx, page
from dashboards.paging import Pager, page_number
from dashboards.profile_words import titles_in
from dashboards.seen_words import MAKERS, SERVICES, said_of, strength_of
from hearthward.core.clock import SECOND
from hearthward.core.device_states import Cause
from hearthward.core.device_words import CAUSES, why_unmatched
from hearthward.core.text import natural
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
    around = await context.backend.around(context.scope)
    profiles = titles_in(context.language, request.app.state.profiles)
    meant = _meant(context, around.items, asked["q"], profiles)
    every = await context.backend.items(context.scope, "gateway", ended=True)
    known = {g.id for g in every}
    gateways = _gateways(every, asked, {one.gateway for one in meant})
    here = gateways[(number - 1) * GATEWAYS : number * GATEWAYS]
    places = [_place(context, g, around, meant, asked, profiles) for g in here]
    return page(
        request,
        context,
        "find_part.html" if is_htmx(request) else "find.html",
        status=409 if refused and not is_htmx(request) else 200,
        places=places,
        strangers=[g.gateway for g in around.gateways if g.gateway not in known][:GATEWAYS],
        asked=asked,
        again="/devices/find" + _query(asked),
        pager=Pager("/devices/find", asked, len(gateways), number, size=GATEWAYS),
        refused=refused,
        any_gateway=bool(known),
        services=SERVICES,
        makers=MAKERS,
        seconds=LISTEN_S,
    )


def _meant(
    context: Context, items: Sequence[SeenDevice], asked: str, profiles: Mapping[str, ProfileChoice]
) -> list[SeenDevice]:
    """Those that have every word that was asked for in what the page says of them."""
    words = asked.lower().split()

    def texts(one: SeenDevice) -> list[str]:
        title = profiles[one.profile].title if one.profile in profiles else ""
        said = said_of(one.services, one.company_ids, context.language)
        ours = (one.name, one.address, one.profile, title, one.device, one.elsewhere, one.usb)
        return [text.lower() for text in (*ours, *said)]

    return [one for one in items if all(any(word in text for text in texts(one)) for word in words)]


def _gateways(every: Sequence[Item], asked: Mapping[str, str], hits: set[str]) -> list[Gateway]:
    """The gateways to show: the one asked for; of those that hear what is searched for, if any does."""
    wanted = asked["gateway"]
    rows = [g for g in every if isinstance(g, Gateway) and g.ended is None and wanted in {"", g.id}]
    hearing = [g for g in rows if g.id in hits] if asked["q"] else []
    return sorted(hearing or rows, key=lambda g: natural(g.id))


def _place(
    context: Context,
    gateway: Gateway,
    around: Around,
    meant: Sequence[SeenDevice],
    asked: Mapping[str, str],
    profiles: Mapping[str, ProfileChoice],
) -> Place:
    here = [one for one in meant if one.gateway == gateway.id]
    shown = [one for one in here if not (asked["hide"] and (one.device or one.elsewhere))]
    shown.sort(key=_rank)
    ears = next((ears for ears in around.gateways if ears.gateway == gateway.id), None)
    return Place(
        gateway,
        ears,
        around.listening.get(gateway.id),
        _unheard(context, gateway, ears),
        [_row(context, one, profiles) for one in shown[:SHOWN]],
        more=max(0, len(shown) - SHOWN),
        hidden=len(here) - len(shown),
    )


def _rank(one: SeenDevice) -> tuple[int, int, tuple[tuple[int, int, str], ...], str]:
    """What could be adopted first, then ports, then what is configured, passers-by last.

    Within these the nearest first, by the bars that are shown: a signal trembles, and rows that change places
    under a finger are the wrong device.
    """
    known = one.device or one.elsewhere
    group = 2 if known else 0 if one.profile else 1 if one.transport == "serial" else 3
    bars = 0 if one.rssi is None or known else strength_of(one.rssi)[0]
    return group, -bars, natural(known), one.address


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
