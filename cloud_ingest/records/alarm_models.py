"""Tables of alarms, their history, what is switched off, and the way of each message to a person."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base, Seq, within_tenant

__all__ = ["Alarm", "DeliveryAttempt", "InactivationRow", "Notification", "TransitionRow"]


def _target(context: Any) -> str:
    return str(context.get_current_parameters()["target"])


class Alarm(Base):
    """An alarm as it stands; written by the pipeline only.

    No foreign key to the patient: an alarm is never refused because of the directory, and a subject may be
    a gateway. ``worklist`` marks what came too late to signal: never active, but to be looked at.
    ``signalled``: it has started; False for the worklist, and while (or when ended after) only a second
    measurement was asked for. ``shadow``: of a rule on trial, never to be taken for an alarm. ``kind``,
    ``latching`` and ``audience`` are the rule's. A ``latched`` one is over since ``ended`` and waits to be
    acknowledged.

    From ``signal`` on and ``accepted_by`` (its owner's id): ``rules.response.model.Response.axes`` after the
    last transition. ``root`` is the alarm that it is shown under; ``next_at`` when ``next_to`` (ids of users,
    or roles) are told by the escalation's ``step``; ``episodes`` before this one that nobody acknowledged,
    the first of them at ``since``.
    """

    __tablename__ = "alarms"
    __table_args__ = (
        CheckConstraint("priority IN ('high', 'medium', 'low')", name="priority"),
        CheckConstraint(
            "condition IN ('inactive', 'asked', 'pending', 'active', 'latched')", name="condition"
        ),
        CheckConstraint("kind IN ('physiological', 'technical')", name="kind"),
        CheckConstraint(
            "signal IN ('on', 'audio_paused', 'audio_off', 'alarm_paused', 'alarm_off', 'acknowledged')",
            name="signal",
        ),
        Index(None, "tenant", "condition", "started"),
        Index(None, "tenant", "started"),
        Index(None, "tenant", "patient", "started"),
        Index(None, "tenant", "rule", "started"),
        Index(None, "tenant", "root"),
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
    signal: Mapped[str] = mapped_column(default="on")
    signal_until: Mapped[int | None]
    rejected: Mapped[list[str]] = mapped_column(default=list)
    root: Mapped[str | None]
    policy: Mapped[str] = mapped_column(default="")
    step: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[int | None]
    next_to: Mapped[list[str]] = mapped_column(default=list)
    episodes: Mapped[int] = mapped_column(default=0)
    since: Mapped[int | None]
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


class InactivationRow(Base):
    """Somebody switched signals off for a subject, in [start, ended or until); written by the pipeline only.

    ``kind`` is ``rules.response.model.InactivationKind``; ``seq`` the input that did it. ``ended`` None: it
    still holds. Of one that a newer one took the place of, ``replaced_by`` is that one's id.
    """

    __tablename__ = "inactivations"
    __table_args__ = (
        CheckConstraint("kind IN ('audio_off', 'alarm_paused', 'alarm_off', 'maintenance')", name="kind"),
        Index(
            "ix_inactivations_open",
            "tenant",
            "subject",
            "kind",
            unique=True,
            sqlite_where=text("ended IS NULL"),
            postgresql_where=text("ended IS NULL"),
        ),
        Index(None, "tenant", "subject", "start"),
        Index(None, "tenant", "ended"),
    )
    tenant: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str]
    kind: Mapped[str]
    by: Mapped[str]
    reason: Mapped[str]
    start: Mapped[int]
    until: Mapped[int]
    ended: Mapped[int | None]
    ended_by: Mapped[str | None]
    replaced_by: Mapped[str | None]
    seq: Mapped[int]


class Notification(Base):
    """What has to reach somebody through one channel because of one transition.

    ``who`` is a user's id, ``wall`` or ``@name`` of an endpoint; ``target`` their address. ``step`` of the
    escalation counts from 0 (None: told besides). ``message`` is the joined message that it was last sent
    in. ``unreported``: why it was not delivered, until escalation has been told so.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        within_tenant("alarm", "alarms"),
        UniqueConstraint("tenant", "alarm", "seq", "ordinal", "channel", "who"),
        CheckConstraint(
            "state IN ('queued', 'handed_over', 'confirmed', 'failed', 'abandoned')", name="state"
        ),
        Index(None, "state", "next_at"),
        Index(None, "message"),
        Index(None, "tenant", "channel", "created"),
        Index(None, "tenant", "created"),
        Index(
            "ix_notifications_unreported",
            "unreported",
            sqlite_where=text("unreported IS NOT NULL"),
            postgresql_where=text("unreported IS NOT NULL"),
        ),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    alarm: Mapped[str]
    seq: Mapped[int]
    ordinal: Mapped[int]
    kind: Mapped[str]
    priority: Mapped[str]
    channel: Mapped[str]
    who: Mapped[str] = mapped_column(default=_target)
    target: Mapped[str]
    step: Mapped[int | None]
    language: Mapped[str]
    body: Mapped[str]
    state: Mapped[str]
    reference: Mapped[str | None]
    message: Mapped[str | None]
    unreported: Mapped[str | None]
    attempts: Mapped[int]
    next_at: Mapped[int]
    lease_until: Mapped[int | None]
    created: Mapped[int]


class DeliveryAttempt(Base):
    """One try to hand a notification over, or what came of it later.

    ``latency_ms`` is how long the channel took, ``after_ms`` the time since the transition was decided.
    """

    __tablename__ = "delivery_attempts"
    __table_args__ = (
        within_tenant("notification", "notifications"),
        Index(None, "tenant", "notification"),
        Index(None, "tenant", "outcome", "at"),
        Index(None, "tenant", "at"),
    )
    id: Mapped[int] = mapped_column(Seq, primary_key=True, autoincrement=True)
    tenant: Mapped[str]
    notification: Mapped[str]
    at: Mapped[int]
    outcome: Mapped[str]
    detail: Mapped[str]
    latency_ms: Mapped[float]
    after_ms: Mapped[float | None]
