"""Care: messages between patients and the care team, the care plan, what was done of it, notes."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from cloud_ingest.careplan import MEASURED, Mark, Task
from cloud_ingest.records.care_models import CareMark, CareMessage, CareTask, PatientNote
from cloud_ingest.records.models import Patient
from cloud_ingest.records.scoping import Repository, check_timezone, refuse_code
from cloud_ingest.records.written import legible
from hearthward.trust.access import Scope

__all__ = [
    "Care",
    "TaskDraft",
    "Waiting",
    "check_message",
    "check_note",
    "check_task",
    "mark_of",
    "task_of",
]

LONGEST_MESSAGE: Final = 2000
LONGEST_TITLE: Final = 120
LONGEST_CLIENT: Final = 64
MOST_TIMES: Final = 8
MOST_TASKS: Final = 40
"""Tasks of one patient at the same time."""
WINDOW_S: Final = (15 * 60, 6 * 3600)
KINDS: Final = ("measure", "medicine", "other")
SHOWN: Final = 200
WEEK: Final = 7
HOUR: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")


@dataclass(frozen=True, slots=True)
class TaskDraft:
    """A task as asked for."""

    kind: str
    metric: str | None
    title: str
    times: tuple[str, ...]
    weekdays: tuple[int, ...] | None
    timezone: str
    window_s: int = 2 * 3600
    remind: bool = True


@dataclass(frozen=True, slots=True)
class Waiting:
    """A conversation in the list: its last message, and what the patient wrote that nobody has seen."""

    last: CareMessage
    unseen: int
    since: int | None


def check_note(text: str) -> str:
    """A text that people can read, as it is kept. Raises ConfigError (``text``)."""
    kept = legible(text)
    if kept == "":
        refuse_code("text", "required", "", "text: write something")
    if kept is None or len(kept) > LONGEST_MESSAGE:
        problem = f"text: give at most {LONGEST_MESSAGE} printable characters"
        refuse_code("text", "bounds", LONGEST_MESSAGE, problem)
    return kept


def check_message(text: str, client: str) -> tuple[str, str]:
    """A message that people can read, and its sender's key. Raises ConfigError (``text``, ``client``)."""
    text = check_note(text)
    if not client or len(client) > LONGEST_CLIENT or not client.isascii() or not client.isprintable():
        refuse_code(
            "client", "invalid", client[:20], "client: give 1 to 64 ASCII characters of your own choice"
        )
    return text, client


def check_task(draft: TaskDraft) -> TaskDraft:
    """The draft as it is kept. Raises ConfigError naming the field."""
    if draft.kind not in KINDS:
        refuse_code("kind", "unknown", draft.kind, f"kind: choose one of {', '.join(KINDS)}")
    metric = (draft.metric or None) if draft.kind == "measure" else None
    if draft.kind == "measure" and metric not in MEASURED:
        code = "unknown" if metric else "required"
        refuse_code("metric", code, metric or "", f"metric: choose one of {', '.join(MEASURED)}")
    written = legible(draft.title)
    title = " ".join((written or "").split())
    if written == "" and draft.kind != "measure":
        refuse_code("title", "required", "", "title: say what is to be done")
    if written is None or len(title) > LONGEST_TITLE:
        refuse_code("title", "bounds", LONGEST_TITLE, f"title: give at most {LONGEST_TITLE} characters")
    weekdays = None if draft.weekdays is None else tuple(sorted(set(draft.weekdays)))
    if weekdays is not None and (not weekdays or not set(weekdays) <= set(range(1, WEEK + 1))):
        refuse_code("weekdays", "required", "", "weekdays: choose one at least, 1 (Monday) to 7")
    zone = check_timezone(draft.timezone)
    if zone is None:
        refuse_code("timezone", "required", "", "timezone: give one such as Asia/Shanghai")
    low, high = WINDOW_S
    if not low <= draft.window_s <= high:
        refuse_code("window_s", "bounds", f"{low} - {high}", f"window_s: give {low} to {high} seconds")
    every = None if weekdays is None or len(weekdays) == WEEK else weekdays
    return TaskDraft(
        draft.kind, metric, title, _times(draft.times), every, zone, draft.window_s, draft.remind
    )


