"""A changed rule tried on the stored history: start it, ask how far it is, give it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, BeforeValidator, Field

from cloud_ingest.trying import TryAsked
from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft, OptionalText, RequiredZone
from dashboards.backend import AlarmQuery, DirectoryError
from dashboards.models import Encounter
from dashboards.problems import ERROR_RESPONSES, MissingError
from dashboards.rule_models import RuleDetail
from dashboards.tries import Job, Tries
from dashboards.whatif_models import NumberView, OfOneView, SideView, ToldView, TryView
from hearthward.core.clock import SECOND, iso
from hearthward.core.codes import METRICS
from hearthward.trust.access import Action
from rules import Rule, RuleFileError
from rules.amend import AmendError, Movable, amended, movable
from rules.loader import load_rule
from rules.whatif import Told

__all__ = ["HOME", "Try", "TryDraft", "job_of", "numbers_of", "router", "rule_to_try", "start_try", "view_of"]

router = APIRouter(prefix="/api/v1/rules", tags=["rules"], responses=ERROR_RESPONSES)
Try = Annotated[Context, Depends(Guard(Action.TRY_RULE, "rule"))]
DAY: Final = 86_400 * SECOND
HOME: Final = "home"
"""In the place of a ward: who is cared for at home."""
LONGEST_DAYS: Final = 30
MOST_PATIENTS: Final = 300
MOST_ALARMS: Final = 1000
"""So many alarms of one patient are looked through for those that would be lost."""


class TryDraft(Draft):
    """What to try: numbers of the rule's file by their path, and on which history."""

    moved: dict[str, Annotated[float, Field(allow_inf_nan=False)]] = Field(
        default_factory=dict, examples=[{"parameters/limit/value": 88}]
    )
    days: Annotated[int, Field(ge=1, le=LONGEST_DAYS)] = 7
    ward: OptionalText = Field(None, description="only who was there; `home`: who was cared for at home")
    patient: OptionalText = Field(None, description="only this one")
    zone: Annotated[RequiredZone, BeforeValidator(lambda v: v or "UTC")] = Field(
        "UTC", description="whose days are counted"
    )


class NumberList(BaseModel):
    """Numbers of a rule that can be moved."""

    items: list[NumberView]


@router.get("/{rule}/numbers")
async def get_numbers(context: Try, rule: str) -> NumberList:
    """The numbers of a rule's file, each with its path."""
    return NumberList(items=numbers_of(await rule_to_try(context, rule)))


@router.post("/{rule}/tries", status_code=202)
async def post_try(context: Try, request: Request, rule: str, body: TryDraft) -> TryView:
    """Try a change on the last days' readings. An earlier trial of the caller's is given up."""
    return view_of(await start_try(context, request, rule, body))


@router.get("/{rule}/tries/{key}")
async def get_try(context: Try, request: Request, rule: str, key: str) -> TryView:
    """How far it has got, or what came of it. Only who began it may ask."""
    return view_of(await job_of(context, request, rule, key))


@router.delete("/{rule}/tries/{key}", status_code=202)
async def cancel_try(context: Try, request: Request, rule: str, key: str) -> TryView:
    """Give it up."""
    job = await job_of(context, request, rule, key)
    _tries(request).cancel(job)
    return view_of(job)


def _tries(request: Request) -> Tries:
    tries: Tries = request.app.state.tries
    return tries


async def rule_to_try(context: Context, key: str) -> RuleDetail:
    """A rule in force whose file is at hand. Raises MissingError; DirectoryError for one not of patients."""
    found = await context.backend.rule(context.scope, key)
    if found is None or found.rule is None:
        raise MissingError(kind="rule", key=key)
    if found.rule.subject != "patient" or found.rule.state == "shadow" or not found.text:
        raise DirectoryError(field="rule", code="elsewhere", value=key)
    return found


def numbers_of(detail: RuleDetail, moved: Mapping[str, float] | None = None) -> list[NumberView]:
    """The numbers of the rule's file, with what they were moved to."""
    units = {p.name: p.unit for p in detail.rule.parameters} if detail.rule else {}
    return [
        NumberView(
            path=m.path,
            name=m.name,
            parameter=m.parameter,
            signal=m.signal,
            op=m.op,
            unit=units.get(m.name, "") if m.parameter else _unit(m),
            value=m.value,
            moved=(moved or {}).get(m.path),
            low=m.low,
            high=m.high,
        )
        for m in movable(detail.text)
    ]


def _unit(number: Movable) -> str:
    if number.name.endswith("_s"):
        return "s"
    metric = METRICS.get(number.signal)
    measured = number.name in {"value", "hysteresis", "by"}
    return metric.unit or "" if metric is not None and measured else ""


