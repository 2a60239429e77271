"""Service by hours of use; whose a work order was before, and which steps were told. Revision 0010."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

GIVEN: Final = """
UPDATE work_orders SET assigned = (
  SELECT max(n.at) FROM work_notes n
  WHERE n.tenant = work_orders.tenant AND n.work = work_orders.id AND n."do" = 'assign')
WHERE assignee IS NOT NULL
"""
TOLD: Final = """
UPDATE work_notes SET told = at WHERE "do" <> 'open' OR EXISTS (
  SELECT 1 FROM work_orders o
  WHERE o.tenant = work_notes.tenant AND o.id = work_notes.work AND o.told IS NOT NULL)
"""
"""What other systems had not been told of is still told; steps of before are not told after all."""
CALIBRATED: Final = {
    "sqlite": "json_extract(evidence, '$.calibrated')",
    "postgresql": "evidence ->> 'calibrated'",
}
"""Findings of calibrations are told apart by the day of the last one from now on."""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "device_services",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("serviced", sa.BigInteger(), nullable=True),
        sa.Column("every_hours", sa.BigInteger(), nullable=True),
        sa.Column("hours_before", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("hours_since", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
        sa.Column("by", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("every_hours >= 1", name=op.f("ck_device_services_every_hours")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_device_services_tenant")),
        sa.PrimaryKeyConstraint("tenant", "device", name=op.f("pk_device_services")),
    )
    op.add_column("device_calibrations", sa.Column("every_hours", sa.BigInteger(), nullable=True))
    op.add_column(
        "device_calibrations",
        sa.Column("hours_since", sa.BigInteger(), nullable=False, server_default=sa.text("0")),
    )
    op.add_column("work_orders", sa.Column("assigned", sa.BigInteger(), nullable=True))
    op.add_column("work_notes", sa.Column("before", sa.String(), nullable=True))
    op.add_column("work_notes", sa.Column("told", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_work_notes_tenant_at"), "work_notes", ["tenant", "at"])
    op.execute(GIVEN)
    op.execute(TOLD)
    day = CALIBRATED[op.get_bind().dialect.name]
    op.execute(f"UPDATE device_findings SET about = coalesce({day}, '') WHERE kind = 'calibration'")  # noqa: S608
    op.drop_column("work_orders", "told")
