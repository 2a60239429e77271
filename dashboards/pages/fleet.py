"""The fleet: what needs attention first, what use and data quality come to, then every device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, cast
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from cloud_ingest.device_health.asking import (
    DEVICE_STATES,
    FINDING_KINDS,
    FLEET_SORTS,
    AskedFleet,
    AskedSpan,
    DeviceState,
    FindingKind,
    FleetSort,
)
from dashboards.access import Context
from dashboards.api.fleet import acknowledge as seen
from dashboards.fleet_csv import devices_table
from dashboards.fleet_models import QualityPage, Utilisation
from dashboards.fleet_words import grade
from dashboards.ledger_models import FiguresView, LedgerView, asked_of
from dashboards.models import Ward
from dashboards.pages.fleet_common import See, Work, words
from dashboards.pages.forms import form_of
from dashboards.pages.render import page, safe_path
from dashboards.paging import PAGE, Pager, page_number

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
FILTERS: Final = ("q", "ward", "gateway", "profile", "state", "kind", "sort", "down", "page", "findings")
FIRST: Final = 10
"""So many findings are shown at once: what comes first matters most."""
GROUPS: Final = 200
"""So many wards are summed up on the page; more are on the pages of use and quality."""
WORST: Final = 3


@dataclass(frozen=True, slots=True)
class Sums:
    """What the fleet comes to: use of a week, the devices with the worst data, readings of a day."""

    devices: int
    used: int
    share: float | None
    hours: int
    worst: QualityPage
    ledger: FiguresView


@router.get("/fleet")
async def fleet(request: Request, context: See) -> Response:
    """Findings, sums and one page of devices; no patient's name or value."""
    port, scope = context.backend, context.scope
    asked = _given(request)
    query = _query(asked)
    numbers = {name: page_number(asked[name]) for name in ("page", "findings")}
    first = replace(query, offset=(numbers["findings"] - 1) * FIRST, limit=FIRST)
    needs = await port.needs_attention(scope, first)
    found = await port.fleet(scope, replace(query, offset=(numbers["page"] - 1) * PAGE))
    wards = await context.backend.items(scope, "ward")
    return page(
        request,
        context,
        "fleet.html",
        asked=asked,
        filtered=any(asked[name] for name in ("q", "ward", "gateway", "profile", "state", "kind")),
        needs=needs,
        found=found,
        wards=[w for w in wards if isinstance(w, Ward)],
        by_kind=[(k, needs.kinds[k], _address(asked, kind=k)) for k in FINDING_KINDS if k in needs.kinds],
        any_kind=_address(asked, kind=""),
        heads=_heads(asked, query),
        of_findings=Pager("/fleet", asked, needs.total, numbers["findings"], name="findings", size=FIRST),
        of_devices=Pager("/fleet", asked, found.total, numbers["page"]),
        csv=_address(asked, at="/fleet.csv"),
        **words(context),
    )


@router.get("/fleet/sums")
async def sums(request: Request, context: See) -> Response:
    """What use and data come to: a part of the page, which is there before it."""
    return page(request, context, "fleet_sums.html", sums=await _sums(context), grade=grade, **words(context))


@router.get("/fleet.csv")
async def table(request: Request, context: See) -> Response:
    """The devices that are asked for, all of them."""
    return devices_table(context, _query(_given(request)))


@router.post("/fleet/findings/{finding}/acknowledge")
async def acknowledge(request: Request, context: Work, finding: str) -> Response:
    """Note that the caller has seen it, and go back to where the button was."""
    form = await form_of(request)
    await seen(context, finding)
    return RedirectResponse(safe_path(form.get("next")) or "/fleet", status_code=303)


def _given(request: Request) -> dict[str, str]:
    """What the address asks for; what means nothing counts as not given."""
    asked = {name: request.query_params.get(name, "").strip()[:120] for name in FILTERS}
    known: Mapping[str, Sequence[str]] = {
        "state": DEVICE_STATES,
        "kind": FINDING_KINDS,
        "sort": FLEET_SORTS,
        "down": ("1",),
    }
    return {name: text if text in known.get(name, (text,)) else "" for name, text in asked.items()}


def _query(asked: Mapping[str, str]) -> AskedFleet:
    return AskedFleet(
        words=asked["q"],
        ward=asked["ward"],
        gateway=asked["gateway"],
        profile=asked["profile"],
        state=cast("DeviceState", asked["state"]),
        kind=cast("FindingKind", asked["kind"]),
        sort=cast("FleetSort", asked["sort"] or "id"),
        down=bool(asked["down"]),
    )


def _address(asked: Mapping[str, str], at: str = "/fleet", **more: str) -> str:
    """The same question otherwise, from its first page on."""
    kept = {k: v for k, v in {**asked, **more}.items() if v and k not in {"page", "findings"}}
    return f"{at}?{urlencode(kept)}" if kept else at


def _heads(asked: Mapping[str, str], query: AskedFleet) -> dict[str, tuple[str, str]]:
    """Column -> the address that sorts by it (once more: the other way round), and how it is sorted now."""
    found: dict[str, tuple[str, str]] = {}
    for name in FLEET_SORTS:
        here = name == query.sort
        turned = "1" if here and not query.down else ""
        now = ("descending" if query.down else "ascending") if here else ""
        found[name] = _address(asked, sort=name, down=turned) + "#devices", now
    return found


async def _sums(context: Context) -> Sums:
    port, scope = context.backend, context.scope
    period = asked_of("24h", context.backend.clock.now_ns())
    use, _ = await port.utilisation(scope, AskedSpan(by="ward", limit=GROUPS))
    worst = await port.data_quality(scope, AskedSpan(by="device", limit=WORST))
    ledger = await context.backend.ledger(scope, period)
    judged = worst.model_copy(update={"items": [r for r in worst.items if grade(r.worst) in {"warn", "bad"}]})
    return _summed(use, judged, LedgerView.of(ledger).total)


def _summed(use: Sequence[Utilisation], worst: QualityPage, ledger: FiguresView) -> Sums:
    hours, possible = sum(u.hours for u in use), sum(u.possible for u in use)
    return Sums(
        devices=sum(u.devices for u in use),
        used=sum(u.used for u in use),
        share=hours / possible if possible else None,
        hours=hours,
        worst=worst,
        ledger=ledger,
    )
