from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from cloud_ingest.records import Records
from cloud_ingest.records.alarms import Alarms
from cloud_ingest.records.audit import Audit
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.models import Association, Tenant
from cloud_ingest.records.scoping import Repository
from cloud_ingest.records.sessions import Sessions
from cloud_ingest.records.users import Users
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import AccessError, ConfigError
from hearthward.trust.access import Scope

SYSTEM = Scope.system("main")
W1 = Scope("main", frozenset({"w1"}))
P1 = Scope("main", None, "p1")
OTHER = Scope.system("other")
Change = Callable[[Callable[[Directory], Any]], Any]

pytestmark = pytest.mark.usefixtures("furnished")


def refused(change: Change, act: Callable[[Directory], Any], field: str, reason: str) -> str:
    with pytest.raises(ConfigError) as caught:
        change(act)
    assert caught.value.details["field"] == field
    assert caught.value.details["reason"] == reason
    assert caught.value.message.startswith(f"{field}: ")
    return caught.value.message


@pytest.mark.parametrize("repository", [*Repository.__subclasses__()], ids=lambda r: r.__name__)
def test_no_method_can_be_called_without_a_scope(repository: type[Repository]) -> None:
    methods = {n: m for n, m in inspect.getmembers(repository, inspect.isfunction) if not n.startswith("_")}
    assert methods
    for name, method in methods.items():
        first = list(inspect.signature(method).parameters.values())[1]
        assert (first.name, first.annotation) == ("scope", "Scope"), name
        assert first.default is inspect.Parameter.empty


def test_the_walk_above_meets_all_repositories() -> None:
    found = {r.__name__ for r in Repository.__subclasses__()}
    assert found >= {
        "Wards", "Beds", "Patients", "Encounters", "Gateways", "Devices", "Associations",
        *(r.__name__ for r in (Users, Sessions, Alarms, Audit)),
    }  # fmt: skip


LISTS = ["wards", "beds", "patients", "encounters", "gateways", "devices", "associations"]


