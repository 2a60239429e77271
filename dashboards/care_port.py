"""The port of the web that is about care: messages, the care plan, notes about a patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from cloud_ingest.records.care import TaskDraft
from dashboards.care_models import CareMessage, CarePlan, CareTask, Conversation, PatientNote, TaskDue
from hearthward.trust.access import Principal, Scope

__all__ = ["CarePort"]


class CarePort(Protocol):
    """What the web needs of care at home. Refusals are DirectoryError (field, code, value).

    None as an answer: there is no such patient or task in scope. In a patient's own scope nobody of the care
    team is named.
    """

    # --- messages -------------------------------------------------------------------------------
    async def messages(self, scope: Scope, patient: str) -> Sequence[CareMessage] | None:
        """The newest 200 messages, the oldest of them first."""
        ...

    async def write_message(
        self, who: Principal, patient: str, text: str, *, client: str, written: int | None = None
    ) -> CareMessage | None:
        """Keep a message of the caller's; with the same ``client`` key again nothing is added.

        ``who`` with a patient of their own writes as that patient, others as the care team.
        """
        ...

    async def see_messages(self, who: Principal, patient: str) -> int | None:
        """The caller has seen what the other side wrote; returns how much of it was new.

        Of the care team only nurses and doctors see: others' looking leaves messages unseen.
        """
        ...

    async def unseen_messages(self, who: Principal, patient: str) -> int:
        """How many messages of the other side nobody on the caller's has seen."""
        ...

    async def unseen_by_patient(self, scope: Scope) -> Mapping[str, int]:
        """How many messages of each patient in scope nobody of the care team has seen; none: left out.

        To count them puts them before nobody.
        """
        ...

    async def inbox(self, who: Principal) -> Sequence[Conversation]:
        """Conversations in the caller's scope: unseen ones first, the longest waiting first of all.

        What it lists to a nurse or doctor has by that been sent to them.
        """
        ...

    # --- the plan ---------------------------------------------------------------------------------
    async def care_plan(self, scope: Scope, patient: str, start: int, end: int) -> CarePlan | None:
        """The plan at its times in [start, end) (UTC ns), and the tasks that hold now.

        Measurements are done by readings (none of demonstration or test counts), the rest by what was said.
        """
        ...

    async def add_task(self, who: Principal, patient: str, draft: TaskDraft) -> CareTask | None:
        """Plan a task from now on."""
        ...

    async def end_task(self, who: Principal, patient: str, task: str) -> CareTask | None:
        """End a task now; one that has ended stays as it is."""
        ...

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
        """Say that a task was done or skipped at one of its times, until a day after its window.

        Refused: ``due`` unknown (none of its times), future, past; ``state`` invalid (a measurement is done
        by its reading); ``note`` bounds.
        """
        ...

    # --- notes ------------------------------------------------------------------------------------
    async def patient_notes(
        self, scope: Scope, patient: str, *, start: int = 0, limit: int = 50
    ) -> Sequence[PatientNote] | None:
        """What the care team wrote about a patient since ``start``, the newest first; what is struck, too."""
        ...

    async def write_note(self, who: Principal, patient: str, text: str) -> PatientNote | None:
        """Keep a note of the caller's. Refused: ``text`` required, bounds; ``patient`` ended."""
        ...

    async def strike_note(self, who: Principal, patient: str, note: str) -> PatientNote | None:
        """Strike a note out; it stays readable, with who did it. One that is struck out stays as it is."""
        ...

    async def care_zone(self, scope: Scope, patient: str) -> str | None:
        """The time zone that a patient lives by: of their plan, else of their gateway; None: not known."""
        ...
