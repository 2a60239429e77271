"""What the demo's patient at home begins with: a care plan, and a word from the nurse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.care import TaskDraft
from hearthward.trust.access import Scope

__all__ = ["enter_home"]

TASKS: Final = (
    TaskDraft("measure", "nibp_systolic", "", ("08:00", "20:00"), None, "UTC"),
    TaskDraft("medicine", None, "Amlodipine 5 mg", ("08:00",), None, "UTC"),
    TaskDraft("measure", "body_weight", "", ("07:30",), (1, 4), "UTC"),
)
WORD: Final = "Welcome. Write to us here whenever something is unclear; in an emergency, call."


def enter_home(
    records: Records, session: Session, scope: Scope, users: Mapping[str, str], nurse: str
) -> None:
    """Plan and write for the login ``patient``, once; ``users`` has ids by login, ``nurse`` among them."""
    patient = records.users(session).get(scope, users["patient"]).patient
    care = records.care(session)
    if patient is None or care.tasks(scope, patient, since=0) or care.messages(scope, patient):
        return
    for draft in TASKS:
        care.add_task(scope, patient, draft, by=users[nurse])
    care.write(
        scope, patient, author=users[nurse], from_care=True, text=WORD, client="welcome", written=care.now
    )
