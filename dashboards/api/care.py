"""Care at home over the API: messages, the care plan, what was done of it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest.records.care import TaskDraft
from dashboards.access import Context, Guard
from dashboards.backend import DirectoryError
from dashboards.care_models import CareMessage, CarePlan, CareTask, Conversation, TaskDue, TaskKind
from dashboards.models import Instant
from dashboards.problems import ERROR_RESPONSES, MissingError
from hearthward.core.clock import SECOND
from hearthward.trust.access import Action

__all__ = ["add_task", "end_task", "mark_task", "plan_of", "router", "see_messages", "send_message"]

router = APIRouter(prefix="/api/v1", tags=["care"], responses=ERROR_RESPONSES)
MESSAGE: Final = "message"
PLAN: Final = "care_plan"
DAY: Final = 86_400 * SECOND
LONGEST_DAYS: Final = 62

SeeMessages = Annotated[Context, Depends(Guard(Action.VIEW_MESSAGES, MESSAGE, reads=True))]
Write = Annotated[Context, Depends(Guard(Action.WRITE_MESSAGE, MESSAGE))]
SeePlan = Annotated[Context, Depends(Guard(Action.VIEW_CARE_PLAN, PLAN, reads=True))]
Manage = Annotated[Context, Depends(Guard(Action.MANAGE_CARE_PLAN, PLAN))]
Do = Annotated[Context, Depends(Guard(Action.MARK_TASK, PLAN))]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MessageBody(_Body):
    """A message to the other side."""

    text: str = Field(max_length=4000, examples=["I feel dizzy since this morning."])
    client: str | None = Field(
        None, max_length=64, description="chosen by the sender: the same message sent again is kept once"
    )
    written: Instant | None = Field(None, description="when it was written; null: now")


class MessageList(BaseModel):
    """The newest messages with a patient, the oldest of them first."""

    items: list[CareMessage]


class Inbox(BaseModel):
    """Conversations, those that wait longest first."""

    items: list[Conversation]


class TaskBody(_Body):
    """A task of the care plan."""

    kind: TaskKind
    metric: str | None = Field(None, max_length=64, examples=["nibp_systolic"])
    title: str = Field("", max_length=500, examples=["Amlodipine 5 mg"])
    times: list[str] = Field(default_factory=list, max_length=24, examples=[["08:00", "20:00"]])
    weekdays: list[int] | None = Field(None, max_length=14, description="1 (Monday) to 7; null: every day")
    timezone: str = Field("UTC", max_length=64, examples=["Asia/Shanghai"])
    window_s: int = Field(7200, description="it counts for its time if it is done so long before or after")
    remind: bool = True

    @property
    def draft(self) -> TaskDraft:
        """The task as asked for."""
        days = None if self.weekdays is None else tuple(self.weekdays)
        times = tuple(self.times)
        return TaskDraft(
            self.kind, self.metric, self.title, times, days, self.timezone, self.window_s, self.remind
        )


class MarkBody(_Body):
    """What became of a task at one of its times."""

    due: Instant
    state: Literal["done", "skipped"]
    note: str = Field("", max_length=500)


async def allow(context: Context, patient: str, action: Action, kind: str) -> None:
    """Check that the patient is there for the caller, and the policy. Raises MissingError, AccessError."""
    if await context.backend.item(context.scope, "patient", patient) is None:
        raise MissingError(kind="patient", key=patient)
    await context.demand(action, kind, patient=patient, target=patient)


# --- messages ---------------------------------------------------------------------------------------


@router.get("/messages")
async def list_conversations(context: SeeMessages) -> Inbox:
    """The conversations with the caller's patients; listing them to a nurse or doctor sends them there."""
    return Inbox(items=list(await context.backend.inbox(context.who)))


@router.get("/patients/{patient}/messages")
async def list_messages(context: SeeMessages, patient: str) -> MessageList:
    """The messages with a patient; it leaves them unseen."""
    await allow(context, patient, Action.VIEW_MESSAGES, MESSAGE)
    found = await context.backend.messages(context.scope, patient)
    if found is None:
        raise MissingError(kind="patient", key=patient)
    return MessageList(items=list(found))


@router.post("/patients/{patient}/messages", status_code=201)
async def post_message(request: Request, context: Write, patient: str, body: MessageBody) -> CareMessage:
    """Write to the patient, or as the patient to the care team. It is kept once the answer comes."""
    client = request.app.state.ids.new("cli") if body.client is None else body.client
    return await send_message(context, patient, body.text, client=client, written=body.written)


async def send_message(
    context: Context, patient: str, text: str, *, client: str, written: int | None = None
) -> CareMessage:
    """Keep the caller's message, audited. Raises MissingError, AccessError, DirectoryError."""
    await allow(context, patient, Action.WRITE_MESSAGE, MESSAGE)
    made = await context.backend.write_message(context.who, patient, text, client=client, written=written)
    if made is None:
        raise MissingError(kind="patient", key=patient)
    await context.audit(Action.WRITE_MESSAGE, MESSAGE, target=patient, detail={"message": made.id})
    return made


