"""Everything that is paused or off: who, why, until when; a form to switch more off, a button to end each."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.switches import SWITCH_ACTIONS, see_inactivations, switch_subject
from dashboards.backend import is_equipment
from dashboards.i18n import N_
from dashboards.pages.alarm_words import REFUSED
from dashboards.pages.alarms import places, words
from dashboards.pages.render import page
from dashboards.problems import MissingError
from dashboards.response_models import LONGEST_S, SECOND, SWITCHES, Act, Switch
from dashboards.unlock import Acting
from hearthward.core.errors import RuleError
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
KINDS: Final[dict[Switch, str]] = {
    "pause_alarms": N_("pause its alarms: no sound, nobody told (4 hours at most)"),
    "audio_off": N_("sound off: shown and told, not heard (1 day at most)"),
    "alarms_off": N_("alarms off: no sound, nobody told (7 days at most)"),
    "maintenance": N_("maintenance: its technical alarms are silent (30 days at most)"),
}
LASTS: Final = (
    ("15", N_("15 min")),
    ("30", N_("30 min")),
    ("60", N_("1 hour")),
    ("240", N_("4 hours")),
    ("720", N_("12 hours")),
    ("1440", N_("1 day")),
    ("4320", N_("3 days")),
    ("10080", N_("1 week")),
    ("43200", N_("30 days")),
)
"""For how many minutes."""

_ALSO: Final = (Action.VIEW_TECHNICAL_ALARMS,)
_OTHERS: Final = (Action.SWITCH_OFF_ALARM, Action.MAINTAIN_DEVICE)
See = Annotated[Context, Depends(Guard(Action.VIEW_WARD, "alarm", reads=True, others=_ALSO))]
Do = Annotated[Context, Depends(Guard(Action.PAUSE_ALARM, "alarm", others=_OTHERS))]


@router.get("/inactivations")
async def inactivations(request: Request, context: See, subject: str = "", done: str = "") -> Response:
    """What is off now, and with a subject the form to switch it off."""
    said = {"off": N_("Switched off until the time shown."), "on": N_("Switched on again.")}.get(done, "")
    return await _show(request, context, subject, done=said)


@router.post("/inactivations")
async def switch(request: Request, context: Do) -> Response:
    """Switch off, or on again (``kind`` resume, ``to`` one kind of it)."""
    form = {k: str(v).strip() for k, v in (await request.form()).items()}
    subject, kind = form.get("subject", ""), form.get("kind", "")
    if not subject or kind not in SWITCHES:
        raise MissingError(kind="subject", key=subject)
    minutes = form.get("lasts", "")
    until = 0
    if minutes in {value for value, _ in LASTS}:
        until = context.backend.clock.now_ns() + int(minutes) * 60 * SECOND
    reason, to = form.get("reason", "")[:500], form.get("to", "")
    try:
        await switch_subject(Acting(context), subject, Act(kind, context.who.user, reason, until, to))
    except RuleError as error:
        refused = REFUSED.get(str(error.details.get("code")), REFUSED["nothing"])
        return await _show(request, context, subject, refused=refused, typed=form)
    done = "on" if kind == "resume" else "off"
    return RedirectResponse(f"/inactivations?done={done}", status_code=303)


async def _show(
    request: Request,
    context: Context,
    subject: str,
    *,
    done: str = "",
    refused: str = "",
    typed: dict[str, str] | None = None,
) -> Response:
    rows = await see_inactivations(context)
    visible = not subject or is_equipment(subject) or context.may(Action.VIEW_ALARMS)
    if not visible:
        raise MissingError(kind="subject", key=subject)
    past = await see_inactivations(context, ended=True)
    named = await places(context, [*(i.subject for i in past), subject or None])
    return page(
        request,
        context,
        "inactivations.html",
        status=409 if refused else 200,
        rows=rows,
        past=[i for i in past if i.id not in {r.id for r in rows}][:50],
        places=named,
        subject=subject,
        offered={k: text for k, text in KINDS.items() if _offers(context, k, subject)},
        lasts=LASTS,
        longest=LONGEST_S,
        typed=typed or {},
        done=done,
        refused=refused,
        may_resume=lambda i: context.may(
            Action.MAINTAIN_DEVICE if is_equipment(i.subject) else Action.PAUSE_ALARM
        ),
        **words(context),
    )


def _offers(context: Context, kind: Switch, subject: str) -> bool:
    """Whether the caller may switch this kind off for a subject of this sort."""
    fits = is_equipment(subject) == (kind == "maintenance")
    return bool(subject) and fits and context.may(SWITCH_ACTIONS[kind])
