"""Trends of a patient, and the export of all readings as it streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from dashboards.access import Context, Guard
from dashboards.api.readings import instant
from dashboards.backend import DirectoryError
from dashboards.csv_stream import stream_csv
from dashboards.models import Value
from dashboards.problems import ERROR_RESPONSES, MissingError
from dashboards.trend_models import MAX_POINTS, Trend
from hearthward.core.clock import SECOND, iso
from hearthward.core.codes import METRICS
from hearthward.trust.access import Action

__all__ = ["DAY", "router", "seen_patient"]

router = APIRouter(prefix="/api/v1", tags=["readings"], responses=ERROR_RESPONSES)
DAY: Final = 86_400 * SECOND
LONGEST: Final = 400 * DAY
COLUMNS: Final = (
    *("time", "received", "metric", "value", "code", "unit", "device", "device_time", "quality"),
    *("source", "author", "group", "time_error_s"),
)
EARLIEST: Final = "1970-01-01T00:00:00Z"

See = Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "reading", reads=True))]
Export = Annotated[Context, Depends(Guard(Action.EXPORT_READINGS, "reading", reads=True))]
From = Annotated[
    str | None,
    Query(alias="from", description="a day before the end when left out", examples=["2026-03-01T08:00:00Z"]),
]
To = Annotated[
    str | None,
    Query(description="exclusive; now when left out", examples=["2026-03-01T09:00:00Z"]),
]


@router.get("/patients/{patient}/trend")
async def get_trend(
    context: See,
    patient: str,
    metric: Annotated[str, Query(examples=["spo2"])],
    from_: From = None,
    to: To = None,
    points: Annotated[int, Query(ge=1, le=MAX_POINTS, description="at most about so many")] = 600,
) -> Trend:
    """A patient's values summed up in buckets, with the limits that held and the alarms of that time."""
    if metric not in METRICS:
        raise DirectoryError(field="metric", code="unknown", value=metric)
    start, end = _period(context, from_, to)
    await seen_patient(context, patient)
    return await context.backend.trend(context.scope, patient, metric, start, end, points)


@router.get("/patients/{patient}/readings.csv", response_class=StreamingResponse)
async def get_readings_csv(
    context: Export,
    patient: str,
    metric: Annotated[list[str] | None, Query(examples=["spo2"], description="all when left out")] = None,
    from_: From = None,
    to: To = None,
) -> StreamingResponse:
    """Every reading of a period as a table (UTF-8, with a header), sent as it is read.

    For people only: what hangs on a wall shows values, and takes none away.
    """
    for key in metric or ():
        if key not in METRICS:
            raise DirectoryError(field="metric", code="unknown", value=key)
    start, end = _period(context, from_, to)
    await seen_patient(context, patient)
    batches = context.backend.export(context.scope, patient, metric or (), start, end)
    # a store that cannot be read now is an error, not half a file
    first: Sequence[Value] = await anext(batches, [])
    name = f"readings-{iso(start)[:10]}-{iso(end)[:10]}.csv"
    return stream_csv(name, COLUMNS, _rows(first, batches))


async def _rows(
    first: Sequence[Value], batches: AsyncIterator[Sequence[Value]]
) -> AsyncIterator[Sequence[object]]:
    for value in first:
        yield _row(value)
    async for batch in batches:
        for value in batch:
            yield _row(value)


def _row(v: Value) -> Sequence[object]:
    number = int(v.value) if v.value is not None and v.value.is_integer() else v.value
    who = v.author_name or v.author
    return (
        *(iso(v.time), iso(v.received), v.metric, number, v.code, v.unit, v.device, v.device_time),
        *(" ".join(v.quality), v.source, who, v.group, v.time_error_s),
    )


def _period(context: Context, from_: str | None, to: str | None) -> tuple[int, int]:
    """What is asked for. Raises DirectoryError naming the field."""
    end = instant(to, "to", context.backend.clock.now_ns())
    start = instant(from_, "from", end - DAY)
    if end <= start:
        raise DirectoryError(field="to", code="period", value=to or "")
    if start < 0:
        raise DirectoryError(field="from", code="bounds", value=EARLIEST)
    if end - start > LONGEST:
        raise DirectoryError(field="from", code="bounds", value=f"{LONGEST // DAY} d")
    return start, end


async def seen_patient(context: Context, patient: str) -> None:
    """Raise MissingError for a patient who is not in the caller's scope."""
    if await context.backend.item(context.scope, "patient", patient) is None:
        raise MissingError(kind="patient", key=patient)
