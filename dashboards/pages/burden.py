"""The burden of alarms as a page: filters in the address, a table with bars, the alarms behind a figure."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from cloud_ingest.burden import Asked
from cloud_ingest.careplan import midnight
from dashboards.access import Context
from dashboards.api.burden import BurdenQuery, See, asked_of, burden_of, query_of
from dashboards.backend import DirectoryError
from dashboards.burden_models import BurdenView, FiguresView
from dashboards.i18n import N_
from dashboards.pages.burden_chart import over_time
from dashboards.pages.render import page
from hearthward.core.clock import SECOND, iso
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
BYS: Final = {
    "ward": N_("by ward"),
    "rule": N_("by rule"),
    "patient": N_("by patient or device"),
    "day": N_("by day"),
    "hour": N_("by hour of the day"),
}
WRONG: Final = {
    "from": N_("The start cannot be understood, or the period is longer than 400 days."),
    "to": N_("The period must end after it starts."),
    "ward": N_("There is no such ward."),
    "zone": N_("There is no such time zone."),
}


@router.get("/burden")
async def burden(
    request: Request, context: See, query: Annotated[BurdenQuery, Depends(query_of)]
) -> Response:
    """Figures for a week unless the address says otherwise."""
    wrong = ""
    try:
        asked = await asked_of(context, query)
    except DirectoryError as error:
        wrong = error.field
        asked = await asked_of(context, BurdenQuery(by=query.by))
    found = await burden_of(context, asked)
    wards = await context.backend.items(context.scope, "ward")
    rules = await context.backend.rules(context.scope)
    return page(
        request,
        context,
        "burden.html",
        status=422 if wrong else 200,
        wrong=WRONG.get(wrong, WRONG["from"]) if wrong else "",
        found=found,
        shown=_dates(asked),
        wards=wards,
        rules=rules,
        bys=BYS,
        chart=over_time(context, found),
        tongue=context.language.split("_", maxsplit=1)[0],
        most=max((r.figures.alarms for r in found.rows), default=0),
        csv=urlencode(_address(query)),
        whole=_link(context, asked) if found.total.alarms else "",
        lists={row.key: _alarms(context, found, row.key, row.figures) for row in found.rows},
        behind=[
            _link(context, asked, rule=s.rule, patient=s.subject) if s.subject else "" for s in found.sources
        ],
    )


def _dates(asked: Asked) -> dict[str, str]:
    """The period as dates of its zone, both inclusive, for the form."""
    zone = ZoneInfo(asked.zone)
    first = datetime.fromtimestamp(asked.start // SECOND, UTC).astimezone(zone)
    last = datetime.fromtimestamp((asked.end - 1) // SECOND, UTC).astimezone(zone)
    return {"from": first.date().isoformat(), "to": last.date().isoformat()}


def _address(query: BurdenQuery) -> dict[str, str]:
    return {name.rstrip("_"): value for name, value in asdict(query).items() if value}


def _alarms(context: Context, found: BurdenView, key: str, figures: FiguresView) -> str:
    """Where the alarms of a row are listed; empty where there are none to list for the caller."""
    asked = Asked(found.start, found.end, found.by, found.ward, found.rule, found.zone)
    if not figures.alarms or not key or found.by == "hour":
        return ""
    if found.by == "day":
        day = date.fromisoformat(key)
        start = max(midnight(day, found.zone), found.start)
        end = min(midnight(day + timedelta(days=1), found.zone), found.end)
        return _link(context, Asked(start, end, "day", found.ward, found.rule, found.zone))
    return _link(context, asked, **{found.by: key})


def _link(context: Context, asked: Asked, **more: Any) -> str:
    if not (context.may(Action.VIEW_ALARMS) or context.may(Action.VIEW_TECHNICAL_ALARMS)):
        return ""
    period = {"from": iso(asked.start), "to": iso(asked.end)}
    query = {"show": "all", **period, "ward": asked.ward, "rule": asked.rule, **more}
    return "/alarms?" + urlencode({name: value for name, value in query.items() if value})
