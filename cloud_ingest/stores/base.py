"""The time-series store as a port: it takes and gives columns, and writing twice is writing once."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol

from cloud_ingest.stores.summaries import Summary
from hearthward.core.errors import StoreRejected
from hearthward.core.model import Reading, ReadingBatch

__all__ = [
    "FOREVER",
    "Delivery",
    "Origins",
    "Outcome",
    "Tell",
    "TimeSeriesStore",
    "check_delivery",
    "in_order",
    "marks",
]

FOREVER: Final = 2**63 - 1
"""An end after all times."""
_LIMIT: Final = 2**63

Tell = Callable[[str | None], None]
"""Is told what keeps a store from working as it should, and None once nothing does."""


class Outcome(IntEnum):
    """What became of one row that was appended."""

    NEW = 0
    SAME = 1
    """This very origin (gateway, boot, seq) had stored it before."""
    DUPLICATE = 2
    """The same reading is there already, from another sequence number."""


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the rows of a batch come from: one gateway and boot, and each row's sequence number."""

    gateway: str
    boot: str
    seqs: Sequence[int]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A batch and its origins: one unit of ``append_many``."""

    batch: ReadingBatch
    origins: Origins


class TimeSeriesStore(Protocol):
    """Keeps readings under the key (tenant, device, metric, key time, record or else digest, ordinal)."""

    durable_ack: bool
    """Whether ``append`` returns only when a power cut cannot take the rows back.

    A store of which this is not so stands behind ``spool.SpooledStore``, never behind a receipt.
    """

    async def append(self, tenant: str, batch: ReadingBatch, origin: Origins) -> list[Outcome]:
        """Store a batch in one transaction; one Outcome a row, in order.

        Raises StoreUnavailable (nothing of it is stored; try again) and StoreRejected (a row that can never
        be stored; nothing of the batch is).
        """
        ...

    async def append_many(self, tenant: str, deliveries: Sequence[Delivery]) -> list[list[Outcome]]:
        """Like ``append`` for several origins in ONE transaction: one commit for all of them.

        A server that has no transactions may keep some when this raises: what is appended again then is
        SAME, and nothing is there twice.
        """
        ...

    async def read(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None,
        start: int,
        end: int,
        *,
        limit: int | None = None,
        newest: bool = False,
    ) -> ReadingBatch:
        """Readings with ``start <= corrected < end``, ordered by corrected time.

        ``metrics`` None means all. With ``limit`` only the first so many, with ``newest`` the last so many.
        """
        ...

    async def latest(self, tenant: str, devices: Sequence[str]) -> ReadingBatch:
        """The newest reading of each device and metric."""
        ...

    async def count(
        self,
        tenant: str,
        devices: Sequence[str],
        metrics: Sequence[str] | None = None,
        start: int = 0,
        end: int = FOREVER,
    ) -> int:
        """How many readings ``read`` would give without a limit."""
        ...

    async def summaries(
        self, tenant: str, device: str, metric: str, start: int, end: int, step: int
    ) -> list[Summary]:
        """Values with ``start <= corrected < end`` summed up in buckets of ``step`` ns, by time.

        Buckets begin at multiples of ``step``; one without a value is left out; see ``summaries``. Raises
        StoreRejected for a step that is not positive.
        """
        ...

    async def run(self, tell: Tell) -> None:
        """Do what the store does in the background, until cancelled; returns at once if that is nothing."""
        ...

    async def close(self) -> None:
        """Finish what was begun and release everything; the store cannot be used afterwards."""
        ...


def marks(batch: ReadingBatch) -> list[int]:
    """The key's column "record or else digest": records as negative numbers, digests as they are (>= 0)."""
    return [d if r is None else -1 - r for r, d in zip(batch.record, batch.digest, strict=True)]


def in_order(reading: Reading) -> tuple[int, int, str, int, str]:
    """Sort by this: the order in which readings are given."""
    return reading.corrected, reading.received, reading.device, reading.ordinal, reading.metric


def check_delivery(delivery: Delivery) -> None:
    """Refuse what no store may take. Raises StoreRejected naming the column."""
    batch, seqs = delivery.batch, delivery.origins.seqs
    if len(seqs) != len(batch):
        msg = f"{len(batch)} readings with {len(seqs)} sequence numbers"
        raise StoreRejected(msg, column="seq")
    for name in ("received", "corrected", "digest", "ordinal", "group", "source", "quality"):
        column = getattr(batch, name)
        if column and not (min(column) >= 0 and max(column) < _LIMIT):
            msg = f"{name} outside 0..2^63-1"
            raise StoreRejected(msg, column=name)
    for name in ("device_time", "record", "error"):
        if any(v is not None and not 0 <= v < _LIMIT for v in getattr(batch, name)):
            msg = f"{name} outside 0..2^63-1"
            raise StoreRejected(msg, column=name)
    if any(v is not None and not math.isfinite(v) for v in batch.value):
        msg = "a value that is no finite number"
        raise StoreRejected(msg, column="value")
    if not all(batch.device) or not all(batch.metric):
        msg = "a reading without device or metric"
        raise StoreRejected(msg, column="device")
