"""Tables of what clinicians set for one patient, and of rules and their release."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base, within_tenant

__all__ = ["PatientLimit", "PatientOrder", "RuleRelease", "RuleVersion"]


class PatientLimit(Base):
    """One parameter of one rule as set for one patient, by whom, why and until when.

    ``daily_from``/``daily_to`` are minutes of the local day between which it holds (both None: always). A
    row is never changed but to end it; a newer one for the same window ends the one before.
    """

    __tablename__ = "patient_limits"
    __table_args__ = (
        within_tenant("patient", "patients"),
        CheckConstraint("(daily_from IS NULL) = (daily_to IS NULL)", name="daily"),
        CheckConstraint("expires IS NULL OR expires > starts", name="period"),
        CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
        Index(None, "tenant", "patient", "set_at"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    rule: Mapped[str]
    parameter: Mapped[str]
    value: Mapped[float]
    daily_from: Mapped[int | None]
    daily_to: Mapped[int | None]
    timezone: Mapped[str]
    set_by: Mapped[str]
    set_by_name: Mapped[str]
    set_at: Mapped[int]
    reason: Mapped[str]
    starts: Mapped[int]
    expires: Mapped[int | None]
    ended_at: Mapped[int | None]
    ended_by: Mapped[str | None]
    ended_by_name: Mapped[str | None]
    ended_reason: Mapped[str | None]
    superseded_by: Mapped[str | None]


class PatientOrder(Base):
    """What a doctor ordered for one patient: ``spo2_scale_2`` judges oxygen by NEWS2's second scale."""

    __tablename__ = "patient_orders"
    __table_args__ = (
        within_tenant("patient", "patients"),
        CheckConstraint("kind IN ('spo2_scale_2')", name="kind"),
        CheckConstraint("expires IS NULL OR expires > given_at", name="period"),
        CheckConstraint("(ended_at IS NULL) = (ended_by IS NULL)", name="ended"),
        Index(None, "tenant", "patient", "given_at"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    kind: Mapped[str]
    given_by: Mapped[str]
    given_by_name: Mapped[str]
    given_at: Mapped[int]
    reason: Mapped[str]
    expires: Mapped[int | None]
    ended_at: Mapped[int | None]
    ended_by: Mapped[str | None]
    ended_by_name: Mapped[str | None]
    ended_reason: Mapped[str | None]


class RuleVersion(Base):
    """The exact content of a rule that was ever in force or on trial; by hash, never changed.

    ``content`` is ``rules.Rule.content()``, ``source`` its file's text where that is known.
    """

    __tablename__ = "rule_versions"
    __table_args__ = (Index(None, "tenant", "rule", "version"),)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    hash: Mapped[str] = mapped_column(primary_key=True)
    rule: Mapped[str]
    version: Mapped[int]
    content: Mapped[dict[str, Any]]
    source: Mapped[str | None]
    first_seen: Mapped[int]


class RuleRelease(Base):
    """A site's own version of a rule on its way into force; ``replaces`` is the release it took over from.

    Only its state and who changed it when ever change, never ``hash`` and ``source``.
    """

    __tablename__ = "rule_releases"
    __table_args__ = (
        ForeignKeyConstraint(["tenant", "hash"], ["rule_versions.tenant", "rule_versions.hash"]),
        CheckConstraint(
            "state IN ('draft', 'shadow', 'approved', 'active', 'retired', 'rolled_back', 'withdrawn')",
            name="state",
        ),
        Index(
            "ix_rule_releases_one_active",
            "tenant",
            "rule",
            unique=True,
            sqlite_where=text("state = 'active'"),
            postgresql_where=text("state = 'active'"),
        ),
        Index(
            "ix_rule_releases_one_on_trial",
            "tenant",
            "rule",
            unique=True,
            sqlite_where=text("state IN ('shadow', 'approved')"),
            postgresql_where=text("state IN ('shadow', 'approved')"),
        ),
        Index(None, "tenant", "rule", "created"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    rule: Mapped[str]
    version: Mapped[int]
    hash: Mapped[str]
    source: Mapped[str]
    state: Mapped[str]
    author: Mapped[str]
    author_name: Mapped[str]
    created: Mapped[int]
    shadowed_at: Mapped[int | None]
    approved_by: Mapped[str | None]
    approved_by_name: Mapped[str | None]
    approved_at: Mapped[int | None]
    activated_by: Mapped[str | None]
    activated_by_name: Mapped[str | None]
    activated_at: Mapped[int | None]
    ended_by: Mapped[str | None]
    ended_by_name: Mapped[str | None]
    ended_at: Mapped[int | None]
    replaces: Mapped[str | None]
    note: Mapped[str]
