"""What all pages of a patient about themselves share: whose page, in which time zone, what is new."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from fastapi import Request
from fastapi.responses import Response

from dashboards.access import Context
from dashboards.consent import Viewing, viewing
from dashboards.models import Patient
from dashboards.own_words import Times, known_zone
from dashboards.pages.render import page
from dashboards.problems import MissingError
from dashboards.zones import ZONE_COOKIE
from hearthward.trust.access import Action

__all__ = ["SHOWN", "ZONE_COOKIE", "Own", "own", "own_patient", "part"]

SHOWN: Final = (
    "nibp_systolic",
    "nibp_diastolic",
    "heart_rate",
    "pulse_rate",
    "spo2",
    "respiratory_rate",
    "body_temperature",
    "body_weight",
    "blood_glucose",
    "pain",
    "symptom",
)
"""What a patient is shown of their own, in this order."""


@dataclass(frozen=True, slots=True)
class Own:
    """A page about one patient: who looks at it, how times are said, and the name that a relative reads."""

    view: Viewing
    times: Times
    whose: str = ""

    @property
    def patient(self) -> str:
        """Whose page it is."""
        return self.view.patient

    def sees(self, part: str) -> bool:
        """Whether the caller may see ``values``, ``alarms`` or ``plan``."""
        return part in self.view.sees


def own_patient(context: Context) -> str:
    """The patient that the caller is, or is a relative of. Raises MissingError."""
    if context.who.patient is None:
        raise MissingError(kind="patient", key=context.who.user)
    return context.who.patient


async def own(request: Request, context: Context, part: str = "") -> Own:
    """The page's patient as far as the caller may see. Raises MissingError, also without that ``part``."""
    view = await viewing(context)
    if part and part not in view.sees:
        raise MissingError(kind="consent", key=view.patient)
    zone = known_zone(request.cookies.get(ZONE_COOKIE))
    zone = zone or known_zone(await context.backend.care_zone(context.scope, view.patient))
    person = None if view.own else await context.backend.item(context.scope, "patient", view.patient)
    whose = person.name if isinstance(person, Patient) else ""
    return Own(view, Times(context.language, zone, context.backend.clock.now_ns()), whose)


async def part(
    request: Request, context: Context, found: Own, template: str, *, status: int = 200, **values: Any
) -> Response:
    """Render a page, or a part of one, about the patient."""
    unseen = 0
    if found.view.own and context.may(Action.VIEW_MESSAGES):
        unseen = await context.backend.unseen_messages(context.who, found.patient)
    return page(
        request,
        context,
        template,
        status=status,
        view=found.view,
        times=found.times,
        whose=found.whose,
        unseen=unseen,
        phones=request.app.state.phones,
        **values,
    )
