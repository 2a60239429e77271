"""The tables of devices' health: daily sums, where each stands, what was found, and the work on them.

No foreign keys to devices: what was found of one is kept when its row is put right. A day is a number of
whole UTC days since 1970.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base

__all__ = [
    "DeviceCalibration",
    "DeviceDay",
    "DeviceFinding",
    "DeviceService",
    "DeviceStanding",
    "WorkNote",
    "WorkOrder",
]

_HELD: Any = text("gone IS NULL")
_UNDONE: Any = text("finding IS NOT NULL AND state <> 'done'")


class DeviceDay(Base):
    """A device's day as ``device_health.sums.DaySums``; ``used`` counts the bits of ``hours``.

    What the quality gate said stands in a column each. ``signals`` is
    signal -> [count, mean, low, high, last].
    """

    __tablename__ = "device_days"
    __table_args__ = (
        Index(None, "tenant", "device", "day"),
        {"sqlite_with_rowid": False},
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    day: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    device: Mapped[str] = mapped_column(primary_key=True)
    hours: Mapped[int]
    used: Mapped[int]
    span: Mapped[int]
    stored: Mapped[int]
    rejected: Mapped[int]
    repeated: Mapped[int]
    late: Mapped[int]
    dropouts: Mapped[int]
    suspect: Mapped[int] = mapped_column(default=0, server_default="0")
    bad: Mapped[int] = mapped_column(default=0, server_default="0")
    implausible: Mapped[int] = mapped_column(default=0, server_default="0")
    impossible: Mapped[int] = mapped_column(default=0, server_default="0")
    dropout: Mapped[int] = mapped_column(default=0, server_default="0")
    zero: Mapped[int] = mapped_column(default=0, server_default="0")
    jump: Mapped[int] = mapped_column(default=0, server_default="0")
    spikes: Mapped[int] = mapped_column(default=0, server_default="0")
    flat: Mapped[int] = mapped_column(default=0, server_default="0")
    disagrees: Mapped[int] = mapped_column(default=0, server_default="0")
    signals: Mapped[dict[str, Any]]


class DeviceStanding(Base):
    """Where a device stands now, as it was last looked at: what lists are searched and sorted by."""

    __tablename__ = "device_standings"
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(default="unknown")
    cause: Mapped[str] = mapped_column(default="none")
    since: Mapped[int | None]
    last_seen: Mapped[int | None]
    backlog: Mapped[int | None]
    firmware: Mapped[str] = mapped_column(default="")
    rssi: Mapped[float | None]
    clock_skew_s: Mapped[float | None]
    battery: Mapped[float | None]
    days_left: Mapped[float | None]
    days_left_low: Mapped[float | None]
    days_left_high: Mapped[float | None]
    hours_of_use: Mapped[int] = mapped_column(default=0)


class DeviceFinding(Base):
    """One thing found of a device; ``about`` tells several of one kind apart, such as the metric."""

    __tablename__ = "device_findings"
    __table_args__ = (
        CheckConstraint("confidence >= 0 AND confidence <= 1", name="confidence"),
        Index(
            "ix_device_findings_held",
            "tenant",
            "device",
            "kind",
            "about",
            unique=True,
            sqlite_where=_HELD,
            postgresql_where=_HELD,
        ),
        Index(None, "tenant", "device", "opened"),
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]
    kind: Mapped[str]
    about: Mapped[str]
    evidence: Mapped[dict[str, Any]]
    confidence: Mapped[float]
    proposed: Mapped[int | None]
    text: Mapped[dict[str, Any]]
    opened: Mapped[int]
    seen: Mapped[int]
    gone: Mapped[int | None]
    acknowledged_at: Mapped[int | None]
    acknowledged_by: Mapped[str | None]
    work_order: Mapped[str | None]


class WorkOrder(Base):
    """Work on a device; ``opened_by`` None: a rule. ``text`` is by language. ``assigned``: since when."""

    __tablename__ = "work_orders"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'assigned', 'done')", name="state"),
        CheckConstraint("(state = 'done') = (done IS NOT NULL)", name="done"),
        Index(
            "ix_work_orders_finding",
            "tenant",
            "finding",
            unique=True,
            sqlite_where=_UNDONE,
            postgresql_where=_UNDONE,
        ),
        Index(None, "tenant", "device", "opened"),
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]
    kind: Mapped[str]
    finding: Mapped[str | None]
    text: Mapped[dict[str, Any]]
    state: Mapped[str]
    due: Mapped[int | None]
    opened: Mapped[int]
    opened_by: Mapped[str | None]
    assignee: Mapped[str | None]
    assigned: Mapped[int | None]
    done: Mapped[int | None]
    done_by: Mapped[str | None]


class WorkNote(Base):
    """What was done with a work order, or written about it; ``by`` None: a rule.

    ``before`` is the name of who had it before it was given to another; ``told``: when all webhooks had it.
    """

    __tablename__ = "work_notes"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "work"], ["work_orders.tenant", "work_orders.id"]),
        Index(None, "tenant", "at"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    work: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[int]
    by: Mapped[str | None]
    do: Mapped[str]
    text: Mapped[str]
    before: Mapped[str | None]
    told: Mapped[int | None]


class DeviceCalibration(Base):
    """When a device was last calibrated, and how often that is due: by days, and by hours of use if given.

    ``hours_since`` are hours of use since then on days that are kept no longer.
    """

    __tablename__ = "device_calibrations"
    __table_args__ = (CheckConstraint("every_days >= 1", name="every_days"),)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    calibrated: Mapped[int]
    every_days: Mapped[int]
    every_hours: Mapped[int | None]
    hours_since: Mapped[int] = mapped_column(default=0, server_default="0")
    by: Mapped[str]
    at: Mapped[int]


class DeviceService(Base):
    """When a device was last serviced (None: nobody has said), and after how many hours of use that is due.

    ``every_hours`` None: as its profile has it in the settings. ``hours_before`` are all hours of use on days
    that are kept no longer, ``hours_since`` those of them since the service.
    """

    __tablename__ = "device_services"
    __table_args__ = (CheckConstraint("every_hours >= 1", name="every_hours"),)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    device: Mapped[str] = mapped_column(primary_key=True)
    serviced: Mapped[int | None]
    every_hours: Mapped[int | None]
    hours_before: Mapped[int] = mapped_column(default=0, server_default="0")
    hours_since: Mapped[int] = mapped_column(default=0, server_default="0")
    by: Mapped[str | None]
    at: Mapped[int | None]
