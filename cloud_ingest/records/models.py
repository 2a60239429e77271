"""The relational tables as typed SQLAlchemy models; ``migrations`` builds exactly these.

Every row carries its tenant, and ids are unique within it, so a foreign key cannot cross tenants. Ids
are text; times are UTC nanoseconds. Logs that only grow have an integer key. Nothing that people or
devices are known by is deleted: it is ended.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base, Seq, one_open, within_tenant
from cloud_ingest.records.rule_models import PatientLimit, PatientOrder, RuleRelease, RuleVersion

__all__ = [
    "APPEND_ONLY",
    "Alarm",
    "Association",
    "AuditRow",
    "Base",
    "Bed",
    "ConfigDocumentRow",
    "DeadLetter",
    "DeliveryAttempt",
    "Device",
    "Encounter",
    "FrameRow",
    "GapRow",
    "Gateway",
    "JournalRow",
    "LoginFailure",
    "Notification",
    "OneTimeLink",
    "Patient",
    "PatientLimit",
    "PatientOrder",
    "RuleRelease",
    "RuleVersion",
    "Snapshot",
    "Tenant",
    "TransitionRow",
    "User",
    "Ward",
    "WebSession",
]

APPEND_ONLY = ("audit", "transitions", "delivery_attempts", "rule_versions")
"""Tables whose rows a trigger protects from UPDATE and DELETE."""

# --- the directory: places, people, equipment ---------------------------------------------------


class Tenant(Base):
    """An organisation; nothing of one is visible to another."""

    __tablename__ = "tenants"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created: Mapped[int]


class Ward(Base):
    """A ward, or a team that looks after patients at home."""

    __tablename__ = "wards"
    __table_args__ = (UniqueConstraint("tenant", "name"),)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created: Mapped[int]
    ended: Mapped[int | None]


class Bed(Base):
    """A bed of a ward."""

    __tablename__ = "beds"
    __table_args__ = (within_tenant("ward", "wards"), UniqueConstraint("tenant", "ward", "label"))
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    ward: Mapped[str]
    label: Mapped[str]
    created: Mapped[int]
    ended: Mapped[int | None]


class Patient(Base):
    """A person; ``birth_date`` is ISO 8601, ``mrn`` the hospital's own number."""

    __tablename__ = "patients"
    __table_args__ = (UniqueConstraint("tenant", "mrn"), Index(None, "tenant", "name"))
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    birth_date: Mapped[str | None]
    mrn: Mapped[str | None]
    language: Mapped[str]
    pregnant: Mapped[bool] = mapped_column(default=False)
    created: Mapped[int]
    ended: Mapped[int | None]


