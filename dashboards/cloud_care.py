"""The port's care at home over the real records and the store's readings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest import careplan
from cloud_ingest.feed import MessagesChanged
from cloud_ingest.measured import measured
from cloud_ingest.records import models as rows
from cloud_ingest.records.care import Care, TaskDraft, Waiting, task_of
from cloud_ingest.records.reached import reached_by
from cloud_ingest.service import CloudService
from dashboards.care_models import (
    CareMessage,
    CarePlan,
    CareTask,
    Conversation,
    PatientNote,
    TaskDue,
    due_of,
    kept_of,
    task_view,
)
from dashboards.care_words import cares, check_mark
from dashboards.patient_eyes import due_seen
from dashboards.staff_refusals import or_none
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["CloudCare"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a patient is, as people say it."""

    name: str
    ward: str | None = None
    ward_name: str = ""
    bed: str = ""


class CloudCare:
    """The part of ``CloudBackend`` that is about care at home."""

    def __init__(self, service: CloudService) -> None:
        self._service = service

    async def _read_care(self, fn: Callable[[Session, Care], T], what: str = "patient") -> T | None:
        records = self._service.records
        return await or_none(records.read(lambda s: fn(s, records.care(s))), what)

    async def _write_care(self, fn: Callable[[Session, Care], T], what: str = "patient") -> T | None:
        records = self._service.records
        return await or_none(records.run(lambda s: fn(s, records.care(s))), what)

    # --- messages -------------------------------------------------------------------------------
    async def messages(self, scope: Scope, patient: str) -> Sequence[CareMessage] | None:
        """See the port."""

        def read(session: Session, care: Care) -> list[CareMessage]:
            found = care.messages(scope, patient)
            return [_message(scope, row, _names(session, scope, found)) for row in found]

        return await self._read_care(read)

    async def write_message(
        self, who: Principal, patient: str, text: str, *, client: str, written: int | None = None
    ) -> CareMessage | None:
        """See the port."""
        scope = scope_of(who)

        def write(session: Session, care: Care) -> CareMessage:
            row = care.write(
                scope,
                patient,
                author=who.user,
                from_care=who.patient is None,
                text=text,
                client=client,
                written=care.now if written is None else written,
            )
            return _message(scope, row, _names(session, scope, [row]))

        made = await self._write_care(write)
        self._tell_messages(scope)
        return made

    def _tell_messages(self, scope: Scope) -> None:
        self._service.feed.publish(MessagesChanged(scope.tenant))

    async def see_messages(self, who: Principal, patient: str) -> int | None:
        """See the port."""
        scope, own = scope_of(who), who.patient is not None

        def see(_: Session, care: Care) -> int:
            if not own and not cares(who):
                care.person(scope, patient)
                return 0
            return care.see(scope, patient, by=who.user, from_care=own)

        if await self.unseen_messages(who, patient):
            new = await self._write_care(see)
            self._tell_messages(scope)
            return new
        return await self._read_care(lambda _, care: int(care.person(scope, patient) is None))

    async def unseen_messages(self, who: Principal, patient: str) -> int:
        """See the port."""
        scope, own = scope_of(who), who.patient is not None
        found = await self._read_care(lambda _, care: care.unseen(scope, patient, from_care=own))
        return found or 0

    async def unseen_by_patient(self, scope: Scope) -> Mapping[str, int]:
        """See the port."""
        return await self._read_care(lambda _, care: care.unseen_by_patient(scope)) or {}

    async def inbox(self, who: Principal) -> Sequence[Conversation]:
        """See the port."""
        scope = scope_of(who)

        def read(session: Session, care: Care) -> list[Conversation]:
            waiting = care.inbox(scope)
            names = _names(session, scope, [w.last for w in waiting])
            places = _places(session, scope, [w.last.patient for w in waiting])
            return [_conversation(scope, w, places[w.last.patient], names) for w in waiting]

        found = await self._read_care(read) or []
        fresh = [c.patient for c in found if c.unseen]
        if fresh and cares(who):
            await self._write_care(lambda _, care: care.list_to_care(scope, fresh))
        return found

    # --- the plan -------------------------------------------------------------------------------------
    async def care_plan(self, scope: Scope, patient: str, start: int, end: int) -> CarePlan | None:
        """See the port."""
        records = self._service.records

        def read(
            session: Session, care: Care
        ) -> tuple[
            list[careplan.Task],
            Mapping[tuple[str, int], careplan.Mark],
            frozenset[str],
            list[Literal["push", "sms"]],
        ]:
            tasks = [task_of(row) for row in care.tasks(scope, patient, since=start)]
            ways = reached_by(records, session, scope.tenant, patient, self._service.reach.channels.keys())
            marks = care.marks(scope, [t.id for t in tasks], start, end)
            return tasks, marks, _own(session, scope), list(dict.fromkeys(w.channel for w in ways))

        found = await self._read_care(read)
        if found is None:
            return None
        tasks, marks, own, ways = found
        times = careplan.slots(tasks, start, end)
        now = self._service.clock.now_ns()
        begun = [s for s in times if s.opens <= now]
        service = self._service
        by = await measured(service.store, service.attribution, scope.tenant, patient, begun)
        done = careplan.occurrences(times, marks, by, now)
        return CarePlan(
            patient=patient,
            start=start,
            end=end,
            tasks=[task_view(t) for t in tasks if t.end is None or t.end > now],
            dues=[due_seen(scope, due_of(o), own) for o in done],
            kept=kept_of(careplan.adherence(done)),
            reminded_by=ways,
        )

    async def add_task(self, who: Principal, patient: str, draft: TaskDraft) -> CareTask | None:
        """See the port."""
        scope = scope_of(who)
        return await self._write_care(
            lambda _, care: _shown(care.add_task(scope, patient, draft, by=who.user))
        )

    async def end_task(self, who: Principal, patient: str, task: str) -> CareTask | None:
        """See the port."""
        scope = scope_of(who)
        return await self._write_care(
            lambda _, care: _shown(care.end_task(scope, patient, task, by=who.user)), "task"
        )

    async def mark_task(
        self,
        who: Principal,
        patient: str,
        task: str,
        due: int,
        *,
        state: Literal["done", "skipped"],
        note: str = "",
    ) -> TaskDue | None:
        """See the port."""
        scope, now = scope_of(who), self._service.clock.now_ns()

        def write(_: Session, care: Care) -> careplan.Slot:
            slot, text = check_mark(task_of(care.task(scope, patient, task)), due, state, note, now)
            care.mark(scope, task, due, state=state, note=text, by=who.user)
            return slot

        slot = await self._write_care(write, "task")
        if slot is None:
            return None
        plan = await self.care_plan(scope, patient, due, due + 1)
        return None if plan is None else next(d for d in plan.dues if d.task == task)

    # --- notes ------------------------------------------------------------------------------------
    async def patient_notes(
        self, scope: Scope, patient: str, *, start: int = 0, limit: int = 50
    ) -> Sequence[PatientNote] | None:
        """See the port."""

        def read(session: Session, care: Care) -> list[PatientNote]:
            found = care.notes(scope, patient, start=start, limit=limit)
            names = _named(session, scope, {who for row in found for who in (row.by, row.struck_by) if who})
            return [_note(row, names) for row in found]

        return await self._read_care(read)

    async def write_note(self, who: Principal, patient: str, text: str) -> PatientNote | None:
        """See the port."""
        scope = scope_of(who)

        def write(session: Session, care: Care) -> PatientNote:
            row = care.write_note(scope, patient, text, by=who.user)
            return _note(row, _named(session, scope, {who.user}))

        return await self._write_care(write)

    async def strike_note(self, who: Principal, patient: str, note: str) -> PatientNote | None:
        """See the port."""
        scope = scope_of(who)

        def write(session: Session, care: Care) -> PatientNote:
            row = care.strike_note(scope, patient, note, by=who.user)
            return _note(row, _named(session, scope, {row.by, row.struck_by or ""}))

        return await self._write_care(write, "note")

    async def care_zone(self, scope: Scope, patient: str) -> str | None:
        """See the port."""

        def read(session: Session, care: Care) -> str | None:
            tasks = care.tasks(scope, patient)
            if tasks:
                return tasks[-1].timezone
            worn = (
                select(rows.Gateway.timezone)
                .join(
                    rows.Device,
                    (rows.Device.tenant == rows.Gateway.tenant) & (rows.Device.gateway == rows.Gateway.id),
                )
                .join(
                    rows.Association,
                    (rows.Association.tenant == rows.Device.tenant)
                    & (rows.Association.device == rows.Device.id),
                )
                .where(
                    rows.Association.tenant == scope.tenant,
                    rows.Association.patient == patient,
                    rows.Association.superseded_at.is_(None),
                    rows.Association.end.is_(None),
                    rows.Gateway.timezone.is_not(None),
                )
                .order_by(rows.Gateway.id)
            )
            return session.scalars(worn).first()

        return await self._read_care(read)


