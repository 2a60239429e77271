"""The site's own calibration of the learned risk as the web shows it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest.calibrating import Refusal, Score
from cloud_ingest.calibration_report import Evidence, evidence
from dashboards.calibrations import Calibrations, Run
from dashboards.models import Instant
from dashboards.rule_models import Release, RuleDetail
from rules import Rule
from rules.amend import amended
from rules.conditions import Threshold, leaves
from rules.models.deterioration import shipped

__all__ = [
    "CalibrationNow",
    "CalibrationRun",
    "CalibrationView",
    "EvidenceView",
    "FitView",
    "calibration_view",
]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FitView(_View):
    """How well risks fitted how stays ended; the lower Brier score and log loss, the better."""

    mean: float = Field(description="mean risk, 0 to 1")
    brier: float
    loss: float


class EvidenceView(_View):
    """What it was learned from; each stay was predicted before it was learned."""

    cases: int = Field(description="stays")
    bad: int = Field(description="those of them that ended badly")
    before: FitView = Field(description="as shipped")
    after: FitView = Field(description="recalibrated")


class CalibrationNow(_View):
    """The calibration in force."""

    slope: float
    intercept: float
    training: int = Field(description="the training of the model that it was made for")
    counts: bool = Field(description="false: the model is of another training, so no risk is known")
    release: Release | None = Field(None, description="null: it came by a file of the settings")
    evidence: EvidenceView | None = Field(None, description="null: the rule's file does not say")


class CalibrationRun(_View):
    """The last time that it was asked for."""

    state: Literal["running", "done", "failed"]
    began: Instant
    by: str
    slope: float | None = None
    intercept: float | None = None
    evidence: EvidenceView | None = None
    unmeasured: int = Field(0, description="stays of which too little was measured")
    refused: str | None = Field(None, description="why nothing is to be changed")
    why: Refusal | None = None
    text: str = Field("", description="the rule's file with it, to be entered as a draft")
    error: str = Field("", description="why it failed")
    retry: bool = Field(False, description="whether it may succeed later")


class CalibrationView(_View):
    """What stands in force, and what came of asking for another."""

    offered: bool = Field(description="whether it can be asked for here")
    now: CalibrationNow | None = Field(None, description="null: the risk counts as shipped")
    run: CalibrationRun | None = None


def calibration_view(detail: RuleDetail, held: Calibrations) -> CalibrationView:
    """What is known of the rule's calibration."""
    run = None if held.run is None else _run(held.run, detail)
    return CalibrationView(offered=held.offered, now=_now(detail), run=run)


def _now(detail: RuleDetail) -> CalibrationNow | None:
    rule = detail.rule
    version = next((v for v in detail.versions if rule is not None and v.hash == rule.hash), None)
    if rule is None or rule.state == "shadow" or version is None:
        return None
    limits = (x for x in leaves(Rule.from_content(version.content).condition) if isinstance(x, Threshold))
    own = next((x.calibration for x in limits if x.calibration is not None), None)
    if own is None:
        return None
    return CalibrationNow(
        slope=own.slope,
        intercept=own.intercept,
        training=own.training,
        counts=own.training == shipped().version,
        release=rule.release,
        evidence=_evidence(evidence(detail.text)),
    )


def _run(run: Run, detail: RuleDetail) -> CalibrationRun:
    base = CalibrationRun(state=run.state, began=run.began, by=run.by, error=run.error, retry=run.retry)
    if run.found is None:
        return base
    learned = run.found.learned
    known = [v.version for v in detail.versions] + [r.version for r in detail.releases]
    text = run.found.text and amended(run.found.text, {}, version=max(known, default=1) + 1)
    found = Evidence(learned.cases, learned.bad, learned.before, learned.after)
    return base.model_copy(
        update={
            "slope": learned.calibration.slope,
            "intercept": learned.calibration.intercept,
            "evidence": _evidence(found),
            "unmeasured": run.found.left_out.get("too little was measured", 0),
            "refused": learned.refused,
            "why": learned.why,
            "text": text,
        }
    )


def _evidence(found: Evidence | None) -> EvidenceView | None:
    if found is None:
        return None
    return EvidenceView(cases=found.cases, bad=found.bad, before=_fit(found.before), after=_fit(found.after))


def _fit(score: Score) -> FitView:
    return FitView(mean=score.mean, brier=score.brier, loss=score.loss)
