"""``hearthward rules recalibrate``: what the learned risk was worth here, and the rule that says so.

How stays ended is what people have said of them in the directory, or a table from whoever knows; the stays'
readings are in the stored history, read beside a running cloud. What is written is a file of the rule
``deterioration`` for a release like any other: nothing changes before somebody enters it, and a second person
approves it.
"""

from __future__ import annotations

import csv
import importlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution, Span, load_attribution
from cloud_ingest.calibrating import Calibrated, Case, Learned, learn, risk_of_stay
from cloud_ingest.calibration_report import report as report_of
from cloud_ingest.contexts import grown_up
from cloud_ingest.entry import manual_device
from cloud_ingest.outcome import rows_to_judge
from cloud_ingest.records.models import Encounter, Patient
from cloud_ingest.stores.base import TimeSeriesStore
from hearthward.app.history import kept_records
from hearthward.app.stores import open_store
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from rules.conditions import Calibration
from rules.examples import failures
from rules.loader import LIBRARY, load_rule
from rules.model import Rows
from rules.models.deterioration import CHANNEL_OF, shipped
from rules.models.recalibration import log_odds, recalibrated

__all__ = ["OUTCOMES", "recalibrate", "report", "rule_text"]

OUTCOMES: Final = {"died": True, "intensive_care": True, "discharged": False}
"""What a stay may have ended in, and whether that is what the risk is a risk of."""
COLUMNS: Final = ("patient", "outcome")
RULE: Final = LIBRARY / "deterioration.yaml"
LOOKED_AT: Final = 2 * 86_400 * SECOND
"""A stay's first days: within them lies the moment that counts."""
SLICE: Final = 6 * 3600 * SECOND
_STEP: Final = 0.0001
_LIMIT: Final = re.compile(r"^  trigger: \{[^}]*\}$", re.MULTILINE)
_CONDITION: Final = re.compile(r"^condition: \{detector: deterioration,[^}]*\}$", re.MULTILINE)
_VERSION: Final = re.compile(r"^version: \d+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Stay:
    """A stay on a ward that has ended, and how."""

    patient: str
    start: int
    end: int
    bad: bool


async def recalibrate(settings: Settings, table: Path | None = None) -> Calibrated:
    """Learn of the outcomes in the directory, or in ``table``. Raises ConfigError, StoreUnavailable.

    ``text`` is left empty.
    """
    outcomes = None if table is None else _outcomes(table)
    tenant = settings.cloud.tenant
    left_out = {"not known here, or not meant for them": 0, "too little was measured": 0}
    with kept_records(settings.data / "cloud" / "records.db") as session:
        stays = list(_stays(session, tenant, outcomes))
        attribution = load_attribution(session, tenant)
    if outcomes is not None:
        left_out["not known here, or not meant for them"] = len(outcomes) - len(stays)
    cases = []
    store = await open_store(settings, read_only=True)
    try:
        for stay in stays:
            rows = await _rows(store, tenant, stay, attribution)
            risk = risk_of_stay(shipped(), rows, stay.end)
            if risk is None:
                left_out["too little was measured"] += 1
            else:
                cases.append(Case(stay.end, log_odds(risk), stay.bad))
    finally:
        await store.close()
    return Calibrated(learn(cases, _learner(), shipped().version), left_out)


def _learner() -> Any:
    """River's: by name, since nothing else of the program may come to import it."""
    return importlib.import_module("cloud_ingest.river_faces.calibration").OnlineCalibration()


def _outcomes(table: Path) -> dict[str, bool]:
    """Patient (id or hospital number) -> whether the stay ended badly. Raises ConfigError with the line."""
    found: dict[str, bool] = {}
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
            if missing:
                msg = f"the first line must name the columns {', '.join(COLUMNS)}: {missing[0]} is missing"
                raise ConfigError(msg, file=str(table), line=1)
            for row in rows:
                patient, outcome = (str(row[name] or "").strip() for name in COLUMNS)
                if outcome not in OUTCOMES:
                    msg = f"{outcome!r} is no outcome: {', '.join(OUTCOMES)}"
                    raise ConfigError(msg, file=str(table), line=rows.line_num)
                if not patient or patient in found:
                    msg = f"patient {patient!r} stands here twice" if patient else "no patient is named"
                    raise ConfigError(msg, file=str(table), line=rows.line_num)
                found[patient] = OUTCOMES[outcome]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"cannot be read as a table: {error}"
        raise ConfigError(msg, file=str(table)) from error
    return found


def _stays(session: Session, tenant: str, outcomes: Mapping[str, bool] | None) -> Iterator[_Stay]:
    """The stays on a ward that have ended, of those for whom the model is meant, with how they ended.

    All of which the directory says so; with a table the last one of each patient that it names.
    """
    people = {
        person.id: person for person in session.scalars(select(Patient).where(Patient.tenant == tenant)).all()
    }
    rows = select(Encounter).where(
        Encounter.tenant == tenant, Encounter.kind == "ward", Encounter.end.is_not(None)
    )
    ended: Sequence[Encounter] = session.scalars(rows.order_by(Encounter.end)).all()
    if outcomes is not None:
        ended = list({stay.patient: stay for stay in ended}.values())
    for stay in ended:
        person = people[stay.patient]
        bad = OUTCOMES.get(stay.outcome or "")
        if outcomes is not None:
            bad = outcomes.get(person.id, outcomes.get(person.mrn or ""))
        meant = grown_up(person.birth_date, stay.start) is not False and not person.pregnant
        if bad is not None and meant and stay.end is not None:
            yield _Stay(person.id, stay.start, stay.end, bad)


async def _rows(store: TimeSeriesStore, tenant: str, stay: _Stay, attribution: Attribution) -> Rows:
    """What was measured in the first days of a stay, by devices and by hand."""
    until = min(stay.end, stay.start + LOOKED_AT)
    spans: Sequence[Span] = (
        *attribution.spans(stay.patient),
        Span(manual_device(stay.patient), stay.patient, 0),
    )
    found = Rows()
    for span in spans:
        first, last = max(span.start, stay.start), min(until, until if span.end is None else span.end)
        for begin in range(first, last, SLICE):
            batch = await store.read(
                tenant, [span.device], sorted(CHANNEL_OF), begin, min(begin + SLICE, last)
            )
            found.extend(rows_to_judge(batch, [stay.patient] * len(batch)))
    return found


def report(found: Calibrated) -> str:
    """What was learned, for people."""
    return "\n".join(report_of(found.learned, found.left_out))


def rule_text(learned: Learned) -> str:
    """The rule ``deterioration`` with what was learned.

    Its limit moves with the percentages, so that the same patients alarm as before. Raises ConfigError where
    its own examples do not hold any more.
    """
    own = learned.calibration
    limit, cleared, low, high = (_at_site(own, risk) for risk in (0.3, 0.2, 0.1, 0.8))
    calibration = f"{{training: {own.training}, slope: {own.slope}, intercept: {own.intercept}}}"
    text = RULE.read_text(encoding="utf-8")
    version = load_rule(text, str(RULE)).rule.version + 1
    back = round(limit - cleared, 4)
    low = min(limit, max(low, round(back + _STEP, 4)))  # it must clear again wherever the limit is set
    text = _LIMIT.sub(f"  trigger: {{value: {limit}, low: {low}, high: {high}}}", text)
    text = _CONDITION.sub(
        "condition: {detector: deterioration, op: at_or_above, value: trigger, "
        f"hysteresis: {back}, calibration: {calibration}}}",
        text,
    )
    text = _VERSION.sub(f"version: {version}", text)
    said = "".join(f"# {line}\n" for line in report_of(learned, {}))
    head = "# Made by hearthward rules recalibrate. The limit alarms for the same patients as before.\n"
    text = f"{head}{said}{text}"
    failed = list(failures(load_rule(text, "the rule made")))
    if failed:
        msg = f"no usable rule comes of slope {own.slope:g} and intercept {own.intercept:g}: {failed[0]}"
        raise ConfigError(msg)
    return text


def _at_site(own: Calibration, risk: float) -> float:
    found = recalibrated(own, risk)
    assert found is not None  # noqa: S101 - it is of the model shipped
    return found
