"""What the rules are told of patients and gateways, out of real records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.orm import Session

from cloud_ingest import contexts as contexts_module
from cloud_ingest.contexts import (
    contexts,
    devices_heard,
    ended_stays,
    expected_of,
    grown_up,
    load_contexts,
)
from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.limits import LimitDraft, Limits, Orders
from firmware_profiles import load_catalog
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Principal, Role, Scope
from rules import RuleSet
from rules.context import Context, Limit
from tests.unit.cloud_ingest.made import made_rule

T = TypeVar("T")
NOW = 1_800_000_000 * SECOND  # 2027-01-15
HOUR = 3600 * SECOND
SYSTEM = Scope.system("main")
LI = Principal("usr_1", "Li Na", "main", frozenset({Role.DOCTOR}))
CATALOG = load_catalog()
RULES = RuleSet((made_rule(),))


class Ward:
    """Records with one ward, a patient Ada in a bed and a gateway."""

    def __init__(self, folder: Path) -> None:
        self.clock = EventClock(NOW, frozen_monotonic=True)
        self.records = Records.open(
            folder / "records.db", clock=self.clock, wall=self.clock, ids=SeededIds(1)
        )

        def furnish(d: Directory) -> None:
            d.wards.create(SYSTEM, name="W", ident="w")
            d.beds.create(SYSTEM, ward="w", label="1", ident="b")
            d.gateways.create(SYSTEM, ident="gw", ward="w")
            d.patients.create(SYSTEM, name="Ada", ident="ada", birth_date="1950-01-01")
            d.encounters.create(SYSTEM, patient="ada", kind="ward", bed="b", start=NOW - HOUR, ident="e")

        self.change(furnish)

    def change(self, do: Callable[[Directory], T]) -> T:
        return self.records.run_now(lambda s: do(self.records.directory(s)))

    def limits(self, do: Callable[[Limits], T]) -> T:
        def within(session: Session) -> T:
            return do(Limits(session, now=self.clock.now_ns(), ids=self.records.ids))

        return self.records.run_now(within)

    def wear(self, device: str, *, profile: str | None = None, interval_s: float | None = None) -> None:
        def put(d: Directory) -> None:
            d.devices.create(
                SYSTEM,
                gateway="gw",
                transport="ble",
                address=device,
                profile=profile,
                interval_s=interval_s,
                ident=device,
            )
            d.associations.create(SYSTEM, device=device, patient="ada", start=NOW - HOUR)

        self.change(put)

    def known(self, delivered: dict[str, set[str]] | None = None) -> dict[str, Context]:
        return self.records.read_now(lambda s: contexts(s, "main", self.clock.now_ns(), CATALOG, delivered))

    @property
    def ada(self) -> Context:
        return self.known()["ada"]


@pytest.fixture
def ward(tmp_path: Path) -> Iterator[Ward]:
    made = Ward(tmp_path)
    yield made
    made.records.close_now()


def test_where_a_patient_is_and_what_a_gateway_must_do(ward: Ward) -> None:
    assert ward.known() == {
        "ada": Context(setting="ward", adult=True, expected={}),
        "gateway:gw": Context(expected={"heartbeat": NOW}),
    }
    ward.clock.advance(10)
    ward.change(lambda d: d.encounters.end(SYSTEM, "e"))
    assert "ada" not in ward.known(), "nobody's patient any more"
    ward.change(lambda d: d.encounters.create(SYSTEM, patient="ada", kind="home"))
    assert ward.ada.setting == "home"
    ward.change(lambda d: d.gateways.end(SYSTEM, "gw"))
    assert set(ward.known()) == {"ada"}


def test_devices_that_measure_continuously_in_a_ward_are_to_be_heard_of(ward: Ward) -> None:
    ward.wear("ring", profile="sig-pulse-oximeter")
    ward.wear("cuff", profile="sig-blood-pressure")
    found = ward.known()
    assert found["device:ring"] == Context(expected={"heartbeat": NOW - HOUR})
    assert found["device:cuff"] == Context(expected={})
    assert devices_heard(found) == {"ring"}
    ward.change(lambda d: d.encounters.end(SYSTEM, "e"))
    ward.change(lambda d: d.encounters.create(SYSTEM, patient="ada", kind="home"))
    assert devices_heard(ward.known()) == frozenset()


def test_pregnancy_and_age(ward: Ward) -> None:
    ward.change(lambda d: d.patients.change(SYSTEM, "ada", pregnant=True, birth_date=None))
    assert (ward.ada.pregnant, ward.ada.adult) == (True, None)


@pytest.mark.parametrize(
    ("born", "grown"),
    [
        ("2011-01-15", True),
        ("2011-01-16", False),
        ("2011-01-14", True),
        ("2008-02-29", True),
        ("2026-12-31", False),
        (None, None),
    ],
)
def test_grown_up_from_the_sixteenth_birthday_on(*, born: str | None, grown: bool | None) -> None:
    assert grown_up(born, NOW) is grown


def test_limits_in_force_and_their_end(ward: Ward) -> None:
    def put(draft: LimitDraft) -> None:
        ward.limits(lambda x: x.set(SYSTEM, "ada", draft, rules=RULES, who=LI))

    put(LimitDraft("spo2-low", "limit", 88, "COPD", expires=NOW + HOUR))
    put(LimitDraft("spo2-low", "limit", 85, "asleep", daily=(1320, 360), timezone="Asia/Shanghai"))
    assert set(ward.ada.limits) == {
        Limit("spo2-low", "limit", 88.0, "Li Na", NOW, "COPD", NOW + HOUR),
        Limit("spo2-low", "limit", 85.0, "Li Na", NOW, "asleep", None, (1320, 360), "Asia/Shanghai"),
    }
    ward.clock.advance(3600)
    (left,) = ward.ada.limits
    assert left.reason == "asleep"
    row = ward.limits(lambda x: x.list(SYSTEM, "ada"))[0]
    ward.limits(lambda x: x.end(SYSTEM, "ada", row.id, reason="home", who=LI))
    assert ward.ada.limits == ()


def test_scale_two_only_while_ordered(ward: Ward) -> None:
    def orders(do: Callable[[Orders], T]) -> T:
        return ward.records.run_now(lambda s: do(Orders(s, now=ward.clock.now_ns(), ids=ward.records.ids)))

    assert ward.ada.spo2_scale == 1
    until = NOW + HOUR
    orders(lambda x: x.give(SYSTEM, "ada", "spo2_scale_2", reason="gas", expires=until, who=LI))
    assert ward.ada.spo2_scale == 2
    ward.clock.advance(3600)
    assert ward.ada.spo2_scale == 1


def test_what_devices_on_a_patient_must_deliver_since_when(ward: Ward) -> None:
    ward.wear("oxi", profile="sig-pulse-oximeter")
    ward.wear("cuff", profile="sig-blood-pressure")
    since = NOW - HOUR
    assert ward.ada.expected == {
        "spo2": since,
        "pulse_rate": since,
        "nibp_systolic": since,
        "nibp_diastolic": since,
        "nibp_mean": since,
    }
    ward.clock.advance(10)
    ward.change(lambda d: d.devices.end(SYSTEM, "oxi"))
    assert "spo2" not in (ward.ada.expected or {})


def test_a_device_of_unknown_profile_is_expected_to_go_on_with_what_came(ward: Ward) -> None:
    ward.wear("oxi", profile="sig-pulse-oximeter")
    ward.wear("odd")
    assert ward.ada.expected is None
    heard = ward.known({"odd": {"heart_rate", "battery_level", "device_model"}})["ada"]
    assert heard.expected is not None
    assert set(heard.expected) == {"spo2", "pulse_rate", "heart_rate"}
    silent = ward.known({})["ada"]
    assert silent.expected is not None
    assert set(silent.expected) == {"spo2", "pulse_rate"}


def test_only_what_comes_often_enough_is_expected() -> None:
    oximeter, cuff = CATALOG.get("sig-pulse-oximeter"), CATALOG.get("sig-blood-pressure")
    assert expected_of(oximeter, None) == {"spo2", "pulse_rate"}
    assert expected_of(oximeter, 60) == {"spo2", "pulse_rate"}
    assert expected_of(oximeter, 3600) == set(), "spot checks: their silence says nothing"
    assert "pulse_rate" not in expected_of(cuff, None)
    assert "rr_interval" not in expected_of(CATALOG.get("sig-heart-rate"), None)


def test_each_service_of_a_device_has_its_own_interval() -> None:
    warm = CATALOG.get("sig-health-thermometer+sig-heart-rate")
    assert expected_of(warm, None) == expected_of(CATALOG.get("sig-heart-rate"), None) | expected_of(
        CATALOG.get("sig-health-thermometer"), None
    )
    assert "heart_rate" in expected_of(warm, None)


def test_what_a_device_turned_out_to_measure_besides_is_expected_too(ward: Ward) -> None:
    ward.wear("strap", profile="sig-heart-rate")
    ward.wear("joined", profile="sig-blood-pressure+sig-heart-rate")
    known = ward.known({"strap": {"spo2", "heart_rate", "rr_interval", "clock_skew"}})["ada"].expected
    assert known is not None
    assert set(known) == {"heart_rate", "spo2", "nibp_systolic", "nibp_diastolic", "nibp_mean"}


async def test_it_is_read_from_the_records(ward: Ward) -> None:
    assert set(await load_contexts(ward.records, "main", NOW, CATALOG)) == {"ada", "gateway:gw"}
    assert await load_contexts(ward.records, "other", NOW, CATALOG) == {}


def test_stays_that_have_ended_are_asked_for_only_of_subjects_that_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(contexts_module, "NAMES_AT_ONCE", 2)
    records = Records.open(tmp_path / "r.db", clock=EventClock(NOW), wall=EventClock(NOW), ids=SeededIds(1))

    def furnish(session: Session) -> None:
        made = Directory(session, now=NOW, ids=records.ids)
        ward = made.wards.create(SYSTEM, name="Team").id
        for n in range(5):
            patient = made.patients.create(SYSTEM, name=f"P{n}", ident=f"p{n}").id
            stay = made.encounters.create(
                SYSTEM, patient=patient, kind="home", ward=ward, start=NOW - SECOND
            ).id
            if n < 4:
                session.flush()
                made.encounters.end(SYSTEM, stay)
        session.flush()
        made.encounters.create(SYSTEM, patient="p0", kind="home", ward=ward)

    records.run_now(furnish)
    names = ["gateway:g", "p0", "p1", "p2", "p4", "p_unknown"]
    found = records.read_now(lambda s: ended_stays(s, "main", names, NOW + SECOND))
    assert found == {"p1", "p2"}, "p0 is back, p4 is there, and p3 is not asked for"
    records.close_now()
