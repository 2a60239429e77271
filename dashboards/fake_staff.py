"""The fake's staff: contacts, teams, shifts, assignments, hand-overs and policies, kept in memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from cloud_ingest.records.contacts import check_email, check_phone
from cloud_ingest.records.proofs import normal_badge
from cloud_ingest.records.staff import AT_WORK, check_pin
from dashboards.backend import DirectoryError
from dashboards.fake_people import FakePeople
from dashboards.fake_shifts import FakeShifts
from dashboards.fake_telling import tells
from dashboards.models import Device, Gateway, Kind, User
from dashboards.people_port import HandOverDraft, TeamDraft
from dashboards.policy_views import check_people, read_policy, shipped_policies, version_view
from dashboards.shift_times import DAY
from dashboards.staff_models import Assignment, HandOver, PolicyVersion, StaffMember, Team
from dashboards.staff_refusals import refuse_people
from hearthward.core.errors import AccessError, ConfigError
from hearthward.trust.access import Principal, Role, Scope
from rules.response.duty import Assignment as Given
from rules.response.duty import Duty, Person, Shift
from rules.response.duty import Team as Group
from rules.response.policy import Policy

__all__ = ["FakeStaff"]

AHEAD: Final = 8 * DAY


@dataclass(slots=True)
class _Version:
    policy: Policy
    text: str
    by: str
    at: int
    active: bool = False


@dataclass(slots=True)
class _Roster:
    contacts: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    teams: dict[str, Team] = field(default_factory=dict)
    assignments: dict[str, Assignment] = field(default_factory=dict)
    handovers: list[HandOver] = field(default_factory=list)
    versions: list[_Version] = field(default_factory=list)


class FakeStaff(FakePeople, FakeShifts, ABC):
    """The part of ``FakeBackend`` that is about staff; ``FakePeople`` is initialised by another part."""

    badges: dict[str, str]
    pins: dict[str, str]

    def __init__(self) -> None:
        FakeShifts.__init__(self)
        self._rosters: dict[str, _Roster] = {}

    @abstractmethod
    def _rows(self, tenant: str, kind: Kind) -> Mapping[str, Any]:
        """All entries of a kind, by id."""

    @abstractmethod
    def _patient_visible(self, scope: Scope, patient: str | None) -> bool: ...

    @abstractmethod
    def _patient_at(self, tenant: str, device: str, at: int) -> str | None: ...

    @abstractmethod
    def _ward_of(self, tenant: str, subject: str) -> str | None: ...

    def _users(self, tenant: str) -> dict[str, User]:
        """Everybody who may log in, by id."""
        return {p.user.id: p.user for (t, _), p in self._people.items() if t == tenant}

    def _roster(self, tenant: str) -> _Roster:
        return self._rosters.setdefault(tenant, _Roster())

    # --- who can be told ------------------------------------------------------------------------
    async def staff(self, scope: Scope) -> Sequence[StaffMember]:
        """See the port."""
        found = [
            self._member(scope.tenant, user)
            for user in self._users(scope.tenant).values()
            if AT_WORK & set(user.roles) and _in_scope(scope, user)
        ]
        return sorted(found, key=lambda s: (s.name, s.login))

    def _member(self, tenant: str, user: User) -> StaffMember:
        phone, email = self._roster(tenant).contacts.get(user.id, (None, None))
        own = tenant == self.tenant
        return StaffMember(
            id=user.id,
            login=user.login,
            name=user.name,
            roles=user.roles,
            wards=user.wards,
            phone=phone,
            email=email,
            channels=["in_app", *(["sms", "voice"] if phone else ()), *(["email"] if email else ())],
            pin=own and user.login in self.pins,
            badge=own and user.login in self.badges.values(),
        )

    def _user(self, scope: Scope, key: str) -> User | None:
        user = self._users(scope.tenant).get(key)
        return user if user is not None and AT_WORK & set(user.roles) and _in_scope(scope, user) else None

    async def staff_member(self, scope: Scope, user: str) -> StaffMember | None:
        """See the port."""
        known = self._user(scope, user)
        return None if known is None else self._member(scope.tenant, known)

    @tells
    async def set_contacts(
        self, scope: Scope, user: str, *, phone: str | None, email: str | None
    ) -> StaffMember | None:
        """See the port."""
        known = self._user(scope, user)
        _whole(scope)
        if known is None:
            return None
        try:
            self._roster(scope.tenant).contacts[user] = check_phone(phone), check_email(email)
        except ConfigError as error:
            refuse_people(error)
        return self._member(scope.tenant, known)

    async def set_pin(self, scope: Scope, user: str, pin: str | None) -> StaffMember | None:
        """See the port."""
        known = self._user(scope, user)
        _whole(scope)
        if known is None:
            return None
        try:
            pin = None if pin is None else check_pin(pin)
        except ConfigError as error:
            refuse_people(error)
        self.pins.pop(known.login, None)
        if pin is not None:
            self.pins[known.login] = pin
        return self._member(scope.tenant, known)

    async def set_badge(self, scope: Scope, user: str, badge: str | None) -> StaffMember | None:
        """See the port."""
        known = self._user(scope, user)
        _whole(scope)
        if known is None:
            return None
        try:
            badge = None if badge is None else normal_badge(badge)
        except ConfigError as error:
            refuse_people(error)
        if badge is not None and self.badges.get(badge, known.login) != known.login:
            raise DirectoryError(field="badge", code="taken", value="")
        for old in [b for b, login in self.badges.items() if login == known.login]:
            del self.badges[old]
        if badge is not None:
            self.badges[badge] = known.login
        return self._member(scope.tenant, known)

    async def duty(self, scope: Scope) -> Duty:
        """See the port."""
        tenant, now = scope.tenant, self.clock.now_ns()
        roster = self._roster(tenant)
        rows = self._shift_rows(tenant).values()
        turns = await self.shifts(Scope.system(tenant), now - DAY, now + AHEAD)
        people = {
            user.id: Person(
                user.id,
                user.name,
                tuple(user.roles),
                None if user.wards is None else tuple(user.wards),
                tuple(self._member(tenant, user).channels),
                user.patient,
            )
            for user in self._users(tenant).values()
            if Role.DISPLAY not in user.roles
        }
        return Duty(
            people=people,
            shifts=tuple(Shift(t.user, t.role, t.ward, t.start, t.end) for t in turns),
            scheduled=frozenset(
                r.ward for r in rows if r.ward and (r.cancelled is None or r.cancelled > r.start)
            ),
            teams={t.id: Group(t.id, tuple(t.members)) for t in roster.teams.values()},
            assignments=tuple(
                Given(a.patient, a.user, a.team, a.start, 2**63 - 1) for a in roster.assignments.values()
            ),
            patients={p: self._ward_of(tenant, p) for p in self._rows(tenant, "patient")},
            devices={
                k: (d.gateway, self._patient_at(tenant, k, now)) for k, d in self._devices(tenant).items()
            },
            gateways={k: g.ward for k, g in self._rows(tenant, "gateway").items() if isinstance(g, Gateway)},
            policies={p.id: p for p in self._policies(tenant)},
            channels=("in_app", "sms", "voice", "email"),
        )

    def _devices(self, tenant: str) -> dict[str, Device]:
        return {k: d for k, d in self._rows(tenant, "device").items() if isinstance(d, Device)}

    # --- teams and assignments ----------------------------------------------------------------------
    async def teams(self, scope: Scope) -> Sequence[Team]:
        """See the port."""
        found = [t for t in self._roster(scope.tenant).teams.values() if _ward_in(scope, t.ward)]
        return sorted(found, key=lambda t: t.name)

    @tells
    async def add_team(self, scope: Scope, draft: TeamDraft) -> Team:
        """See the port."""
        return self._put_team(scope, self.ids.new("team"), draft)

    @tells
    async def change_team(self, scope: Scope, key: str, draft: TeamDraft) -> Team | None:
        """See the port."""
        old = self._roster(scope.tenant).teams.get(key)
        return None if old is None or not _ward_in(scope, old.ward) else self._put_team(scope, key, draft)

    def _put_team(self, scope: Scope, key: str, draft: TeamDraft) -> Team:
        self._check_ward(scope, draft.ward)
        teams = self._roster(scope.tenant).teams
        if any(t.name == draft.name and t.id != key for t in teams.values()):
            raise DirectoryError(field="name", code="taken", value=draft.name)
        for member in draft.members:
            self._check_user(scope, "members", member, draft.ward)
        teams[key] = Team(id=key, name=draft.name, ward=draft.ward, members=sorted(draft.members))
        return teams[key]

    @tells
    async def end_team(self, scope: Scope, key: str) -> Team | None:
        """See the port."""
        roster = self._roster(scope.tenant)
        if key not in roster.teams or not _ward_in(scope, roster.teams[key].ward):
            return None
        for given in [a.id for a in roster.assignments.values() if a.team == key]:
            del roster.assignments[given]
        return roster.teams.pop(key)

    def _check_ward(self, scope: Scope, ward: str | None) -> None:
        if ward is None and scope.wards is not None:
            msg = "what concerns all wards takes somebody who is not bound to some"
            raise AccessError(msg)
        if ward is not None and (ward not in self._rows(scope.tenant, "ward") or not _ward_in(scope, ward)):
            raise DirectoryError(field="ward", code="unknown", value=ward)

    def _check_user(self, scope: Scope, name: str, key: str, ward: str | None = None) -> User:
        user = self._users(scope.tenant).get(key)
        if user is None:
            raise DirectoryError(field=name, code="unknown", value=key)
        here = ward is None or user.wards is None or ward in user.wards
        if not AT_WORK & set(user.roles) or not here:
            raise DirectoryError(field=name, code="elsewhere", value=user.name)
        return user

    async def assignments(self, scope: Scope) -> Sequence[Assignment]:
        """See the port."""
        given = self._roster(scope.tenant).assignments.values()
        return [a for a in given if self._patient_visible(scope, a.patient)]

    @tells
    async def assign(
        self, scope: Scope, patient: str, *, user: str | None, team: str | None, who: Principal
    ) -> Assignment | None:
        """See the port."""
        if patient not in self._rows(scope.tenant, "patient") or not self._patient_visible(scope, patient):
            return None
        roster = self._roster(scope.tenant)
        if user is not None:
            self._check_user(scope, "user", user, self._ward_of(scope.tenant, patient))
        elif team not in roster.teams or not _ward_in(scope, roster.teams[team].ward):
            raise DirectoryError(field="team", code="unknown", value=team)
        elif not self._of_ward(scope.tenant, patient, roster.teams[team].ward):
            raise DirectoryError(field="team", code="elsewhere", value=roster.teams[team].name)
        kept = None
        for old in list(roster.assignments.values()):
            if old.patient == patient and (old.user, old.team) == (user, team):
                kept = old
            elif old.patient == patient and (old.user is None) == (user is None):
                del roster.assignments[old.id]
        return kept or self._give_patient(patient, user, team, who.user, roster.assignments)

    def _of_ward(self, tenant: str, patient: str, ward: str | None) -> bool:
        here = self._ward_of(tenant, patient)
        return ward is None or here is None or ward == here

    def _give_patient(
        self, patient: str, user: str | None, team: str | None, by: str, given: dict[str, Assignment]
    ) -> Assignment:
        now = self.clock.now_ns()
        made = Assignment(id=self.ids.new("asg"), patient=patient, user=user, team=team, start=now, by=by)
        given[made.id] = made
        return made

    @tells
    async def unassign(self, scope: Scope, key: str) -> Assignment | None:
        """See the port."""
        given = self._roster(scope.tenant).assignments
        if key not in given or not self._patient_visible(scope, given[key].patient):
            return None
        return given.pop(key)

    # --- escalation ---------------------------------------------------------------------------------
    def _policies(self, tenant: str) -> list[Policy]:
        own = {v.policy.id: v.policy for v in self._roster(tenant).versions if v.active}
        shipped = {key: policy for key, (policy, _) in shipped_policies().items()}
        return [p for _, p in sorted({**shipped, **own}.items())]

    async def policies(self, scope: Scope) -> Sequence[PolicyVersion]:
        """See the port."""
        found = [await self.policy(scope, p.id) for p in self._policies(scope.tenant)]
        return [v for versions in found for v in versions or () if v.active]

    async def policy(self, scope: Scope, key: str) -> Sequence[PolicyVersion] | None:
        """See the port."""
        own = [v for v in self._roster(scope.tenant).versions if v.policy.id == key]
        views = [
            version_view(v.policy, active=v.active, by=v.by, at=v.at, text=v.text) for v in reversed(own)
        ]
        if key in shipped_policies():
            policy, text = shipped_policies()[key]
            active = not any(v.active for v in own)
            views.append(version_view(policy, active=active, shipped=True, text=text))
        return views or None

    async def draft_policy(self, scope: Scope, text: str, *, who: Principal) -> PolicyVersion:
        """See the port."""
        _whole(scope)
        policy = read_policy(text)
        check_people(policy, self._users(scope.tenant))
        versions = self._roster(scope.tenant).versions
        known = [v.policy.version for v in versions if v.policy.id == policy.id]
        if policy.id in shipped_policies():
            known.append(shipped_policies()[policy.id][0].version)
        policy = replace(policy, version=max(policy.version, max(known, default=0) + 1))
        row = _Version(policy, text, who.name, self.clock.now_ns())
        versions.append(row)
        return version_view(policy, active=False, by=row.by, at=row.at, text=text)

    @tells
    async def activate_policy(
        self, scope: Scope, key: str, version: int, *, who: Principal
    ) -> PolicyVersion | None:
        """See the port."""
        _whole(scope)
        del who
        known = await self.policy(scope, key) or ()
        wanted = next((v for v in known if v.version == version), None)
        if wanted is None:
            return None
        for row in self._roster(scope.tenant).versions:
            if row.policy.id == key:
                row.active = row.policy.version == version
        return wanted.model_copy(update={"active": True})

    # --- hand-over ----------------------------------------------------------------------------------
    @tells
    async def hand_over(self, scope: Scope, draft: HandOverDraft, *, who: Principal) -> HandOver:
        """See the port."""
        people = self._users(scope.tenant)
        given = self._roster(scope.tenant).assignments
        for patient in draft.patients:
            for old in [a.id for a in given.values() if a.patient == patient and a.user == draft.by]:
                del given[old]
            if not any(a.patient == patient and a.user == draft.to for a in given.values()):
                self._give_patient(patient, draft.to, None, who.user, given)
        made = HandOver(
            id=self.ids.new("hov"),
            at=self.clock.now_ns(),
            ward=draft.ward,
            by=draft.by,
            by_name=people[draft.by].name if draft.by in people else draft.by,
            to=draft.to,
            to_name=people[draft.to].name if draft.to in people else draft.to,
            note=draft.note,
            patients=list(draft.patients),
            alarms=list(draft.alarms),
        )
        self._roster(scope.tenant).handovers.append(made)
        return made

    async def hand_overs(self, scope: Scope, *, limit: int = 50, reader: str = "") -> Sequence[HandOver]:
        """See the port."""
        made = [h for h in self._roster(scope.tenant).handovers[::-1] if self._readable(scope, h, reader)]
        return [
            h.model_copy(update={"patients": [p for p in h.patients if self._patient_visible(scope, p)]})
            for h in made[:limit]
        ]

    def _readable(self, scope: Scope, made: HandOver, reader: str) -> bool:
        if scope.wards is None or scope.patient is not None or made.ward is not None:
            return _ward_in(scope, made.ward)
        return reader in {made.by, made.to}


def _whole(scope: Scope) -> None:
    if scope.confined:
        msg = "this concerns the whole organisation"
        raise AccessError(msg)


def _ward_in(scope: Scope, ward: str | None) -> bool:
    return scope.patient is None and (scope.wards is None or ward is None or ward in scope.wards)


def _in_scope(scope: Scope, user: User) -> bool:
    if scope.patient is not None:
        return False
    return scope.wards is None or user.wards is None or bool(scope.wards & {*user.wards})
