"""The records' refusals about staff, shifts and policies in the words of the web."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, NoReturn, TypeVar

from dashboards.backend import REASONS, DirectoryError
from hearthward.core.errors import ConfigError

__all__ = ["or_none", "refuse_people"]

T = TypeVar("T")
CODES: Final = {
    "badge": "invalid",
    "cancelled": "ended",
    "email": "invalid",
    "long": "period",
    "no_turn": "unknown",
    "one": "required",
    "order": "period",
    "phone": "invalid",
    "role": "lacks",
    "same": "invalid",
    "ward": "elsewhere",
    "weekly": "invalid",
}
"""The records' code -> the web's, where they differ."""
FIELDS: Final = {("start", "overlap"): "user", ("role", "lacks"): "role"}
"""Which input a page shows a refusal beside, where it is not the field itself."""


def refuse_people(error: ConfigError) -> NoReturn:
    """Raise the records' refusal as the web's, with the same words."""
    field = error.details.get("field")
    if not isinstance(field, str):
        raise error
    reason = error.details.get("reason")
    code = str(error.details.get("code") or ("unknown" if reason == "not_found" else "invalid"))
    code = CODES.get(code, code)
    made = DirectoryError(
        field=FIELDS.get((field, code), field),
        code=code if code in REASONS else "invalid",
        value=error.details.get("value", ""),
    )
    made.message = error.message
    made.args = (error.message,)
    raise made from error


async def or_none(act: Awaitable[T], what: str) -> T | None:
    """What ``act`` gives; None when there is no such ``what`` in scope. Raises DirectoryError."""
    try:
        return await act
    except ConfigError as error:
        if error.details.get("reason") == "not_found" and error.details.get("field") == what:
            return None
        refuse_people(error)
