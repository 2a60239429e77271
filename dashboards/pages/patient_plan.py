"""What a patient's page says of the patient as a whole: notes, and what is to be measured and done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dashboards.access import Context
from dashboards.care_models import CareTask, TaskDue
from hearthward.core.clock import SECOND
from hearthward.trust.access import Action

__all__ = ["Planned", "kept_about"]

DAY: Final = 86_400 * SECOND
BEFORE: Final = 7
AFTER: Final = 8
"""Days: a task of one weekday has a time within them."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A task of the care plan: what became of it last, when it is to be done next, how often it was."""

    task: CareTask
    last: TaskDue | None
    next: TaskDue | None
    done: int
    past: int


async def kept_about(context: Context, patient: str, now: int) -> dict[str, Any]:
    """Notes and plan, as far as the caller may see them; None: not at all."""
    backend, scope = context.backend, context.scope
    about = await backend.patient_notes(scope, patient) if context.may(Action.VIEW_NOTES) else None
    return {"about_patient": about, "planned": await _planned(context, patient, now)}


async def _planned(context: Context, patient: str, now: int) -> list[Planned] | None:
    if not context.may(Action.VIEW_CARE_PLAN):
        return None
    plan = await context.backend.care_plan(context.scope, patient, now - BEFORE * DAY, now + AFTER * DAY)
    if plan is None:
        return None
    found = []
    for task in plan.tasks:
        dues = [d for d in plan.dues if d.task == task.id]
        past = [d for d in dues if d.state in {"done", "skipped", "missed"}]
        coming = next((d for d in dues if d.state in {"now", "later"}), None)
        done = sum(d.state == "done" for d in past)
        found.append(Planned(task, past[-1] if past else None, coming, done, len(past)))
    return sorted(found, key=lambda p: p.next.due if p.next else now + AFTER * DAY)
