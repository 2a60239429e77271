"""The table of tests that people have sent by a channel; no alarm is in it."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base

__all__ = ["ChannelTest"]


class ChannelTest(Base):
    """A test: by whom, where to (``me`` or ``@name``), and how it went; ``confirmed`` when a key came back.

    No foreign key to the user: the command line tests, too.
    """

    __tablename__ = "channel_tests"
    __table_args__ = (
        CheckConstraint("outcome IN ('handed_over', 'failed')", name="outcome"),
        Index(None, "tenant", "channel", "at"),
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str]
    at: Mapped[int]
    by: Mapped[str]
    target: Mapped[str]
    language: Mapped[str]
    text: Mapped[str]
    outcome: Mapped[str]
    detail: Mapped[str]
    latency_ms: Mapped[float]
    confirmed: Mapped[int | None]
