from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.duty import DAY, load_duty
from cloud_ingest.records import Records
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Scope
from rules.response.duty import Assignment, Duty, Person, Shift, Team
from rules.response.model import NEVER
from rules.response.policy import Policy, Step, Target, Timetable

HOUR = 3600 * SECOND
START = 1_800_000_000 * SECOND
MIDNIGHT = START - START % DAY
SYSTEM = Scope.system("main")
SHIPPED = (Policy("home", 1, {"en": "Home"}, {}), Policy("ward", 1, {"en": "Ward"}, {}))
PUSH = {
    "endpoint": "https://push.example.org/1",
    "keys": {
        "p256dh": base64.urlsafe_b64encode(b"\x04" + bytes(64)).decode(),
        "auth": base64.urlsafe_b64encode(bytes(16)).decode(),
    },
}


@pytest.fixture
def clock() -> EventClock:
    return EventClock(START, frozen_monotonic=True)


@pytest.fixture
def records(tmp_path: Path, clock: EventClock) -> Iterator[Records]:
    opened = Records.open(tmp_path / "records.db", clock=clock, wall=clock, ids=SeededIds(1))
    opened.run_now(lambda s: furnish(opened, s))
    yield opened
    opened.close_now()


def furnish(records: Records, session: Session) -> None:
    d, users = records.directory(session), records.users(session)
    for ward in ("w1", "w2"):
        d.wards.create(SYSTEM, name=f"Ward {ward}", ident=ward)
        d.gateways.create(SYSTEM, ident=f"gw-{ward}", ward=ward)
        d.devices.create(SYSTEM, gateway=f"gw-{ward}", transport="ble", address="AA:01", ident=f"d-{ward}")
        d.beds.create(SYSTEM, ward=ward, label="a", ident=f"{ward}-a")
    d.gateways.create(SYSTEM, ident="gw-home", ward=None)
    for patient in ("p1", "p2", "p3"):
        d.patients.create(SYSTEM, name=patient.upper(), ident=patient)
    d.encounters.create(SYSTEM, patient="p1", kind="ward", bed="w1-a", ident="e1")
    d.encounters.create(SYSTEM, patient="p2", kind="home")
    d.associations.create(SYSTEM, device="d-w1", patient="p1")
    for login, roles, wards, patient in (
        ("nora", ["nurse"], ["w1"], None),
        ("dora", ["doctor", "admin"], None, None),
        ("wall", ["display"], ["w1"], None),
        ("gone", ["nurse"], ["w1"], None),
        ("ada", ["patient"], None, "p1"),
    ):
        users.add(
            SYSTEM, login=login, name=login.title(), roles=roles, wards=wards, patient=patient, ident=login
        )
    users.disable(SYSTEM, "gone")


def loaded(records: Records, now: int | None = None, **values: Any) -> Duty:
    made = {"channels": ("in_app", "sms", "voice", "push"), "endpoints": {"sms": ("number-1",)}, **values}
    at = records.clock.now_ns() if now is None else now
    return records.read_now(lambda s: load_duty(s, "main", at, **made))


def change(records: Records, fn: Callable[[Session], object]) -> None:
    records.run_now(lambda s: (fn(s), None)[1])


def test_people_and_by_what_they_are_reached(records: Records) -> None:
    change(
        records, lambda s: records.staff(s).set_contacts(SYSTEM, "nora", phone="+4930901820", email="n@w.org")
    )
    change(records, lambda s: records.push(s).add(SYSTEM, "dora", **PUSH))
    assert loaded(records).people == {
        "ada": Person("ada", "Ada", ("patient",), None, ("in_app",), "p1"),
        "dora": Person("dora", "Dora", ("admin", "doctor"), None, ("in_app", "push")),
        "nora": Person("nora", "Nora", ("nurse",), ("w1",), ("in_app", "sms", "voice")),
    }
    assert loaded(records, channels=("in_app", "email")).people["nora"].channels == ("in_app", "email")


def test_a_relative_is_nobody_with_a_telephone_and_a_bell_and_every_consent(records: Records) -> None:
    def invited(s: Session) -> object:
        fields = {"login": "rel", "name": "Rel", "roles": ["family"], "patient": "p1", "ident": "rel"}
        records.users(s).add(SYSTEM, **fields).phone = "+4930901821"  # type: ignore[arg-type]
        records.push(s).add(SYSTEM, "rel", **PUSH)
        seen = ("values", "alarms", "plan")
        return records.consents(s).give(SYSTEM, "p1", "rel", sees=seen, until=None, by="ada")

    change(records, invited)
    duty = loaded(records)
    assert "rel" not in duty.people
    step = Step(0.0, (Target("patient"),), ("in_app", "sms", "push", "voice"))
    assert duty.recipients(step, "p1", START, audience=("patient",)) == (("in_app", "ada"),)


def test_places_devices_and_patients(records: Records, clock: EventClock) -> None:
    duty = loaded(records)
    assert duty.patients == {"p1": "w1", "p2": None}
    assert duty.gateways == {"gw-home": None, "gw-w1": "w1", "gw-w2": "w2"}
    assert duty.devices == {"d-w1": ("gw-w1", "p1"), "d-w2": ("gw-w2", None)}
    assert (duty.ward_of("p1"), duty.ward_of("device:d-w2")) == ("w1", "w2")
    assert (duty.channels, duty.endpoints) == (("in_app", "sms", "voice", "push"), {"sms": ("number-1",)})
    clock.follow(START + HOUR)
    change(records, lambda s: records.directory(s).encounters.end(SYSTEM, "e1"))
    duty = loaded(records)
    assert (duty.patients, duty.devices["d-w1"]) == ({"p2": None}, ("gw-w1", None))


