"""CSV that leaves as it is made: a bounded number of rows in memory, whatever the length of the list."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from fastapi.responses import StreamingResponse

__all__ = ["stream_csv"]

BATCH: Final = 500
FIRST: Final = 50
"""So many lines make the first batch: a download begins at once, but not before rows were read."""
MARK: Final = "\ufeff"
"""Without it spreadsheet programs take UTF-8 for something else."""
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def stream_csv(name: str, header: Sequence[str], rows: AsyncIterator[Sequence[object]]) -> StreamingResponse:
    """A download called ``name``. ``None`` is an empty cell; no cell is a formula to a spreadsheet."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(header, rows), media_type="text/csv; charset=utf-8", headers=headers)


async def _lines(header: Sequence[str], rows: AsyncIterator[Sequence[object]]) -> AsyncIterator[str]:
    batch: list[Sequence[object]] = [header]
    mark, size = MARK, FIRST
    async for row in rows:
        batch.append(row)
        if len(batch) >= size:
            yield mark + _text(batch)
            batch, mark, size = [], "", BATCH
    if batch:
        yield mark + _text(batch)


def _text(rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([[_cell(value) for value in row] for row in rows])
    return out.getvalue()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    harmless = not isinstance(value, str) or not text.startswith(FORMULA)
    return text if harmless else f"'{text}"
