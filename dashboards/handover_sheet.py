"""The hand-over sheet: each patient's newest values and their ages, alarms, what is off, notes, tasks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal

from pydantic import BaseModel, Field

from dashboards.aside import parted
from dashboards.backend import AlarmQuery, Backend, RosterEntry, is_equipment
from dashboards.care_models import PatientNote
from dashboards.charts import place_of
from dashboards.models import Alarm, Inactivation, Instant, Patient, Value
from dashboards.rule_models import Limit, Order
from dashboards.staff_models import Assignment, Team
from hearthward.core.clock import SECOND
from hearthward.core.codes import CLOCK_SKEW, METRICS
from hearthward.trust.access import Scope

__all__ = ["Sheet", "SheetNote", "SheetPatient", "SheetTask", "SheetValue", "sheet_of"]

LOOKED_BACK: Final = 12 * 3600 * SECOND
"""For how long before now notes and late breaches are on the sheet: a shift."""
NOTES: Final = 10
States = Callable[[str, Sequence[Value]], Mapping[str, str]]
TaskKind = Literal["accept", "acknowledge", "measure_again", "look_at"]


class SheetValue(BaseModel):
    """The newest value of a metric."""

    metric: str
    value: float | None = None
    code: str | None = None
    unit: str | None = None
    time: Instant
    age_s: float
    by_hand: bool = False
    quality: list[str] = Field(default_factory=list, description="what is known against it; empty: nothing")
    state: str | None = Field(
        None, description="`live`, or why it cannot be relied on, as tiles say it; null: not known"
    )


class SheetNote(BaseModel):
    """What somebody wrote about an alarm."""

    at: Instant
    by: str
    note: str
    about: dict[str, str] = Field(default_factory=dict)


class SheetTask(BaseModel):
    """Something that waits for somebody."""

    kind: TaskKind
    at: Instant
    about: dict[str, str] = Field(default_factory=dict, description="language -> text")


class SheetPatient(BaseModel):
    """One patient of a sheet."""

    patient: str
    name: str
    mrn: str | None = None
    birth_date: str | None = None
    ward: str | None = None
    ward_name: str = ""
    bed: str = ""
    home: bool = False
    users: list[str] = Field(default_factory=list, description="names of those who look after them")
    values: list[SheetValue] = Field(default_factory=list)
    alarms: list[Alarm] = Field(default_factory=list, description="open ones, the most urgent first")
    inactivations: list[Inactivation] = Field(default_factory=list)
    notes: list[SheetNote] = Field(default_factory=list)
    about: list[PatientNote] = Field(
        default_factory=list, description="what is to be known of the patient; none that was struck out"
    )
    tasks: list[SheetTask] = Field(default_factory=list)
    limits: list[Limit] = Field(default_factory=list, description="set for this patient")
    orders: list[Order] = Field(default_factory=list)


class Sheet(BaseModel):
    """What somebody hands over."""

    printed: Instant
    by: str = Field(description="id of the user whose patients these are")
    by_name: str
    ward: str | None = None
    patients: list[SheetPatient]
    others: list[Alarm] = Field(
        default_factory=list, description="open alarms of theirs that are about no patient"
    )


async def sheet_of(
    backend: Backend, scope: Scope, by: str, ward: str | None, states: States = lambda *_: {}
) -> Sheet:
    """The sheet of a person's patients; with ``ward`` of all patients of that ward.

    ``states``: of each of a patient's newest values, by metric, whether it is live.
    """
    now = backend.clock.now_ns()
    names = {s.id: s.name for s in await backend.staff(scope)}
    teams = {t.id: t for t in await backend.teams(scope)}
    assigned = await backend.assignments(scope)
    mine = _patients_of(by, assigned, teams)
    roster = [
        entry
        for entry in await backend.roster(scope)
        if (entry.ward == ward if ward else entry.patient in mine)
    ]
    everything = await backend.alarms(scope, AlarmQuery(open_only=True, owner=by, limit=1000))
    patients = []
    for entry in roster:
        looked_after = [names.get(a.user, a.user) for a in assigned if a.patient == entry.patient and a.user]
        looked_after += [
            teams[key].name for a in assigned if a.patient == entry.patient and (key := a.team or "") in teams
        ]
        person = await backend.item(scope, "patient", entry.patient)
        known = person if isinstance(person, Patient) else None
        patients.append(await _patient(backend, scope, entry, known, looked_after, now, states))
    about_nobody = [a for a in everything if is_equipment(a.patient)]
    return Sheet(
        printed=now,
        by=by,
        by_name=names.get(by, by),
        ward=ward,
        patients=patients,
        others=_by_urgency(about_nobody),
    )


def _patients_of(user: str, assigned: Iterable[Assignment], teams: Mapping[str, Team]) -> frozenset[str]:
    """Whom somebody looks after: assigned by name, or to one of their teams and to nobody by name."""
    named = {a.patient for a in assigned if a.user}
    own = {a.patient for a in assigned if a.user == user}
    my_teams = {key for key, team in teams.items() if user in team.members}
    by_team = {a.patient for a in assigned if a.team in my_teams}
    return frozenset(own | (by_team - named))


async def _patient(
    backend: Backend,
    scope: Scope,
    entry: RosterEntry,
    person: Patient | None,
    users: list[str],
    now: int,
    states: States,
) -> SheetPatient:
    key = entry.patient
    alarms = await backend.alarms(scope, AlarmQuery(open_only=True, patient=key, worklist=False))
    recent = await backend.alarms(scope, AlarmQuery(patient=key, start=now - LOOKED_BACK))
    asked = await backend.alarms(scope, AlarmQuery(patient=key, asked=True))
    usual, _ = parted(await backend.newest(scope, key))
    newest = [v for v in usual if _looked_at(v)]
    known = states(key, newest)
    return SheetPatient(
        patient=key,
        name=entry.name,
        mrn=person.mrn if person else None,
        birth_date=person.birth_date if person else None,
        ward=entry.ward,
        ward_name=entry.ward_name,
        bed=entry.bed_label,
        home=entry.home,
        users=users,
        values=[
            _value(v, now, known.get(v.metric)) for v in sorted(newest, key=lambda v: place_of(v.metric))
        ],
        alarms=_by_urgency(alarms),
        inactivations=list(await backend.inactivations(scope, subject=key)),
        notes=await _notes(backend, scope, [*recent, *alarms]),
        about=[n for n in await backend.patient_notes(scope, key, limit=NOTES) or () if n.struck is None],
        tasks=_tasks(alarms, recent, asked),
        limits=[x for x in await backend.limits(scope, key) or () if x.holds],
        orders=[x for x in await backend.orders(scope, key) or () if x.present],
    )


def _looked_at(value: Value) -> bool:
    """Whether it says something of the patient: not what a device is called, nor when a heart beat."""
    known = METRICS.get(value.metric)
    names = known is not None and known.kind == "coded" and not known.codes
    return not names and value.metric not in {"rr_interval", CLOCK_SKEW}


def _value(value: Value, now: int, state: str | None) -> SheetValue:
    return SheetValue(
        metric=value.metric,
        value=value.value,
        code=value.code,
        unit=value.unit,
        time=value.time,
        age_s=max(0, now - value.time) / SECOND,
        by_hand=value.source == "manual",
        quality=list(value.quality),
        state=state,
    )


def _by_urgency(alarms: Iterable[Alarm]) -> list[Alarm]:
    order = {"high": 0, "medium": 1, "low": 2}
    return sorted(alarms, key=lambda a: (order[a.priority], a.onset))


async def _notes(backend: Backend, scope: Scope, alarms: Iterable[Alarm]) -> list[SheetNote]:
    """What was written about them, the newest first; read in one go."""
    about = {a.id: a.text for a in alarms}
    found = await backend.notes(scope, about.keys())
    return [SheetNote(at=n.at, by=n.by_name, note=n.note, about=about[n.alarm]) for n in reversed(found)]


def _tasks(alarms: Sequence[Alarm], recent: Iterable[Alarm], asked: Iterable[Alarm]) -> list[SheetTask]:
    todo: list[tuple[TaskKind, Alarm]] = [
        *(("accept", a) for a in alarms if a.condition == "active" and a.accepted_by is None),
        *(("acknowledge", a) for a in alarms if a.condition == "latched"),
        *(("measure_again", a) for a in asked),
        *(("look_at", a) for a in recent if a.worklist),
    ]
    return [SheetTask(kind=kind, at=a.onset, about=a.text) for kind, a in todo]
