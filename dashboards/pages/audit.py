"""The audit as a page: who did or read what, when, of whom; filters in the address, and all of it as CSV."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.access import Context, Guard
from dashboards.backend import DirectoryError
from dashboards.directory_export import export_audit
from dashboards.directory_port import AskedAudit
from dashboards.i18n import N_
from dashboards.pages.audit_words import ACTIONS, KINDS, OUTCOMES
from dashboards.pages.picking import pick
from dashboards.pages.render import page
from dashboards.zones import moment_in
from hearthward.core.clock import SECOND
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
See = Annotated[Context, Depends(Guard(Action.VIEW_AUDIT, "audit"))]
PAGE: Final = 100
LONGEST: Final = 19
"""Digits of a line's number that any database takes."""
DAY: Final = 86_400 * SECOND
PERIODS: Final = {
    "1": (N_("24 hours"), 1),
    "7": (N_("7 days"), 7),
    "30": (N_("30 days"), 30),
    "365": (N_("a year"), 365),
    "all": (N_("all"), 0),
}
FILTERS: Final = ("who", "action", "kind", "patient", "target", "outcome", "days", "from", "to")
WRONG: Final = {
    "from": N_("This is no time: write it as 2026-03-01 or 2026-03-01 08:00."),
    "to": N_("This is no time: write it as 2026-03-01 or 2026-03-01 08:00."),
    "patient": N_("There is no such patient, or several are called so: give the id."),
}


@router.get("/audit")
async def audit(request: Request, context: See) -> Response:
    """The newest lines that are asked for; of the last week if no time is."""
    asked = _asked(request)
    query, wrong = await _query(context, asked, request.query_params.get("before", ""))
    await context.audit(Action.VIEW_AUDIT, "audit", detail=_told(asked))
    found = await context.backend.audit_page(context.scope, query)
    more = urlencode({**_given(asked), "before": found.next}) if found.next is not None else ""
    keys = {e.target for e in found.items if e.kind == "patient"}
    return page(
        request,
        context,
        "audit.html",
        status=422 if wrong else 200,
        asked=asked,
        wrong={name: WRONG[name] for name in wrong},
        items=found.items,
        names=await context.backend.item_names(context.scope, {"patient": keys}) if keys else {},
        more=more,
        csv="/audit.csv?" + urlencode(_given(asked)),
        periods=PERIODS,
        actions=ACTIONS,
        kinds=KINDS,
        outcomes=OUTCOMES,
    )


@router.get("/audit.csv")
async def audit_csv(request: Request, context: See) -> Response:
    """The same lines, all of them, as CSV that leaves while it is read."""
    asked = _asked(request)
    query, wrong = await _query(context, asked, "")
    if wrong:
        raise DirectoryError(field=wrong[0], code="invalid", value=asked[wrong[0]])
    await context.audit(Action.VIEW_AUDIT, "audit", detail={**_told(asked), "do": "export"})
    await context.backend.audit_page(context.scope, AskedAudit(limit=1))  # refused before anything is sent
    return export_audit(context, query)


def _asked(request: Request) -> dict[str, str]:
    asked = {name: request.query_params.get(name, "").strip()[:120] for name in FILTERS}
    if asked["days"] not in PERIODS:
        asked["days"] = "all" if asked["from"] or asked["to"] else "7"
    return asked


def _given(asked: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in asked.items() if text}


def _told(asked: Mapping[str, str]) -> dict[str, str]:
    """What of a question goes into the audit itself: neither names nor what was typed of them."""
    return {k: v for k, v in _given(asked).items() if k not in {"who", "patient"}}


async def _query(context: Context, asked: Mapping[str, str], before: str) -> tuple[AskedAudit, list[str]]:
    """What the filters ask for, and which of them mean nothing."""
    wrong: list[str] = []
    times: dict[str, int | None] = {"from": None, "to": None}
    for name in times:
        try:
            whole = name == "to"
            times[name] = moment_in(asked[name], context.zone, whole=whole) if asked[name] else None
        except (ValueError, OverflowError):
            wrong.append(name)
    days = PERIODS[asked["days"]][1]
    if times["from"] is None and days:
        times["from"] = context.backend.clock.now_ns() - days * DAY
    patient = asked["patient"]
    if patient:
        found = await pick(context, "patient", patient)
        if len(found) > 1 or (not found and " " in patient):
            wrong.append("patient")
        patient = found[0] if len(found) == 1 else patient
    query = AskedAudit(
        who=asked["who"],
        action=asked["action"],
        kind=asked["kind"],
        target=asked["target"],
        outcome=asked["outcome"],
        patient=patient,
        since=times["from"],
        until=times["to"],
        before=int(before) if before.isascii() and before.isdigit() and len(before) < LONGEST else None,
        limit=PAGE,
    )
    return query, wrong
