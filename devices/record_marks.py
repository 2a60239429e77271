"""What tells a device's records apart: number and content, their own time, or one connection. Pure."""

from __future__ import annotations

from itertools import groupby

from devices.racp import Record
from hearthward.core.ids import digest63
from hearthward.core.model import Quality, ReadingBatch

__all__ = ["identity", "numbered", "records_of"]


def records_of(batch: ReadingBatch) -> list[Record]:
    """The numbered records of one payload, in its order."""
    out = []
    for number, rows in groupby(range(len(batch)), key=lambda i: batch.record[i]):
        if number is None:
            continue
        said = [(batch.metric[i], batch.value[i], batch.code[i], batch.device_time[i]) for i in rows]
        at = max((time or 0 for _, _, _, time in said), default=0)
        out.append(Record(number, digest63(repr(said).encode()), at))
    return out


def identity(batch: ReadingBatch) -> int | None:
    """What tells this payload from all others; None when only its receive time does."""
    if not len(batch) or any(
        time is None or quality & Quality.CLOCK_UNSET
        for time, quality in zip(batch.device_time, batch.quality, strict=True)
    ):
        return None
    said = (batch.device_time, batch.record, batch.metric, batch.value, batch.code, batch.digest)
    return digest63(repr(said).encode())


def numbered(source: str, batch: ReadingBatch) -> int | None:
    """What tells this payload from others of its source on one connection; None when it has no numbers."""
    if not len(batch) or None in batch.record:
        return None
    said = (source, batch.record, batch.metric, batch.value, batch.code)
    return digest63(repr(said).encode())
