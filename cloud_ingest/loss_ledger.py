"""Counting for the loss ledger: what a batch of frames came to, by gateway, boot, device, hour and kind.

The counts are committed in the same transaction as the frames' ranges, and only of blocks whose ranges were
not committed before: each number of a boot is counted exactly once, whatever is repeated or crashes between.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from cloud_ingest.stores.base import Outcome
from hearthward.core.clock import SECOND
from hearthward.core.model import JUDGED, Quality, ReadingBatch, quality_names

if TYPE_CHECKING:
    from cloud_ingest.receipts import Source

__all__ = [
    "CLONE",
    "DECISIONS",
    "DOUBT",
    "DUPLICATE",
    "IMPLAUSIBLE",
    "LATE",
    "REFUSED",
    "STORED",
    "WAVES",
    "Count",
    "Tally",
    "hour_of",
]

STORED: Final = "stored"
DUPLICATE: Final = "duplicate"
"""The same reading was there already, from another number."""
LATE: Final = "late"
"""Received by the gateway more than a minute before it came here; a part of ``stored``."""
DOUBT: Final = "doubt:"
"""Followed by what the quality gate said of a stored reading: ``suspect`` or ``bad``, and each reason."""
IMPLAUSIBLE: Final = "implausible"
"""As such a word: something other than another signal speaks against the reading."""
REFUSED: Final = "refused:"
"""Followed by the reason why the cloud rejected it; an edge calls its own ``rejected:``."""
CLONE: Final = "clone"
"""Came under numbers that other readings have: not of this outbox, so not in its balance."""
DECISIONS: Final = "decisions"
"""Numbers that carry what the edge decided, not readings."""
WAVES: Final = "waves"
"""Numbers that carry chunks of waveforms, not readings."""
LATE_NS: Final = 60 * SECOND
_JUDGED: Final = int(JUDGED)
_OF_ITS_OWN: Final = int(JUDGED & ~(Quality.SUSPECT | Quality.BAD | Quality.DISAGREES))
_HOUR: Final = 3600 * SECOND


class Count(NamedTuple):
    """``n`` of ``kind`` for a device (empty: not known) in an hour (UTC hours since 1970)."""

    gateway: str
    boot: str
    device: str
    hour: int
    kind: str
    n: int


def hour_of(moment: int) -> int:
    """UTC ns -> UTC hours since 1970."""
    return moment // _HOUR


@lru_cache(maxsize=256)
def _doubts(judged: int) -> tuple[str, ...]:
    """The kinds that count the gate's verdict on one reading."""
    own = (IMPLAUSIBLE,) if judged & _OF_ITS_OWN else ()
    return tuple(DOUBT + word for word in (*quality_names(judged), *own))


class Tally:
    """The counts of one batch of frames."""

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str, str, int, str], int] = defaultdict(int)

    def __iter__(self) -> Iterator[Count]:
        return (Count(*key, n) for key, n in self._counts.items())

    def __len__(self) -> int:
        return len(self._counts)

    def stored(self, source: Source, batch: ReadingBatch, outcomes: Sequence[Outcome], now: int) -> None:
        """The store took a block's good rows. ``SAME`` counts as stored: it was never counted."""
        doubled = outcomes.count(Outcome.DUPLICATE)
        if doubled in {0, len(batch)}:
            self._rows(source, batch, DUPLICATE if doubled else STORED)
            fresh = batch.received if not doubled else []
            if fresh and min(fresh) < now - LATE_NS:
                self._late(source, batch.device, fresh, now)
            if fresh:
                self._doubted(source, batch, range(len(batch)))
            return
        for double in (False, True):
            rows = [i for i, o in enumerate(outcomes) if (o is Outcome.DUPLICATE) is double]
            devices, received = [batch.device[i] for i in rows], [batch.received[i] for i in rows]
            self._add(source, devices, received, DUPLICATE if double else STORED)
            if not double:
                self._late(source, devices, received, now)
                self._doubted(source, batch, rows)

    def refused(self, source: Source, batch: ReadingBatch, reason: str) -> None:
        """These rows are dead-lettered."""
        self._rows(source, batch, REFUSED + reason)

    def unreadable(self, source: Source, n: int, reason: str, now: int) -> None:
        """A block of ``n`` readings is dead-lettered unread: nobody knows whose they were."""
        self._counts[*source, "", hour_of(now), REFUSED + reason] += n

    def let_in(self, source: Source, batch: ReadingBatch, reason: str) -> None:
        """These rows were dead-lettered, and a replay has let them in: they are refused no more."""
        for device, at in zip(batch.device, batch.received, strict=True):
            self._counts[*source, device, hour_of(at), REFUSED + reason] -= 1

    def read_at_last(self, source: Source, n: int, reason: str, at: int) -> None:
        """A block that could not be read at ``at`` can be now: its rows are counted as what they are."""
        self._counts[*source, "", hour_of(at), REFUSED + reason] -= n

    def cloned(self, source: Source, n: int, now: int) -> None:
        """A clone's block of ``n`` readings is dead-lettered."""
        self._counts[*source, "", hour_of(now), CLONE] += n

    def decided(self, source: Source, n: int, now: int) -> None:
        """A block of ``n`` decisions was committed."""
        self._counts[*source, "", hour_of(now), DECISIONS] += n

    def sampled(self, source: Source, n: int, now: int) -> None:
        """A block of ``n`` chunks of waveforms was committed."""
        self._counts[*source, "", hour_of(now), WAVES] += n

    def _rows(self, source: Source, batch: ReadingBatch, kind: str) -> None:
        self._add(source, batch.device, batch.received, kind)

    def _late(self, source: Source, devices: Sequence[str], received: Sequence[int], now: int) -> None:
        rows = [i for i, at in enumerate(received) if at < now - LATE_NS]
        self._add(source, [devices[i] for i in rows], [received[i] for i in rows], LATE)

    def _doubted(self, source: Source, batch: ReadingBatch, rows: Sequence[int]) -> None:
        """What the gate said of readings that were stored."""
        if not any(map(_JUDGED.__and__, batch.quality)):
            return
        for i in rows:
            if judged := batch.quality[i] & _JUDGED:
                hour = hour_of(batch.received[i])
                for kind in _doubts(judged):
                    self._counts[*source, batch.device[i], hour, kind] += 1

    def _add(self, source: Source, devices: Sequence[str], received: Sequence[int], kind: str) -> None:
        if not devices:
            return
        gateway, boot = source
        counts, hour = self._counts, hour_of(min(received))
        if hour == hour_of(max(received)):
            for device, n in Counter(devices).items():
                counts[gateway, boot, device, hour, kind] += n
            return
        for device, at in zip(devices, received, strict=True):
            counts[gateway, boot, device, hour_of(at), kind] += 1
