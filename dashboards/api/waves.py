"""Waveforms of a patient: which there are, the samples of a period, and these as a table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from dashboards.access import Context, Guard
from dashboards.api.readings import instant
from dashboards.api.trends import seen_patient
from dashboards.backend import DirectoryError
from dashboards.csv_stream import stream_csv
from dashboards.problems import ERROR_RESPONSES, MissingError
from dashboards.wave_models import LONGEST_NS, MAX_POINTS, WaveHeld, WavePiece, WaveView
from hearthward.core.clock import SECOND, iso
from hearthward.core.codes import METRICS
from hearthward.trust.access import Action

__all__ = ["router", "wave_metric"]

router = APIRouter(prefix="/api/v1", tags=["readings"], responses=ERROR_RESPONSES)
USUAL_NS: Final = 10 * SECOND
COLUMNS: Final = ("time", "value", "unit", "device", "quality")
EARLIEST: Final = "1970-01-01T00:00:00Z"

See = Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "reading", reads=True))]
Export = Annotated[Context, Depends(Guard(Action.EXPORT_READINGS, "reading", reads=True))]
From = Annotated[
    str | None,
    Query(alias="from", description="ten seconds before the end when left out"),
]
To = Annotated[str | None, Query(description="exclusive; now when left out")]


@router.get("/patients/{patient}/waves")
async def get_waves(context: See, patient: str) -> list[WaveHeld]:
    """Which waveforms of a patient are stored, and from when until when; they are kept for some days only."""
    await seen_patient(context, patient)
    return list(await context.backend.waves(context.scope, patient))


@router.get("/patients/{patient}/waves/{metric}")
async def get_wave(
    context: See,
    patient: str,
    metric: str,
    from_: From = None,
    to: To = None,
    points: Annotated[
        int, Query(ge=1, le=MAX_POINTS, description="buckets of an envelope, at most about so many")
    ] = 1200,
) -> WaveView:
    """Every sample of up to a minute, or of up to an hour the lowest and highest value of each bucket.

    What is missing is said in ``gaps``; no value is made up.
    """
    wave_metric(metric)
    start, end = _period(context, from_, to)
    await seen_patient(context, patient)
    return await context.backend.wave(context.scope, patient, metric, start, end, points)


@router.get("/patients/{patient}/waves/{metric}/samples.csv", response_class=StreamingResponse)
async def get_samples_csv(
    context: Export, patient: str, metric: str, from_: From = None, to: To = None
) -> StreamingResponse:
    """Every sample of up to an hour as a table (UTF-8, with a header), sent as it is read."""
    wave_metric(metric)
    start, end = _period(context, from_, to)
    await seen_patient(context, patient)
    batches = context.backend.wave_samples(context.scope, patient, metric, start, end)
    # a store that cannot be read now is an error, not half a file
    first: Sequence[WavePiece] = await anext(batches, [])
    name = f"{metric}-{iso(start)[:19].replace(':', '')}.csv"
    return stream_csv(name, COLUMNS, _rows(METRICS[metric].unit, first, batches))


async def _rows(
    unit: str | None, first: Sequence[WavePiece], batches: AsyncIterator[Sequence[WavePiece]]
) -> AsyncIterator[Sequence[object]]:
    for piece in first:
        for row in _rows_of(unit, piece):
            yield row
    async for batch in batches:
        for piece in batch:
            for row in _rows_of(unit, piece):
                yield row


def _rows_of(unit: str | None, piece: WavePiece) -> list[Sequence[object]]:
    quality = " ".join(piece.quality)
    return [
        (iso(piece.start + round(i * piece.step)), value, piece.unit or unit, piece.device, quality)
        for i, value in enumerate(piece.values)
    ]


def wave_metric(metric: str) -> str:
    """The metric's name. Raises MissingError for what is no waveform."""
    known = METRICS.get(metric)
    if known is None or known.kind != "wave":
        raise MissingError(kind="metric", key=metric)
    return metric


def _period(context: Context, from_: str | None, to: str | None) -> tuple[int, int]:
    """What is asked for. Raises DirectoryError naming the field."""
    end = instant(to, "to", context.backend.clock.now_ns())
    start = instant(from_, "from", end - USUAL_NS)
    if end <= start:
        raise DirectoryError(field="to", code="period", value=to or "")
    if start < 0:
        raise DirectoryError(field="from", code="bounds", value=EARLIEST)
    if end - start > LONGEST_NS:
        raise DirectoryError(field="from", code="bounds", value=f"{LONGEST_NS // SECOND} s")
    return start, end
