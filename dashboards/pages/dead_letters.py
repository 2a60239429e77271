"""Dead letters as pages: how many of each reason, the letters, what is in one, and the button to replay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from cloud_ingest.records.dead_letters import Asked
from dashboards.access import Context
from dashboards.api.dead_letters import KIND, Replay, See, replay_letters, show_letter
from dashboards.dead_letter_models import ReplayedLetters
from dashboards.i18n import N_
from dashboards.pages.forms import form_of
from dashboards.pages.ledger import REASONS as OF_READINGS
from dashboards.pages.render import page
from hearthward.core.errors import StoreUnavailable
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
PAGE: Final = 100
REASONS: Final = {
    **OF_READINGS,
    "identity": N_("under another gateway's name"),
    "internal_error": N_("failed in our own software"),
    "not_its_patient": N_("about nobody of that gateway"),
    "other_time": N_("of a recording, or not of one"),
    "tenant": N_("for another organisation"),
    "topic": N_("no address of ours"),
    "undecided": N_("stored, but not judged"),
    "unknown_rule": N_("by a rule that is not in force here"),
    "version": N_("of another version"),
}
STATES: Final = {
    "kept": (N_("kept"), "weak"),
    "replayed": (N_("let in"), "good"),
    "refused": (N_("refused again"), "bad"),
}
OUTCOMES: Final = {
    "stored": N_("stored"),
    "known": N_("known already"),
    "judged": N_("judged"),
    "waves": N_("waveforms"),
}


@router.get("/deadletters")
async def letters(
    request: Request,
    context: See,
    reason: Annotated[str, Query(max_length=64)] = "",
    gateway: Annotated[str, Query(max_length=64)] = "",
    state: Annotated[str, Query(max_length=10)] = "",
    before: Annotated[str, Query(pattern=r"^[0-9]{0,18}$")] = "",
) -> Response:
    """The newest letters, of one reason or gateway where asked."""
    return await _list(request, context, Asked(reason, gateway, state, None, _number(before), PAGE))


@router.get("/deadletters/{letter}")
async def letter(request: Request, context: See, letter: str) -> Response:
    """What is in one letter. Audited."""
    return await _show(request, context, letter)


@router.post("/deadletters/replay")
async def replay_reason(request: Request, context: Replay) -> Response:
    """Replay the next letters of a reason, then show how that went."""
    form = await form_of(request)
    reason, after = form.get("reason", "")[:64], form.get("after", "")
    done = failed = None
    try:
        found = replay_letters(context, ids=(), reason=reason, after=after or None, dry_run="dry_run" in form)
        done = await found
    except StoreUnavailable as error:
        failed = error.message
    return await _list(
        request, context, Asked(reason=reason, limit=PAGE), done=done, failed=failed, dry="dry_run" in form
    )


@router.post("/deadletters/{letter}/replay")
async def replay(request: Request, context: Replay, letter: str) -> Response:
    """Replay one letter, then show it."""
    dry = "dry_run" in await form_of(request)
    done = failed = None
    try:
        done = await replay_letters(context, ids=[letter], reason="", after=None, dry_run=dry)
    except StoreUnavailable as error:
        failed = error.message
    return await _show(request, context, letter, done=done, failed=failed, dry=dry)


def _number(text: str) -> int | None:
    return int(text) if text else None


async def _list(
    request: Request,
    context: Context,
    asked: Asked,
    *,
    done: ReplayedLetters | None = None,
    failed: str | None = None,
    dry: bool = False,
) -> Response:
    asked = (
        asked if asked.state in STATES else Asked(asked.reason, asked.gateway, "", None, asked.before, PAGE)
    )
    found = await context.backend.dead_letters(context.scope, asked)
    kept = {"reason": asked.reason, "gateway": asked.gateway, "state": asked.state}
    older = ""
    if len(found.items) == asked.limit:
        older = "/deadletters?" + urlencode(
            {**{k: v for k, v in kept.items() if v}, "before": found.items[-1].id}
        )
    return page(
        request,
        context,
        "dead_letters.html",
        status=503 if failed else 200,
        book=found,
        asked=asked,
        older=older,
        done=done,
        sums=_sums([] if done is None else [r.outcome for r in done.items if r.changed]),
        failed=failed,
        dry=dry,
        may_replay=context.may(Action.REPLAY_DEAD_LETTER, KIND),
        reasons=REASONS,
        states=STATES,
        outcomes=OUTCOMES,
    )


async def _show(
    request: Request,
    context: Context,
    key: str,
    *,
    done: ReplayedLetters | None = None,
    failed: str | None = None,
    dry: bool = False,
) -> Response:
    found = await show_letter(context, key)
    return page(
        request,
        context,
        "dead_letter.html",
        status=503 if failed else 200,
        letter=found,
        done=None if done is None else done.items[0],
        failed=failed,
        dry=dry,
        may_replay=context.may(Action.REPLAY_DEAD_LETTER, KIND) and found.state != "replayed",
        reasons=REASONS,
        states=STATES,
        outcomes=OUTCOMES,
    )


def _sums(outcomes: Sequence[dict[str, int]]) -> dict[str, int]:
    """What several letters came to in all."""
    sums: dict[str, int] = {}
    for outcome in outcomes:
        for name, n in outcome.items():
            sums[name] = sums.get(name, 0) + n
    return sums
