"""Delivery without loss: books of what came, what was dead-lettered, what gateways decided, who they are.

Revision 0005.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


AGED_ONLY = """
CREATE TRIGGER delivery_attempts_no_delete BEFORE DELETE ON delivery_attempts
WHEN NOT EXISTS (
  SELECT 1 FROM pruned WHERE tenant = OLD.tenant AND what = 'delivery_attempts' AND OLD.at < "before"
)
BEGIN SELECT RAISE(ABORT, 'delivery_attempts is append-only'); END
"""
POSTGRESQL_AGED_ONLY = """
CREATE FUNCTION hearthward_aged_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
  IF TG_OP = 'DELETE' THEN
    IF EXISTS (
      SELECT 1 FROM pruned WHERE tenant = OLD.tenant AND what = 'delivery_attempts' AND OLD.at < "before"
    ) THEN RETURN OLD; END IF;
  END IF;
  RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only';
END $$
"""
POSTGRESQL_AGED = """
CREATE TRIGGER delivery_attempts_aged_only BEFORE UPDATE OR DELETE ON delivery_attempts
FOR EACH ROW EXECUTE FUNCTION hearthward_aged_only()
"""
POSTGRESQL_WHOLE = """
CREATE TRIGGER delivery_attempts_never_whole BEFORE TRUNCATE ON delivery_attempts
FOR EACH STATEMENT EXECUTE FUNCTION hearthward_aged_only()
"""


def upgrade() -> None:
    """Apply."""
    _dead_letters()
    _retention()
    _loss_ledger()
    _configurations()
    _lineage()
    _edge_alarms()


def _dead_letters() -> None:
    """Dead letters are replayed: which readings they are, and what became of them."""
    for column in (
        sa.Column("size", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("boot", sa.String(), nullable=True),
        sa.Column("seqs", sa.LargeBinary(), nullable=True),
        sa.Column("readings", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("state", sa.String(), nullable=False, server_default="kept"),
        sa.Column("done", sa.LargeBinary(), nullable=True),
        sa.Column("replayed_at", sa.BigInteger(), nullable=True),
        sa.Column("replayed_by", sa.String(), nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
    ):
        op.add_column("dead_letter", column)
    op.execute("UPDATE dead_letter SET size = length(payload)")
    op.create_index(
        op.f("ix_dead_letter_tenant_reason_state_at"), "dead_letter", ["tenant", "reason", "state", "at"]
    )
    op.create_index(op.f("ix_dead_letter_tenant_gateway_at"), "dead_letter", ["tenant", "gateway", "at"])
    op.create_index(
        op.f("ix_dead_letter_tenant_id_size_boot_state"),
        "dead_letter",
        ["tenant", "id", "size", "boot", "state"],
    )


def _retention() -> None:
    """What was dropped for its age is counted, and only by that count a delivery attempt may go."""
    op.create_table(
        "pruned",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("before", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("readings", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_pruned_tenant")),
        sa.PrimaryKeyConstraint("tenant", "what", "reason", name=op.f("pk_pruned")),
    )
    op.create_index(op.f("ix_notifications_tenant_created"), "notifications", ["tenant", "created"])
    op.create_index(op.f("ix_delivery_attempts_tenant_at"), "delivery_attempts", ["tenant", "at"])
    op.create_index(op.f("ix_inactivations_tenant_ended"), "inactivations", ["tenant", "ended"])
    if op.get_context().dialect.name == "postgresql":
        op.execute("DROP TRIGGER delivery_attempts_append_only ON delivery_attempts")
        op.execute(POSTGRESQL_AGED_ONLY)
        op.execute(POSTGRESQL_AGED)
        op.execute(POSTGRESQL_WHOLE)
        return
    op.execute("DROP TRIGGER delivery_attempts_no_delete")
    op.execute(AGED_ONLY)


def _loss_ledger() -> None:
    """What each outbox has given out, counts by device and hour, and what was written off."""

    def tenant() -> sa.Column[str]:
        return sa.Column("tenant", sa.String(), nullable=False)

    op.create_table(
        "ledger_books",
        tenant(),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("accepted", sa.BigInteger(), nullable=True),
        sa.Column("backlog", sa.BigInteger(), nullable=False),
        sa.Column("settled", sa.BigInteger(), nullable=False),
        sa.Column("told", sa.BigInteger(), nullable=True),
        sa.Column("heard", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_ledger_books_tenant")),
        sa.PrimaryKeyConstraint("tenant", "gateway", "boot", name=op.f("pk_ledger_books")),
    )
    op.create_table(
        "ledger_counts",
        tenant(),
        sa.Column("hour", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_ledger_counts_tenant")),
        sa.PrimaryKeyConstraint(
            "tenant", "hour", "gateway", "boot", "device", "kind", name=op.f("pk_ledger_counts")
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "write_offs",
        tenant(),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("ranges", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("numbers", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("numbers >= 1", name=op.f("ck_write_offs_numbers")),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_write_offs_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_write_offs")),
    )
    op.create_index(op.f("ix_write_offs_tenant_gateway_boot"), "write_offs", ["tenant", "gateway", "boot"])
    op.create_index(op.f("ix_gaps_tenant_at"), "gaps", ["tenant", "at"])


def _configurations() -> None:
    """Since when each gateway runs its configuration; of former ones only number and digest are kept."""
    op.add_column("gateways", sa.Column("config_applied_at", sa.BigInteger(), nullable=True))


def _lineage() -> None:
    """Which outboxes each gateway has had, and when two machines were seen under its name."""
    op.create_table(
        "gateway_boots",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_session", sa.String(), nullable=False),
        sa.Column("conflict_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_gateway_boots_tenant")),
        sa.PrimaryKeyConstraint("tenant", "gateway", "boot", name=op.f("pk_gateway_boots")),
    )


def _edge_alarms() -> None:
    """Alarms that gateways' own rules have opened, and which alarms here they are."""
    op.create_table(
        "edge_alarms",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=True),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("rule_hash", sa.String(), nullable=False),
        sa.Column("limit_text", sa.String(), nullable=False),
        sa.Column("onset", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("told", sa.Boolean(), nullable=False),
        sa.Column("config", sa.String(), nullable=False),
        sa.Column("config_version", sa.BigInteger(), nullable=True),
        sa.Column("decided", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_edge_alarms_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_edge_alarms")),
    )
    op.create_index(op.f("ix_edge_alarms_tenant_alarm"), "edge_alarms", ["tenant", "alarm"])
    columns = ["tenant", "gateway", "onset"]
    op.create_index(op.f("ix_edge_alarms_tenant_gateway_onset"), "edge_alarms", columns)


def downgrade() -> None:
    """Refused, as all before it."""
    msg = "the books of what came cannot be undone: restore a copy of the database instead"
    raise NotImplementedError(msg)
