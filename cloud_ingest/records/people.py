"""Patients and their encounters: who is cared for, where, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict, Unpack

from sqlalchemy import ColumnElement, exists, or_, select

from cloud_ingest.records.contacts import check_email, check_phone
from cloud_ingest.records.models import Assignment, Association, Bed, Encounter, Patient, Ward
from cloud_ingest.records.scoping import (
    Repository,
    check_birth_date,
    check_language,
    check_period,
    check_text,
    overlapping,
    refuse,
    require_whole,
)
from hearthward.core.clock import iso
from hearthward.trust.access import Scope

__all__ = ["Encounters", "Patients"]

Kind = Literal["ward", "home"]


class Particulars(TypedDict, total=False):
    """What may be known of a patient besides the name."""

    birth_date: str | None
    mrn: str | None
    language: str
    phone: str | None
    email: str | None
    pregnant: bool


class PatientFields(Particulars, total=False):
    """What can be changed of a patient."""

    name: str


class EncounterFields(TypedDict, total=False):
    """What can be corrected of an encounter."""

    bed: str | None
    ward: str | None
    start: int
    end: int | None
    outcome: str | None


OUTCOMES: Final = ("discharged", "intensive_care", "died")
"""What a stay may have ended in."""


class Patients(Repository):
    """The people who are cared for."""

    def create(
        self, scope: Scope, *, name: str, ident: str | None = None, **fields: Unpack[Particulars]
    ) -> Patient:
        """Enter a patient. Raises ConfigError: no name, no such date, number taken, no contact."""
        require_whole(scope, "entering a patient")
        row = Patient(
            tenant=scope.tenant,
            id=self._new_id(Patient, scope, ident, "pat", "patient"),
            created=self.now,
            **self._checked(scope, {"name": name, "language": "en", **fields}),
        )
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, patient: str, **fields: Unpack[PatientFields]) -> Patient:
        """Correct a patient's particulars; only what is given changes."""
        row = self.get(scope, patient)
        self._change(row, self._checked(scope, fields, but=patient))
        return row

    def _checked(self, scope: Scope, fields: Mapping[str, Any], *, but: str = "") -> dict[str, Any]:
        """The particulars as they are kept."""
        checks: dict[str, Callable[[Any], Any]] = {
            "name": lambda name: check_text(name, "name"),
            "birth_date": lambda date: check_birth_date(date, self.wall),
            "mrn": lambda mrn: self._mrn(scope, mrn, but=but),
            "language": check_language,
            "phone": check_phone,
            "email": check_email,
        }
        return {key: checks[key](value) if key in checks else value for key, value in fields.items()}

    def end(self, scope: Scope, patient: str, *, at: int | None = None) -> Patient:
        """Close a patient's record: stays, device associations and assignments end. Nothing is deleted."""
        row = self.get(scope, patient)
        when = self._when(at, "end")
        _end_open(self, scope, patient, when)
        _end_assignments(self, scope, patient, when)
        self._change(row, {"ended": when})
        return row

    def get(self, scope: Scope, patient: str) -> Patient:
        """One patient. Raises ConfigError (``not_found``)."""
        return self._find(Patient, scope, patient, "patient", *self._patient_limit(Patient.id, scope))

    def list(self, scope: Scope, *, ended: bool = False) -> Sequence[Patient]:
        """The patients by name; closed records only when asked for."""
        query = select(Patient).where(*self.limits(scope))
        if not ended:
            query = query.where(Patient.ended.is_(None))
        return self.session.scalars(query.order_by(Patient.name, Patient.id)).all()

    def limits(self, scope: Scope) -> Sequence[ColumnElement[bool]]:
        """Which rows a scope covers."""
        return [Patient.tenant == scope.tenant, *self._patient_limit(Patient.id, scope)]

    def _mrn(self, scope: Scope, mrn: str | None, *, but: str = "") -> str | None:
        if mrn is None or not mrn.strip():
            return None
        mrn = check_text(mrn, "mrn")
        taken = exists().where(Patient.tenant == scope.tenant, Patient.mrn == mrn, Patient.id != but)
        if self.session.scalar(select(taken)):
            refuse("mrn", f"{mrn!r} belongs to another patient; check the number", reason="conflict")
        return mrn


