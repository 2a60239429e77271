"""Forms of the pages about people: what was typed, what is wrong with which field, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError
from starlette.requests import Request

from dashboards.backend import DirectoryError
from dashboards.i18n import N_

__all__ = ["REASONS", "Attempt", "blame", "form_of"]

REASONS: Final = {
    "required": N_("is required"),
    "unknown": N_("does not exist: {value}"),
    "taken": N_("is in use already: {value}"),
    "period": N_("must end after it starts and not overlap another period"),
    "ended": N_("has ended already"),
    "invalid": N_("is not valid: {value}"),
    "rule": N_("{value}"),
    "wrong": N_("is wrong"),
    "elsewhere": N_("does not work there: {value}"),
    "lacks": N_("this person has not the role: {value}"),
    "overlap": N_("is on duty there already at {value}"),
    "begun": N_("has begun: change its end, or cancel the rest and enter another"),
    "past": N_("has passed already: {value}"),
    "digits": N_("give 4 to 8 digits"),
    "last": N_("{value} is the last administrator: make another one first"),
    "disabled": N_("{value} is let in no longer: let them in again first"),
    "many": N_("there are {value} already: remove one first"),
    "short": N_("is too short"),
    "simple": N_("is guessed at once: give digits that are not the same or in a row"),
}
"""What a refused field says on the page, by the code of a DirectoryError."""
SECRET: Final = frozenset({"csrf", "pin", "badge"})
"""Fields that are never shown again."""


@dataclass(slots=True)
class Attempt:
    """A form that was refused: which, what was typed, and what is wrong with which field."""

    form: str
    values: Mapping[str, str]
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)
    chosen: tuple[str, ...] = ()
    """What was chosen of a list with several choices."""


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form without the page's security token."""
    return {k: str(v).strip() for k, v in (await request.form()).items() if k != "csrf"}


def blame(form: str, values: Mapping[str, str], error: ValidationError | DirectoryError) -> Attempt:
    """The refused form for the page."""
    attempt = Attempt(form, {k: v for k, v in values.items() if k not in SECRET})
    if isinstance(error, DirectoryError):
        attempt.errors[error.field] = error.code, error.value
        return attempt
    for problem in error.errors():
        name = str(problem["loc"][0]) if problem["loc"] else "form"
        typed = "" if name in SECRET else values.get(name, "")
        attempt.errors[name] = "invalid" if values.get(name) else "required", typed
    return attempt
