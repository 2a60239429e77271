"""How alarms are answered: their axes, staff, shifts, hand-over, escalation, and to whom messages go.

Revision 0003. As in 0002, SQLite's ``alarms`` and ``notifications`` are built anew under their own names.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)
CONDITION = "condition IN ('inactive', 'asked', 'pending', 'active', 'latched')"
SIGNAL = "signal IN ('on', 'audio_paused', 'audio_off', 'alarm_paused', 'alarm_off', 'acknowledged')"
KIND = "kind IN ('physiological', 'technical')"
PRIORITY = "priority IN ('high', 'medium', 'low')"
STATE = "state IN ('queued', 'handed_over', 'confirmed', 'failed', 'abandoned')"
OLD_ALARM = (
    "tenant, id, patient, rule, rule_hash, priority, condition, onset, started, ended, accepted_by, "
    "accepted_at, text_en, text_zh, limit_text, values_json, late, worklist, signalled, shadow, kind, "
    "latching, audience, last_transition, last_seq"
)
OLD_NOTIFICATION = (
    "tenant, id, alarm, seq, ordinal, kind, priority, channel, target, language, body, state, reference, "
    "attempts, next_at, lease_until, created"
)
UNIQUE = ["tenant", "alarm", "seq", "ordinal", "channel"]
SQLITE_TRIGGER = """
CREATE TRIGGER handovers_no_{verb} BEFORE {verb} ON handovers
BEGIN SELECT RAISE(ABORT, 'handovers is append-only'); END
"""
POSTGRESQL_TRIGGER = """
CREATE TRIGGER handovers_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON handovers
FOR EACH STATEMENT EXECUTE FUNCTION hearthward_append_only()
"""


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "wards", sa.Column("wall_expected", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    for column in ("phone", "email", "pin_hash", "badge_hash"):
        op.add_column("users", sa.Column(column, sa.String(), nullable=True))
    op.create_index(op.f("ix_users_tenant_badge_hash"), "users", ["tenant", "badge_hash"], unique=True)
    if op.get_context().dialect.name == "sqlite":
        # the deferred count of open references falls as the rows come back under the table's own name
        op.execute("PRAGMA defer_foreign_keys=ON")
        _rebuild_alarms()
        _rebuild_notifications()
    else:
        _alter_alarms()
        _alter_notifications()
    op.add_column("delivery_attempts", sa.Column("after_ms", sa.Double(), nullable=True))
    failed = sa.text("unreported IS NOT NULL")
    op.create_index(op.f("ix_notifications_message"), "notifications", ["message"])
    op.create_index(
        "ix_notifications_unreported",
        "notifications",
        ["unreported"],
        sqlite_where=failed,
        postgresql_where=failed,
    )
    op.create_index(op.f("ix_alarms_tenant_root"), "alarms", ["tenant", "root"])
    _inactivations()
    _teams()
    _shifts()
    _assignments()
    _handovers()
    _policies()
    _push_subscriptions()


def _new_alarm_columns() -> list[sa.Column[object]]:
    none = sa.text("'[]'")
    return [
        sa.Column("signal", sa.String(), nullable=False, server_default="on"),
        sa.Column("signal_until", sa.BigInteger(), nullable=True),
        sa.Column("rejected", JSON, nullable=False, server_default=none),
        sa.Column("root", sa.String(), nullable=True),
        sa.Column("policy", sa.String(), nullable=False, server_default=""),
        sa.Column("step", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("next_to", JSON, nullable=False, server_default=none),
        sa.Column("episodes", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("since", sa.BigInteger(), nullable=True),
    ]


def _alter_alarms() -> None:
    for column in _new_alarm_columns():
        op.add_column("alarms", column)
    op.drop_constraint(op.f("ck_alarms_condition"), "alarms", type_="check")
    op.create_check_constraint(op.f("ck_alarms_condition"), "alarms", CONDITION)
    op.create_check_constraint(op.f("ck_alarms_signal"), "alarms", SIGNAL)


def _alter_notifications() -> None:
    op.add_column("notifications", sa.Column("who", sa.String(), nullable=True))
    op.add_column("notifications", sa.Column("step", sa.BigInteger(), nullable=True))
    op.add_column("notifications", sa.Column("message", sa.String(), nullable=True))
    op.add_column("notifications", sa.Column("unreported", sa.String(), nullable=True))
    op.execute("UPDATE notifications SET who = target")
    op.alter_column("notifications", "who", nullable=False)
    name = op.f("uq_notifications_tenant_alarm_seq_ordinal_channel_target")
    op.drop_constraint(name, "notifications", type_="unique")
    op.create_unique_constraint(
        op.f("uq_notifications_tenant_alarm_seq_ordinal_channel_who"), "notifications", [*UNIQUE, "who"]
    )


def _rebuild_alarms() -> None:
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
        sa.Column("signalled", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("kind", sa.String(), nullable=False, server_default="physiological"),
        sa.Column("latching", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("audience", JSON, nullable=False, server_default=sa.text("'[]'")),
        *_new_alarm_columns(),
        sa.Column("last_transition", sa.String(), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(CONDITION, name=op.f("ck_alarms_condition")),
        sa.CheckConstraint(KIND, name=op.f("ck_alarms_kind")),
        sa.CheckConstraint(PRIORITY, name=op.f("ck_alarms_priority")),
        sa.CheckConstraint(SIGNAL, name=op.f("ck_alarms_signal")),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_alarms")),
    )
    for column in ("condition", "patient", "rule"):
        op.create_index(
            op.f(f"ix_alarms_tenant_{column}_started"), "alarms", ["tenant", column, "started"], unique=False
        )
    op.execute(
        f"INSERT INTO alarms ({OLD_ALARM}) SELECT {OLD_ALARM} FROM alarms_kept"  # noqa: S608 - fixed names
    )
    op.execute("DROP TABLE alarms_kept")


def _rebuild_notifications() -> None:
    op.execute("CREATE TEMPORARY TABLE notifications_kept AS SELECT * FROM notifications")
    op.drop_table("notifications")
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
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("step", sa.BigInteger(), nullable=True),
        sa.Column("language", sa.String(), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reference", sa.String(), nullable=True),
        sa.Column("message", sa.String(), nullable=True),
        sa.Column("unreported", sa.String(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(STATE, name=op.f("ck_notifications_state")),
        sa.ForeignKeyConstraint(
            ["tenant", "alarm"], ["alarms.tenant", "alarms.id"], name=op.f("fk_notifications_tenant_alarm")
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_notifications")),
        sa.UniqueConstraint(
            *UNIQUE, "who", name=op.f("uq_notifications_tenant_alarm_seq_ordinal_channel_who")
        ),
    )
    op.create_index(op.f("ix_notifications_state_next_at"), "notifications", ["state", "next_at"])
    op.execute(
        f"INSERT INTO notifications ({OLD_NOTIFICATION}, who) "  # noqa: S608 - fixed names
        f"SELECT {OLD_NOTIFICATION}, target FROM notifications_kept"
    )
    op.execute("DROP TABLE notifications_kept")


def _tenant(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name=op.f(f"fk_{table}_tenant"))


def _within(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    name = op.f(f"fk_{table}_tenant_{column}")
    return sa.ForeignKeyConstraint(["tenant", column], [f"{other}.tenant", f"{other}.id"], name=name)


def _one(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(
        name,
        table,
        ["tenant", *columns],
        unique=True,
        sqlite_where=sa.text(condition),
        postgresql_where=sa.text(condition),
    )


def _inactivations() -> None:
    op.create_table(
        "inactivations",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.Column("replaced_by", sa.String(), nullable=True),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('audio_off', 'alarm_paused', 'alarm_off', 'maintenance')",
            name=op.f("ck_inactivations_kind"),
        ),
        _tenant("inactivations"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_inactivations")),
    )
    _one("ix_inactivations_open", "inactivations", ["subject", "kind"], "ended IS NULL")
    op.create_index(
        op.f("ix_inactivations_tenant_subject_start"), "inactivations", ["tenant", "subject", "start"]
    )


def _teams() -> None:
    op.create_table(
        "teams",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("ward", sa.String(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        _tenant("teams"),
        _within("teams", "ward", "wards"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_teams")),
    )
    op.create_table(
        "team_members",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("team", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=True),
        _within("team_members", "team", "teams"),
        _within("team_members", "user", "users"),
        sa.PrimaryKeyConstraint("tenant", "team", "user", "start", name=op.f("pk_team_members")),
    )
    _one("ix_team_members_open", "team_members", ["team", "user"], '"end" IS NULL')


def _shifts() -> None:
    op.create_table(
        "shifts",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("ward", sa.String(), nullable=True),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=False),
        sa.Column("weekly", sa.Boolean(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("skipped", JSON, nullable=False),
        sa.Column("cancelled", sa.BigInteger(), nullable=True),
        sa.CheckConstraint('"end" > start', name=op.f("ck_shifts_period")),
        sa.CheckConstraint("role IN ('nurse', 'charge', 'doctor', 'engineer')", name=op.f("ck_shifts_role")),
        sa.CheckConstraint("weekly OR until IS NULL", name=op.f("ck_shifts_until")),
        _within("shifts", "user", "users"),
        _within("shifts", "ward", "wards"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_shifts")),
    )
    for column in ("user", "ward"):
        op.create_index(op.f(f"ix_shifts_tenant_{column}_start"), "shifts", ["tenant", column, "start"])


def _assignments() -> None:
    op.create_table(
        "assignments",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=True),
        sa.Column("team", sa.String(), nullable=True),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.CheckConstraint('"end" IS NULL OR "end" > start', name=op.f("ck_assignments_period")),
        sa.CheckConstraint('("user" IS NULL) <> (team IS NULL)', name=op.f("ck_assignments_who")),
        _within("assignments", "patient", "patients"),
        _within("assignments", "team", "teams"),
        _within("assignments", "user", "users"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_assignments")),
    )
    for column in ("user", "team"):
        _one(f"ix_assignments_open_{column}", "assignments", ["patient", column], '"end" IS NULL')
    op.create_index(
        op.f("ix_assignments_tenant_patient_start"), "assignments", ["tenant", "patient", "start"]
    )


def _handovers() -> None:
    op.create_table(
        "handovers",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("ward", sa.String(), nullable=True),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("to", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("alarms", JSON, nullable=False),
        sa.Column("patients", JSON, nullable=False),
        _within("handovers", "by", "users"),
        _within("handovers", "to", "users"),
        _within("handovers", "ward", "wards"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_handovers")),
    )
    op.create_index(op.f("ix_handovers_tenant_at"), "handovers", ["tenant", "at"])
    if op.get_context().dialect.name == "postgresql":
        op.execute(POSTGRESQL_TRIGGER)
    else:
        for verb in ("update", "delete"):
            op.execute(SQLITE_TRIGGER.format(verb=verb))


def _policies() -> None:
    op.create_table(
        "policies",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("source", sa.String(), nullable=True),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        _tenant("policies"),
        sa.PrimaryKeyConstraint("tenant", "id", "version", name=op.f("pk_policies")),
    )
    _one("ix_policies_one_active", "policies", ["id"], "active")


def _push_subscriptions() -> None:
    op.create_table(
        "push_subscriptions",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("user", sa.String(), nullable=False),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("keys", JSON, nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        _within("push_subscriptions", "user", "users"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_push_subscriptions")),
    )
    _one("ix_push_subscriptions_open", "push_subscriptions", ["endpoint"], "ended IS NULL")
    op.create_index(op.f("ix_push_subscriptions_tenant_user"), "push_subscriptions", ["tenant", "user"])


def downgrade() -> None:
    """Refused: it would throw clinical records away."""
    msg = "hand-overs, shifts and answers cannot be undone: restore a copy of the database instead"
    raise NotImplementedError(msg)