def test_shifts_of_today_and_the_days_after(records: Records) -> None:
    def add(
        s: Session, user: str, role: str, ward: str | None, first: int, hours: int, **values: Any
    ) -> object:
        made = {"start": MIDNIGHT + first * HOUR, "end": MIDNIGHT + (first + hours) * HOUR, **values}
        return records.shifts(s).add(SYSTEM, user=user, role=role, ward=ward, **made)

    change(records, lambda s: add(s, "nora", "nurse", "w1", -2, 12))
    change(records, lambda s: add(s, "dora", "doctor", None, 71, 8, weekly=True))
    change(records, lambda s: add(s, "dora", "doctor", "w2", 72, 8))
    duty = loaded(records)
    assert duty.shifts == (
        Shift("nora", "nurse", "w1", MIDNIGHT - 2 * HOUR, MIDNIGHT + 10 * HOUR),
        Shift("dora", "doctor", None, MIDNIGHT + 71 * HOUR, MIDNIGHT + 79 * HOUR),
    )
    assert duty.scheduled == {"w1", "w2"}
    assert duty.on_duty("w1", "nurse", MIDNIGHT) == ["nora"]
    assert len(loaded(records, MIDNIGHT + DAY).shifts) == 2


def test_a_ward_whose_only_shift_was_cancelled_before_it_began_has_no_schedule(records: Records) -> None:
    def add(s: Session) -> object:
        return records.shifts(s).add(
            SYSTEM, user="nora", role="nurse", ward="w1", start=START + HOUR, end=START + 2 * HOUR, ident="s1"
        )

    change(records, add)
    assert loaded(records).scheduled == {"w1"}
    change(records, lambda s: records.shifts(s).cancel(SYSTEM, "s1"))
    assert (loaded(records).scheduled, loaded(records).shifts) == (frozenset(), ())


def test_teams_and_assignments(records: Records, clock: EventClock) -> None:
    change(
        records,
        lambda s: records.teams(s).create(SYSTEM, name="A", ward="w1", members=["nora", "dora"], ident="t1"),
    )
    change(records, lambda s: records.teams(s).create(SYSTEM, name="B", ident="t2"))
    change(records, lambda s: records.assignments(s).assign(SYSTEM, "p1", team="t1", by="dora"))
    clock.follow(START + HOUR)
    change(records, lambda s: records.assignments(s).assign(SYSTEM, "p1", user="nora", by="dora"))
    clock.follow(START + 2 * HOUR)
    change(records, lambda s: records.assignments(s).assign(SYSTEM, "p1", user="dora", by="dora"))
    duty = loaded(records)
    assert duty.teams == {"t1": Team("t1", ("dora", "nora")), "t2": Team("t2", ())}
    assert duty.assignments == (
        Assignment("p1", None, "t1", START, NEVER),
        Assignment("p1", "nora", None, START + HOUR, START + 2 * HOUR),
        Assignment("p1", "dora", None, START + 2 * HOUR, NEVER),
    )
    assert duty.assigned("p1", START + 3 * HOUR) == ["dora"]
    assert len(loaded(records, START + DAY).assignments) == 2
    change(records, lambda s: records.teams(s).end(SYSTEM, "t1"))
    assert loaded(records).teams == {"t2": Team("t2", ())}


def test_a_sites_own_policy_takes_the_place_of_the_shipped_one(records: Records) -> None:
    own = Policy(
        "ward", 1, {"en": "Ours"}, {"technical.low": Timetable((Step(0.0, (Target("wall"),), ("in_app",)),))}
    )
    assert loaded(records, shipped=SHIPPED).policies == {p.id: p for p in SHIPPED}
    for policy in (own, Policy("aardvark", 1, {"en": "A"}, {})):
        change(records, lambda s, p=policy: records.policies(s).add(SYSTEM, p, by="dora", after=1))
    assert loaded(records, shipped=SHIPPED).policies["ward"].title == {"en": "Ward"}
    for policy in ("ward", "aardvark"):
        change(records, lambda s, p=policy: records.policies(s).activate(SYSTEM, p, 2))
    found = loaded(records, shipped=SHIPPED).policies
    assert [(p.id, p.version) for p in found.values()] == [("aardvark", 2), ("home", 1), ("ward", 2)]
    assert found["ward"].timetables == own.timetables


def test_the_same_records_give_the_same_duty_all_day_and_it_is_plain_data(records: Records) -> None:
    def add(s: Session) -> object:
        return records.shifts(s).add(
            SYSTEM, user="nora", role="nurse", ward="w1", start=START, end=START + HOUR, weekly=True
        )

    change(records, add)
    change(records, lambda s: records.assignments(s).assign(SYSTEM, "p1", user="nora", by="dora"))
    first = loaded(records, START, shipped=SHIPPED)
    assert loaded(records, MIDNIGHT + DAY - 1, shipped=SHIPPED).content() == first.content()
    assert Duty.of(first.content()) == first
    nothing = records.read_now(lambda s: load_duty(s, "other", START, channels=(), endpoints={}))
    assert nothing == Duty(channels=())
