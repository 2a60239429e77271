"""Tests of channels, and what makes the burden of alarms and the state of channels quick to read.

Revision 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "channel_tests",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("confirmed", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("outcome IN ('handed_over', 'failed')", name=op.f("ck_channel_tests_outcome")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_channel_tests_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_channel_tests")),
    )
    op.create_index(op.f("ix_channel_tests_tenant_channel_at"), "channel_tests", ["tenant", "channel", "at"])
    op.create_index(op.f("ix_alarms_tenant_started"), "alarms", ["tenant", "started"])
    op.create_index(
        op.f("ix_notifications_tenant_channel_created"), "notifications", ["tenant", "channel", "created"]
    )
    op.create_index(
        op.f("ix_delivery_attempts_tenant_outcome_at"), "delivery_attempts", ["tenant", "outcome", "at"]
    )


def downgrade() -> None:
    """Refused, as all before it."""
    msg = "the record of tests cannot be undone: restore a copy of the database instead"
    raise NotImplementedError(msg)
