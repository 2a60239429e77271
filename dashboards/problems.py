"""Errors as the web shows them: problem details in the style of RFC 9457, or a page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from cloud_ingest.entry import EntryError
from dashboards.backend import DirectoryError, Throttled
from hearthward.core.errors import AccessError, ConfigError, HearthwardError, RuleError

__all__ = ["ERROR_RESPONSES", "MissingError", "Problem", "ProblemField", "problem_of", "respond"]


class ProblemField(BaseModel):
    """One wrong input."""

    field: str = Field(examples=["bed"])
    code: str = Field(examples=["taken"])
    message: str = Field(examples=["bed: bed_12 is in use already"])


class Problem(BaseModel):
    """What went wrong, where, and what to do about it (RFC 9457, application/problem+json)."""

    type: str = Field(examples=["urn:hearthward:problem:conflict"])
    title: str = Field(examples=["Conflict"])
    status: int = Field(examples=[409])
    detail: str = Field(description="what", examples=["bed: bed_12 is in use already"])
    where: str = Field(
        "", description="the resource or input concerned", examples=["POST /api/v1/encounters"]
    )
    advice: str = Field("", description="what to do", examples=["choose another bed"])
    retry: bool = Field(default=False, description="whether the same request may succeed later")
    errors: list[ProblemField] = Field(default_factory=list)


class MissingError(HearthwardError):
    """There is no such thing within the caller's scope."""

    def __init__(self, kind: str, key: str) -> None:
        super().__init__(f"there is no {kind} {key!r}", kind=kind, key=key)


CONFLICTS: Final = frozenset(
    {
        "taken",
        "held",
        "in_use",
        "ended",
        "state",
        "trial",
        "overlap",
        "begun",
        "last",
        "many",
        "disabled",
        "gateway",
        "stages",
    }
)
"""Codes of a DirectoryError that say that something else stands in the way."""
RULE_STATUS: Final = dict.fromkeys(("too_long", "reason", "past", "unknown_user", "subject"), 422)
"""Codes of a RuleError that do not mean that something else stands in the way."""
FIELDS: Final = {"too_long": "until", "past": "until", "reason": "reason", "unknown_user": "to"}
ADVICE: Final = {
    400: "check the request",
    401: "log in: POST /api/v1/login gives a token to send as `Authorization: Bearer TOKEN`",
    403: "ask an administrator for the role or ward that this needs",
    404: "check the address and the id; GET the collection to see what exists. What belongs to another ward "
    "is there only for a login with that ward: ask an administrator",
    405: "use one of the methods in the Allow header",
    409: "look at the present state and decide again",
    422: "correct the fields named in errors",
    429: "wait for the seconds in Retry-After",
    500: "report it with the time of day; the server's log has the cause",
    503: "try again in a moment",
}

ERROR_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    status: {"model": Problem, "description": HTTPStatus(status).phrase} for status in (401, 403, 404, 422)
}
"""For FastAPI's ``responses``: the errors that any route may give."""


def problem_of(status: int, detail: str, where: str, **extra: Any) -> Problem:
    """A problem with the standard title and advice of its status."""
    phrase = HTTPStatus(status).phrase
    return Problem(
        type=f"urn:hearthward:problem:{phrase.lower().replace(' ', '-')}",
        title=phrase,
        status=status,
        detail=detail,
        where=where,
        **{"advice": ADVICE.get(status, ""), **extra},
    )


def from_error(error: HearthwardError, where: str) -> Problem:
    """The problem that one of our own errors means to the caller."""
    fields: list[ProblemField] = []
    if isinstance(error, AccessError):
        status = 403 if error.authenticated else 401
    elif isinstance(error, MissingError):
        status = 404
    elif isinstance(error, DirectoryError):
        status = 409 if error.code in CONFLICTS else 422
        fields = [ProblemField(field=error.field, code=error.code, message=error.message)]
    elif isinstance(error, EntryError):
        status = 409 if error.problems[0].code in {"taken", "ended"} else 422
        fields = [ProblemField(field=p.field, code=p.code, message=p.message) for p in error.problems]
    elif isinstance(error, Throttled):
        status = 429
    elif isinstance(error, RuleError):
        code = str(error.details.get("code", ""))
        status = RULE_STATUS.get(code, 409)
        fields = (
            [ProblemField(field=FIELDS.get(code, "alarm"), code=code, message=error.message)] if code else []
        )
    elif isinstance(error, ConfigError):
        status = 422
    else:
        status = 503 if error.retry else 500
    retry = error.retry or status == HTTPStatus.TOO_MANY_REQUESTS
    return problem_of(status, error.message, where, errors=fields, retry=retry)


def respond(problem: Problem, headers: dict[str, str] | None = None) -> JSONResponse:
    """The problem as a response."""
    extra = dict(headers or {})
    if problem.status == HTTPStatus.UNAUTHORIZED:
        extra["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        problem.model_dump(),
        status_code=problem.status,
        media_type="application/problem+json",
        headers=extra,
    )
