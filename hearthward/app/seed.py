"""Enters a ward plan and the demo's logins into the records, as a person would through the pages."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.records import Proofs, Records
from cloud_ingest.records.accounts import Accounts
from cloud_ingest.records.consents import PARTS
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.shifts import DutyRole
from cloud_ingest.records.staff import check_pin
from hearthward.app.seed_home import enter_home
from hearthward.app.ward import PlannedDevice, PlannedPatient, WardPlan
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError
from hearthward.trust.access import OF_ONE, Scope
from hearthward.trust.passwords import Passwords, readable_password
from rules.response.policy import Policy

__all__ = [
    "STAFF",
    "WARD_ID",
    "Login",
    "Person",
    "demo_logins",
    "enter_plan",
    "enter_policy",
    "enter_staff",
    "first_admin_link",
]

WARD_ID: Final = "ward-1"
HOUR: Final = 3600 * SECOND


@dataclass(frozen=True, slots=True)
class Login:
    """One demo login, its password and PIN (for shared walls) as printed once."""

    role: str
    login: str
    password: str
    pin: str | None = None


async def enter_plan(records: Records, plan: WardPlan, start: int) -> None:
    """Enter ward, gateway, patients, devices and associations from ``start`` (UTC ns) on.

    What is there already stays: only a device's address follows its twin, and devices that the plan did not
    have before are given to its patients. Raises ConfigError.
    """
    scope = Scope.system(plan.tenant)

    def write(session: Session) -> None:
        directory = records.directory(session)
        if any(w.id == WARD_ID for w in directory.wards.list(scope)):
            known = {d.id: d for d in directory.devices.list(scope, ended=True)}
            there = {p.id for p in directory.patients.list(scope)}
            for patient, device in plan.devices():
                row = known.get(device.id)
                if row is None and patient.id in there:
                    _enter_device(directory, scope, plan, patient, device, start)
                elif row is not None and row.ended is None and device.address not in {"", row.address}:
                    directory.devices.change(scope, device.id, address=device.address)
            return
        directory.wards.create(scope, name=plan.ward, ident=WARD_ID)
        directory.gateways.create(scope, ident=plan.gateway, ward=WARD_ID, label=plan.about, timezone="UTC")
        for patient in plan.patients:
            _enter_patient(records, session, scope, plan, patient, start)

    await records.run(write)


def _enter_patient(
    records: Records, session: Session, scope: Scope, plan: WardPlan, patient: PlannedPatient, start: int
) -> None:
    directory = records.directory(session)
    directory.patients.create(
        scope, name=patient.name, birth_date=patient.birth_date, mrn=patient.id, ident=patient.id
    )
    if patient.bed is None:
        directory.encounters.create(scope, patient=patient.id, kind="home", ward=WARD_ID, start=start)
    else:
        bed = directory.beds.create(scope, ward=WARD_ID, label=patient.bed)
        directory.encounters.create(scope, patient=patient.id, kind="ward", bed=bed.id, start=start)
    for device in patient.devices:
        _enter_device(directory, scope, plan, patient, device, start)


def _enter_device(
    directory: Directory,
    scope: Scope,
    plan: WardPlan,
    patient: PlannedPatient,
    device: PlannedDevice,
    start: int,
) -> None:
    directory.devices.create(
        scope,
        gateway=plan.gateway,
        transport=device.transport,
        address=device.address,
        profile=device.profile,
        interval_s=device.interval_s,
        label=device.kind,
        ident=device.id,
    )
    directory.associations.create(scope, device=device.id, patient=patient.id, start=start)


async def demo_logins(records: Records, plan: WardPlan) -> list[Login]:
    """The people of ``STAFF`` and the other logins, with fresh passwords and PINs: made, or renewed.

    To be called after ``enter_plan``: they work in its ward; its first patient at home and a relative log in.
    """
    scope = Scope.system(plan.tenant)
    passwords = Passwords()
    accounts, proofs = Accounts(records, passwords), Proofs(records, passwords)
    known = await records.read(lambda s: {u.login: u.id for u in records.users(s).list(scope)})
    logins = []
    for person in (*STAFF, *_OTHERS):
        password = readable_password()
        if person.login in known:
            await accounts.set_password(scope, person.login, password)
        else:
            made = await accounts.add(
                scope,
                login=person.login,
                name=person.name,
                roles=[person.role],
                password=password,
                wards=[WARD_ID] if person.role in _OF_WARD else None,
                patient=_someone(plan).id if person.role in OF_ONE else None,
                language=person.language,
            )
            known[person.login] = made.id
        pin = None
        if person.role in _AT_BEDS:
            pin = _pin()
            await proofs.set_pin(scope, known[person.login], pin)
        logins.append(Login(person.role, person.login, password, pin))
    await records.run(lambda s: _allow(records, s, scope, known))
    await records.run(lambda s: enter_home(records, s, scope, known, NURSES[0]))
    return logins


def _allow(records: Records, session: Session, scope: Scope, users: Mapping[str, str]) -> None:
    """The demo's patient lets the relative see everything, unless they once decided otherwise."""
    patient, relative = records.users(session).get(scope, users["patient"]), users["family"]
    consents = records.consents(session)
    if patient.patient is not None and not consents.list(scope, patient.patient):
        consents.give(scope, patient.patient, relative, sees=PARTS, until=None, by=patient.id)


