"""What the pages of the fleet share: who may open them, their words and refusals."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Depends

from dashboards.access import Context, Guard
from dashboards.backend import DirectoryError
from dashboards.fleet_words import (
    COLUMNS,
    DEVICE_STATES,
    DIMENSIONS,
    EVIDENCE,
    FINDINGS,
    NOTES,
    ORDER_STATES,
    REFUSED,
    cause_in,
)
from dashboards.i18n import N_
from dashboards.staff_models import StaffMember
from hearthward.trust.access import Action, Role

__all__ = ["DAYS", "PLACES", "See", "Work", "hands_of", "said_of", "words"]

KIND: Final = "fleet"
ORDER: Final = "work_order"
See = Annotated[Context, Depends(Guard(Action.VIEW_SYSTEM, KIND))]
Work = Annotated[Context, Depends(Guard(Action.MAINTAIN_DEVICE, ORDER))]
PLACES: Final = (
    ("/fleet", N_("Needs attention")),
    ("/fleet/orders", N_("Work orders")),
    ("/fleet/quality", N_("Data quality")),
    ("/fleet/use", N_("Use")),
    ("/ledger", N_("Loss ledger")),
)
"""The pages of the fleet, side by side."""
DAYS: Final = {"7": N_("7 days"), "30": N_("30 days"), "90": N_("90 days")}
HANDS: Final = {Role.ENGINEER, Role.ADMIN}
"""Who works on devices."""


async def hands_of(context: Context) -> list[StaffMember]:
    """Whom a work order can be given to, by name."""
    found = await context.backend.staff(context.scope)
    return [member for member in found if HANDS & set(member.roles)]


def said_of(error: DirectoryError) -> str:
    """Why nothing was changed, as a text of the catalogue."""
    return REFUSED.get((error.field, error.code), N_("Nothing was changed: this is not valid."))


def words(context: Context) -> dict[str, Any]:
    """What every page of the fleet says."""
    return {
        "kinds": FINDINGS,
        "standings": DEVICE_STATES,
        "order_states": ORDER_STATES,
        "notes": NOTES,
        "columns": COLUMNS,
        "dimensions": DIMENSIONS,
        "evidence": EVIDENCE,
        "cause": lambda cause: cause_in(context.language, cause),
        "places": PLACES,
        "tongue": context.language.split("_", maxsplit=1)[0],
        "works": context.may(Action.MAINTAIN_DEVICE),
    }
