"""A ward's plan in the records, entered as a person would; the demo's logins; the first link."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.duty import load_duty
from cloud_ingest.records import Proofs, Records
from cloud_ingest.records.accounts import Accounts
from firmware_profiles import load_catalog
from hearthward.app.seed import STAFF, demo_logins, enter_plan, enter_policy, enter_staff, first_admin_link
from hearthward.app.ward import PlannedDevice, PlannedPatient, WardPlan, virtual_ward
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import AccessError, ConfigError
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Role, Scope
from hearthward.trust.passwords import Passwords
from rules.response.duty import Duty
from rules.response.policies import DUTY_ROLES, load_policies
from rules.response.policy import Target

START = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND
SCOPE = Scope.system("main")


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Records]:
    clock = EventClock(START)
    opened = Records.open(
        tmp_path / "records.db",
        clock=clock,
        ids=SeededIds(1),
        tenant="main",
        profiles=frozenset(p.id for p in load_catalog()),
    )
    yield opened
    await opened.close()


def addressed(plan: WardPlan, prefix: str = "C0:00:00:00:00:") -> WardPlan:
    return plan.with_addresses({d.id: f"{prefix}{i:02X}" for i, (_, d) in enumerate(plan.devices())})


async def test_the_whole_plan_is_entered(records: Records):
    plan = addressed(virtual_ward())
    await enter_plan(records, plan, START)

    def look(session: object) -> tuple[set[str], set[str], dict[str, str], dict[str, str], list[str | None]]:
        d = records.directory(session)  # type: ignore[arg-type]
        return (
            {w.id for w in d.wards.list(SCOPE)},
            {p.name for p in d.patients.list(SCOPE)},
            {x.id: x.address for x in d.devices.list(SCOPE)},
            {a.device: a.patient for a in d.associations.list(SCOPE)},
            [e.bed for e in d.encounters.list(SCOPE)],
        )

    wards, patients, devices, worn, beds = await records.read(look)
    assert wards == {"ward-1"}
    assert patients == {p.name for p in plan.patients}
    assert devices == {d.id: d.address for _, d in plan.devices()}
    assert worn == {d.id: p.id for p, d in plan.devices()}
    assert len([b for b in beds if b]) == 12
    assert beds.count(None) == 4


async def test_entered_again_nothing_changes_but_the_twins_addresses(records: Records):
    plan = addressed(virtual_ward())
    await enter_plan(records, plan, START)
    await records.run(lambda s: records.directory(s).patients.change(SCOPE, "pat-01", name="Married Name"))
    moved = addressed(virtual_ward(), "C0:FF:00:00:00:")
    await enter_plan(records, moved, START + SECOND)
    devices = await records.read(
        lambda s: {d.id: d.address for d in records.directory(s).devices.list(SCOPE)}
    )
    assert devices == {d.id: d.address for _, d in moved.devices()}
    names = await records.read(lambda s: {p.id: p.name for p in records.directory(s).patients.list(SCOPE)})
    assert names["pat-01"] == "Married Name"
    assert len(names) == 16


async def test_a_device_that_an_earlier_release_had_not_is_given_to_its_patient(records: Records):
    plan = addressed(virtual_ward())
    newer = {"home-pleth-1", "ox-02"}
    former = replace(
        plan,
        patients=tuple(
            replace(p, devices=tuple(d for d in p.devices if d.id not in newer)) for p in plan.patients
        ),
    )
    await enter_plan(records, former, START - 2 * SECOND)
    await records.run(lambda s: records.directory(s).devices.end(SCOPE, "hr-03"))
    await enter_plan(records, plan, START - SECOND)
    await enter_plan(records, plan, START)
    worn = await records.read(
        lambda s: {a.device: (a.patient, a.start) for a in records.directory(s).associations.list(SCOPE)}
    )
    assert worn["home-pleth-1"] == ("home-1", START - SECOND)
    assert worn["home-ox-1"] == ("home-1", START - 2 * SECOND)
    devices = await records.read(
        lambda s: {d.id: d.transport for d in records.directory(s).devices.list(SCOPE)}
    )
    assert devices == {d.id: d.transport for _, d in plan.devices() if d.id != "hr-03"}


def test_the_first_homes_oximeter_stays_as_an_earlier_release_entered_it():
    assert {d.id: d.transport for _, d in virtual_ward().devices()}["home-ox-1"] == "ble"


async def test_a_plan_that_is_half_wrong_enters_nothing(records: Records):
    good = PlannedPatient("a", "A", "1", (PlannedDevice("d1", "heart-rate", 1.0, "C0:00:00:00:00:01"),))
    bad = PlannedPatient("b", "B", "2", (PlannedDevice("d 2", "heart-rate", 1.0, "C0:00:00:00:00:02"),))
    with pytest.raises(ConfigError, match="'d 2'"):
        await enter_plan(records, WardPlan("W", "gw-1", (good, bad)), START)
    assert not await records.read(lambda s: list(records.directory(s).wards.list(SCOPE)))
    assert not await records.read(lambda s: list(records.directory(s).patients.list(SCOPE)))


async def test_logins_that_work_until_the_next_start(records: Records):
    plan = addressed(virtual_ward())
    await enter_plan(records, plan, START)
    accounts = Accounts(records, Passwords())
    first = await demo_logins(records, plan)
    assert [one.login for one in first] == [
        *(p.login for p in STAFF),
        "patient",
        "family",
        "admin",
        "display",
    ]
    assert {one.role for one in first} == {role.value for role in Role}
    assert len({one.password for one in first}) == len(first)
    for one in first:
        principal = await accounts.authenticate(SCOPE, one.login, one.password)
        assert principal.roles == {Role(one.role)}
    nurse = await accounts.authenticate(SCOPE, "nurse", first[0].password)
    assert nurse.wards == {"ward-1"}
    patient = await accounts.authenticate(SCOPE, "patient", first[5].password)
    assert patient.patient == "home-1"
    second = await demo_logins(records, plan)
    assert [one.login for one in second] == [one.login for one in first]
    with pytest.raises(AccessError):
        await accounts.authenticate(SCOPE, "nurse", first[0].password)
    assert await accounts.authenticate(SCOPE, "nurse", second[0].password)


async def test_who_accepts_at_a_shared_wall_has_a_pin(records: Records):
    plan = addressed(virtual_ward())
    await enter_plan(records, plan, START)
    proofs = Proofs(records, Passwords())
    for one in await demo_logins(records, plan):
        assert (one.pin is not None) is (one.role in {"nurse", "doctor"})
        if one.pin is not None:
            assert (await proofs.by_pin(SCOPE, one.login, one.pin)).roles == {Role(one.role)}


async def test_somebody_is_on_duty_at_any_hour_and_looks_after_every_patient(records: Records):
    plan = addressed(virtual_ward())
    await enter_plan(records, plan, START)
    await demo_logins(records, plan)
    await enter_staff(records, plan, START)
    await enter_staff(records, plan, START + 5 * HOUR)  # again changes nothing
    nurses = []
    for hour in range(8 * 24):
        at = START + hour * HOUR
        duty = await records.read(partial(load, at=at))
        people = {role: duty.on_duty("ward-1", role, at) for role in DUTY_ROLES}
        assert all(len(there) == 1 for there in people.values()), (hour, people)
        nurses.append(duty.people[people["nurse"][0]].name)
        for patient in plan.patients:
            there = duty.named(Target("assigned"), patient.id, at)
            assert {"nurse"} <= {r for u in there for r in duty.people[u].roles}
    assert nurses[:25] == ["Nora (nurse)"] * 12 + ["Wang Fang (nurse)"] * 12 + ["Nora (nurse)"]
    reached = {p.name: p.channels for p in duty.people.values() if p.patient is None}
    assert reached.pop("Administrator") == ("in_app",)
    assert set(reached.values()) == {("in_app", "sms", "voice", "email")}


async def test_a_policy_takes_the_place_of_the_shipped_one(records: Records):
    shipped = load_policies()["default"]
    short = replace(shipped, version=1, timetables={})
    await enter_policy(records, "main", short, after=shipped.version)
    duty = await records.read(partial(load, at=START))
    assert duty.policies["default"] == replace(short, version=shipped.version + 1)


def load(session: Session, at: int) -> Duty:
    channels, shipped = ("in_app", "sms", "voice", "email"), list(load_policies().values())
    return load_duty(session, "main", at, channels=channels, endpoints={}, shipped=shipped)


async def test_the_first_link_is_for_whoever_comes_first_and_then_never_again(records: Records):
    one = await first_admin_link(records, "main")
    two = await first_admin_link(records, "main")
    assert one
    assert two
    assert one != two
    accounts = Accounts(records, Passwords())
    admin = await accounts.use_link(SCOPE, two, password="a long enough password")  # noqa: S106
    assert admin.roles == {Role.ADMIN}
    assert await first_admin_link(records, "main") is None


async def test_the_patient_at_home_begins_with_a_plan_and_a_word(records: Records):
    plan = addressed(virtual_ward())
    await enter_plan(records, plan, START)
    for _ in range(2):  # what is there is left alone
        await demo_logins(records, plan)
    tasks = await records.read(lambda s: records.care(s).tasks(SCOPE, "home-1"))
    assert sorted(t.kind for t in tasks) == ["measure", "measure", "medicine"]
    (word,) = await records.read(lambda s: records.care(s).messages(SCOPE, "home-1"))
    assert word.from_care
