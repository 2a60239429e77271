"""The table of alarms that gateways' own rules have opened."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base

__all__ = ["EdgeAlarm"]


class EdgeAlarm(Base):
    """An alarm as a gateway has told of it: ``id`` is its name there, ``alarm`` that of the alarm here.

    ``alarm`` is none where the rules here have made none of it. ``told``: annunciated at the gateway.
    ``config_version`` is the configuration by which it decided, if that was issued here; ``limit_text`` its
    limit, ``rule_hash`` its rule. ``decided`` is when it decided (its clock), ``received`` when its first
    word came. No foreign key to ``alarms``: their ids do not change, and a retention may come.
    """

    __tablename__ = "edge_alarms"
    __table_args__ = (Index(None, "tenant", "alarm"), Index(None, "tenant", "gateway", "onset"))
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    alarm: Mapped[str | None]
    gateway: Mapped[str]
    subject: Mapped[str]
    rule: Mapped[str]
    rule_hash: Mapped[str]
    limit_text: Mapped[str]
    onset: Mapped[int]
    started: Mapped[int]
    ended: Mapped[int | None]
    told: Mapped[bool]
    config: Mapped[str]
    config_version: Mapped[int | None]
    decided: Mapped[int]
    received: Mapped[int]
