"""Reads of identifiable data go into the audit when it is known how they ended, and before anything is shown.

The guard only notes a read; here it is written as done, refused or failed by the status of the answer.
Nothing leaves while it cannot be written.
"""

from __future__ import annotations

from http import HTTPStatus

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboards.access import Context
from hearthward.core.errors import HearthwardError
from hearthward.trust.audit import Outcome

__all__ = ["ToldReads", "outcome_of"]

REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""To whom something is out of reach it is not there."""


def outcome_of(status: int) -> Outcome:
    """How a read ended that was answered so."""
    if status < HTTPStatus.BAD_REQUEST:
        return "done"
    return "refused" if status in REFUSED else "failed"


class ToldReads:
    """ASGI middleware; does not touch bodies, so streams pass unbuffered."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Write what the guard noted when the answer begins; an answer that cannot be told of is none."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        withheld = False

        async def told(message: Message) -> None:
            nonlocal withheld
            if message["type"] == "http.response.start":
                try:
                    await _tell(state.get("context"), message["status"])
                except HearthwardError as error:
                    withheld = True
                    request = Request(scope, receive)
                    answer = await request.app.exception_handlers[HearthwardError](request, error)
                    await answer(scope, receive, send)
            if not withheld:
                await send(message)

        try:
            await self._app(scope, receive, told)
        except Exception:
            await _tell(state.get("context"), HTTPStatus.INTERNAL_SERVER_ERROR)
            raise


async def _tell(context: Context | None, status: int) -> None:
    while context is not None and context.reads:
        read = context.reads.pop()
        outcome = outcome_of(status)
        await context.audit(read.action, read.kind, target=read.target, outcome=outcome, detail=read.detail)
