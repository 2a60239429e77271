"""The channels with "send test" and "check", and what comes to this browser."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.channels import KIND, check_channel, targets_of, test_channel
from dashboards.api.push import forget_device
from dashboards.backend import DirectoryError
from dashboards.channel_models import ChannelTest, CheckResult
from dashboards.i18n import N_
from dashboards.pages.render import ASSETS, page
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
CHANNELS: Final = {
    "in_app": (N_("Walls and pages"), N_("Always on. Accepting happens here.")),
    "sms": (N_("SMS"), N_("Only tells: nobody can accept by it.")),
    "voice": (N_("Voice call"), N_("Reads the alarm out; key 1 accepts, 2 rejects.")),
    "email": (N_("E-mail"), N_("Only tells: nobody can accept by it.")),
    "push": (N_("Push to browsers"), N_("To browsers and phones that people have subscribed.")),
    "webhook": (N_("Webhook"), N_("To other systems, signed.")),
    "apprise": (N_("Messengers (apprise)"), N_("WeCom, DingTalk, Feishu, Slack, PagerDuty and others.")),
}
STATES: Final = {
    "well": (N_("well"), "good"),
    "failing": (N_("failing"), "bad"),
    "never_used": (N_("never used"), "weak"),
    "not_configured": (N_("not configured"), "weak"),
}
TESTS: Final = {
    "handed_over": N_("handed over"),
    "failed": N_("failed"),
    "confirmed": N_("confirmed"),
}

See = Annotated[Context, Depends(Guard(Action.VIEW_CHANNELS, KIND))]
Try = Annotated[Context, Depends(Guard(Action.TEST_CHANNEL, KIND))]
Own = Annotated[Context, Depends(Guard(Action.VIEW_OWN_ACCOUNT, "push"))]


@router.get("/channels")
async def channels(request: Request, context: See, tested: str = "") -> Response:
    """Every channel: how it does, and what it needs where it is not in use."""
    return await _show(request, context, tested=tested)


@router.post("/channels/{channel}/test")
async def test(request: Request, context: Try, channel: str) -> Response:
    """Send a test, then show how that went."""
    target = str((await request.form()).get("target", ""))
    try:
        done: ChannelTest = await test_channel(context, channel, target)
    except DirectoryError:
        return await _show(request, context, wrong=channel)
    return RedirectResponse(f"/channels?tested={done.id}#{channel}", status_code=303)


@router.post("/channels/{channel}/check")
async def check(request: Request, context: Try, channel: str) -> Response:
    """Look whether it could be used, telling nobody."""
    return await _show(request, context, checked=await check_channel(context, channel))


@router.get("/notifications")
async def notifications(request: Request, context: Own, gone: str = "") -> Response:
    """The caller's own browsers, and switching this one on and off."""
    return page(
        request,
        context,
        "notifications.html",
        key=await context.backend.push_key(),
        devices=await context.backend.push_devices(context.who),
        gone=bool(gone),
    )


@router.post("/notifications/{subscription}/end")
async def end(context: Own, subscription: str) -> Response:
    """Take one of the caller's browsers away."""
    await forget_device(context, subscription)
    return RedirectResponse("/notifications?gone=1", status_code=303)


@router.get("/service-worker.js")
async def service_worker(context: Annotated[Context, Depends(Guard(public=True))]) -> Response:
    """What shows notifications while no page is open; it must lie above all pages, at one address."""
    del context
    headers = {"Cache-Control": "no-cache"}
    return FileResponse(ASSETS / "js" / "service-worker.js", media_type="text/javascript", headers=headers)


async def _show(
    request: Request,
    context: Context,
    *,
    tested: str = "",
    wrong: str = "",
    checked: CheckResult | None = None,
) -> Response:
    found = await context.backend.channels(context.scope)
    used = [c.name for c in found if c.state != "not_configured"]
    may_test = context.may(Action.TEST_CHANNEL, KIND)
    return page(
        request,
        context,
        "channels.html",
        status=422 if wrong else 200,
        channels=found,
        targets={name: await targets_of(context, name) for name in used} if may_test else {},
        tested=tested,
        wrong=wrong,
        checked=checked,
        names=CHANNELS,
        states=STATES,
        tests=TESTS,
    )
