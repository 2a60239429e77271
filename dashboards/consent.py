"""What the caller may see of one patient's own page: the patient everything, a relative what they were let.

Pages under ``/me`` are guarded by ``Action.VIEW_OWN_PAGE`` and ask ``viewing`` before they read anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.access import Context
from dashboards.consent_models import PARTS
from dashboards.problems import MissingError
from hearthward.trust.access import Role

__all__ = ["PARTS", "Viewing", "viewing"]


@dataclass(frozen=True, slots=True)
class Viewing:
    """Whose page it is; ``own``: the patient looks. ``sees`` has of PARTS what the caller may see."""

    patient: str
    own: bool
    sees: frozenset[str]


async def viewing(context: Context) -> Viewing:
    """What the caller may see now. Raises MissingError (kind ``consent``) when it is nothing."""
    who = context.who
    if who.patient is None:
        raise MissingError(kind="patient", key=who.user)
    if Role.PATIENT in who.roles:
        return Viewing(who.patient, own=True, sees=frozenset(PARTS))
    given = await context.backend.consent_of(context.scope, who.user)
    if Role.FAMILY not in who.roles or given is None or given.patient != who.patient:
        raise MissingError(kind="consent", key=who.patient)
    return Viewing(who.patient, own=False, sees=frozenset(given.sees))