class Encounters(Repository):
    """Stays in a bed and care at home; one at a time for a patient, one patient at a time in a bed."""

    def create(
        self,
        scope: Scope,
        *,
        patient: str,
        kind: Kind,
        bed: str | None = None,
        ward: str | None = None,
        start: int | None = None,
        end: int | None = None,
        ident: str | None = None,
    ) -> Encounter:
        """Begin a stay: ``ward`` needs a bed (its ward is responsible), ``home`` may name a ward as team.

        Raises ConfigError: unknown patient, ward or bed, bed occupied, patient elsewhere at that time.
        """
        person = self._find(Patient, scope, patient, "patient", *self._patient_limit(Patient.id, scope))
        if person.ended is not None:
            refuse("patient", "this patient's record is closed", reason="conflict")
        if kind not in {"ward", "home"}:
            refuse("kind", f"{kind!r} is no kind of stay; choose ward or home")
        first = self._when(start, "start")
        row = Encounter(
            tenant=scope.tenant,
            id=self._new_id(Encounter, scope, ident, "enc", "encounter"),
            patient=patient,
            kind=kind,
            ward=self._ward(scope, kind, bed, ward),
            bed=bed,
            start=first,
            end=end,
        )
        self._free(row)
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, encounter: str, **fields: Unpack[EncounterFields]) -> Encounter:
        """Correct what was entered wrongly, for the whole stay, or say how it ended.

        To move a patient use ``move``. Raises ConfigError.
        """
        row = self.get(scope, encounter)
        outcome = fields.get("outcome", row.outcome)
        if outcome is not None and outcome not in OUTCOMES:
            refuse("outcome", f"{outcome!r} is no outcome of a stay; choose of {', '.join(OUTCOMES)}")
        bed = fields.get("bed", row.bed)
        asked = fields.get("ward", None if bed != row.bed else row.ward)
        changed = Encounter(
            tenant=row.tenant,
            id=row.id,
            patient=row.patient,
            kind=row.kind,
            ward=self._ward(scope, row.kind, bed, asked) if {"bed", "ward"} & set(fields) else row.ward,
            bed=bed,
            start=self._when(fields.get("start", row.start), "start"),
            end=fields.get("end", row.end),
        )
        self._free(changed)
        found = {n: getattr(changed, n) for n in ("ward", "bed", "start", "end")}
        self._change(row, {**found, "outcome": outcome})
        return row

    def move(
        self,
        scope: Scope,
        encounter: str,
        *,
        kind: Kind = "ward",
        bed: str | None = None,
        ward: str | None = None,
        at: int | None = None,
    ) -> Encounter:
        """End a stay and begin the next one at the same moment; devices stay with the patient.

        In another ward others look after the patient: assignments end.
        """
        row = self.end(scope, encounter, at=at, release_devices=False)
        before = row.ward
        # The caller's wards saw the patient through the stay that has just ended: look with the tenant's.
        ward = self._ward(scope, kind, bed, ward)
        begun = self.create(
            Scope(scope.tenant, None, scope.patient),
            patient=row.patient,
            kind=kind,
            bed=bed,
            ward=ward,
            start=row.end,
        )
        if begun.ward != before:
            _end_assignments(self, scope, row.patient, begun.start)
        return begun

    def end(
        self, scope: Scope, encounter: str, *, at: int | None = None, release_devices: bool = True
    ) -> Encounter:
        """Discharge: the stay ends, and with it the patient's devices and who was assigned to the patient."""
        row = self.get(scope, encounter)
        when = self._when(at, "end")
        if row.end is not None and row.end <= when:
            refuse("encounter", f"ended already at {iso(row.end)}", reason="conflict")
        check_period(row.start, when)
        if release_devices:
            _end_open(self, scope, row.patient, when, encounters=False)
            _end_assignments(self, scope, row.patient, when)
        self._change(row, {"end": when})
        return row

    def get(self, scope: Scope, encounter: str) -> Encounter:
        """One encounter. Raises ConfigError (``not_found``)."""
        limits = self._patient_limit(Encounter.patient, scope)
        return self._find(Encounter, scope, encounter, "encounter", *limits)

    def list(
        self,
        scope: Scope,
        *,
        ward: str | None = None,
        patient: str | None = None,
        ended: bool = False,
    ) -> Sequence[Encounter]:
        """The stays in order of start; those that have ended only when asked for."""
        query = select(Encounter).where(*self.limits(scope))
        if ward is not None:
            query = query.where(Encounter.ward == ward)
        if patient is not None:
            query = query.where(Encounter.patient == patient)
        if not ended:
            query = query.where(or_(Encounter.end.is_(None), Encounter.end > self.now))
        return self.session.scalars(query.order_by(Encounter.start, Encounter.id)).all()

    def limits(self, scope: Scope) -> Sequence[ColumnElement[bool]]:
        """Which rows a scope covers."""
        return [Encounter.tenant == scope.tenant, *self._patient_limit(Encounter.patient, scope)]

    def _ward(self, scope: Scope, kind: str, bed: str | None, ward: str | None) -> str | None:
        """The ward that is responsible, checked together with the bed."""
        if kind == "home":
            if bed is not None:
                refuse("bed", "a stay at home has no bed; leave it empty")
            if ward is not None:
                place = self._find(Ward, scope, ward, "ward", *self._ward_limit(Ward.id, scope))
                _open(place.ended, "ward", place.name)
            return ward
        if bed is None:
            refuse("bed", "a stay in a ward needs a bed; choose one, or make the stay one at home")
        spot = self._find(Bed, scope, bed, "bed", *self._ward_limit(Bed.ward, scope))
        _open(spot.ended, "bed", spot.label)
        if ward is not None and ward != spot.ward:
            refuse("ward", f"bed {spot.label} is not in this ward; leave the ward empty")
        return spot.ward

    def _free(self, wanted: Encounter) -> None:
        """Raise ConfigError unless patient and bed are free during ``wanted``."""
        check_period(wanted.start, wanted.end)
        others = select(Encounter).where(
            Encounter.tenant == wanted.tenant,
            Encounter.id != wanted.id,
            *overlapping(Encounter.start, Encounter.end, wanted.start, wanted.end),
        )
        with self.session.no_autoflush:
            own = self.session.scalars(others.where(Encounter.patient == wanted.patient)).first()
            if own is not None:
                refuse(
                    "patient",
                    f"has another stay from {_period(own)}; end or move that one first",
                    reason="conflict",
                    encounter=own.id,
                )
            if wanted.bed is None:
                return
            taken = self.session.scalars(others.where(Encounter.bed == wanted.bed)).first()
            if taken is not None:
                refuse(
                    "bed",
                    f"is occupied from {_period(taken)}; choose another bed or end that stay first",
                    reason="conflict",
                    encounter=taken.id,
                )