def _shown(row: rows.CareTask) -> CareTask:
    return task_view(task_of(row))


def _names(session: Session, scope: Scope, found: Iterable[rows.CareMessage]) -> Mapping[str, str]:
    return _named(session, scope, {who for row in found for who in (row.author, row.seen_by) if who})


def _note(row: rows.PatientNote, names: Mapping[str, str]) -> PatientNote:
    return PatientNote(
        id=row.id,
        patient=row.patient,
        at=row.at,
        by=row.by,
        by_name=names.get(row.by, row.by),
        text=row.text,
        struck=row.struck,
        struck_name=None if row.struck_by is None else names.get(row.struck_by, row.struck_by),
    )


def _own(session: Session, scope: Scope) -> frozenset[str]:
    """Whom a patient's scope may know: the logins about them."""
    query = select(rows.User.id).where(rows.User.tenant == scope.tenant, rows.User.patient == scope.patient)
    return frozenset() if scope.patient is None else frozenset(session.scalars(query))


def _named(session: Session, scope: Scope, people: Collection[str]) -> Mapping[str, str]:
    """The names of users, by their ids."""
    query = select(rows.User.id, rows.User.name).where(
        rows.User.tenant == scope.tenant, rows.User.id.in_(people)
    )
    return {key: name for key, name in session.execute(query)}  # noqa: C416 - rows are no pairs to mypy


