"""Tables of what was refused, and of what was dropped for its age or number."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base, Seq

__all__ = ["DeadLetter", "Pruned"]


class DeadLetter(Base):
    """What was refused, with the reason: a whole message, or rows of a block that was receipted.

    Of rows, ``boot`` and ``seqs`` (ranges, msgpack: first, last, first, last...) say which readings they
    are; ``done`` (ranges, too) which of the rows, counted from 0, a replay has stored or judged. ``readings``
    is how many there are in it (0: not known). ``state`` is ``dead_letters.State``.
    """

    __tablename__ = "dead_letter"
    __table_args__ = (
        Index(None, "tenant", "at"),
        Index(None, "tenant", "reason", "state", "at"),
        Index(None, "tenant", "gateway", "at"),
        Index(None, "tenant", "id", "size", "boot", "state"),
    )
    id: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    tenant: Mapped[str]
    at: Mapped[int]
    gateway: Mapped[str | None]
    topic: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str]
    payload: Mapped[bytes]
    size: Mapped[int]
    boot: Mapped[str | None]
    seqs: Mapped[bytes | None]
    readings: Mapped[int]
    state: Mapped[str]
    done: Mapped[bytes | None]
    replayed_at: Mapped[int | None]
    replayed_by: Mapped[str | None]
    outcome: Mapped[str | None]


class Pruned(Base):
    """What was dropped for its age or number: how many rows of which table in all, and of dead letters why.

    ``before`` (UTC ns): no row from then on was dropped; a trigger lets go only delivery attempts from
    before. ``readings`` were in those rows.
    """

    __tablename__ = "pruned"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    what: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str] = mapped_column(primary_key=True)
    before: Mapped[int]
    rows: Mapped[int]
    readings: Mapped[int]
    at: Mapped[int]
