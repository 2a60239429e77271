"""What tells a device's records apart: number and content, their own time, or one connection. Pure."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from devices.racp import Record
from hearthward.core.ids import digest63
from hearthward.core.model import Quality, ReadingBatch

__all__ = ["Telling", "identity", "numbered", "records_of"]

PLACES: Final = 65_536
"""Records of one telling that are known by their place at most."""


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


class Telling:
    """Records without number or time, in the order of a store that is told as a whole each time.

    As long as they come as they came the time before they are those of then; what differs, and all that
    follows it, is taken for new. A store that was emptied and measures just the same is not told from that.
    """

    def __init__(self) -> None:
        self._before: list[int] = []
        self._now: list[int] = []
        self._same = True

    def begin(self) -> None:
        """The store is told anew; one that was broken off is part of the one before."""
        if self._now != self._before[: len(self._now)]:
            self._before = self._now
        self._now, self._same = [], True

    def again(self, source: str, batch: ReadingBatch) -> bool:
        """Whether the next record is the one that came at this place the time before."""
        said = (source, batch.metric, batch.value, batch.code, batch.quality)
        mark, place = digest63(repr(said).encode()), len(self._now)
        if place >= PLACES:
            return False
        self._now.append(mark)
        self._same = self._same and self._before[place : place + 1] == [mark]
        return self._same

    def forget(self) -> None:
        """One was lost on its way: all are to be told again."""
        self._before, self._now, self._same = [], [], False
