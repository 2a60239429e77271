"""The table of outboxes: which boots each gateway has had, and when it was last taken for two."""

from __future__ import annotations

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base

__all__ = ["GatewayBoot"]


class GatewayBoot(Base):
    """An outbox of a gateway, known or not: when it was first and last heard of, and of which process.

    ``conflict_at`` is when another machine was last seen to use the same identity.
    """

    __tablename__ = "gateway_boots"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    first_seen: Mapped[int]
    last_seen: Mapped[int]
    last_session: Mapped[str]
    conflict_at: Mapped[int | None]
