"""What the fake and the real records share of care at home: who writes for whom, and what may be marked."""

from __future__ import annotations

from typing import Final

from cloud_ingest.careplan import LATE_NS, Slot, Task, slots
from cloud_ingest.records.written import legible
from dashboards.backend import DirectoryError
from hearthward.trust.access import Principal, Role

__all__ = ["cares", "check_mark", "slot_at"]

LONGEST_NOTE: Final = 200


def cares(who: Principal) -> bool:
    """Whether the caller's looking counts as the care team's."""
    return who.patient is None and not who.roles.isdisjoint({Role.NURSE, Role.DOCTOR})


def slot_at(task: Task, due: int) -> Slot | None:
    """The task at that one of its times."""
    return next(iter(slots([task], due, due + 1)), None)


def check_mark(task: Task, due: int, state: str, note: str, now: int) -> tuple[Slot, str]:
    """The slot that is marked, and the note as it is kept. Raises DirectoryError."""
    slot = slot_at(task, due)
    if slot is None:
        raise DirectoryError(field="due", code="unknown", value=due)
    if state not in {"done", "skipped"} or (state == "done" and task.kind == "measure"):
        raise DirectoryError(field="state", code="invalid", value=state)
    if now < slot.opens:
        raise DirectoryError(field="due", code="future", value=due)
    if now >= slot.closes + LATE_NS:
        raise DirectoryError(field="due", code="past", value=due)
    text = legible(note)
    text = None if text is None else " ".join(text.split())
    if text is None or len(text) > LONGEST_NOTE:
        raise DirectoryError(field="note", code="bounds", value=LONGEST_NOTE)
    return slot, text
