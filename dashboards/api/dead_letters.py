"""Dead letters: what was refused and why, what is in it, and letting in what is good by now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import Field, model_validator

from cloud_ingest.records.dead_letters import Asked
from cloud_ingest.replaying import MOST
from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft
from dashboards.dead_letter_models import (
    DeadLetterBook,
    DeadLetterDetail,
    ReplayedLetters,
    State,
)
from dashboards.models import Instant
from dashboards.problems import ERROR_RESPONSES, MissingError
from hearthward.trust.access import Action

__all__ = ["KIND", "Replay", "See", "asked", "replay_letters", "router", "show_letter"]

router = APIRouter(prefix="/api/v1/dead-letters", tags=["dead letters"], responses=ERROR_RESPONSES)
KIND: Final = "dead_letter"
See = Annotated[Context, Depends(Guard(Action.VIEW_SYSTEM, KIND))]
Replay = Annotated[Context, Depends(Guard(Action.REPLAY_DEAD_LETTER, KIND))]
Id = Annotated[str, Field(pattern=r"^[0-9]{1,18}$")]


class ReplayBody(Draft):
    """Letters by id, or the next ones of a reason beyond ``after``."""

    ids: Annotated[tuple[Id, ...], Field(max_length=MOST)] = ()
    reason: Annotated[str, Field(max_length=64)] = ""
    after: Id | None = None
    dry_run: Annotated[bool, Field(description="only say what it would come to")] = False

    @model_validator(mode="after")
    def _one_of_both(self) -> ReplayBody:
        if bool(self.ids) == bool(self.reason):
            msg = "give either ids or a reason"
            raise ValueError(msg)
        return self


@router.get("")
async def list_letters(
    context: See,
    reason: Annotated[str, Query(max_length=64, description="only of this reason")] = "",
    gateway: Annotated[str, Query(max_length=64, description="only of this gateway")] = "",
    state: Annotated[State | None, Query(description="only those in this state")] = None,
    since: Annotated[Instant | None, Query(description="only from then on")] = None,
    before: Annotated[str, Query(pattern=r"^[0-9]{0,18}$", description="only older than this id")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> DeadLetterBook:
    """What was refused and why, newest first; how many there are of each reason; what was dropped."""
    query = asked(reason=reason, gateway=gateway, state=state or "", since=since, before=before, limit=limit)
    return await context.backend.dead_letters(context.scope, query)


@router.get("/{letter}")
async def get_letter(context: See, letter: str) -> DeadLetterDetail:
    """What is in one: readings by device as far as they can be read, else blocks and bytes. Audited."""
    return await show_letter(context, letter)


@router.post("/replay")
async def post_replay(context: Replay, body: ReplayBody) -> ReplayedLetters:
    """Put letters through the intake again, as of now: what is good is stored and judged, once."""
    return await replay_letters(
        context, ids=body.ids, reason=body.reason, after=body.after, dry_run=body.dry_run
    )


def asked(
    *, reason: str, gateway: str, state: str, since: int | None, before: str, limit: int = 200
) -> Asked:
    """What is meant by a query."""
    return Asked(reason, gateway, state, since, int(before) if before else None, limit)


async def show_letter(context: Context, letter: str) -> DeadLetterDetail:
    """One letter for the caller, audited. Raises MissingError."""
    found = await context.backend.dead_letter(context.scope, letter)
    if found is None:
        raise MissingError(kind=KIND, key=letter)
    await context.audit(Action.VIEW_SYSTEM, KIND, target=letter, detail={"do": "show"})
    return found


async def replay_letters(
    context: Context, *, ids: Sequence[str], reason: str, after: str | None, dry_run: bool
) -> ReplayedLetters:
    """Replay for the caller; each letter that is touched is audited. Raises MissingError."""
    chosen = ids or list(await context.backend.waiting_letters(context.scope, reason, after))
    done = []
    for letter in chosen:
        result = await context.backend.replay_letter(context.who, letter, dry_run=dry_run)
        if result is None and ids:
            raise MissingError(kind=KIND, key=letter)
        if result is None:
            continue  # dropped for its age meanwhile
        done.append(result)
        if not dry_run:
            detail = {"do": "replay", "state": result.state, "outcome": dict(result.outcome)}
            await context.audit(Action.REPLAY_DEAD_LETTER, KIND, target=letter, detail=detail)
    more = chosen[-1] if reason and len(chosen) == MOST else None
    return ReplayedLetters(items=done, next=more)
