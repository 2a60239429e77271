"""Who looks after which patient, and hand-over from one person to the next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from sqlalchemy import ColumnElement, and_, or_, select

from cloud_ingest.records.models import Alarm, Assignment, Encounter, Handover, Patient, Team, User, Ward
from cloud_ingest.records.scoping import Repository, refuse_code
from cloud_ingest.records.staff import works
from cloud_ingest.records.written import legible
from hearthward.trust.access import Scope

__all__ = ["Assignments", "Handovers"]

MAX_NOTE: Final = 4000


class Assignments(Repository):
    """Patients as looked after by people and teams."""

    def assign(
        self,
        scope: Scope,
        patient: str,
        *,
        user: str | None = None,
        team: str | None = None,
        by: str,
        instead: bool = True,
        field: str = "user",
    ) -> Assignment:
        """Assign a patient from now on to a person or a team; ``instead`` of others of the same kind.

        ``field`` names the input that the person was chosen by.
        Raises ConfigError: not exactly one of both, no such patient, person or team, or (``ward``) one of
        other wards than the patient's.
        """
        person = self._find(Patient, scope, patient, "patient", *self._patient_limit(Patient.id, scope))
        if person.ended is not None:
            refuse_code("patient", "ended", patient, "this patient's record is closed", "conflict")
        if (user is None) == (team is None):
            refuse_code("user", "one", "", "give a person or a team, and not both")
        self._check_taker(scope, patient, user, team, field)
        kept = None
        for row in self.list(scope, patient=patient):
            if (row.user, row.team) == (user, team):
                kept = row
            elif instead and (row.user is None) == (user is None):
                _end(row, self.now)
        self.session.flush()
        return kept or self._add(scope, patient, user, team, by)

    def _check_taker(
        self, scope: Scope, patient: str, user: str | None, team: str | None, field: str
    ) -> None:
        """Refuse who is not there, or is of other wards only: they would see nothing of the patient."""
        ward = self.session.scalars(
            select(Encounter.ward).where(
                Encounter.tenant == scope.tenant, Encounter.patient == patient, *_present_at(self.now)
            )
        ).first()
        if user is not None:
            person = self._find(User, scope, user, field)
            _present(person, field)
            if ward is not None and not works(person, {ward}):
                text = f"{person.name} does not work in this patient's ward; choose another"
                refuse_code(field, "ward", person.name, text)
            return
        group = self._find(Team, scope, str(team), "team", *self._staff_limit(Team.ward, scope))
        if group.ended is not None:
            refuse_code("team", "ended", team, "this team does not exist any more", "conflict")
        if ward is not None and group.ward not in {None, ward}:
            text = f"{group.name} is a team of another ward than this patient's; choose another"
            refuse_code("team", "ward", group.name, text)

    def end(self, scope: Scope, assignment: str) -> Assignment:
        """End an assignment; one that has ended stays as it is."""
        limits = self._patient_limit(Assignment.patient, scope)
        row = self._find(Assignment, scope, assignment, "assignment", *limits)
        if row.end is None or row.end > self.now:
            _end(row, self.now)
            self.session.flush()
        return row

    def list(
        self,
        scope: Scope,
        *,
        patient: str | None = None,
        user: str | None = None,
        ward: str | None = None,
        ended: bool = False,
    ) -> Sequence[Assignment]:
        """The assignments in order of start; those that have ended only when asked for."""
        query = select(Assignment).where(
            Assignment.tenant == scope.tenant, *self._patient_limit(Assignment.patient, scope)
        )
        if patient is not None:
            query = query.where(Assignment.patient == patient)
        if user is not None:
            query = query.where(Assignment.user == user)
        if ward is not None:
            within = Scope(scope.tenant, frozenset({ward}))
            query = query.where(*self._patient_limit(Assignment.patient, within))
        if not ended:
            query = query.where(or_(Assignment.end.is_(None), Assignment.end > self.now))
        return self.session.scalars(query.order_by(Assignment.start, Assignment.id)).all()

    def hand_over(self, scope: Scope, patients: Collection[str], *, by: str, to: str) -> Sequence[Assignment]:
        """Assign patients to ``to`` instead of ``by``; others who look after them go on to."""
        out = []
        for patient in sorted(patients):
            for row in self.list(scope, patient=patient, user=by):
                _end(row, self.now)
            self.session.flush()
            out.append(self.assign(scope, patient, user=to, by=by, instead=False, field="to"))
        return out

    def _add(self, scope: Scope, patient: str, user: str | None, team: str | None, by: str) -> Assignment:
        row = Assignment(
            tenant=scope.tenant,
            id=self.ids.new("asg"),
            patient=patient,
            user=user,
            team=team,
            start=self.now,
            by=by,
        )
        self.session.add(row)
        self.session.flush()
        return row


class Handovers(Repository):
    """The record of who handed what over to whom; nothing of it is ever changed."""

    def hand_over(
        self,
        scope: Scope,
        *,
        by: str,
        to: str,
        ward: str | None = None,
        note: str = "",
        alarms: Sequence[str] = (),
        patients: Sequence[str] | None = None,
    ) -> Handover:
        """Record a hand-over, and assign its patients to ``to`` instead of ``by``.

        ``patients`` None: all that are assigned to ``by`` (in ``ward``). ``alarms`` are those that have
        changed hands already. Raises ConfigError: nobody else to take it, or what is not there.
        """
        giver, taker = self._find(User, scope, by, "by"), self._find(User, scope, to, "to")
        _present(taker, "to")
        if giver.id == taker.id:
            refuse_code("to", "same", taker.name, "choose somebody else than who hands over")
        assignments = Assignments(self.session, now=self.now, wall=self.wall, ids=self.ids)
        if ward is not None:
            self._find(Ward, scope, ward, "ward", *self._ward_limit(Ward.id, scope))
        if patients is None:
            patients = [a.patient for a in assignments.list(scope, user=by, ward=ward)]
        for alarm in alarms:
            self._find(Alarm, scope, alarm, "alarms", *self._subject_limit(Alarm.patient, scope))
        chosen = sorted(set(patients))
        row = Handover(
            tenant=scope.tenant,
            id=self.ids.new("hov"),
            ward=ward if ward is not None else self._ward_of(scope, chosen),
            at=self.now,
            by=giver.id,
            to=taker.id,
            note=_note(note),
            alarms=list(dict.fromkeys(alarms)),
            patients=chosen,
        )
        self.session.add(row)
        self.session.flush()
        assignments.hand_over(scope, chosen, by=by, to=to)
        return row

    def get(self, scope: Scope, handover: str, *, reader: str = "") -> Handover:
        """One hand-over, as ``list`` shows it. Raises ConfigError (``not_found``)."""
        return self._find(Handover, scope, handover, "handover", *self._readable(scope, reader))

    def list(
        self,
        scope: Scope,
        *,
        ward: str | None = None,
        before: int | None = None,
        limit: int = 50,
        reader: str = "",
    ) -> Sequence[Handover]:
        """The hand-overs, the newest first; ``before``: earlier than that (UTC ns).

        Those of the scope's wards. Those of several wards or of none are for who sees all wards, and for
        ``reader`` (a user's id) if they made or took it: the note may speak of any patient.
        """
        query = select(Handover).where(Handover.tenant == scope.tenant, *self._readable(scope, reader))
        if ward is not None:
            query = query.where(Handover.ward == ward)
        if before is not None:
            query = query.where(Handover.at < before)
        return self.session.scalars(query.order_by(Handover.at.desc(), Handover.id).limit(limit)).all()

    def _readable(self, scope: Scope, reader: str) -> Sequence[ColumnElement[bool]]:
        wards = self._ward_limit(Handover.ward, scope)
        if scope.patient is not None or not wards:
            return wards
        own = and_(Handover.ward.is_(None), or_(Handover.by == reader, Handover.to == reader))
        return [or_(and_(*wards), own)]

    def _ward_of(self, scope: Scope, patients: Sequence[str]) -> str | None:
        """The one ward that all the patients are in; else the one that the scope is confined to, or none."""
        present = select(Encounter.ward).where(
            Encounter.tenant == scope.tenant,
            Encounter.patient.in_(patients),
            *_present_at(self.now),
        )
        found = set(self.session.scalars(present.distinct())) if patients else set(scope.wards or ())
        return found.pop() if len(found) == 1 else None


def _present(user: User, field: str = "user") -> None:
    if user.disabled is not None or not works(user, None):
        refuse_code(field, "unknown", user.name, f"{user.name} does not work here; choose another")


def _present_at(now: int) -> list[ColumnElement[bool]]:
    """Conditions for the stays that last at ``now``."""
    return [or_(Encounter.end.is_(None), Encounter.end > now)]


def _end(row: Assignment, now: int) -> None:
    row.end = max(now, row.start + 1)


def _note(note: str) -> str:
    text = legible(note)
    if text is None or len(text) > MAX_NOTE:
        refuse_code("note", "long", MAX_NOTE, f"give at most {MAX_NOTE} printable characters")
    return text
