"""The part of the learned risk's rule that is about the site's own calibration."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.calibration import RULE, calibration_of, start_calibration
from dashboards.i18n import N_
from dashboards.pages.render import is_htmx, page
from dashboards.problems import MissingError
from dashboards.rule_models import RuleDetail
from hearthward.trust.access import Action

__all__ = ["calibration_part", "router"]

router = APIRouter(include_in_schema=False)
WHY: Final = {
    "few": N_("there are too few stays of which somebody has said how they ended: 100 are needed"),
    "ends": N_("too few stays ended badly, or well: ten of each are needed"),
    "bounds": N_("the model is of no use here as it is: what was learned is beyond its bounds"),
    "no_gain": N_("it is no better than what is shipped"),
}
Write = Annotated[Context, Depends(Guard(Action.DRAFT_RULE, "rule"))]


@router.post(f"/rules/{RULE}/calibration")
async def start(request: Request, context: Write) -> Response:
    """Begin, and go to where it is shown."""
    await start_calibration(context, request)
    return RedirectResponse(f"/rules/{RULE}#calibration", status_code=303)


@router.get(f"/rules/{RULE}/calibration")
async def progress(request: Request, context: Write) -> Response:
    """The part itself while it runs; then the whole page anew."""
    detail = await context.backend.rule(context.scope, RULE)
    if detail is None:
        raise MissingError(kind="rule", key=RULE)
    known = calibration_part(request, context, detail)
    if not is_htmx(request):
        return RedirectResponse(f"/rules/{RULE}#calibration", status_code=303)
    if known["calibration"].run is not None and known["calibration"].run.state == "running":
        return page(request, context, "calibration_part.html", **known)
    return Response(headers={"HX-Refresh": "true"})


def calibration_part(request: Request, context: Context, detail: RuleDetail) -> dict[str, Any]:
    """What the rule's page says of it; nothing on the pages of other rules."""
    if detail.id != RULE:
        return {"calibration": None}
    may = context.may(Action.DRAFT_RULE, "rule") and not context.scope.confined
    return {"calibration": calibration_of(request, detail), "why": WHY, "may_calibrate": may}
