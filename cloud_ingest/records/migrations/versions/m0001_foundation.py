"""The tables of the first release.

Revision 0001. Types and constraints are those that SQLite and PostgreSQL share; only the triggers that
keep logs append-only are written for each.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


APPEND_ONLY = ("audit", "transitions", "delivery_attempts")

SQLITE_TRIGGER = """
CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
POSTGRESQL_FUNCTION = """
CREATE FUNCTION hearthward_append_only() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' is append-only'; END $$
"""
POSTGRESQL_TRIGGER = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION hearthward_append_only()
"""


def _protect_logs() -> None:
    if op.get_context().dialect.name == "postgresql":
        op.execute(POSTGRESQL_FUNCTION)
        for table in APPEND_ONLY:
            op.execute(POSTGRESQL_TRIGGER.format(table=table))
        return
    for table in APPEND_ONLY:
        for verb in ("update", "delete"):
            op.execute(SQLITE_TRIGGER.format(table=table, verb=verb))


def upgrade() -> None:
    """Apply."""
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
        sa.Column("values_json", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("worklist", sa.Boolean(), nullable=False),
        sa.Column("last_transition", sa.String(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "condition IN ('inactive', 'pending', 'active')", name=op.f("ck_alarms_condition")
        ),
        sa.CheckConstraint("priority IN ('high', 'medium', 'low')", name=op.f("ck_alarms_priority")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_alarms")),
    )
    op.create_index(
        op.f("ix_alarms_tenant_condition_started"), "alarms", ["tenant", "condition", "started"], unique=False
    )
    op.create_index(
        op.f("ix_alarms_tenant_patient_started"), "alarms", ["tenant", "patient", "started"], unique=False
    )
    op.create_index(
        op.f("ix_alarms_tenant_rule_started"), "alarms", ["tenant", "rule", "started"], unique=False
    )
    op.create_table(
        "audit",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("actor", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("resource_kind", sa.String(), nullable=False),
        sa.Column("resource_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("detail", sa.JSON(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_tenant_at"), "audit", ["tenant", "at"], unique=False)
    op.create_index(
        op.f("ix_audit_tenant_resource_kind_resource_id"),
        "audit",
        ["tenant", "resource_kind", "resource_id"],
        unique=False,
    )
    op.create_table(
        "config_documents",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "gateway", "version", name=op.f("pk_config_documents")),
    )
    op.create_table(
        "dead_letter",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=True),
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
    )
    op.create_index(op.f("ix_dead_letter_tenant_at"), "dead_letter", ["tenant", "at"], unique=False)
    op.create_table(
        "frames",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("blocks", sa.LargeBinary(), nullable=True),
        sa.CheckConstraint("first >= 1 AND last >= first", name=op.f("ck_frames_range")),
        sa.PrimaryKeyConstraint("tenant", "gateway", "boot", "first", name=op.f("pk_frames")),
    )
    op.create_table(
        "gaps",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("first >= 1 AND last >= first", name=op.f("ck_gaps_range")),
        sa.PrimaryKeyConstraint("tenant", "gateway", "boot", "first", name=op.f("pk_gaps")),
    )
    op.create_table(
        "journal",
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=True),
        sa.Column("boot", sa.String(), nullable=True),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_journal")),
    )
    op.create_index(
        op.f("ix_journal_tenant_gateway_boot"), "journal", ["tenant", "gateway", "boot"], unique=False
    )
    op.create_table(
        "login_failures",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("blocked_until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "login", name=op.f("pk_login_failures")),
    )
    op.create_table(
        "snapshots",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
    )
    op.create_index(op.f("ix_snapshots_tenant_seq"), "snapshots", ["tenant", "seq"], unique=False)
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
    )
    op.create_table(
        "notifications",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("priority", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "state IN ('queued', 'handed_over', 'confirmed', 'failed', 'abandoned')",
            name=op.f("ck_notifications_state"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "alarm"], ["alarms.tenant", "alarms.id"], name=op.f("fk_notifications_tenant_alarm")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_notifications")),
        sa.UniqueConstraint(
            "tenant",
            "alarm",
            "seq",
            "ordinal",
            "channel",
            "target",
            name=op.f("uq_notifications_tenant_alarm_seq_ordinal_channel_target"),
        ),
    )
    op.create_index(
        op.f("ix_notifications_state_next_at"), "notifications", ["state", "next_at"], unique=False
    )
    op.create_table(
        "patients",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("birth_date", sa.String(), nullable=True),
        sa.Column("mrn", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_patients_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_patients")),
        sa.UniqueConstraint("tenant", "mrn", name=op.f("uq_patients_tenant_mrn")),
    )
    op.create_index(op.f("ix_patients_tenant_name"), "patients", ["tenant", "name"], unique=False)
    op.create_table(
        "transitions",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("alarm", sa.String(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("condition", sa.String(), nullable=False),
        sa.Column("priority", sa.String(), nullable=False),
        sa.Column("rule_hash", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("onset", sa.BigInteger(), nullable=False),
        sa.Column("recorded", sa.BigInteger(), nullable=False),
        sa.Column("values_json", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("limit_text", sa.String(), nullable=False),
        sa.Column("text_en", sa.String(), nullable=False),
        sa.Column("text_zh", sa.String(), nullable=False),
        sa.Column("inputs", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("actor", sa.String(), nullable=True),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "alarm"], ["alarms.tenant", "alarms.id"], name=op.f("fk_transitions_tenant_alarm")
        ),
        sa.PrimaryKeyConstraint("tenant", "alarm", "seq", "ordinal", name=op.f("pk_transitions")),
    )
    op.create_index(op.f("ix_transitions_tenant_seq"), "transitions", ["tenant", "seq"], unique=False)
    op.create_table(
        "wards",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_wards_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_wards")),
        sa.UniqueConstraint("tenant", "name", name=op.f("uq_wards_tenant_name")),
    )
    op.create_table(
        "beds",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("ward", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "ward"], ["wards.tenant", "wards.id"], name=op.f("fk_beds_tenant_ward")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_beds")),
        sa.UniqueConstraint("tenant", "ward", "label", name=op.f("uq_beds_tenant_ward_label")),
    )
    op.create_table(
        "delivery_attempts",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False
        ),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("notification", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "notification"],
            ["notifications.tenant", "notifications.id"],
            name=op.f("fk_delivery_attempts_tenant_notification"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
    )
    op.create_index(
        op.f("ix_delivery_attempts_tenant_notification"),
        "delivery_attempts",
        ["tenant", "notification"],
        unique=False,
    )
    op.create_table(
        "gateways",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("ward", sa.String(), nullable=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("timezone", sa.String(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("last_seen", sa.BigInteger(), nullable=True),
        sa.Column("config_version_applied", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "ward"], ["wards.tenant", "wards.id"], name=op.f("fk_gateways_tenant_ward")
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_gateways_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_gateways")),
    )
    op.create_table(
        "users",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("login", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("roles", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("wards", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("patient", sa.String(), nullable=True),
        sa.Column("language", sa.String(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("disabled", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "patient"], ["patients.tenant", "patients.id"], name=op.f("fk_users_tenant_patient")
        ),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f("fk_users_tenant")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_users")),
        sa.UniqueConstraint("tenant", "login", name=op.f("uq_users_tenant_login")),
    )
    op.create_table(
        "devices",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("gateway", sa.String(), nullable=False),
        sa.Column("transport", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=True),
        sa.Column("timezone", sa.String(), nullable=True),
        sa.Column("interval_s", sa.Double(), nullable=True),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("transport IN ('ble', 'serial')", name=op.f("ck_devices_transport")),
        sa.ForeignKeyConstraint(
            ["tenant", "gateway"], ["gateways.tenant", "gateways.id"], name=op.f("fk_devices_tenant_gateway")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_devices")),
    )
    op.create_index(
        "ix_devices_open_address",
        "devices",
        ["tenant", "gateway", "transport", "address"],
        unique=True,
        sqlite_where=sa.text("ended IS NULL"),
        postgresql_where=sa.text("ended IS NULL"),
    )
    op.create_table(
        "encounters",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("ward", sa.String(), nullable=True),
        sa.Column("bed", sa.String(), nullable=True),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(kind = 'ward') = (bed IS NOT NULL)", name=op.f("ck_encounters_bed")),
        sa.CheckConstraint("kind IN ('ward', 'home')", name=op.f("ck_encounters_kind")),
        sa.CheckConstraint('"end" IS NULL OR "end" > start', name=op.f("ck_encounters_period")),
        sa.ForeignKeyConstraint(
            ["tenant", "bed"], ["beds.tenant", "beds.id"], name=op.f("fk_encounters_tenant_bed")
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "patient"],
            ["patients.tenant", "patients.id"],
            name=op.f("fk_encounters_tenant_patient"),
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "ward"], ["wards.tenant", "wards.id"], name=op.f("fk_encounters_tenant_ward")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_encounters")),
    )
    op.create_index(
        "ix_encounters_open_bed",
        "encounters",
        ["tenant", "bed"],
        unique=True,
        sqlite_where=sa.text('"end" IS NULL'),
        postgresql_where=sa.text('"end" IS NULL'),
    )
    op.create_index(
        "ix_encounters_open_patient",
        "encounters",
        ["tenant", "patient"],
        unique=True,
        sqlite_where=sa.text('"end" IS NULL'),
        postgresql_where=sa.text('"end" IS NULL'),
    )
    op.create_index(
        op.f("ix_encounters_tenant_patient_start"), "encounters", ["tenant", "patient", "start"], unique=False
    )
    op.create_index(
        op.f("ix_encounters_tenant_ward_end"), "encounters", ["tenant", "ward", "end"], unique=False
    )
    op.create_table(
        "one_time_links",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("purpose", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "user"], ["users.tenant", "users.id"], name=op.f("fk_one_time_links_tenant_user")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_one_time_links")),
    )
    op.create_table(
        "web_sessions",
        sa.Column("token_hash", sa.String(), nullable=False),
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "user"], ["users.tenant", "users.id"], name=op.f("fk_web_sessions_tenant_user")
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_web_sessions")),
    )
    op.create_index(op.f("ix_web_sessions_expires"), "web_sessions", ["expires"], unique=False)
    op.create_table(
        "associations",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("superseded_at", sa.BigInteger(), nullable=True),
        sa.Column("superseded_by", sa.String(), nullable=True),
        sa.CheckConstraint('"end" IS NULL OR "end" > start', name=op.f("ck_associations_period")),
        sa.ForeignKeyConstraint(
            ["tenant", "device"], ["devices.tenant", "devices.id"], name=op.f("fk_associations_tenant_device")
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "patient"],
            ["patients.tenant", "patients.id"],
            name=op.f("fk_associations_tenant_patient"),
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_associations")),
    )
    op.create_index(
        "ix_associations_open_device",
        "associations",
        ["tenant", "device"],
        unique=True,
        sqlite_where=sa.text('"end" IS NULL AND superseded_at IS NULL'),
        postgresql_where=sa.text('"end" IS NULL AND superseded_at IS NULL'),
    )
    op.create_index(
        op.f("ix_associations_tenant_device_start"),
        "associations",
        ["tenant", "device", "start"],
        unique=False,
    )
    op.create_index(
        op.f("ix_associations_tenant_patient_start"),
        "associations",
        ["tenant", "patient", "start"],
        unique=False,
    )
    _protect_logs()


def downgrade() -> None:
    """Refused: it would throw clinical records away."""
    msg = "the first schema cannot be undone: restore a copy of the database instead"
    raise NotImplementedError(msg)
