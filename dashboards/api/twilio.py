"""What Twilio calls back: keys pressed in a call, and how a message or a call went.

These routes ask for no login: a request counts only when Twilio has signed it with the account's token. Each
address holds a token of its own that stands for one notification.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.responses import Response

from cloud_ingest.answers import Answers
from cloud_ingest.channels.speech import KEYS, Outcome, answer_twiml, call_twiml
from cloud_ingest.channels.twilio_callbacks import (
    SIGNATURE_HEADER,
    STATUS_PATH,
    VOICE_PATH,
    report_of,
    status_url,
    voice_url,
)
from dashboards.access import Context, Guard
from dashboards.api.alarms import answer_alarm
from dashboards.channel_models import Called
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from dashboards.response_models import Act, Answer
from dashboards.unlock import Acting
from hearthward.core.clock import SECOND
from hearthward.core.errors import AccessError, HearthwardError, RuleError
from hearthward.trust.access import Principal, scope_of

__all__ = ["TwilioBack", "router"]

log = logging.getLogger(__name__)

router = APIRouter(
    tags=["channels"],
    responses={**ERROR_RESPONSES, 413: {"model": Problem, "description": "the body is too long"}},
)
Public = Annotated[Context, Depends(Guard(public=True))]
MAX_BODY: Final = 16 * 1024
"""Bytes; Twilio's own forms have about 1,000."""
MAX_FIELDS: Final = 200
AUDIT_EVERY_NS: Final = 10 * SECOND
"""Refused calls are all counted; the audit gets one line so often, with how many there were."""
NOTE: Final = {"en": "by key in a call", "zh": "电话按键"}
OVER: Final = frozenset({"ended", "no_alarm"})
XML: Final = "application/xml"


@dataclass(slots=True)
class TwilioBack:
    """How calls from outside are told from forged ones.

    ``public_url`` is ``web.public_url``, under which Twilio was given the addresses; ``verify`` says whether
    a POST of a form to a URL was signed (``channels.twilio_callbacks.verify`` with the account's token);
    ``answers`` reads the tokens in the addresses.
    """

    public_url: str
    verify: Callable[[str, Mapping[str, str], str], bool]
    answers: Answers | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    refused: int = 0
    audited: int | None = None


@router.post(VOICE_PATH, response_class=Response)
async def voice(request: Request, context: Public, token: str) -> Response:
    """A key was pressed: 1 accepts, 2 rejects, 9 reads it out again; answers with what is said next.

    The first key that counts decides; the same call again only says what became of it.
    """
    back, form = await _signed(request, context, token, voice_url)
    found = await _called(context, token)
    action = voice_url(back.public_url, token)
    key = KEYS.get(form.get("Digits", ""))
    if key == "repeat" or not form.get("Digits"):
        return _twiml(call_twiml(found.text, found.language, action))
    if key is None:
        return _twiml(answer_twiml("other_key", found.language, action=action))
    async with back.lock:
        outcome, by = await _answer(replace(context, language=found.language), found, token, key)
    return _twiml(answer_twiml(outcome, found.language, by=by))


@router.post(STATUS_PATH, status_code=204)
async def status(request: Request, context: Public, token: str) -> None:
    """A message or a call was delivered, or was not; anything in between is of no account."""
    _, form = await _signed(request, context, token, status_url)
    found = await _called(context, token)
    report = report_of(form)
    if report is not None:
        await context.backend.delivered(found, report.state, report.reason)


# --- who calls -------------------------------------------------------------------------------------------


async def _signed(
    request: Request, context: Context, token: str, url_of: Callable[[str, str], str]
) -> tuple[TwilioBack, dict[str, str]]:
    """The form of a request that Twilio has signed. Raises AccessError, HTTPException."""
    back: TwilioBack | None = request.app.state.twilio
    form = await _form(request)
    signature = request.headers.get(SIGNATURE_HEADER, "")
    if back is not None and back.verify(url_of(back.public_url, token), form, signature):
        return back, form
    await _refuse(request, context, back)
    msg = "this call is not signed by Twilio for this address"
    raise AccessError(msg)


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form of limited size."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"at most {MAX_BODY} bytes")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is no form") from error
    return dict(pairs)


async def _refuse(request: Request, context: Context, back: TwilioBack | None) -> None:
    """Count a call that is not Twilio's; audit it, but let nobody fill the audit."""
    request.app.state.telemetry.count("hearthward_callbacks_refused_total", channel="twilio")
    if back is None:
        return  # no such calls are expected here: nothing could have come of it
    back.refused += 1
    now = context.backend.clock.monotonic_ns()
    if back.audited is not None and now - back.audited < AUDIT_EVERY_NS:
        return
    who = Principal("@twilio", "Twilio", context.backend.tenant, frozenset(), kind="service")
    detail = {"path": request.url.path.rsplit("/", 1)[0], "calls": back.refused}
    back.audited, back.refused = now, 0
    await context.backend.audit(who, "callback", "channel", outcome="refused", detail=detail)


async def _called(context: Context, token: str) -> Called:
    found = await context.backend.called(token)
    if found is None:
        raise MissingError(kind="notification", key="of this address")
    return found


# --- what they want ----------------------------------------------------------------------------------------


async def _answer(context: Context, found: Called, token: str, key: Answer) -> tuple[Outcome, str]:
    """Accept or reject for the person called, once; what came of it, and who has the alarm."""
    again = await context.backend.called(token)  # another request may have decided meanwhile
    found = again or found
    if found.test:
        await context.backend.delivered(found, "confirmed")
        return "tested", ""
    if found.who is None:
        return "failed", ""
    caller = replace(context, principal=found.who)
    if found.answered:
        return await _standing(caller, found)
    if key == "reject" and found.rejected:
        return "rejected", ""
    outcome = await _act(caller, found, key)
    if outcome not in {"failed", "risen"}:
        await context.backend.delivered(found, "confirmed")
    if outcome == "taken":
        _, by = await _standing(caller, found)
        return outcome, by
    return outcome, ""


async def _act(caller: Context, found: Called, key: Answer) -> Outcome:
    if key == "accept" and found.risen:
        return "risen"  # of the graver stage they have not heard
    note = NOTE["zh" if found.language.startswith("zh") else "en"]
    act = Act(key, caller.who.user, note=note)
    try:
        seen = found.rule if key == "accept" else ""
        await answer_alarm(Acting(caller, f"@{found.channel}"), found.alarm, act, seen=seen)
    except RuleError as error:
        code = error.details.get("code")
        if code == "risen":
            return "risen"
        return "taken" if code == "taken" else "ended" if code in OVER else "failed"
    except HearthwardError as error:
        log.warning("an answer by key was not recorded: %s", error.message)
        return "failed"
    return "accepted" if key == "accept" else "rejected"


async def _standing(caller: Context, found: Called) -> tuple[Outcome, str]:
    """How the alarm stands for somebody who has answered before."""
    alarm = await caller.backend.alarm(scope_of(caller.who), found.alarm)
    if alarm is None or alarm.condition != "active":
        return "ended", ""
    if alarm.accepted_by == caller.who.user:
        return "accepted", ""
    if alarm.accepted_by is not None:
        return "taken", alarm.accepted_name or ""
    if found.risen:
        return "risen", ""  # what they have answered is not what is present now
    return ("rejected", "") if caller.who.name in alarm.rejected else ("open", "")


def _twiml(document: str) -> Response:
    return Response(document, media_type=XML)