class Encounter(Base):
    """A patient's stay in a bed, or care at home; ``ward`` is who is responsible meanwhile."""

    __tablename__ = "encounters"
    __table_args__ = (
        within_tenant("patient", "patients"),
        within_tenant("ward", "wards"),
        within_tenant("bed", "beds"),
        CheckConstraint("kind IN ('ward', 'home')", name="kind"),
        CheckConstraint("(kind = 'ward') = (bed IS NOT NULL)", name="bed"),
        CheckConstraint('"end" IS NULL OR "end" > start', name="period"),
        one_open("ix_encounters_open_patient", "patient"),
        one_open("ix_encounters_open_bed", "bed"),
        Index(None, "tenant", "ward", "end"),
        Index(None, "tenant", "patient", "start"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    kind: Mapped[str]
    ward: Mapped[str | None]
    bed: Mapped[str | None]
    start: Mapped[int]
    end: Mapped[int | None]


class Gateway(Base):
    """An edge agent; the id is also its place in the MQTT topics."""

    __tablename__ = "gateways"
    __table_args__ = (within_tenant("ward", "wards"),)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    ward: Mapped[str | None]
    label: Mapped[str]
    timezone: Mapped[str | None]
    created: Mapped[int]
    ended: Mapped[int | None]
    last_seen: Mapped[int | None]
    config_version_applied: Mapped[int | None]


class Device(Base):
    """A device at a gateway; ``profile`` None lets the gateway match one."""

    __tablename__ = "devices"
    __table_args__ = (
        within_tenant("gateway", "gateways"),
        CheckConstraint("transport IN ('ble', 'serial')", name="transport"),
        Index(
            "ix_devices_open_address",
            "tenant",
            "gateway",
            "transport",
            "address",
            unique=True,
            sqlite_where=text("ended IS NULL"),
            postgresql_where=text("ended IS NULL"),
        ),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str]
    transport: Mapped[str]
    address: Mapped[str]
    profile: Mapped[str | None]
    timezone: Mapped[str | None]
    interval_s: Mapped[float | None]
    label: Mapped[str]
    created: Mapped[int]
    ended: Mapped[int | None]


class Association(Base):
    """A device measures a patient during [start, end); a corrected row is superseded, never changed away."""

    __tablename__ = "associations"
    __table_args__ = (
        within_tenant("device", "devices"),
        within_tenant("patient", "patients"),
        CheckConstraint('"end" IS NULL OR "end" > start', name="period"),
        one_open("ix_associations_open_device", "device", also=" AND superseded_at IS NULL"),
        Index(None, "tenant", "device", "start"),
        Index(None, "tenant", "patient", "start"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    device: Mapped[str]
    patient: Mapped[str]
    start: Mapped[int]
    end: Mapped[int | None]
    created: Mapped[int]
    superseded_at: Mapped[int | None]
    superseded_by: Mapped[str | None]


# --- people who log in, and what they did --------------------------------------------------------


class User(Base):
    """Somebody who can log in; ``wards`` None means all, ``language`` None what the browser asks for."""

    __tablename__ = "users"
    __table_args__ = (within_tenant("patient", "patients"), UniqueConstraint("tenant", "login"))
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    login: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str | None]
    roles: Mapped[list[str]]
    wards: Mapped[list[str] | None]
    patient: Mapped[str | None]
    language: Mapped[str | None]
    created: Mapped[int]
    disabled: Mapped[int | None]


class LoginFailure(Base):
    """Repeated failures of one login name, existing or not."""

    __tablename__ = "login_failures"
    tenant: Mapped[str] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    last: Mapped[int]
    blocked_until: Mapped[int]


class WebSession(Base):
    """A logged-in browser; only the token's hash is kept. ``expires`` None: a wall display."""

    __tablename__ = "web_sessions"
    __table_args__ = (within_tenant("user", "users"), Index(None, "expires"))
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    user: Mapped[str]
    created: Mapped[int]
    expires: Mapped[int | None]


class OneTimeLink(Base):
    """A link that logs in once, hashed like a session's token."""

    __tablename__ = "one_time_links"
    __table_args__ = (within_tenant("user", "users"),)
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    user: Mapped[str]
    purpose: Mapped[str]
    created: Mapped[int]
    expires: Mapped[int]
    used: Mapped[int | None]


class AuditRow(Base):
    """Who did what to what, and whether they were let."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "tenant", "at"), Index(None, "tenant", "resource_kind", "resource_id"))
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    at: Mapped[int]
    tenant: Mapped[str]
    actor: Mapped[str]
    action: Mapped[str]
    resource_kind: Mapped[str]
    resource_id: Mapped[str]
    outcome: Mapped[str]
    detail: Mapped[dict[str, Any]]


# --- ingest ---------------------------------------------------------------------------------------


class JournalRow(Base):
    """An input of the decision step, numbered; what is replayed after a restart."""

    __tablename__ = "journal"
    __table_args__ = (Index(None, "tenant", "gateway", "boot"),)
    seq: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    tenant: Mapped[str]
    at: Mapped[int]
    kind: Mapped[str]
    gateway: Mapped[str | None]
    boot: Mapped[str | None]
    payload: Mapped[bytes]


class FrameRow(Base):
    """A range of one boot's readings that is committed, with the digest of its bytes."""

    __tablename__ = "frames"
    __table_args__ = (CheckConstraint("first >= 1 AND last >= first", name="range"),)
    tenant: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int]
    digest: Mapped[int]
    blocks: Mapped[bytes | None]


class GapRow(Base):
    """A range that an edge declares lost, with its reason."""

    __tablename__ = "gaps"
    __table_args__ = (CheckConstraint("first >= 1 AND last >= first", name="range"),)
    tenant: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int]
    reason: Mapped[str]
    at: Mapped[int]


class DeadLetter(Base):
    """What was rejected, with the reason."""

    __tablename__ = "dead_letter"
    __table_args__ = (Index(None, "tenant", "at"),)
    id: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    tenant: Mapped[str]
    at: Mapped[int]
    gateway: Mapped[str | None]
    topic: Mapped[str]
    reason: Mapped[str]
    detail: Mapped[str]
    payload: Mapped[bytes]


class Snapshot(Base):
    """The rules' state after the journal's input ``seq``."""

    __tablename__ = "snapshots"
    __table_args__ = (Index(None, "tenant", "seq"),)
    id: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    tenant: Mapped[str]
    seq: Mapped[int]
    at: Mapped[int]
    state: Mapped[bytes]


class ConfigDocumentRow(Base):
    """A version of a gateway's configuration document."""

    __tablename__ = "config_documents"
    tenant: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str]
    body: Mapped[dict[str, Any]]
    created: Mapped[int]