@pytest.mark.parametrize("name", LISTS)
def test_another_tenant_sees_and_changes_nothing(name: str, change: Change) -> None:
    change(lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p1", ident="a1"))
    rows = change(lambda d: getattr(d, name).list(SYSTEM))
    assert rows
    assert change(lambda d: getattr(d, name).list(OTHER)) == []
    for row in rows:
        for method in ("get", "end", "change"):
            with pytest.raises(ConfigError) as caught:
                change(lambda d, m=method, i=row.id: getattr(getattr(d, name), m)(OTHER, i))  # type: ignore[misc]
            assert caught.value.details["reason"] == "not_found"


@pytest.mark.parametrize(
    ("scope", "seen"),
    [
        (W1, {"wards": ["w1"], "beds": ["w1-a", "w1-b"], "patients": ["p1"], "encounters": ["e1"],
              "gateways": ["gw-w1"], "devices": ["d-w1"], "associations": ["a1"]}),
        (P1, {"wards": [], "beds": [], "patients": ["p1"], "encounters": ["e1"], "gateways": [],
              "devices": ["d-w1"], "associations": ["a1"]}),
        (Scope("main", frozenset()), {n: [] for n in LISTS}),
        (Scope("main", frozenset({"w2"}), "p1"), {n: [] for n in LISTS}),
    ],
    ids=["ward", "patient", "no ward", "patient elsewhere"],
)  # fmt: skip
def test_a_scope_sees_its_own(scope: Scope, seen: dict[str, list[str]], change: Change) -> None:
    change(lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p1", ident="a1"))
    change(lambda d: d.associations.create(SYSTEM, device="d-w2", patient="p2", ident="a2"))
    assert change(lambda d: {n: [r.id for r in getattr(d, n).list(scope)] for n in LISTS}) == seen
    for name in LISTS:
        for row in change(lambda d, n=name: getattr(d, n).list(SYSTEM)):  # type: ignore[misc]
            if row.id not in seen[name]:
                with pytest.raises(ConfigError):
                    change(lambda d, n=name, i=row.id: getattr(d, n).get(scope, i))  # type: ignore[misc]


def test_a_device_lent_to_the_ward_is_seen_there(change: Change) -> None:
    change(lambda d: d.associations.create(SYSTEM, device="d-w2", patient="p1"))
    assert [r.id for r in change(lambda d: d.devices.list(W1))] == ["d-w1", "d-w2"]


def test_a_ward_loses_sight_of_a_patient_who_leaves(change: Change, clock: EventClock) -> None:
    clock.advance(60)
    change(lambda d: d.encounters.move(SYSTEM, "e1", bed="w2-b"))
    assert [p.id for p in change(lambda d: d.patients.list(W1))] == []
    stays = change(lambda d: d.encounters.list(SYSTEM, patient="p1", ended=True))
    assert [(s.ward, s.bed) for s in stays] == [("w1", "w1-a"), ("w2", "w2-b")]
    assert stays[0].end == stays[1].start


@pytest.mark.parametrize("act", [
    lambda d, s: d.wards.create(s, name="New"),
    lambda d, s: d.patients.create(s, name="New"),
    lambda d, s: d.gateways.create(s, ident="gw-new"),
], ids=["ward", "patient", "gateway"])  # fmt: skip
@pytest.mark.parametrize("scope", [W1, P1], ids=["ward", "patient"])
def test_what_concerns_all_needs_the_whole_tenant(
    scope: Scope, act: Callable[[Directory, Scope], Any], change: Change
) -> None:
    with pytest.raises(AccessError):
        change(lambda d: act(d, scope))


def test_an_occupied_bed_is_refused_until_it_is_free(change: Change, clock: EventClock) -> None:
    clock.advance(60)
    change(lambda d: d.encounters.end(SYSTEM, "e3"))
    into = lambda d: d.encounters.create(SYSTEM, patient="p3", kind="ward", bed="w1-a")  # noqa: E731
    assert "choose another bed" in refused(change, into, "bed", "conflict")
    change(lambda d: d.encounters.end(SYSTEM, "e1"))
    assert change(into).ward == "w1"


def test_a_patient_is_in_one_place_at_a_time(change: Change) -> None:
    refused(
        change,
        lambda d: d.encounters.create(SYSTEM, patient="p1", kind="ward", bed="w1-b"),
        "patient",
        "conflict",
    )


def test_discharge_takes_the_devices_off(change: Change, clock: EventClock) -> None:
    change(lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p1"))
    clock.advance(60)
    ended = change(lambda d: d.encounters.end(SYSTEM, "e1"))
    (worn,) = change(lambda d: d.associations.list(SYSTEM, device="d-w1", ended=True))
    assert worn.end == ended.end == clock.now_ns()


def test_closing_a_patients_record_ends_everything_of_theirs(change: Change, clock: EventClock) -> None:
    change(lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p1"))
    clock.advance(60)
    change(lambda d: d.patients.end(SYSTEM, "p1"))
    assert change(lambda d: d.associations.list(SYSTEM)) == []
    assert [e.id for e in change(lambda d: d.encounters.list(SYSTEM))] == ["e2", "e3"]
    refused(
        change, lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p1"), "patient", "conflict"
    )


def test_what_is_in_use_cannot_be_closed(change: Change) -> None:
    refused(change, lambda d: d.wards.end(SYSTEM, "w1"), "ward", "conflict")
    refused(change, lambda d: d.beds.end(SYSTEM, "w1-a"), "bed", "conflict")
    refused(change, lambda d: d.gateways.end(SYSTEM, "gw-w1"), "gateway", "conflict")


def test_an_ended_device_frees_its_patient_address_and_gateway(change: Change, clock: EventClock) -> None:
    change(lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p1"))
    clock.advance(60)
    change(lambda d: d.devices.end(SYSTEM, "d-w1"))
    assert change(lambda d: d.associations.list(SYSTEM)) == []
    change(
        lambda d: d.devices.create(SYSTEM, gateway="gw-w1", transport="ble", address="AA:01", ident="again")
    )
    change(lambda d: d.devices.end(SYSTEM, "again"))
    change(lambda d: d.gateways.end(SYSTEM, "gw-w1"))
    assert [g.id for g in change(lambda d: d.gateways.list(SYSTEM))] == ["gw-w2"]


BAD: list[tuple[str, str, Callable[[Directory], Any]]] = [
    ("gateway", "invalid", lambda d: d.gateways.create(SYSTEM, ident="gw 1")),
    ("gateway", "invalid", lambda d: d.gateways.create(SYSTEM, ident="gw.1")),
    ("gateway", "conflict", lambda d: d.gateways.create(SYSTEM, ident="gw-w1")),
    ("ward", "not_found", lambda d: d.gateways.create(SYSTEM, ident="gw-2", ward="nowhere")),
    ("timezone", "invalid", lambda d: d.gateways.change(SYSTEM, "gw-w1", timezone="Mars/Olympus")),
    ("timezone", "invalid", lambda d: d.gateways.change(SYSTEM, "gw-w1", timezone="../../etc/passwd")),
    ("ward", "not_found", lambda d: d.beds.create(SYSTEM, ward="w9", label="a")),
    ("label", "conflict", lambda d: d.beds.create(SYSTEM, ward="w1", label="a")),
    ("name", "conflict", lambda d: d.wards.create(SYSTEM, name="Ward w1")),
    ("name", "invalid", lambda d: d.patients.create(SYSTEM, name="  ")),
    ("name", "invalid", lambda d: d.patients.change(SYSTEM, "p1", name="x" * 201)),
    ("name", "invalid", lambda d: d.patients.change(SYSTEM, "p1", name="a\nb")),
    ("birth_date", "invalid", lambda d: d.patients.create(SYSTEM, name="N", birth_date="27.3.1948")),
    ("birth_date", "invalid", lambda d: d.patients.create(SYSTEM, name="N", birth_date="2199-01-01")),
    ("language", "invalid", lambda d: d.patients.create(SYSTEM, name="N", language="fr")),
    ("bed", "invalid", lambda d: d.encounters.create(SYSTEM, patient="p3", kind="ward")),
    ("bed", "invalid", lambda d: d.encounters.create(SYSTEM, patient="p3", kind="home", bed="w1-b")),
    ("kind", "invalid", lambda d: d.encounters.create(SYSTEM, patient="p3", kind="hotel")),
    ("patient", "not_found", lambda d: d.encounters.create(SYSTEM, patient="p9", kind="home")),
    ("ward", "invalid",
     lambda d: d.encounters.create(SYSTEM, patient="p3", kind="ward", bed="w1-b", ward="w2")),
    ("start", "invalid", lambda d: d.encounters.change(SYSTEM, "e1", start=2**62)),
    ("end", "invalid", lambda d: d.encounters.change(SYSTEM, "e1", end=1)),
    ("transport", "invalid",
     lambda d: d.devices.create(SYSTEM, gateway="gw-w1", transport="usb", address="x")),
    ("address", "conflict",
     lambda d: d.devices.create(SYSTEM, gateway="gw-w1", transport="ble", address="AA:01")),
    ("profile", "not_found", lambda d: d.devices.change(SYSTEM, "d-w1", profile="sig-hart-rate")),
    ("interval_s", "invalid", lambda d: d.devices.change(SYSTEM, "d-w1", interval_s=0)),
    ("interval_s", "invalid", lambda d: d.devices.change(SYSTEM, "d-w1", interval_s=float("nan"))),
    ("gateway", "not_found", lambda d: d.devices.change(SYSTEM, "d-w1", gateway="gw-9")),
    ("device", "not_found", lambda d: d.associations.create(SYSTEM, device="d-9", patient="p1")),
    ("patient", "not_found", lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p9")),
]  # fmt: skip


@pytest.mark.parametrize(("field", "reason", "act"), BAD)
def test_wrong_input_names_the_field_and_changes_nothing(
    field: str, reason: str, act: Callable[[Directory], Any], change: Change
) -> None:
    def all_rows(d: Directory) -> list[str]:
        rows = [r for n in LISTS for r in getattr(d, n).list(SYSTEM)]
        return [repr({k: v for k, v in vars(r).items() if k != "_sa_instance_state"}) for r in rows]

    before = change(all_rows)
    message = refused(change, act, field, reason)
    assert len(message) > len(field) + 10
    assert change(all_rows) == before


def test_a_misspelt_profile_is_answered_with_near_names(change: Change) -> None:
    message = refused(
        change, lambda d: d.devices.change(SYSTEM, "d-w1", profile="sig-hart-rate"), "profile", "not_found"
    )
    assert "sig-heart-rate" in message
    assert (
        change(lambda d: d.devices.change(SYSTEM, "d-w1", profile="masimo-ascii1")).profile == "masimo-ascii1"
    )


def test_an_mrn_belongs_to_one_patient(change: Change) -> None:
    change(lambda d: d.patients.change(SYSTEM, "p1", mrn="4711"))
    change(lambda d: d.patients.change(SYSTEM, "p1", mrn="4711"))
    refused(change, lambda d: d.patients.change(SYSTEM, "p2", mrn="4711"), "mrn", "conflict")
    assert change(lambda d: d.patients.change(SYSTEM, "p1", mrn="  ")).mrn is None


def test_a_correction_keeps_what_was_believed(change: Change, clock: EventClock) -> None:
    old = change(lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p1", ident="a1"))
    clock.advance(60)
    new = change(lambda d: d.associations.change(SYSTEM, "a1", patient="p2"))
    assert (new.device, new.patient, new.start) == ("d-w1", "p2", old.start)
    kept = change(lambda d: d.associations.get(SYSTEM, "a1"))
    assert (kept.patient, kept.superseded_at, kept.superseded_by) == ("p1", clock.now_ns(), new.id)
    assert [a.id for a in change(lambda d: d.associations.list(SYSTEM))] == [new.id]
    both = change(lambda d: d.associations.list(SYSTEM, superseded=True))
    assert {a.id for a in both} == {"a1", new.id}
    message = refused(
        change, lambda d: d.associations.change(SYSTEM, "a1", patient="p3"), "association", "conflict"
    )
    assert new.id in message


def test_a_gateway_that_is_heard_of(change: Change) -> None:
    change(lambda d: d.gateways.seen(SYSTEM, "gw-w1", at=7 * SECOND, applied=3))
    change(lambda d: d.gateways.seen(SYSTEM, "gw-w1", at=5 * SECOND))
    row = change(lambda d: d.gateways.get(SYSTEM, "gw-w1"))
    assert (row.last_seen, row.config_version_applied) == (7 * SECOND, 3)
    assert change(lambda d: d.gateways.seen(SYSTEM, "gw-9", at=1)) is None


def test_the_database_itself_refuses_a_row_of_another_tenant(records: Records) -> None:
    records.run_now(lambda session: session.add(Tenant(id="other", name="Other", created=0)))
    stolen = Association(tenant="other", id="x", device="d-w1", patient="p1", start=1, created=1)
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        records.run_now(lambda session: session.add(stolen))


def test_the_database_itself_refuses_two_open_associations(records: Records, change: Change) -> None:
    change(lambda d: d.associations.create(SYSTEM, device="d-w1", patient="p1"))
    second = Association(tenant="main", id="x", device="d-w1", patient="p2", start=1, created=1)
    with pytest.raises(IntegrityError, match="UNIQUE"):
        records.run_now(lambda session: session.add(second))


def test_a_ward_says_whether_it_has_a_wall(change: Change) -> None:
    assert change(lambda d: d.wards.get(SYSTEM, "w1")).wall_expected is False
    change(lambda d: d.wards.change(SYSTEM, "w1", wall_expected=True))
    row = change(lambda d: d.wards.change(SYSTEM, "w1", name="East"))
    assert (row.name, row.wall_expected) == ("East", True)
    assert change(lambda d: d.wards.change(SYSTEM, "w1", wall_expected=False)).wall_expected is False
