"""Enters a ward plan and the demo's logins into the records, as a person would through the pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.accounts import Accounts
from hearthward.app.ward import PlannedPatient, WardPlan
from hearthward.trust.access import Scope
from hearthward.trust.passwords import Passwords, readable_password

__all__ = ["DEMO_ROLES", "Login", "demo_logins", "enter_plan", "first_admin_link"]

DEMO_ROLES: Final = ("nurse", "doctor", "engineer", "patient", "admin", "display")
WARD_ID: Final = "ward-1"


@dataclass(frozen=True, slots=True)
class Login:
    """One demo login, its password as printed once."""

    role: str
    login: str
    password: str


async def enter_plan(records: Records, plan: WardPlan, start: int) -> None:
    """Enter ward, gateway, patients, devices and associations from ``start`` (UTC ns) on.

    What is there already stays: only a device's address follows its twin. Raises ConfigError.
    """
    scope = Scope.system(plan.tenant)

    def write(session: Session) -> None:
        directory = records.directory(session)
        if any(w.id == WARD_ID for w in directory.wards.list(scope)):
            known = {d.id: d.address for d in directory.devices.list(scope)}
            for _, device in plan.devices():
                if device.address and known.get(device.id, device.address) != device.address:
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
    """One login per role with a fresh password, made or renewed at each start."""
    accounts = Accounts(records, Passwords())
    scope = Scope.system(plan.tenant)
    known = await records.read(lambda s: {u.login for u in records.users(s).list(scope)})
    logins = []
    for role in DEMO_ROLES:
        password = readable_password()
        if role in known:
            await accounts.set_password(scope, role, password)
        else:
            await accounts.add(
                scope,
                login=role,
                name=_NAMES[role],
                roles=[role],
                password=password,
                wards=[WARD_ID] if role in {"nurse", "doctor", "display"} else None,
                patient=_someone(plan).id if role == "patient" else None,
            )
        logins.append(Login(role, role, password))
    return logins


_NAMES: Final[Mapping[str, str]] = {
    "nurse": "Nora (nurse)",
    "doctor": "Dr Li",
    "engineer": "Emre (engineer)",
    "patient": "Patient's own login",
    "admin": "Administrator",
    "display": "Wall display",
}


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