def _times(texts: Collection[str]) -> tuple[str, ...]:
    found = set()
    for text in texts:
        hour = HOUR.fullmatch(text.strip())
        if hour is None:
            refuse_code("times", "invalid", text[:20], f"times: {text!r} is no time of day such as 08:00")
        found.add(f"{int(hour[1]):02}:{hour[2]}")
    if not found:
        refuse_code("times", "required", "", "times: give one time of day at least, such as 08:00")
    if len(found) > MOST_TIMES:
        refuse_code("times", "bounds", MOST_TIMES, f"times: give at most {MOST_TIMES}")
    return tuple(sorted(found))


def task_of(row: CareTask) -> Task:
    """A row as the plan knows it."""
    days = None if row.weekdays is None else tuple(row.weekdays)
    fields = row.timezone, row.window_s, row.remind, row.start, row.end
    return Task(row.id, row.kind, row.metric, row.title, tuple(row.times), days, *fields)


def mark_of(row: CareMark) -> Mark:
    """A row as the plan knows it."""
    return Mark("done" if row.state == "done" else "skipped", row.note, row.at, row.by)


class Care(Repository):
    """Messages, tasks and marks within a scope. What names a field is a ConfigError."""

    def person(self, scope: Scope, patient: str) -> Patient:
        """The patient. Raises ConfigError (``not_found``)."""
        return self._find(Patient, scope, patient, "patient", *self._patient_limit(Patient.id, scope))

    # --- messages -----------------------------------------------------------------------------------
    def messages(self, scope: Scope, patient: str, *, limit: int = SHOWN) -> Sequence[CareMessage]:
        """The newest ``limit`` messages with a patient, the oldest of them first."""
        self.person(scope, patient)
        query = select(CareMessage).where(CareMessage.tenant == scope.tenant, CareMessage.patient == patient)
        newest = query.order_by(CareMessage.at.desc(), CareMessage.id.desc()).limit(limit)
        return self.session.scalars(newest).all()[::-1]

    def write(
        self,
        scope: Scope,
        patient: str,
        *,
        author: str,
        from_care: bool,
        text: str,
        client: str,
        written: int,
    ) -> CareMessage:
        """Keep a message; sent again with the same ``client`` key it is the one that is there."""
        text, client = check_message(text, client)
        if self.person(scope, patient).ended is not None:
            refuse_code("patient", "ended", patient, "this patient's record is closed", "conflict")
        there = self.session.scalars(
            select(CareMessage).where(
                CareMessage.tenant == scope.tenant, CareMessage.author == author, CareMessage.client == client
            )
        ).one_or_none()
        if there is not None:
            if (there.patient, there.text) != (patient, text):
                refuse_code("client", "taken", client, "this key was used for another message", "conflict")
            return there
        row = CareMessage(
            tenant=scope.tenant,
            id=self.ids.new("msg"),
            patient=patient,
            author=author,
            from_care=from_care,
            text=text,
            client=client,
            written=min(written, self.now),
            at=self.now,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def see(self, scope: Scope, patient: str, *, by: str, from_care: bool) -> int:
        """``by`` has seen what the other side (``from_care``) wrote so far; returns how many were new."""
        self.person(scope, patient)
        new = self._unseen(scope, from_care=from_care), CareMessage.patient == patient
        values = {"seen": self.now, "seen_by": by, "sent": func.coalesce(CareMessage.sent, self.now)}
        return self._update(values, *new)

    def list_to_care(self, scope: Scope, patients: Collection[str]) -> int:
        """What these patients wrote was put before the care team; returns how many were new."""
        listed = self._unseen(scope, from_care=False), CareMessage.patient.in_(patients)
        return self._update({"sent": self.now}, *listed, CareMessage.sent.is_(None))

    def _update(self, values: Mapping[str, Any], *conditions: ColumnElement[bool]) -> int:
        done: Any = self.session.execute(update(CareMessage).where(*conditions).values(**values))
        return int(done.rowcount)

    def _unseen(self, scope: Scope, *, from_care: bool) -> ColumnElement[bool]:
        return and_(
            CareMessage.tenant == scope.tenant,
            CareMessage.from_care.is_(from_care),
            CareMessage.seen.is_(None),
        )

    def unseen(self, scope: Scope, patient: str, *, from_care: bool) -> int:
        """How many messages of one side the other has not seen."""
        count = select(func.count()).where(
            self._unseen(scope, from_care=from_care),
            CareMessage.patient == patient,
            *self._patient_limit(CareMessage.patient, scope),
        )
        return int(self.session.scalar(count) or 0)

    def unseen_by_patient(self, scope: Scope) -> dict[str, int]:
        """How many messages of each patient nobody has seen; none: left out."""
        return {patient: count for patient, (count, _) in self._waiting(scope).items()}

    def _waiting(self, scope: Scope) -> dict[str, tuple[int, int]]:
        """By patient: how many of their messages nobody has seen, and since when the oldest waits."""
        found = self.session.execute(
            select(CareMessage.patient, func.count(), func.min(CareMessage.at))
            .where(self._unseen(scope, from_care=False), *self._patient_limit(CareMessage.patient, scope))
            .group_by(CareMessage.patient)
        )
        return {patient: (int(count), int(since)) for patient, count, since in found}

    def inbox(self, scope: Scope, *, limit: int = SHOWN) -> Sequence[Waiting]:
        """Conversations: those with something unseen first (the oldest first), then the latest."""
        limits = CareMessage.tenant == scope.tenant, *self._patient_limit(CareMessage.patient, scope)
        unseen = self._waiting(scope)
        newest = select(CareMessage.patient, func.max(CareMessage.at).label("at")).where(*limits)
        last = newest.group_by(CareMessage.patient).order_by(func.max(CareMessage.at).desc()).limit(limit)
        kept = set(unseen) | {patient for patient, _ in self.session.execute(last)}
        rows = self.session.scalars(
            select(CareMessage)
            .where(*limits, CareMessage.patient.in_(kept))
            .where(self._is_last())
            .order_by(CareMessage.at, CareMessage.id)
        )
        found = {row.patient: row for row in rows}
        waiting = [Waiting(row, *unseen.get(patient, (0, None))) for patient, row in found.items()]
        return sorted(waiting, key=lambda w: (w.since is None, w.since or -w.last.at, w.last.patient))

    def _is_last(self) -> ColumnElement[bool]:
        other = select(
            CareMessage.at.label("at"), CareMessage.patient.label("p"), CareMessage.tenant.label("t")
        )
        older = other.subquery("newer")
        newest = (
            select(func.max(older.c.at))
            .where(older.c.p == CareMessage.patient, older.c.t == CareMessage.tenant)
            .scalar_subquery()
        )
        return CareMessage.at == newest

    # --- the plan ---------------------------------------------------------------------------------------
    def tasks(self, scope: Scope, patient: str, *, since: int | None = None) -> Sequence[CareTask]:
        """The tasks that hold now, or held at some time from ``since`` on; by their first time of day."""
        self.person(scope, patient)
        query = select(CareTask).where(CareTask.tenant == scope.tenant, CareTask.patient == patient)
        query = query.where(
            or_(CareTask.end.is_(None), CareTask.end > (self.now if since is None else since))
        )
        return sorted(self.session.scalars(query), key=lambda t: (t.times, t.created, t.id))

    def add_task(self, scope: Scope, patient: str, draft: TaskDraft, *, by: str) -> CareTask:
        """Plan a task from now on."""
        draft = check_task(draft)
        if self.person(scope, patient).ended is not None:
            refuse_code("patient", "ended", patient, "this patient's record is closed", "conflict")
        if len(self.tasks(scope, patient)) >= MOST_TASKS:
            refuse_code("title", "bounds", MOST_TASKS, f"a plan has at most {MOST_TASKS} tasks; end some")
        row = CareTask(
            tenant=scope.tenant,
            id=self.ids.new("tsk"),
            patient=patient,
            kind=draft.kind,
            metric=draft.metric,
            title=draft.title,
            times=list(draft.times),
            weekdays=None if draft.weekdays is None else list(draft.weekdays),
            timezone=draft.timezone,
            window_s=draft.window_s,
            remind=draft.remind,
            start=self.now,
            created=self.now,
            created_by=by,
        )
        self.session.add(row)
        self.session.flush()
        return row

    def task(self, scope: Scope, patient: str, task: str) -> CareTask:
        """One task of a patient. Raises ConfigError (``not_found``)."""
        limits = CareTask.patient == patient, *self._patient_limit(CareTask.patient, scope)
        return self._find(CareTask, scope, task, "task", *limits)

    def end_task(self, scope: Scope, patient: str, task: str, *, by: str) -> CareTask:
        """End a task now; what was done of it stays. One that has ended stays as it is."""
        row = self.task(scope, patient, task)
        if row.end is None:
            self._change(row, {"end": max(self.now, row.start + 1), "ended_by": by})
        return row

    def marks(
        self, scope: Scope, tasks: Collection[str], first: int, last: int
    ) -> Mapping[tuple[str, int], Mark]:
        """What was said of these tasks at their times within [first, last)."""
        rows = self.session.scalars(
            select(CareMark).where(
                CareMark.tenant == scope.tenant,
                CareMark.task.in_(tasks),
                CareMark.due >= first,
                CareMark.due < last,
            )
        )
        return {(row.task, row.due): mark_of(row) for row in rows}

    def mark(self, scope: Scope, task: str, due: int, *, state: str, note: str, by: str) -> CareMark:
        """Say what became of a task at one of its times; said again it takes the place of what was said.

        Whether it is one of its times, and may still be said, is the caller's to check.
        """
        row = self.session.get(CareMark, (scope.tenant, task, due))
        if row is None:
            row = CareMark(tenant=scope.tenant, task=task, due=due)
            self.session.add(row)
        self._change(row, {"state": state, "note": note, "at": self.now, "by": by})
        return row

    # --- notes --------------------------------------------------------------------------------------------
    def notes(self, scope: Scope, patient: str, *, start: int, limit: int) -> Sequence[PatientNote]:
        """What was written about a patient since ``start``, the newest first."""
        self.person(scope, patient)
        query = select(PatientNote).where(
            PatientNote.tenant == scope.tenant, PatientNote.patient == patient, PatientNote.at >= start
        )
        return self.session.scalars(
            query.order_by(PatientNote.at.desc(), PatientNote.id.desc()).limit(limit)
        ).all()

    def write_note(self, scope: Scope, patient: str, text: str, *, by: str) -> PatientNote:
        """Keep a note."""
        text = check_note(text)
        if self.person(scope, patient).ended is not None:
            refuse_code("patient", "ended", patient, "this patient's record is closed", "conflict")
        row = PatientNote(
            tenant=scope.tenant, id=self.ids.new("pnt"), patient=patient, at=self.now, by=by, text=text
        )
        self.session.add(row)
        self.session.flush()
        return row

    def strike_note(self, scope: Scope, patient: str, note: str, *, by: str) -> PatientNote:
        """Strike a note out: it stays. One that is struck out stays as it is."""
        limits = PatientNote.patient == patient, *self._patient_limit(PatientNote.patient, scope)
        row = self._find(PatientNote, scope, note, "note", *limits)
        if row.struck is None:
            self._change(row, {"struck": self.now, "struck_by": by})
        return row

    # --- reminders ----------------------------------------------------------------------------------------
    def to_remind(self, scope: Scope) -> Sequence[CareTask]:
        """All tasks that hold now and of which people are reminded."""
        query = select(CareTask).where(
            CareTask.tenant == scope.tenant, CareTask.remind, CareTask.end.is_(None)
        )
        return self.session.scalars(query.order_by(CareTask.id)).all()

    def reminded(self, scope: Scope, done: Mapping[str, int]) -> None:
        """Reminders of these tasks at these times were sent."""
        for task, due in done.items():
            self.session.execute(
                update(CareTask)
                .where(CareTask.tenant == scope.tenant, CareTask.id == task)
                .values(reminded=due)
            )
