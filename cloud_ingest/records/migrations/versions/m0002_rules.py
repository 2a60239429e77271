"""Limits and orders of patients, releases of rules, and what the new rules say of an alarm.

Revision 0002. SQLite cannot change a check of a table: there ``alarms`` is built anew under its own name.
Its rows are put back before the transaction ends, so that no foreign key to it is ever left open.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)
CONDITION = "condition IN ('inactive', 'asked', 'pending', 'active')"
KIND = "kind IN ('physiological', 'technical')"
PRIORITY = "priority IN ('high', 'medium', 'low')"
OLD_ALARM = (
    "tenant, id, patient, rule, rule_hash, priority, condition, onset, started, ended, accepted_by, "
    "accepted_at, text_en, text_zh, limit_text, values_json, late, worklist, last_transition, last_seq"
)
SQLITE_TRIGGER = """
CREATE TRIGGER rule_versions_no_{verb} BEFORE {verb} ON rule_versions
BEGIN SELECT RAISE(ABORT, 'rule_versions is append-only'); END
"""
POSTGRESQL_TRIGGER = """
CREATE TRIGGER rule_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON rule_versions
FOR EACH STATEMENT EXECUTE FUNCTION hearthward_append_only()
"""


def upgrade() -> None:
    """Apply."""
    false, empty = sa.false(), sa.text("'{}'")
    op.add_column("patients", sa.Column("pregnant", sa.Boolean(), nullable=False, server_default=false))
    op.add_column("transitions", sa.Column("shadow", sa.Boolean(), nullable=False, server_default=false))
    op.add_column("transitions", sa.Column("detail", JSON, nullable=False, server_default=empty))
    if op.get_context().dialect.name == "sqlite":
        _rebuild_alarms()
    else:
        _alter_alarms()
    _patients()
    _rules()


def _new_alarm_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("signalled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("kind", sa.String(), nullable=False, server_default="physiological"),
        sa.Column("latching", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("audience", JSON, nullable=False, server_default=sa.text("'[]'")),
    ]


def _alter_alarms() -> None:
    for column in _new_alarm_columns():
        op.add_column("alarms", column)
    op.execute("UPDATE alarms SET signalled = false WHERE worklist")
    op.drop_constraint(op.f("ck_alarms_condition"), "alarms", type_="check")
    op.create_check_constraint(op.f("ck_alarms_condition"), "alarms", CONDITION)
    op.create_check_constraint(op.f("ck_alarms_kind"), "alarms", KIND)


def _rebuild_alarms() -> None:
    # the deferred count of open references falls as the rows come back under the table's own name
    op.execute("PRAGMA defer_foreign_keys=ON")
    op.execute("CREATE TEMPORARY TABLE alarms_kept AS SELECT * FROM alarms")
    op.drop_table("alarms")
    op.create_table(
        "alarms",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=True),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("rule_hash", sa.String(), nullable=False),
        sa.Column("priority", sa.String(), nullable=False),
        sa.Column("condition", sa.String(), nullable=False),
        sa.Column("onset", sa.BigInteger(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("accepted_by", sa.String(), nullable=True),
        sa.Column("accepted_at", sa.BigInteger(), nullable=True),
        sa.Column("text_en", sa.String(), nullable=False),
        sa.Column("text_zh", sa.String(), nullable=False),
        sa.Column("limit_text", sa.String(), nullable=False),
        sa.Column("values_json", JSON, nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("worklist", sa.Boolean(), nullable=False),
        *_new_alarm_columns(),
        sa.Column("last_transition", sa.String(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(CONDITION, name=op.f("ck_alarms_condition")),
        sa.CheckConstraint(KIND, name=op.f("ck_alarms_kind")),
        sa.CheckConstraint(PRIORITY, name=op.f("ck_alarms_priority")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_alarms")),
    )
    for column in ("condition", "patient", "rule"):
        op.create_index(
            op.f(f"ix_alarms_tenant_{column}_started"), "alarms", ["tenant", column, "started"], unique=False
        )
    op.execute(
        f"INSERT INTO alarms ({OLD_ALARM}, signalled) SELECT {OLD_ALARM}, NOT worklist FROM alarms_kept"  # noqa: S608 - fixed names
    )
    op.execute("DROP TABLE alarms_kept")


def _patients() -> None:
    person = sa.ForeignKeyConstraint
    op.create_table(
        "patient_limits",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("parameter", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.Column("daily_from", sa.BigInteger(), nullable=True),
        sa.Column("daily_to", sa.BigInteger(), nullable=True),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("set_by", sa.String(), nullable=False),
        sa.Column("set_by_name", sa.String(), nullable=False),
        sa.Column("set_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("starts", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        *_ended(),
        sa.Column("superseded_by", sa.String(), nullable=True),
        sa.CheckConstraint("(daily_from IS NULL) = (daily_to IS NULL)", name=op.f("ck_patient_limits_daily")),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name=op.f("ck_patient_limits_ended")),
        sa.CheckConstraint("expires IS NULL OR expires > starts", name=op.f("ck_patient_limits_period")),
        person(
            ["tenant", "patient"],
            ["patients.tenant", "patients.id"],
            name=op.f("fk_patient_limits_tenant_patient"),
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_patient_limits")),
    )
    op.create_index(
        op.f("ix_patient_limits_tenant_patient_set_at"), "patient_limits", ["tenant", "patient", "set_at"]
    )
    op.create_table(
        "patient_orders",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("given_by", sa.String(), nullable=False),
        sa.Column("given_by_name", sa.String(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        *_ended(),
        sa.CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name=op.f("ck_patient_orders_ended")),
        sa.CheckConstraint("expires IS NULL OR expires > given_at", name=op.f("ck_patient_orders_period")),
        sa.CheckConstraint("kind IN ('spo2_scale_2')", name=op.f("ck_patient_orders_kind")),
        person(
            ["tenant", "patient"],
            ["patients.tenant", "patients.id"],
            name=op.f("fk_patient_orders_tenant_patient"),
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_patient_orders")),
    )
    op.create_index(
        op.f("ix_patient_orders_tenant_patient_given_at"), "patient_orders", ["tenant", "patient", "given_at"]
    )


def _ended() -> list[sa.Column[object]]:
    return [
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("ended_by_name", sa.String(), nullable=True),
        sa.Column("ended_reason", sa.String(), nullable=True),
    ]


def _rules() -> None:
    op.create_table(
        "rule_versions",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_rule_versions_tenant")),
        sa.PrimaryKeyConstraint("tenant", "hash", name=op.f("pk_rule_versions")),
    )
    op.create_index(
        op.f("ix_rule_versions_tenant_rule_version"), "rule_versions", ["tenant", "rule", "version"]
    )
    if op.get_context().dialect.name == "postgresql":
        op.execute(POSTGRESQL_TRIGGER)
    else:
        for verb in ("update", "delete"):
            op.execute(SQLITE_TRIGGER.format(verb=verb))
    op.create_table(
        "rule_releases",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("author_name", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("shadowed_at", sa.BigInteger(), nullable=True),
        *_signed("approved"),
        *_signed("activated"),
        *_signed("ended"),
        sa.Column("replaces", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.CheckConstraint(
            "state IN ('draft', 'shadow', 'approved', 'active', 'retired', 'rolled_back', 'withdrawn')",
            name=op.f("ck_rule_releases_state"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "hash"],
            ["rule_versions.tenant", "rule_versions.hash"],
            name=op.f("fk_rule_releases_tenant_hash"),
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_rule_releases")),
    )
    for name, condition in (
        ("active", "state = 'active'"),
        ("on_trial", "state IN ('shadow', 'approved')"),
    ):
        op.create_index(
            f"ix_rule_releases_one_{name}",
            "rule_releases",
            ["tenant", "rule"],
            unique=True,
            sqlite_where=sa.text(condition),
            postgresql_where=sa.text(condition),
        )
    op.create_index(
        op.f("ix_rule_releases_tenant_rule_created"), "rule_releases", ["tenant", "rule", "created"]
    )


def _signed(act: str) -> list[sa.Column[object]]:
    return [
        sa.Column(f"{act}_by", sa.String(), nullable=True),
        sa.Column(f"{act}_by_name", sa.String(), nullable=True),
        sa.Column(f"{act}_at", sa.BigInteger(), nullable=True),
    ]


def downgrade() -> None:
    """Refused: it would throw clinical records away."""
    msg = "limits, orders and releases cannot be undone: restore a copy of the database instead"
    raise NotImplementedError(msg)
