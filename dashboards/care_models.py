"""What pages and API show of care at home: messages, the care plan, what was done of it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest import careplan
from dashboards.models import Instant

__all__ = [
    "CareMessage",
    "CarePlan",
    "CareTask",
    "Conversation",
    "Kept",
    "PatientNote",
    "TaskDue",
    "TaskKind",
    "due_of",
    "kept_of",
    "task_view",
]

TaskKind = Literal["measure", "medicine", "other"]
DueState = Literal["done", "skipped", "missed", "now", "later"]
MessageState = Literal["received", "sent", "seen"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CareMessage(_View):
    """A message between a patient and the care team."""

    id: str
    patient: str
    from_care: bool = Field(description="the care team wrote it")
    author: str | None = Field(None, description="id of the user; patients are not told who of the team")
    author_name: str | None = None
    text: str
    client: str = Field(description="the sender's own key of it")
    written: Instant = Field(description="when it was written, by the sender's clock")
    at: Instant = Field(description="when it was received")
    sent: Instant | None = Field(None, description="when it was first put before the other side")
    seen: Instant | None = None
    seen_name: str | None = None

    @property
    def state(self) -> MessageState:
        """How far it has come."""
        return "seen" if self.seen is not None else "sent" if self.sent is not None else "received"


class Conversation(_View):
    """A patient's messages in the list of all: the last, and how many of theirs nobody has seen."""

    patient: str
    name: str
    ward: str | None = None
    ward_name: str = ""
    bed: str = ""
    last: CareMessage
    unseen: int = 0
    since: Instant | None = Field(None, description="since when the oldest of those waits")


class CareTask(_View):
    """Something to be done at certain times of day."""

    id: str
    kind: TaskKind
    metric: str | None = Field(None, description="of a measurement: what")
    title: str = ""
    times: list[str] = Field(description="local times of day", examples=[["08:00", "20:00"]])
    weekdays: list[int] | None = Field(None, description="1 (Monday) to 7; null: every day")
    timezone: str
    window_s: int = Field(description="it counts for its time if it is done so long before or after")
    remind: bool
    start: Instant
    end: Instant | None = None


class TaskDue(_View):
    """A task at one of its times."""

    task: str
    kind: TaskKind
    metric: str | None = None
    title: str = ""
    due: Instant
    opens: Instant
    closes: Instant
    state: DueState
    at: Instant | None = Field(None, description="when it was done, or said to be skipped")
    by: str | None = Field(None, description="who said so; null: nobody yet, or a reading did")
    measured: bool = Field(default=False, description="a reading in its window did it")
    note: str = ""


class Kept(_View):
    """How much of what was to be done by now was done."""

    done: int = 0
    skipped: int = 0
    missed: int = 0
    percent: int | None = Field(None, description="null: nothing was to be done yet")


class CarePlan(_View):
    """A patient's plan in [start, end): its tasks, each at its times, and how much of it was kept."""

    patient: str
    start: Instant
    end: Instant
    tasks: list[CareTask]
    dues: list[TaskDue]
    kept: Kept
    reminded_by: list[Literal["push", "sms"]] = Field(
        default_factory=list, description="by what the patient can be reminded; empty: by nothing"
    )


class PatientNote(_View):
    """What somebody of the care team wrote about a patient as a whole."""

    id: str
    patient: str
    at: Instant
    by: str = Field(description="id of the user")
    by_name: str
    text: str
    struck: Instant | None = Field(None, description="when it was struck out: it does not count")
    struck_name: str | None = None


def task_view(task: careplan.Task) -> CareTask:
    """A task as it is shown."""
    return CareTask(
        id=task.id,
        kind=task.kind,
        metric=task.metric,
        title=task.title,
        times=list(task.times),
        weekdays=None if task.weekdays is None else list(task.weekdays),
        timezone=task.timezone,
        window_s=task.window_s,
        remind=task.remind,
        start=task.start,
        end=task.end,
    )


def due_of(found: careplan.Occurrence) -> TaskDue:
    """A task at one of its times as it is shown."""
    slot, task = found.slot, found.slot.task
    return TaskDue(
        task=task.id,
        kind=task.kind,
        metric=task.metric,
        title=task.title,
        due=slot.due,
        opens=slot.opens,
        closes=slot.closes,
        state=found.state,
        at=found.at,
        by=found.by or None,
        measured=found.state == "done" and not found.by,
        note=found.note,
    )


def kept_of(found: careplan.Adherence) -> Kept:
    """How much was kept, as it is shown."""
    return Kept(done=found.done, skipped=found.skipped, missed=found.missed, percent=found.percent)