def _places(session: Session, scope: Scope, patients: Collection[str]) -> Mapping[str, _Place]:
    """Where patients are now, by their ids."""
    query = (
        select(rows.Patient.id, rows.Patient.name, rows.Ward.id, rows.Ward.name, rows.Bed.label)
        .outerjoin(
            rows.Encounter,
            (rows.Encounter.tenant == rows.Patient.tenant)
            & (rows.Encounter.patient == rows.Patient.id)
            & rows.Encounter.end.is_(None),
        )
        .outerjoin(
            rows.Ward, (rows.Ward.tenant == rows.Encounter.tenant) & (rows.Ward.id == rows.Encounter.ward)
        )
        .outerjoin(rows.Bed, (rows.Bed.tenant == rows.Encounter.tenant) & (rows.Bed.id == rows.Encounter.bed))
        .where(rows.Patient.tenant == scope.tenant, rows.Patient.id.in_(patients))
    )
    return {
        patient: _Place(name, ward, ward_name or "", bed or "")
        for patient, name, ward, ward_name, bed in session.execute(query)
    }


def _message(scope: Scope, row: rows.CareMessage, names: Mapping[str, str]) -> CareMessage:
    hidden = scope.patient is not None
    named = not (hidden and row.from_care)
    return CareMessage(
        id=row.id,
        patient=row.patient,
        from_care=row.from_care,
        author=row.author if named else None,
        author_name=names.get(row.author, row.author) if named else None,
        text=row.text,
        client=row.client,
        written=row.written,
        at=row.at,
        sent=row.sent,
        seen=row.seen,
        seen_name=None if hidden or row.seen_by is None else names.get(row.seen_by, row.seen_by),
    )


def _conversation(scope: Scope, found: Waiting, place: _Place, names: Mapping[str, str]) -> Conversation:
    return Conversation(
        patient=found.last.patient,
        name=place.name,
        ward=place.ward,
        ward_name=place.ward_name,
        bed=place.bed,
        last=_message(scope, found.last, names),
        unseen=found.unseen,
        since=found.since,
    )
