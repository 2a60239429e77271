"""The relational tables as typed SQLAlchemy models; ``migrations`` builds exactly these.

Every row carries its tenant, and ids are unique within it, so a foreign key cannot cross tenants. Ids
are text; times are UTC nanoseconds. Logs that only grow have an integer key. Nothing that people or
devices are known by is deleted: it is ended.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.alarm_models import (
    Alarm,
    DeliveryAttempt,
    InactivationRow,
    Notification,
    TransitionRow,
)
from cloud_ingest.records.base import Base, Seq, one_open, within_tenant
from cloud_ingest.records.care_models import CareMark, CareMessage, CareTask, Consent, PatientNote
from cloud_ingest.records.channel_models import ChannelTest
from cloud_ingest.records.dead_letter_models import DeadLetter, Pruned
from cloud_ingest.records.edge_alarm_models import EdgeAlarm
from cloud_ingest.records.fleet_models import (
    DeviceCalibration,
    DeviceDay,
    DeviceFinding,
    DeviceService,
    DeviceStanding,
    WorkNote,
    WorkOrder,
)
from cloud_ingest.records.ledger_models import LedgerBook, LedgerCount, WriteOff
from cloud_ingest.records.lineage_models import GatewayBoot
from cloud_ingest.records.rule_models import PatientLimit, PatientOrder, RuleRelease, RuleVersion
from cloud_ingest.records.staff_models import (
    Assignment,
    Handover,
    PolicyVersion,
    PushSubscription,
    Shift,
    Team,
    TeamMember,
)

__all__ = [
    "APPEND_ONLY",
    "Alarm",
    "Assignment",
    "Association",
    "AuditRow",
    "Base",
    "Bed",
    "CareMark",
    "CareMessage",
    "CareTask",
    "ChannelTest",
    "ConfigDocumentRow",
    "Consent",
    "DeadLetter",
    "DeliveryAttempt",
    "Device",
    "DeviceCalibration",
    "DeviceDay",
    "DeviceFinding",
    "DeviceService",
    "DeviceStanding",
    "EdgeAlarm",
    "Encounter",
    "FrameRow",
    "GapRow",
    "Gateway",
    "GatewayBoot",
    "Handover",
    "InactivationRow",
    "JournalRow",
    "LedgerBook",
    "LedgerCount",
    "LoginFailure",
    "Notification",
    "OneTimeLink",
    "Patient",
    "PatientLimit",
    "PatientNote",
    "PatientOrder",
    "PolicyVersion",
    "Pruned",
    "PushSubscription",
    "RuleRelease",
    "RuleVersion",
    "Shift",
    "Snapshot",
    "Team",
    "TeamMember",
    "Tenant",
    "TransitionRow",
    "User",
    "Ward",
    "WebSession",
    "WorkNote",
    "WorkOrder",
    "WriteOff",
]

APPEND_ONLY = ("audit", "transitions", "delivery_attempts", "rule_versions", "handovers")
"""Tables whose rows a trigger protects from UPDATE and DELETE."""

# --- the directory: places, people, equipment ---------------------------------------------------


class Tenant(Base):
    """An organisation; nothing of one is visible to another."""

    __tablename__ = "tenants"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created: Mapped[int]


class Ward(Base):
    """A ward, or a team that looks after patients at home; ``wall_expected``: it has a wall display."""

    __tablename__ = "wards"
    __table_args__ = (UniqueConstraint("tenant", "name"),)
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created: Mapped[int]
    wall_expected: Mapped[bool] = mapped_column(default=False)
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
    """A person; ``birth_date`` is ISO 8601, ``mrn`` the hospital's own number, ``phone`` E.164."""

    __tablename__ = "patients"
    __table_args__ = (UniqueConstraint("tenant", "mrn"), Index(None, "tenant", "name"))
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    birth_date: Mapped[str | None]
    mrn: Mapped[str | None]
    language: Mapped[str]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    pregnant: Mapped[bool] = mapped_column(default=False)
    created: Mapped[int]
    ended: Mapped[int | None]


class Encounter(Base):
    """A patient's stay in a bed, or care at home; ``ward`` is who is responsible meanwhile.

    ``outcome`` is how it ended, where somebody has said so.
    """

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
    outcome: Mapped[str | None]


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
    config_applied_at: Mapped[int | None]


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
    """Somebody who can log in; ``wards`` None means all, ``language`` None what the browser asks for.

    ``phone`` is E.164. ``pin_hash`` and ``badge_hash`` prove on a shared wall who it is.
    """

    __tablename__ = "users"
    __table_args__ = (
        within_tenant("patient", "patients"),
        UniqueConstraint("tenant", "login"),
        Index(None, "tenant", "badge_hash", unique=True),
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    login: Mapped[str]
    name: Mapped[str]
    password_hash: Mapped[str | None]
    roles: Mapped[list[str]]
    wards: Mapped[list[str] | None]
    patient: Mapped[str | None]
    language: Mapped[str | None]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    pin_hash: Mapped[str | None]
    badge_hash: Mapped[str | None]
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
    """A logged-in browser; only the token's hash is kept. ``expires`` None: a wall display.

    ``agent`` says in a few words what logged in; ``used`` is when it last asked for something, about.
    """

    __tablename__ = "web_sessions"
    __table_args__ = (within_tenant("user", "users"), Index(None, "expires"))
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    user: Mapped[str]
    created: Mapped[int]
    expires: Mapped[int | None]
    agent: Mapped[str | None]
    used: Mapped[int | None]


class OneTimeLink(Base):
    """A link that logs in once, hashed like a session's token; ``created_by`` None: by the machine."""

    __tablename__ = "one_time_links"
    __table_args__ = (within_tenant("user", "users"),)
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    tenant: Mapped[str]
    user: Mapped[str]
    purpose: Mapped[str]
    created: Mapped[int]
    expires: Mapped[int]
    used: Mapped[int | None]
    created_by: Mapped[str | None]


class AuditRow(Base):
    """Who did what to what, and whether they were let."""

    __tablename__ = "audit"
    __table_args__ = (
        Index(None, "tenant", "at"),
        Index(None, "tenant", "resource_kind", "resource_id"),
        Index(None, "tenant", "resource_id", "at"),
    )
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
    __table_args__ = (
        CheckConstraint("first >= 1 AND last >= first", name="range"),
        Index(None, "tenant", "at"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(primary_key=True)
    boot: Mapped[str] = mapped_column(primary_key=True)
    first: Mapped[int] = mapped_column(primary_key=True)
    last: Mapped[int]
    reason: Mapped[str]
    at: Mapped[int]


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
