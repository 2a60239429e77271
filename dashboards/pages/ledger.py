"""The loss ledger as a page: from gateways to devices to hours, and outboxes whose books do not balance."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from cloud_ingest.balance import AskedLedger
from dashboards.access import Context
from dashboards.api.ledger import Close, See, asked, write_off
from dashboards.backend import DirectoryError
from dashboards.i18n import N_
from dashboards.ledger_models import LedgerView, LineView
from dashboards.pages.forms import form_of
from dashboards.pages.render import page
from hearthward.core.clock import SECOND
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
PERIODS: Final = {"24h": N_("24 hours"), "7d": N_("7 days"), "30d": N_("30 days")}
WRONG: Final = {
    "since": N_("This is no period."),
    "required": N_("Say why nothing more is expected of this outbox."),
    "invalid": N_("The reason is too long: at most 500 characters."),
    "unknown": N_("There is no such outbox."),
    "state": N_("Nothing of this outbox is unaccounted for any more."),
}
REASONS: Final = {
    "cloned_gateway": N_("another gateway uses its name"),
    "corrupt": N_("damaged at the gateway"),
    "empty": N_("without a value"),
    "full": N_("buffer full"),
    "future": N_("dated in the future"),
    "implausible": N_("implausible"),
    "integrity": N_("wrong checksum"),
    "malformed": N_("malformed"),
    "no_room": N_("buffer full"),
    "out_of_range": N_("out of range"),
    "oversized": N_("too long"),
    "reserved": N_("only entered by hand"),
    "stale": N_("stale"),
    "store_refused": N_("not storable"),
    "store_rejected": N_("not storable"),
    "truncated": N_("too short"),
    "unknown_metric": N_("unknown kind"),
    "unknown_source": N_("unknown kind"),
}
"""Why readings are rejected or dropped, in words."""


@router.get("/ledger")
async def ledger(
    request: Request,
    context: See,
    since: str = "24h",
    by: Annotated[str, Query(max_length=20)] = "",
    gateway: str = "",
    device: str | None = None,
    done: str = "",
) -> Response:
    """All gateways of the last 24 hours unless the address says otherwise."""
    try:
        query, wrong = asked(context, since, by, gateway, ""), ""
    except DirectoryError:
        since, wrong = "24h", "since"
        query = asked(context, since, "", gateway, "")
    if device is not None:
        query = replace(query, device=device, by="hour")
    return await _show(request, context, since, query, wrong=wrong, done=done)


@router.post("/ledger/write-off")
async def close(request: Request, context: Close) -> Response:
    """Write off what is unaccounted for of an outbox."""
    form = await form_of(request)
    gateway, boot = form.get("gateway", ""), form.get("boot", "")
    since = form.get("since", "24h")
    try:
        done = await write_off(context, gateway, boot, form.get("reason", ""))
    except DirectoryError as error:
        return await _show(
            request, context, "24h", asked(context, "24h", "", gateway, ""), wrong=error.code, boot=boot
        )
    address = urlencode({"gateway": gateway, "since": since, "done": done.numbers})
    return RedirectResponse(f"/ledger?{address}#outboxes", status_code=303)


async def _show(
    request: Request,
    context: Context,
    since: str,
    query: AskedLedger,
    *,
    wrong: str = "",
    done: str = "",
    boot: str = "",
) -> Response:
    found = LedgerView.of(await context.backend.ledger(context.scope, query))
    shown = [
        box for box in found.outboxes if query.gateway is not None or box.unaccounted or box.told is None
    ]
    return page(
        request,
        context,
        "ledger.html",
        status=422 if wrong else 200,
        wrong=WRONG.get(wrong, WRONG["unknown"]) if wrong else "",
        wrong_boot=boot,
        done=int(done) if done.isascii() and done.isdigit() else 0,
        found=found,
        query=query,
        total=found.total,
        tongue=context.language.split("_", maxsplit=1)[0],
        since=since,
        periods=[(key, name, _address(query, key)) for key, name in PERIODS.items()],
        ways=[(by, _address(query, since, by=by)) for by in ("device", "hour")],
        below=[_below(line, query, since) for line in found.lines],
        up=_address(query, since, gateway=query.gateway if query.device is not None else None, device=None),
        above=_address(query, since, gateway=None, device=None),
        outboxes=shown,
        reasons=REASONS,
        closes=context.may(Action.MANAGE_DEVICES),
        hour=3600 * SECOND,
    )


def _address(query: AskedLedger, since: str, **more: Any) -> str:
    given = {"gateway": query.gateway, "device": query.device, "since": since, **more}
    return "/ledger?" + urlencode({name: value for name, value in given.items() if value is not None})


def _below(line: LineView, query: AskedLedger, since: str) -> str:
    """Where a line is taken apart; empty for what cannot be."""
    if line.hour is not None or line.gateway is None:
        return ""
    if line.device is None:
        return _address(query, since, gateway=line.gateway)
    return _address(query, since, gateway=line.gateway, device=line.device)
