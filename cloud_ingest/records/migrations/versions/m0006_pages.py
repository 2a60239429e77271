"""What people's pages need: ways to reach a patient, messages, the care plan, consent, invitations, sessions.

Revision 0006.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    _contacts()
    _messages()
    _care_plan()
    _notes()
    _consent()


def _of_tenant(table: str, column: str, other: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant", column],
        [f"{other}.tenant", f"{other}.id"],
        name=op.f(f"fk_{table}_tenant_{column}"),
    )


def _contacts() -> None:
    """How a patient is reached, who has made a one-time link, and what is logged in since when."""
    for column in ("phone", "email"):
        op.add_column("patients", sa.Column(column, sa.String(), nullable=True))
    op.add_column("one_time_links", sa.Column("created_by", sa.String(), nullable=True))
    op.add_column("web_sessions", sa.Column("agent", sa.String(), nullable=True))
    op.add_column("web_sessions", sa.Column("used", sa.BigInteger(), nullable=True))


def _messages() -> None:
    """Messages between a patient and the care team."""
    op.create_table(
        "care_messages",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.Column("from_care", sa.Boolean(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("client", sa.String(), nullable=False),
        sa.Column("written", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=True),
        sa.Column("seen", sa.BigInteger(), nullable=True),
        sa.Column("seen_by", sa.String(), nullable=True),
        _of_tenant("care_messages", "patient", "patients"),
        _of_tenant("care_messages", "author", "users"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_care_messages")),
        sa.UniqueConstraint("tenant", "author", "client", name=op.f("uq_care_messages_tenant_author_client")),
    )
    op.create_index(op.f("ix_care_messages_tenant_patient_at"), "care_messages", ["tenant", "patient", "at"])


def _care_plan() -> None:
    """What a patient is to do, and what was done of it."""
    op.create_table(
        "care_tasks",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("times", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("weekdays", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("timezone", sa.String(), nullable=False),
        sa.Column("window_s", sa.BigInteger(), nullable=False),
        sa.Column("remind", sa.Boolean(), nullable=False),
        sa.Column("reminded", sa.BigInteger(), nullable=True),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("end", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.String(), nullable=False),
        sa.Column("ended_by", sa.String(), nullable=True),
        sa.CheckConstraint("kind IN ('measure', 'medicine', 'other')", name=op.f("ck_care_tasks_kind")),
        sa.CheckConstraint("(kind = 'measure') = (metric IS NOT NULL)", name=op.f("ck_care_tasks_metric")),
        sa.CheckConstraint('"end" IS NULL OR "end" > start', name=op.f("ck_care_tasks_period")),
        _of_tenant("care_tasks", "patient", "patients"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_care_tasks")),
    )
    op.create_index(op.f("ix_care_tasks_tenant_patient_end"), "care_tasks", ["tenant", "patient", "end"])
    op.create_table(
        "care_marks",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("task", sa.String(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.CheckConstraint("state IN ('done', 'skipped')", name=op.f("ck_care_marks_state")),
        _of_tenant("care_marks", "task", "care_tasks"),
        sa.PrimaryKeyConstraint("tenant", "task", "due", name=op.f("pk_care_marks")),
    )


def _notes() -> None:
    """What the care team writes about a patient as a whole."""
    op.create_table(
        "patient_notes",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("struck", sa.BigInteger(), nullable=True),
        sa.Column("struck_by", sa.String(), nullable=True),
        _of_tenant("patient_notes", "patient", "patients"),
        _of_tenant("patient_notes", "by", "users"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_patient_notes")),
    )
    op.create_index(op.f("ix_patient_notes_tenant_patient_at"), "patient_notes", ["tenant", "patient", "at"])


def _consent() -> None:
    """Whom a patient lets see what, until when; and a quick way to who looked."""
    op.create_table(
        "consents",
        sa.Column("tenant", sa.String(), nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("patient", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=False),
        sa.Column("sees", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("start", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("given", sa.BigInteger(), nullable=False),
        sa.Column("given_by", sa.String(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.Column("revoked_by", sa.String(), nullable=True),
        sa.CheckConstraint("until IS NULL OR until > start", name=op.f("ck_consents_period")),
        _of_tenant("consents", "patient", "patients"),
        _of_tenant("consents", "person", "users"),
        sa.PrimaryKeyConstraint("tenant", "id", name=op.f("pk_consents")),
    )
    op.create_index(op.f("ix_consents_tenant_patient"), "consents", ["tenant", "patient"])
    op.create_index(op.f("ix_consents_tenant_person"), "consents", ["tenant", "person"])
    op.create_index(op.f("ix_audit_tenant_resource_id_at"), "audit", ["tenant", "resource_id", "at"])
