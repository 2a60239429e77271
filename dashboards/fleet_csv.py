"""The fleet's list and boards as CSV: what the filters keep, all of it, read and sent in pieces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from fastapi.responses import Response
from pydantic import BaseModel

from cloud_ingest.device_health.asking import AskedFleet, AskedSpan
from cloud_ingest.device_health.sums import REASONS
from dashboards.access import Context
from dashboards.csv_stream import stream_csv
from dashboards.fleet_models import DeviceRow, QualityRow, Utilisation
from hearthward.core.clock import iso

__all__ = ["devices_table", "quality_table", "use_table"]

Asked = TypeVar("Asked", AskedFleet, AskedSpan)
Row = TypeVar("Row", bound=BaseModel)
PIECE: Final = 1000
TIMES: Final = frozenset({"last_seen"})
SHARES: Final = tuple(name for name in QualityRow.model_fields if name != "reasons")


def devices_table(context: Context, asked: AskedFleet) -> Response:
    """Devices in use, in the order that is asked for."""

    async def piece(part: AskedFleet) -> Sequence[DeviceRow]:
        return (await context.backend.fleet(context.scope, part)).items

    names = tuple(DeviceRow.model_fields)
    return stream_csv(
        "fleet.csv",
        names,
        _lines(asked, piece, lambda row: [_cell(name, getattr(row, name)) for name in names]),
    )


def _cell(name: str, value: object) -> object:
    return iso(value) if name in TIMES and isinstance(value, int) else value


def quality_table(context: Context, asked: AskedSpan) -> Response:
    """The data-quality board, the worst first; a column for each reason of the quality gate."""

    async def piece(part: AskedSpan) -> Sequence[QualityRow]:
        return (await context.backend.data_quality(context.scope, part)).items

    def line(row: QualityRow) -> list[object]:
        return [*(getattr(row, name) for name in SHARES), *(row.reasons.get(name, 0) for name in REASONS)]

    return stream_csv("data-quality.csv", (*SHARES, *REASONS), _lines(asked, piece, line))


def use_table(context: Context, asked: AskedSpan) -> Response:
    """Hours of use, the least used first."""

    async def piece(part: AskedSpan) -> Sequence[Utilisation]:
        return (await context.backend.utilisation(context.scope, part))[0]

    names = tuple(Utilisation.model_fields)
    return stream_csv("use.csv", names, _lines(asked, piece, lambda row: [getattr(row, n) for n in names]))


async def _lines(
    asked: Asked,
    piece: Callable[[Asked], Awaitable[Sequence[Row]]],
    line: Callable[[Row], list[object]],
) -> AsyncIterator[Sequence[object]]:
    part = replace(asked, offset=0, limit=PIECE)
    while True:
        rows = await piece(part)
        for row in rows:
            yield line(row)
        if len(rows) < PIECE:
            return
        part = replace(part, offset=part.offset + PIECE)