async def enter_staff(records: Records, plan: WardPlan, start: int) -> None:
    """Put the staff on duty from ``start`` (UTC ns) on, and assign patients; once, after ``demo_logins``.

    Two nurses share the day, twelve hours each; one in charge, a doctor and an engineer are on call all week.
    """
    scope = Scope.system(plan.tenant)
    start -= start % HOUR

    def write(session: Session) -> None:
        if records.teams(session).list(scope, ended=True):
            return
        users = {u.login: u.id for u in records.users(session).list(scope)}
        for person in STAFF:
            contacts = {"phone": person.phone, "email": f"{person.login}@ward.example"}
            records.staff(session).set_contacts(scope, users[person.login], **contacts)
        for person in STAFF:
            for first, last in person.times:
                records.shifts(session).add(
                    scope,
                    user=users[person.login],
                    role=person.duty,
                    ward=None if person.role == "engineer" else WARD_ID,
                    start=start + first * HOUR,
                    end=start + last * HOUR,
                    weekly=True,
                )
        _assign(records, session, scope, plan, users)

    await records.run(write)


def _assign(
    records: Records, session: Session, scope: Scope, plan: WardPlan, users: Mapping[str, str]
) -> None:
    """Beds to the nurses in turn and to the ward's team, homes to a team of their own."""
    teams = records.teams(session)
    ward = teams.create(scope, name=plan.ward, ward=WARD_ID, members=[users[n] for n in (*NURSES, "charge")])
    homes = [p.id for p in plan.patients if p.bed is None]
    visits = None
    if homes:
        visits = teams.create(
            scope, name="Homes", ward=WARD_ID, members=[users[n] for n in (*NURSES, "doctor")]
        )
    assignments = records.assignments(session)
    for n, patient in enumerate(plan.patients):
        if patient.bed is None and visits is not None:
            assignments.assign(scope, patient.id, team=visits.id, by=users["charge"])
            continue
        assignments.assign(scope, patient.id, team=ward.id, by=users["charge"])
        assignments.assign(scope, patient.id, user=users[NURSES[n % len(NURSES)]], by=users["charge"])


async def enter_policy(records: Records, tenant: str, policy: Policy, *, after: int = 0) -> None:
    """Put an escalation policy in force instead of the shipped one (version ``after``) of the same id."""
    scope = Scope.system(tenant)

    def write(session: Session) -> None:
        policies = records.policies(session)
        row = policies.add(scope, policy, by="demo", after=after)
        policies.activate(scope, row.id, row.version)

    await records.run(write)


def _pin() -> str:
    """Four digits that are not guessed at once."""
    while True:
        pin = f"{secrets.randbelow(10_000):04}"
        try:
            return check_pin(pin)
        except ConfigError:
            continue


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demo. ``phone`` is a number that is reserved for fiction.

    ``times`` are [first, last) in hours from the beginning, each week; ``duty`` what they are then.
    """

    login: str
    role: str
    name: str
    phone: str = ""
    duty: DutyRole = "nurse"
    times: tuple[tuple[int, int], ...] = ()
    language: str | None = None


def _half_days(first: int) -> tuple[tuple[int, int], ...]:
    return tuple((24 * day + first, 24 * day + first + 12) for day in range(7))


_WEEK: Final = ((0, 7 * 24),)
STAFF: Final = (
    Person("nurse", "nurse", "Nora (nurse)", "+12025550101", "nurse", _half_days(0)),
    Person("nurse2", "nurse", "Wang Fang (nurse)", "+12025550102", "nurse", _half_days(12), "zh"),
    Person("charge", "nurse", "Chloe (nurse in charge)", "+12025550103", "charge", _WEEK),
    Person("doctor", "doctor", "Dr Li", "+12025550104", "doctor", _WEEK),
    Person("engineer", "engineer", "Emre (engineer)", "+12025550105", "engineer", _WEEK),
)
NURSES: Final = ("nurse", "nurse2")
_OTHERS: Final = (
    Person("patient", "patient", "Patient's own login"),
    Person("family", "family", "Patient's relative"),
    Person("admin", "admin", "Administrator"),
    Person("display", "display", "Wall display"),
)
_OF_WARD: Final = frozenset({"nurse", "doctor", "display"})
_AT_BEDS: Final = frozenset({"nurse", "doctor"})
"""Who accepts alarms on a shared wall, by PIN."""


def _someone(plan: WardPlan) -> PlannedPatient:
    return next((p for p in plan.patients if p.bed is None), plan.patients[0])


async def first_admin_link(records: Records, tenant: str) -> str | None:
    """A one-time link's secret for the administrator while nobody can log in yet, else None."""
    scope = Scope.system(tenant)
    accounts = Accounts(records, Passwords())
    users = await records.read(lambda s: list(records.users(s).list(scope)))
    if any(u.password_hash for u in users):
        return None
    admin = next((u for u in users if u.login == "admin"), None)
    if admin is None:
        admin = await accounts.add(scope, login="admin", name="Administrator", roles=["admin"])
    return (await accounts.make_link(scope, admin.id)).secret