# --- alarms and their way to people ---------------------------------------------------------------


class Alarm(Base):
    """An alarm as it stands; written by the pipeline only.

    No foreign key to the patient: an alarm is never refused because of the directory, and a subject may be
    a gateway. ``worklist`` marks what came too late to signal: never active, but to be looked at.
    ``signalled``: it has started; False for the worklist, and while (or when ended after) only a second
    measurement was asked for. ``shadow``: of a rule on trial, never to be taken for an alarm. ``kind``,
    ``latching`` and ``audience`` are the rule's.
    """

    __tablename__ = "alarms"
    __table_args__ = (
        CheckConstraint("priority IN ('high', 'medium', 'low')", name="priority"),
        CheckConstraint("condition IN ('inactive', 'asked', 'pending', 'active')", name="condition"),
        CheckConstraint("kind IN ('physiological', 'technical')", name="kind"),
        Index(None, "tenant", "condition", "started"),
        Index(None, "tenant", "patient", "started"),
        Index(None, "tenant", "rule", "started"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str | None]
    rule: Mapped[str]
    rule_hash: Mapped[str]
    priority: Mapped[str]
    condition: Mapped[str]
    onset: Mapped[int]
    started: Mapped[int]
    ended: Mapped[int | None]
    accepted_by: Mapped[str | None]
    accepted_at: Mapped[int | None]
    text_en: Mapped[str]
    text_zh: Mapped[str]
    limit_text: Mapped[str]
    values_json: Mapped[dict[str, Any]]
    late: Mapped[bool]
    worklist: Mapped[bool]
    signalled: Mapped[bool] = mapped_column(default=True)
    shadow: Mapped[bool] = mapped_column(default=False)
    kind: Mapped[str] = mapped_column(default="physiological")
    latching: Mapped[bool] = mapped_column(default=False)
    audience: Mapped[list[str]] = mapped_column(default=list)
    last_transition: Mapped[str]
    last_seq: Mapped[int]


class TransitionRow(Base):
    """One change of one alarm; ``ordinal`` counts those of one input ``seq``."""

    __tablename__ = "transitions"
    __table_args__ = (within_tenant("alarm", "alarms"), Index(None, "tenant", "seq"))
    tenant: Mapped[str] = mapped_column(primary_key=True)
    alarm: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    ordinal: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    condition: Mapped[str]
    priority: Mapped[str]
    rule_hash: Mapped[str]
    at: Mapped[int]
    onset: Mapped[int]
    recorded: Mapped[int]
    values_json: Mapped[dict[str, Any]]
    limit_text: Mapped[str]
    text_en: Mapped[str]
    text_zh: Mapped[str]
    inputs: Mapped[list[Any]]
    actor: Mapped[str | None]
    note: Mapped[str]
    late: Mapped[bool]
    shadow: Mapped[bool] = mapped_column(default=False)
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Notification(Base):
    """What has to reach one target through one channel because of one transition."""

    __tablename__ = "notifications"
    __table_args__ = (
        within_tenant("alarm", "alarms"),
        UniqueConstraint("tenant", "alarm", "seq", "ordinal", "channel", "target"),
        CheckConstraint(
            "state IN ('queued', 'handed_over', 'confirmed', 'failed', 'abandoned')", name="state"
        ),
        Index(None, "state", "next_at"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    alarm: Mapped[str]
    seq: Mapped[int]
    ordinal: Mapped[int]
    kind: Mapped[str]
    priority: Mapped[str]
    channel: Mapped[str]
    target: Mapped[str]
    language: Mapped[str]
    body: Mapped[str]
    state: Mapped[str]
    reference: Mapped[str | None]
    attempts: Mapped[int]
    next_at: Mapped[int]
    lease_until: Mapped[int | None]
    created: Mapped[int]


class DeliveryAttempt(Base):
    """One try to hand a notification over."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (within_tenant("notification", "notifications"), Index(None, "tenant", "notification"))
    id: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    tenant: Mapped[str]
    notification: Mapped[str]
    at: Mapped[int]
    outcome: Mapped[str]
    detail: Mapped[str]
    latency_ms: Mapped[float]