def _open(ended: int | None, field: str, shown: str) -> None:
    if ended is not None:
        refuse(field, f"{shown} is closed; choose another", reason="conflict")


def _period(row: Encounter) -> str:
    return f"{iso(row.start)} to {'now' if row.end is None else iso(row.end)}"


def _end_open(
    repository: Repository, scope: Scope, patient: str, when: int, *, encounters: bool = True
) -> None:
    """End the patient's open associations and, if asked, stays; one that began only later is void."""
    rows: list[Encounter | Association] = list(
        repository.session.scalars(
            select(Association).where(
                Association.tenant == scope.tenant,
                Association.patient == patient,
                Association.superseded_at.is_(None),
                or_(Association.end.is_(None), Association.end > when),
            )
        )
    )
    if encounters:
        rows += repository.session.scalars(
            select(Encounter).where(
                Encounter.tenant == scope.tenant,
                Encounter.patient == patient,
                or_(Encounter.end.is_(None), Encounter.end > when),
            )
        )
    for row in rows:
        row.end = max(when, row.start + 1)
    repository.session.flush()


def _end_assignments(repository: Repository, scope: Scope, patient: str, when: int) -> None:
    """Nobody is assigned to the patient from ``when`` on."""
    for row in repository.session.scalars(
        select(Assignment).where(
            Assignment.tenant == scope.tenant,
            Assignment.patient == patient,
            or_(Assignment.end.is_(None), Assignment.end > when),
        )
    ):
        row.end = max(when, row.start + 1)
    repository.session.flush()
