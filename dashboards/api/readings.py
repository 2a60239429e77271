"""Stored readings by patient or device, metric and time."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from dashboards.access import Context, Guard
from dashboards.backend import DirectoryError, ReadingQuery
from dashboards.models import Value
from dashboards.problems import ERROR_RESPONSES
from hearthward.core.clock import iso, parse_iso
from hearthward.core.codes import METRICS
from hearthward.trust.access import Action

__all__ = ["instant", "router"]

router = APIRouter(prefix="/api/v1", tags=["readings"], responses=ERROR_RESPONSES)
MAX_READINGS = 10_000


class ReadingList(BaseModel):
    """Readings in order of their time; ``next`` is the ``from`` of the following page, null at the end."""

    items: list[Value]
    next: str | None = None


def instant(text: str | None, field: str, default: int) -> int:
    """ISO 8601 of a query -> UTC ns. Raises DirectoryError naming the field."""
    if text is None:
        return default
    try:
        return parse_iso(text.replace(" ", "+"))
    except (ValueError, OverflowError) as error:
        raise DirectoryError(field=field, code="invalid", value=text) from error


@router.get("/readings")
async def list_readings(
    context: Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "reading", reads=True))],
    patient: Annotated[str | None, Query(description="patient id")] = None,
    device: Annotated[list[str] | None, Query(description="device ids")] = None,
    metric: Annotated[list[str] | None, Query(examples=["spo2"])] = None,
    from_: Annotated[str | None, Query(alias="from", examples=["2026-03-01T08:00:00Z"])] = None,
    to: Annotated[str | None, Query(description="exclusive", examples=["2026-03-01T09:00:00Z"])] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_READINGS)] = 1000,
    newest: Annotated[bool, Query(description="the newest of the range instead of the oldest")] = False,  # noqa: FBT002 - a query flag
) -> ReadingList:
    """Readings measured in ``[from, to)``, oldest first.

    More than ``limit`` readings: ``next`` is the time to go on from. A page never ends between two
    readings of the same microsecond, so it can exceed ``limit`` by those.
    """
    for key in metric or ():
        if key not in METRICS:
            raise DirectoryError(field="metric", code="unknown", value=key)
    start, end = instant(from_, "from", 0), instant(to, "to", 2**63 - 1)
    if end <= start:
        raise DirectoryError(field="to", code="period", value=to)
    query = ReadingQuery(
        patient=patient,
        devices=tuple(device or ()),
        metrics=tuple(metric or ()),
        start=start,
        end=end,
        limit=limit,
        newest=newest,
    )
    found = list(await context.backend.readings(context.scope, query))
    if newest or len(found) < limit:
        return ReadingList(items=found)
    return await _page(context, query, found)


async def _page(context: Context, query: ReadingQuery, found: list[Value]) -> ReadingList:
    """Complete the last microsecond (what ISO 8601 here can say) of a full page; find the next page."""
    last = found[-1].time // 1000 * 1000
    after = last + 1000
    rest = replace(query, start=max(last, query.start), end=min(after, query.end), limit=MAX_READINGS)
    items = [v for v in found if v.time < last]
    items += await context.backend.readings(context.scope, rest)
    if after >= query.end:
        return ReadingList(items=items)
    more = await context.backend.readings(context.scope, replace(query, start=after, limit=1))
    return ReadingList(items=items, next=iso(more[0].time) if more else None)