@router.post("/patients/{patient}/messages/seen", status_code=204)
async def post_seen(
    context: Annotated[Context, Depends(Guard(Action.VIEW_MESSAGES, MESSAGE))], patient: str
) -> None:
    """The caller has seen what the other side wrote."""
    await see_messages(context, patient)


async def see_messages(context: Context, patient: str) -> None:
    """Note that the caller has seen them; audited where it was news. Raises MissingError, AccessError."""
    await allow(context, patient, Action.VIEW_MESSAGES, MESSAGE)
    new = await context.backend.see_messages(context.who, patient)
    if new is None:
        raise MissingError(kind="patient", key=patient)
    if new:
        detail = {"do": "seen", "messages": new}
        await context.audit(Action.VIEW_MESSAGES, MESSAGE, target=patient, detail=detail)


# --- the plan -------------------------------------------------------------------------------------------


@router.get("/patients/{patient}/plan")
async def get_plan(
    context: SeePlan,
    patient: str,
    start: Annotated[Instant | None, Query(description="7 days before the end when left out")] = None,
    end: Annotated[Instant | None, Query(description="exclusive; a day from now when left out")] = None,
) -> CarePlan:
    """The tasks, what was done of them at their times, and how much of the plan was kept."""
    last = context.backend.clock.now_ns() + DAY if end is None else end
    first = last - 8 * DAY if start is None else start
    return await plan_of(context, patient, first, last)


async def plan_of(context: Context, patient: str, start: int, end: int) -> CarePlan:
    """The plan for the caller. Raises MissingError, AccessError, DirectoryError (``start``, ``end``)."""
    if end <= start:
        raise DirectoryError(field="end", code="period", value=end)
    if end - start > LONGEST_DAYS * DAY:
        raise DirectoryError(field="start", code="bounds", value=f"{LONGEST_DAYS} d")
    await allow(context, patient, Action.VIEW_CARE_PLAN, PLAN)
    found = await context.backend.care_plan(context.scope, patient, start, end)
    if found is None:
        raise MissingError(kind="patient", key=patient)
    return found


@router.post("/patients/{patient}/tasks", status_code=201)
async def post_task(context: Manage, patient: str, body: TaskBody) -> CareTask:
    """Plan a task from now on."""
    return await add_task(context, patient, body.draft)


async def add_task(context: Context, patient: str, draft: TaskDraft) -> CareTask:
    """Plan a task, audited. Raises MissingError, AccessError, DirectoryError."""
    await allow(context, patient, Action.MANAGE_CARE_PLAN, PLAN)
    made = await context.backend.add_task(context.who, patient, draft)
    if made is None:
        raise MissingError(kind="patient", key=patient)
    detail = {"do": "add", "task": made.id, "kind": made.kind, "metric": made.metric, "times": made.times}
    await context.audit(Action.MANAGE_CARE_PLAN, PLAN, target=patient, detail=detail)
    return made


@router.post("/patients/{patient}/tasks/{task}/end")
async def post_task_end(context: Manage, patient: str, task: str) -> CareTask:
    """End a task now; what was done of it stays."""
    return await end_task(context, patient, task)


async def end_task(context: Context, patient: str, task: str) -> CareTask:
    """End a task, audited. Raises MissingError, AccessError."""
    await allow(context, patient, Action.MANAGE_CARE_PLAN, PLAN)
    ended = await context.backend.end_task(context.who, patient, task)
    if ended is None:
        raise MissingError(kind="task", key=task)
    await context.audit(Action.MANAGE_CARE_PLAN, PLAN, target=patient, detail={"do": "end", "task": task})
    return ended


@router.post("/patients/{patient}/tasks/{task}/marks")
async def post_mark(context: Do, patient: str, task: str, body: MarkBody) -> TaskDue:
    """Say that a task was done or skipped at one of its times; a measurement is done by its reading."""
    return await mark_task(context, patient, task, body.due, state=body.state, note=body.note)


async def mark_task(
    context: Context, patient: str, task: str, due: int, *, state: Literal["done", "skipped"], note: str = ""
) -> TaskDue:
    """Mark a task, audited. Raises MissingError, AccessError, DirectoryError."""
    await allow(context, patient, Action.MARK_TASK, PLAN)
    made = await context.backend.mark_task(context.who, patient, task, due, state=state, note=note)
    if made is None:
        raise MissingError(kind="task", key=task)
    detail = {"do": "mark", "task": task, "due": due, "state": state}
    await context.audit(Action.MARK_TASK, PLAN, target=patient, detail=detail)
    return made
