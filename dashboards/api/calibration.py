"""What the learned risk is worth at this site: what is in force, and learning it anew for a draft."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request

from cloud_ingest.records.releases import check_person
from cloud_ingest.records.scoping import require_whole
from dashboards.access import Context, Guard
from dashboards.calibration_models import CalibrationView, calibration_view
from dashboards.calibrations import Calibrations
from dashboards.problems import ERROR_RESPONSES, MissingError
from dashboards.rule_models import RuleDetail
from hearthward.core.errors import AccessError
from hearthward.trust.access import Action

__all__ = ["RULE", "calibration_of", "router", "start_calibration"]

router = APIRouter(prefix="/api/v1/rules", tags=["rules"], responses=ERROR_RESPONSES)
RULE: Final = "deterioration"
KIND: Final = "rule"
See = Annotated[Context, Depends(Guard(Action.VIEW_RULES, KIND))]
Write = Annotated[Context, Depends(Guard(Action.DRAFT_RULE, KIND))]


@router.get(f"/{RULE}/calibration")
async def get_calibration(context: See, request: Request) -> CalibrationView:
    """The calibration in force, and what came of the last time that one was learned.

    Why it failed is for who may start it again: that may name files of the server.
    """
    found = calibration_of(request, await _rule(context))
    if found.run is None or context.may(Action.DRAFT_RULE, KIND):
        return found
    return found.model_copy(update={"run": found.run.model_copy(update={"error": ""})})


@router.post(f"/{RULE}/calibration", status_code=202)
async def post_calibration(context: Write, request: Request) -> CalibrationView:
    """Learn from how this site's stays ended. Nothing changes: enter its `text` as a draft of the rule."""
    await start_calibration(context, request)
    return calibration_of(request, await _rule(context))


async def _rule(context: Context) -> RuleDetail:
    found = await context.backend.rule(context.scope, RULE)
    if found is None:
        raise MissingError(kind=KIND, key=RULE)
    return found


def calibration_of(request: Request, detail: RuleDetail) -> CalibrationView:
    """What is known of it."""
    return calibration_view(detail, _held(request))


async def start_calibration(context: Context, request: Request) -> None:
    """Begin for the caller, audited: it reads all stays that have ended. Raises AccessError, ConfigError."""
    try:
        require_whole(context.scope, "a rule")
        check_person(context.who)
    except AccessError:
        await context.audit(Action.DRAFT_RULE, KIND, target=RULE, outcome="refused")
        raise
    _held(request).start(context.who.name)
    await context.audit(Action.DRAFT_RULE, KIND, target=RULE, detail={"do": "recalibrate"})


def _held(request: Request) -> Calibrations:
    held: Calibrations = request.app.state.calibrations
    return held
