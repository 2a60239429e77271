"""Tables of care: messages, the care plan and what was done of it, notes, and who else may look."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud_ingest.records.base import Base, within_tenant

__all__ = ["CareMark", "CareMessage", "CareTask", "Consent", "PatientNote"]


class CareMessage(Base):
    """A message between a patient (or family) and the care team; ``seen`` by the other side.

    ``client`` is the sender's own key: a message that is sent twice is there once.
    """

    __tablename__ = "care_messages"
    __table_args__ = (
        within_tenant("patient", "patients"),
        within_tenant("author", "users"),
        UniqueConstraint("tenant", "author", "client"),
        Index(None, "tenant", "patient", "at"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    author: Mapped[str]
    from_care: Mapped[bool]
    text: Mapped[str]
    client: Mapped[str]
    written: Mapped[int]
    """When it was written, by the sender's own clock."""
    at: Mapped[int]
    sent: Mapped[int | None]
    """When it was first put before the other side: in their list of messages, or by a push."""
    seen: Mapped[int | None]
    seen_by: Mapped[str | None]


class CareTask(Base):
    """Something a patient is to do at certain times of day during [start, end): measure, take a medicine.

    ``times`` are local times of day ("08:00") in ``timezone``; ``weekdays`` ISO numbers, None every day.
    """

    __tablename__ = "care_tasks"
    __table_args__ = (
        within_tenant("patient", "patients"),
        CheckConstraint("kind IN ('measure', 'medicine', 'other')", name="kind"),
        CheckConstraint("(kind = 'measure') = (metric IS NOT NULL)", name="metric"),
        CheckConstraint('"end" IS NULL OR "end" > start', name="period"),
        Index(None, "tenant", "patient", "end"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    kind: Mapped[str]
    metric: Mapped[str | None]
    title: Mapped[str]
    """In the words of who planned it; may be empty for a measurement."""
    times: Mapped[list[str]]
    weekdays: Mapped[list[Any] | None]
    timezone: Mapped[str]
    window_s: Mapped[int]
    """It counts for its time if it is done so long before or after."""
    remind: Mapped[bool]
    reminded: Mapped[int | None]
    """The time (one of its own) of which a reminder was sent last."""
    start: Mapped[int]
    end: Mapped[int | None]
    created: Mapped[int]
    created_by: Mapped[str]
    ended_by: Mapped[str | None]


class CareMark(Base):
    """What became of a task at one of its times: ``done`` or ``skipped``, said by whom and when."""

    __tablename__ = "care_marks"
    __table_args__ = (
        within_tenant("task", "care_tasks"),
        CheckConstraint("state IN ('done', 'skipped')", name="state"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    task: Mapped[str] = mapped_column(primary_key=True)
    due: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    state: Mapped[str]
    note: Mapped[str]
    at: Mapped[int]
    by: Mapped[str]


class PatientNote(Base):
    """What somebody of the care team wrote about a patient as a whole; struck out, it stays."""

    __tablename__ = "patient_notes"
    __table_args__ = (
        within_tenant("patient", "patients"),
        within_tenant("by", "users"),
        Index(None, "tenant", "patient", "at"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    at: Mapped[int]
    by: Mapped[str]
    text: Mapped[str]
    struck: Mapped[int | None]
    struck_by: Mapped[str | None]


class Consent(Base):
    """A patient lets a person of their own choice see something during [start, until).

    ``sees`` has ``values``, ``alarms``, ``plan``. Revoked or over, nothing of it holds; the row stays.
    """

    __tablename__ = "consents"
    __table_args__ = (
        within_tenant("patient", "patients"),
        within_tenant("person", "users"),
        CheckConstraint("until IS NULL OR until > start", name="period"),
        Index(None, "tenant", "patient"),
        Index(None, "tenant", "person"),
    )
    tenant: Mapped[str] = mapped_column(primary_key=True)
    id: Mapped[str] = mapped_column(primary_key=True)
    patient: Mapped[str]
    person: Mapped[str]
    sees: Mapped[list[str]]
    start: Mapped[int]
    until: Mapped[int | None]
    given: Mapped[int]
    given_by: Mapped[str]
    revoked: Mapped[int | None]
    revoked_by: Mapped[str | None]
