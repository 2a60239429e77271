"""The burden of alarms: figures per ward, rule, subject or day, as JSON and as a table."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from cloud_ingest.burden import DAY, Asked, By
from dashboards.access import Context, Guard
from dashboards.api.readings import instant
from dashboards.backend import DirectoryError, is_equipment
from dashboards.burden_models import BurdenView, FiguresView, Names
from dashboards.models import Ward
from dashboards.problems import ERROR_RESPONSES
from dashboards.subjects import names_of
from dashboards.zones import known_zone
from hearthward.core.clock import SECOND, iso
from hearthward.trust.access import Action

__all__ = ["BurdenQuery", "See", "asked_of", "burden_of", "router"]

router = APIRouter(prefix="/api/v1", tags=["burden"], responses=ERROR_RESPONSES)
See = Annotated[Context, Depends(Guard(Action.VIEW_BURDEN, "burden", reads=True))]
USUAL_DAYS: Final = 7
LONGEST_DAYS: Final = 400
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What makes a spreadsheet take a cell for a formula."""


@dataclass(frozen=True, slots=True)
class BurdenQuery:
    """What is asked for, as it stands in an address."""

    from_: str = ""
    to: str = ""
    by: By = "ward"
    ward: str = ""
    rule: str = ""
    zone: str = ""


def query_of(
    from_: Annotated[
        str, Query(alias="from", description="ISO 8601 or a date; 7 days before the end when left out")
    ] = "",
    to: Annotated[str, Query(description="exclusive; a date is meant to its end; now when left out")] = "",
    by: By = "ward",
    ward: Annotated[str, Query(description="only alarms of this ward")] = "",
    rule: Annotated[str, Query(description="only alarms of this rule")] = "",
    zone: Annotated[
        str, Query(description="whose days; those of the place when left out", examples=["Asia/Shanghai"])
    ] = "",
) -> BurdenQuery:
    """The query of an address."""
    return BurdenQuery(from_, to, by, ward, rule, zone)


Wanted = Annotated[BurdenQuery, Depends(query_of)]


@router.get("/burden")
async def get_burden(context: See, query: Wanted) -> BurdenView:
    """How many alarms, how they were answered, and where they came from."""
    return await burden_of(context, await asked_of(context, query))


@router.get("/burden.csv", response_class=Response)
async def get_burden_csv(context: See, query: Wanted) -> Response:
    """The rows as a table (UTF-8, with a header), the total last."""
    found = await burden_of(context, await asked_of(context, query))
    name = f"burden-{iso(found.start)[:10]}-{iso(found.end)[:10]}-{found.by}.csv"
    return Response(
        "\ufeff" + _table(found, context.language),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def asked_of(context: Context, query: BurdenQuery) -> Asked:
    """What is meant by a query. Raises DirectoryError naming the field."""
    zone = query.zone or context.zone
    if known_zone(zone) is None:
        raise DirectoryError(field="zone", code="unknown", value=zone)
    now = context.backend.clock.now_ns()
    end = min(now, _moment(query.to, "to", zone, now, whole=True))
    start = _moment(query.from_, "from", zone, end - USUAL_DAYS * DAY)
    if end <= start:
        raise DirectoryError(field="to", code="period", value=query.to)
    if end - start > LONGEST_DAYS * DAY:
        raise DirectoryError(field="from", code="bounds", value=f"{LONGEST_DAYS} d")
    ward = query.ward or None
    if ward is not None and await context.backend.item(context.scope, "ward", ward) is None:
        raise DirectoryError(field="ward", code="unknown", value=ward)
    return Asked(start, end, query.by, ward, query.rule or None, zone)


def _moment(text: str, field: str, zone: str, default: int, *, whole: bool = False) -> int:
    """An instant, or the start (``whole``: the end) of a date in the zone; in UTC ns."""
    if not _DATE.fullmatch(text):
        return instant(text or None, field, default)
    try:
        day = date.fromisoformat(text) + timedelta(days=int(whole))
        return round(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).timestamp()) * SECOND
    except (ValueError, OverflowError) as error:
        raise DirectoryError(field=field, code="invalid", value=text) from error


async def burden_of(context: Context, asked: Asked) -> BurdenView:
    """The answer for the caller: patients only for those who may see them, and only those in their care."""
    found = await context.backend.burden(context.scope, asked, await _shown(context))
    about = {source.subject for source in found.sources}
    about |= {row.key for row in found.rows} if asked.by == "patient" else set()
    subjects = await names_of(context.backend, context.scope, about - {""})
    wards = await context.backend.items(context.scope, "ward", ended=True)
    rules = await context.backend.rules(context.scope)
    names = Names(
        {w.id: w.name for w in wards if isinstance(w, Ward)}, {r.id: r.title for r in rules}, subjects
    )
    return BurdenView.of(found, names)


async def _shown(context: Context) -> Callable[[str], bool]:
    """Which subjects the caller may see by name: equipment, and patients in their care."""
    if not context.may(Action.VIEW_PATIENT, "patient"):
        return is_equipment
    if not context.scope.confined:
        return lambda _: True
    people = frozenset(p.id for p in await context.backend.items(context.scope, "patient", ended=True))
    return lambda subject: is_equipment(subject) or subject in people


def _table(found: BurdenView, language: str) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    tongue = language.split("_", maxsplit=1)[0]
    names = list(FiguresView.model_fields)
    writer.writerow(["key", "name", *names])
    for row in found.rows:
        name = row.name.get(tongue, row.name.get("en", ""))
        writer.writerow([_cell(row.key), _cell(name), *_values(row.figures, names)])
    writer.writerow(["total", "", *_values(found.total, names)])
    return out.getvalue()


def _values(figures: FiguresView, names: list[str]) -> Iterator[Any]:
    for name in names:
        value = getattr(figures, name)
        yield "" if value is None else value


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