async def start_try(context: Context, request: Request, rule: str, body: TryDraft) -> Job:
    """Begin a trial for the caller, audited with whose readings it looks at. Raises DirectoryError."""
    detail = await rule_to_try(context, rule)
    old = {m.path: m.value for m in movable(detail.text)}
    moved = {path: value for path, value in body.moved.items() if old.get(path) != value}
    if not moved:
        raise DirectoryError(field="moved", code="required")
    before, after, text = _versions(detail, moved)
    end = context.backend.clock.now_ns()
    start = end - body.days * DAY
    patients = await _patients(context, body, start, end)
    asked = TryAsked(before, after, patients, start, end, body.zone)
    scope, backend = context.scope, context.backend
    job = _tries(request).start(
        context.who,
        rule,
        asked,
        lambda progress: backend.try_rule(scope, asked, progress),
        text=text,
        numbers=[n for n in numbers_of(detail, moved) if n.moved is not None],
        ward=body.ward or "",
    )
    looked = {"moved": moved, "patients": list(patients), "from": iso(start), "to": iso(end), "try": job.id}
    await context.audit(Action.TRY_RULE, "rule", target=rule, detail=looked)
    return job


def _versions(detail: RuleDetail, moved: Mapping[str, float]) -> tuple[Rule, Rule, str]:
    """The rule as it is, the changed one, and the text of its file with the next free version."""
    known = [v.version for v in detail.versions] + [r.version for r in detail.releases]
    try:
        before = load_rule(detail.text, detail.id).rule
        text = amended(detail.text, moved, version=max([before.version, *known]) + 1)
        return before, load_rule(text, detail.id).rule, text
    except AmendError as error:
        raise DirectoryError(field=error.path, code=error.code, value=error.value) from error
    except RuleFileError as error:
        found = "; ".join(problem.message for problem in error.problems)
        raise DirectoryError(field="moved", code="rule", value=found) from error


async def _patients(context: Context, body: TryDraft, start: int, end: int) -> tuple[str, ...]:
    """Who was in care during the period, there where it is asked for. Raises DirectoryError."""
    stays = await context.backend.items(context.scope, "encounter", ended=True)
    if body.ward not in {None, HOME} and (
        await context.backend.item(context.scope, "ward", str(body.ward)) is None
    ):
        raise DirectoryError(field="ward", code="unknown", value=body.ward)
    found = {
        stay.patient
        for stay in stays
        if isinstance(stay, Encounter)
        and stay.start < end
        and (stay.end is None or stay.end > start)
        and (body.ward is None or (stay.kind == HOME if body.ward == HOME else stay.ward == body.ward))
        and (body.patient is None or stay.patient == body.patient)
    }
    if body.patient is not None and body.patient not in found:
        raise DirectoryError(field="patient", code="unknown", value=body.patient)
    if not found:
        raise DirectoryError(field="ward", code="nobody", value=body.ward or "")
    if len(found) > MOST_PATIENTS:
        raise DirectoryError(field="ward", code="bounds", value=f"{MOST_PATIENTS}")
    return tuple(sorted(found))


async def job_of(context: Context, request: Request, rule: str, key: str) -> Job:
    """The caller's own trial, with the alarms that people truly got. Raises MissingError."""
    job = _tries(request).get(context.who, rule, key)
    if job is None:
        raise MissingError(kind="trial", key=key)
    if job.result is not None and not job.known:
        job.known = await _known(context, job, job.result.lost)
    return job


async def _known(context: Context, job: Job, lost: Sequence[Told]) -> dict[tuple[str, int], str]:
    """Which alarm people truly got for each that would be lost: one that went on then, of any stage."""
    out: dict[tuple[str, int], str] = {}
    stages = {job.rule, job.asked.before.raises} - {""}
    stages |= {r.id for r in await context.backend.rules(context.scope) if r.raises == job.rule}
    for patient in sorted({told.patient for told in lost}):
        real = [
            a
            for rule in sorted(stages)
            for a in await context.backend.alarms(
                context.scope, AlarmQuery(patient=patient, rule=rule, limit=MOST_ALARMS)
            )
        ]
        for told in lost:
            end = job.asked.end if told.ended is None else told.ended
            mine = [a for a in real if a.onset <= end and (a.ended is None or told.onset <= a.ended)]
            if told.patient == patient and mine:
                nearest = min(mine, key=lambda a: abs(a.onset - told.onset))
                out[patient, told.onset] = nearest.id
    return out


def view_of(job: Job) -> TryView:
    """A job as it is shown."""
    asked, found = job.asked, job.result
    base = TryView(
        id=job.id,
        rule=job.rule,
        state=job.state,
        done=job.done,
        of=job.of,
        error=job.error,
        retry=job.retry,
        start=asked.start,
        end=asked.end,
        zone=asked.zone,
        limits=(asked.before.limit, asked.after.limit),
        numbers=list(job.numbers),
    )
    if found is None:
        return base
    days = found.days
    return base.model_copy(
        update={
            "days": days,
            "readings": found.readings,
            "before": SideView.of(found.before, days),
            "after": SideView.of(found.after, days),
            "patients": [
                OfOneView(
                    patient=one.patient,
                    days=one.days,
                    readings=one.readings,
                    since=one.since,
                    limits=one.limits,
                    before=SideView.of(one.before, one.days),
                    after=SideView.of(one.after, one.days),
                )
                for one in found.patients
            ],
            "lost": [ToldView.of_told(t, job.known.get((t.patient, t.onset))) for t in found.lost],
            "lost_count": found.lost_count,
            "gained": [ToldView.of_told(t, None) for t in found.gained],
            "gained_count": found.gained_count,
            "later": found.later,
            "latest_s": found.latest_s,
            "left": found.left,
        }
    )
