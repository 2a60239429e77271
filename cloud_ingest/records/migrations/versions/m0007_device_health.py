"""Devices' health: daily sums, where each stands, findings, work orders, calibrations. Revision 0007."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _days()
    _standings()
    _findings()
    _work()
    op.create_table(
        "device_calibrations",
        *_text("tenant", "device"),
        *_number("calibrated", "every_days"),
        *_text("by"),
        *_number("at"),
        sa.CheckConstraint("every_days >= 1", name=op.f("ck_device_calibrations_every_days")),
        _of_tenant("device_calibrations"),
        sa.PrimaryKeyConstraint("tenant", "device", name=op.f("pk_device_calibrations")),
    )


def _text(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(), nullable=null) for name in names]


def _number(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), nullable=null) for name in names]


def _real(*names: str, null: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Double(), nullable=null) for name in names]


def _json(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.JSON(none_as_null=True), nullable=False)


def _of_tenant(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f(f"fk_{table}_tenant"))


def _days() -> None:
    op.create_table(
        "device_days",
        *_text("tenant"),
        sa.Column("day", sa.BigInteger(), nullable=False, autoincrement=False),
        *_text("device"),
        *_number("hours", "used", "span", "stored", "rejected", "repeated", "late", "dropouts"),
        _json("signals"),
        _of_tenant("device_days"),
        sa.PrimaryKeyConstraint("tenant", "day", "device", name=op.f("pk_device_days")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_device_days_tenant_device_day"), "device_days", ["tenant", "device", "day"])


def _standings() -> None:
    op.create_table(
        "device_standings",
        *_text("tenant", "device", "state", "cause"),
        *_number("since", "last_seen", "backlog", null=True),
        *_text("firmware"),
        *_real("rssi", "clock_skew_s", "battery", "days_left", "days_left_low", "days_left_high", null=True),
        *_number("hours_of_use"),
        _of_tenant("device_standings"),
        sa.PrimaryKeyConstraint("tenant", "device", name=op.f("pk_device_standings")),
    )


def _findings() -> None:
    op.create_table(
        "device_findings",
        *_text("tenant", "id", "device", "kind", "about"),
        _json("evidence"),
        *_real("confidence"),
        *_number("proposed", null=True),
        _json("text"),
        *_number("opened", "seen"),
        *_number("gone", "acknowledged_at", null=True),
        *_text("acknowledged_by", "work_order", null=True),
        sa.CheckConstraint("confidence >= 0 AND confidence <= 1", name=op.f("ck_device_findings_confidence")),
        _of_tenant("device_findings"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_device_findings")),
    )
    _only_where("ix_device_findings_held", "device_findings", ["device", "kind", "about"], "gone IS NULL")
    op.create_index(
        op.f("ix_device_findings_tenant_device_opened"), "device_findings", ["tenant", "device", "opened"]
    )


def _work() -> None:
    op.create_table(
        "work_orders",
        *_text("tenant", "id", "device", "kind"),
        *_text("finding", null=True),
        _json("text"),
        *_text("state"),
        *_number("due", null=True),
        *_number("opened"),
        *_text("opened_by", "assignee", null=True),
        *_number("done", null=True),
        *_text("done_by", null=True),
        *_number("told", null=True),
        sa.CheckConstraint("state IN ('open', 'assigned', 'done')", name=op.f("ck_work_orders_state")),
        sa.CheckConstraint("(state = 'done') = (done IS NOT NULL)", name=op.f("ck_work_orders_done")),
        _of_tenant("work_orders"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_work_orders")),
    )
    _only_where(
        "ix_work_orders_finding", "work_orders", ["finding"], "finding IS NOT NULL AND state <> 'done'"
    )
    op.create_index(
        op.f("ix_work_orders_tenant_device_opened"), "work_orders", ["tenant", "device", "opened"]
    )
    op.create_table(
        "work_notes",
        *_text("tenant", "work"),
        sa.Column("number", sa.BigInteger(), nullable=False, autoincrement=False),
        *_number("at"),
        *_text("by", null=True),
        *_text("do", "text"),
        sa.ForeignKeyConstraint(
            ["tenant", "work"],
            ["work_orders.tenant", "work_orders.id"],
            name=op.f("fk_work_notes_tenant_work"),
        ),
        sa.PrimaryKeyConstraint("tenant", "work", "number", name=op.f("pk_work_notes")),
    )


def _only_where(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(
        name, table, ["tenant", *columns], unique=True, sqlite_where=where, postgresql_where=where
    )
