"""The tables of the loss ledger: what each outbox has given out, counts by device and hour, written off.

No foreign keys to gateways or devices: what strangers send is counted, too.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base

__all__ = ["OTHERS", "LedgerBook", "LedgerCount", "WriteOff"]

OTHERS: Final = text("kind NOT IN ('read', 'accepted', 'stored')")
"""All but the kinds of nearly all counts; an index finds these alone when asked for in these words."""


class LedgerBook(Base):
    """An outbox (boot) as its gateway last told: numbers given out, and how many of them wait.

    ``settled`` is the last number given out when nothing waited. ``accepted`` and ``told`` are none where the
    gateway has never told. ``heard`` is when something of it was last committed.
    """

    __tablename__ = "ledger_books"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    accepted: Mapped[int | None]
    backlog: Mapped[int]
    settled: Mapped[int]
    told: Mapped[int | None]
    heard: Mapped[int]


class LedgerCount(Base):
    """How many readings of a device came to what, by hours of their receipt at the gateway.

    ``hour`` counts UTC hours since 1970. Kinds of the edge's word (cumulative, the greatest holds): ``read``,
    ``accepted``, ``rejected:<reason>``, ``dropped:<reason>``. Of the cloud (added up): see
    ``cloud_ingest.loss_ledger``; of an engineer: ``written_off``.
    """

    __tablename__ = "ledger_counts"
    __table_args__ = (
        Index("ix_ledger_counts_others", "tenant", "hour", "n", sqlite_where=OTHERS, postgresql_where=OTHERS),
        {"sqlite_with_rowid": False},
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    hour: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int]


class WriteOff(Base):
    """Numbers of an outbox that somebody has closed the books on, and why. ``ranges`` are inclusive pairs."""

    __tablename__ = "write_offs"
    __table_args__ = (
        CheckConstraint("numbers >= 1", name="numbers"),
        Index(None, "tenant", "gateway", "boot"),
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str]
    boot: Mapped[str]
    ranges: Mapped[list[Any]]
    numbers: Mapped[int]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[int]
