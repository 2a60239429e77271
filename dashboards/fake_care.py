"""The fake of the port's care at home: messages, tasks and marks in memory, with the same refusals."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from cloud_ingest import careplan
from cloud_ingest.records.care import TaskDraft, check_message, check_note, check_task
from dashboards.backend import DirectoryError, LiveEvent, MessagesChanged
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
from dashboards.staff_refusals import refuse_people
from hearthward.core.clock import Clock
from hearthward.core.errors import ConfigError
from hearthward.core.ids import Ids
from hearthward.core.model import Quality, Reading
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["FakeCare"]


@dataclass(slots=True)
class _Book:
    messages: dict[str, CareMessage] = field(default_factory=dict)
    tasks: dict[str, tuple[str, careplan.Task]] = field(default_factory=dict)
    marks: dict[tuple[str, int], careplan.Mark] = field(default_factory=dict)
    notes: dict[str, PatientNote] = field(default_factory=dict)


class FakeCare:
    """The part of ``FakeBackend`` that is about care at home."""

    clock: Clock
    ids: Ids

    def __init__(self) -> None:
        self._care_books: defaultdict[str, _Book] = defaultdict(_Book)

    def _of(self, tenant: str) -> Any:
        raise NotImplementedError

    def _name(self, tenant: str, user: str | None) -> str | None:
        raise NotImplementedError

    def _names_for(self, scope: Scope) -> Mapping[str, str]:
        raise NotImplementedError

    def _reminded_by(self, tenant: str, patient: str) -> list[Literal["push", "sms"]]:
        raise NotImplementedError

    def _publish(self, event: LiveEvent) -> None:
        raise NotImplementedError

    def _sees(self, scope: Scope, patient: str) -> bool:
        raise NotImplementedError

    def _patient_at(self, tenant: str, device: str, at: int) -> str | None:
        raise NotImplementedError

    # --- messages -------------------------------------------------------------------------------
    async def messages(self, scope: Scope, patient: str) -> Sequence[CareMessage] | None:
        """See the port."""
        return (
            [_seen_by(scope, m) for m in self._mail(scope, patient)] if self._sees(scope, patient) else None
        )

    def _mail(self, scope: Scope, patient: str) -> list[CareMessage]:
        found = [m for m in self._care_books[scope.tenant].messages.values() if m.patient == patient]
        return sorted(found, key=lambda m: (m.at, m.id))

    async def write_message(
        self, who: Principal, patient: str, text: str, *, client: str, written: int | None = None
    ) -> CareMessage | None:
        """See the port."""
        scope, now = scope_of(who), self.clock.now_ns()
        if not self._sees(scope, patient):
            return None
        try:
            text, client = check_message(text, client)
        except ConfigError as error:
            refuse_people(error)
        if self._of(scope.tenant).items["patient"][patient].ended is not None:
            raise DirectoryError(field="patient", code="ended", value=patient)
        book = self._care_books[scope.tenant].messages
        there = next((m for m in book.values() if (m.author, m.client) == (who.user, client)), None)
        if there is not None:
            if (there.patient, there.text) != (patient, text):
                raise DirectoryError(field="client", code="taken", value=client)
            return there
        made = CareMessage(
            id=self.ids.new("msg"),
            patient=patient,
            from_care=who.patient is None,
            author=who.user,
            author_name=self._name(scope.tenant, who.user) or who.user,
            text=text,
            client=client,
            written=min(now if written is None else written, now),
            at=now,
        )
        book[made.id] = made
        self._publish(MessagesChanged(scope.tenant))
        return made

    async def see_messages(self, who: Principal, patient: str) -> int | None:
        """See the port."""
        scope, own, now = scope_of(who), who.patient is not None, self.clock.now_ns()
        if not self._sees(scope, patient):
            return None
        if not own and not cares(who):
            return 0
        new = [m for m in self._mail(scope, patient) if m.from_care is own and m.seen is None]
        for message in new:
            name = self._name(scope.tenant, who.user) or who.user
            change = {"seen": now, "seen_name": name, "sent": message.sent or now}
            self._care_books[scope.tenant].messages[message.id] = message.model_copy(update=change)
        if new:
            self._publish(MessagesChanged(scope.tenant))
        return len(new)

    async def unseen_messages(self, who: Principal, patient: str) -> int:
        """See the port."""
        scope, own = scope_of(who), who.patient is not None
        if not self._sees(scope, patient):
            return 0
        return sum(m.from_care is own and m.seen is None for m in self._mail(scope, patient))

    async def unseen_by_patient(self, scope: Scope) -> Mapping[str, int]:
        """See the port."""
        mail = self._care_books[scope.tenant].messages.values()
        return Counter(
            m.patient for m in mail if not m.from_care and m.seen is None and self._sees(scope, m.patient)
        )

    async def inbox(self, who: Principal) -> Sequence[Conversation]:
        """See the port."""
        scope, now = scope_of(who), self.clock.now_ns()
        book = self._care_books[scope.tenant].messages
        patients = {m.patient for m in book.values() if self._sees(scope, m.patient)}
        found = [self._conversation(scope, patient) for patient in patients]
        if cares(who):
            for key, message in book.items():
                if message.patient in patients and not message.from_care and message.sent is None:
                    book[key] = message.model_copy(update={"sent": now})
        return sorted(found, key=lambda c: (c.since is None, c.since or -c.last.at, c.patient))

    def _conversation(self, scope: Scope, patient: str) -> Conversation:
        mail = self._mail(scope, patient)
        waiting = [m for m in mail if not m.from_care and m.seen is None]
        items = self._of(scope.tenant).items
        stay = next((e for e in items["encounter"].values() if e.patient == patient and e.end is None), None)
        ward = None if stay is None else items["ward"].get(stay.ward)
        bed = None if stay is None else items["bed"].get(stay.bed)
        return Conversation(
            patient=patient,
            name=items["patient"][patient].name,
            ward=None if ward is None else ward.id,
            ward_name="" if ward is None else ward.name,
            bed="" if bed is None else bed.label,
            last=mail[-1],
            unseen=len(waiting),
            since=waiting[0].at if waiting else None,
        )

    # --- the plan -------------------------------------------------------------------------------------
    async def care_plan(self, scope: Scope, patient: str, start: int, end: int) -> CarePlan | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        book, now = self._care_books[scope.tenant], self.clock.now_ns()
        tasks = [t for p, t in book.tasks.values() if p == patient and (t.end is None or t.end > start)]
        tasks.sort(key=lambda t: (t.times, t.start, t.id))
        times = careplan.slots(tasks, start, end)
        measured = {
            (s.task.id, s.due): at
            for s in times
            if (at := self._first_reading(scope.tenant, patient, s)) is not None
        }
        done = careplan.occurrences(times, book.marks, measured, now)
        own = frozenset(self._names_for(scope))
        return CarePlan(
            patient=patient,
            start=start,
            end=end,
            tasks=[task_view(t) for t in tasks if t.end is None or t.end > now],
            dues=[due_seen(scope, due_of(o), own) for o in done],
            kept=kept_of(careplan.adherence(done)),
            reminded_by=self._reminded_by(scope.tenant, patient),
        )

    def _first_reading(self, tenant: str, patient: str, slot: careplan.Slot) -> int | None:
        stored: Sequence[Reading] = self._of(tenant).readings
        times = [
            r.corrected
            for r in stored
            if r.metric == slot.task.metric
            and slot.opens <= r.corrected < slot.closes
            and Quality(r.quality).clinical
            and self._patient_at(tenant, r.device, r.corrected) == patient
        ]
        return min(times, default=None)

    async def add_task(self, who: Principal, patient: str, draft: TaskDraft) -> CareTask | None:
        """See the port."""
        scope = scope_of(who)
        if not self._sees(scope, patient):
            return None
        try:
            kept = check_task(draft)
        except ConfigError as error:
            refuse_people(error)
        if self._of(scope.tenant).items["patient"][patient].ended is not None:
            raise DirectoryError(field="patient", code="ended", value=patient)
        task = careplan.Task(
            self.ids.new("tsk"),
            kept.kind,
            kept.metric,
            kept.title,
            kept.times,
            kept.weekdays,
            kept.timezone,
            kept.window_s,
            kept.remind,
            self.clock.now_ns(),
        )
        self._care_books[scope.tenant].tasks[task.id] = patient, task
        return task_view(task)

    def _planned(self, scope: Scope, patient: str, key: str) -> careplan.Task | None:
        owner, task = self._care_books[scope.tenant].tasks.get(key, (None, None))
        return task if owner == patient and self._sees(scope, patient) else None

    async def end_task(self, who: Principal, patient: str, task: str) -> CareTask | None:
        """See the port."""
        scope = scope_of(who)
        known = self._planned(scope, patient, task)
        if known is None:
            return None
        if known.end is None:
            known = replace(known, end=max(self.clock.now_ns(), known.start + 1))
            self._care_books[scope.tenant].tasks[task] = patient, known
        return task_view(known)

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
        scope, now = scope_of(who), self.clock.now_ns()
        known = self._planned(scope, patient, task)
        if known is None:
            return None
        _, text = check_mark(known, due, state, note, now)
        self._care_books[scope.tenant].marks[task, due] = careplan.Mark(state, text, now, who.user)
        plan = await self.care_plan(scope, patient, due, due + 1)
        return None if plan is None else next(d for d in plan.dues if d.task == task)

    # --- notes ------------------------------------------------------------------------------------
    async def patient_notes(
        self, scope: Scope, patient: str, *, start: int = 0, limit: int = 50
    ) -> Sequence[PatientNote] | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        notes = self._care_books[scope.tenant].notes.values()
        found = [n for n in notes if n.patient == patient and n.at >= start]
        return sorted(found, key=lambda n: (n.at, n.id), reverse=True)[:limit]

    async def write_note(self, who: Principal, patient: str, text: str) -> PatientNote | None:
        """See the port."""
        scope = scope_of(who)
        if not self._sees(scope, patient):
            return None
        try:
            kept = check_note(text)
        except ConfigError as error:
            refuse_people(error)
        if self._of(scope.tenant).items["patient"][patient].ended is not None:
            raise DirectoryError(field="patient", code="ended", value=patient)
        name = self._name(scope.tenant, who.user) or who.user
        made = PatientNote(
            id=self.ids.new("pnt"),
            patient=patient,
            at=self.clock.now_ns(),
            by=who.user,
            by_name=name,
            text=kept,
        )
        self._care_books[scope.tenant].notes[made.id] = made
        return made

    async def strike_note(self, who: Principal, patient: str, note: str) -> PatientNote | None:
        """See the port."""
        scope = scope_of(who)
        notes = self._care_books[scope.tenant].notes
        known = notes.get(note)
        if known is None or known.patient != patient or not self._sees(scope, patient):
            return None
        if known.struck is None:
            name = self._name(scope.tenant, who.user) or who.user
            notes[note] = known.model_copy(update={"struck": self.clock.now_ns(), "struck_name": name})
        return notes[note]

    async def care_zone(self, scope: Scope, patient: str) -> str | None:
        """See the port."""
        if not self._sees(scope, patient):
            return None
        zones = [t.timezone for p, t in self._care_books[scope.tenant].tasks.values() if p == patient]
        items = self._of(scope.tenant).items
        worn = [a.device for a in items["association"].values() if a.patient == patient and a.end is None]
        gateways = sorted({items["device"][d].gateway for d in worn})
        zones = zones[-1:] or [zone for g in gateways if (zone := items["gateway"][g].timezone)]
        return zones[0] if zones else None


def _seen_by(scope: Scope, message: CareMessage) -> CareMessage:
    if scope.patient is None:
        return message
    named = {"author": None, "author_name": None} if message.from_care else {}
    return message.model_copy(update={"seen_name": None, **named})
