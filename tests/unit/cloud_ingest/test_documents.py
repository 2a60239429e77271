"""What a gateway is given to decide by, out of real records."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cloud_ingest.documents import RECENT_NS, RulesToSend, bodies
from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.limits import LimitDraft, Limits
from firmware_profiles import load_catalog
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from hearthward.core.wire import MAX_FRAME_BYTES, ConfigDocument
from hearthward.trust.access import Principal, Role, Scope
from rules import Context, Rule, RuleSet, load_rules
from rules.travelling import VERSION as DECISIONS

T = TypeVar("T")
NOW = 1_800_000_000 * SECOND
HOUR = 3600 * SECOND
SYSTEM = Scope.system("main")
CATALOG = load_catalog()
RULES = load_rules()


class House:
    """Ada in bed 1 with an oximeter at gateway a and a cuff at gateway b; nobody else."""

    def __init__(self, folder: Path) -> None:
        self.clock = EventClock(NOW, frozen_monotonic=True)
        self.records = Records.open(folder / "r.db", clock=self.clock, wall=self.clock, ids=SeededIds(1))

        def furnish(d: Directory) -> None:
            d.wards.create(SYSTEM, name="W", ident="w")
            d.beds.create(SYSTEM, ward="w", label="Bed 1", ident="b")
            d.patients.create(SYSTEM, name="Ada Byron", ident="ada", birth_date="1950-01-01")
            d.encounters.create(SYSTEM, patient="ada", kind="ward", bed="b", start=NOW - HOUR, ident="stay")
            for gateway, device, profile in (
                ("a", "oxi", "sig-pulse-oximeter"),
                ("b", "hr", "sig-heart-rate"),
            ):
                d.gateways.create(SYSTEM, ident=gateway, ward="w", timezone="Asia/Shanghai")
                d.devices.create(
                    SYSTEM, gateway=gateway, transport="ble", address=device, profile=profile, ident=device
                )
                d.associations.create(SYSTEM, device=device, patient="ada", start=NOW - HOUR, ident=device)

        self.change(furnish)

    def change(self, do: Callable[[Directory], T]) -> T:
        return self.records.run_now(lambda s: do(self.records.directory(s)))

    def bodies(self, rules: RuleSet = RULES) -> dict[str, dict[str, Any]]:
        sent = RulesToSend.of(rules)
        return self.records.read_now(lambda s: bodies(s, "main", self.clock.now_ns(), CATALOG, sent))


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.records.close_now()


def test_a_gateway_knows_the_patients_of_its_devices_and_expects_of_them_only_its_own_signals(house: House):
    found = house.bodies()
    assert found["a"]["associations"] == [["oxi", "ada", NOW - HOUR, None]]
    assert found["a"]["places"] == {"ada": "W / Bed 1"}
    assert "Byron" not in json.dumps(found), "no patient's name leaves the cloud"
    ours, theirs = (Context.of(found[g]["contexts"]["ada"]) for g in "ab")
    assert (ours.setting, ours.adult) == ("ward", True)
    assert ours.expected is not None
    assert theirs.expected is not None
    assert {"spo2"} <= set(ours.expected)
    assert "spo2" not in theirs.expected
    assert "heart_rate" in theirs.expected


def test_a_gateway_is_told_which_decisions_are_read_here(house: House):
    assert {body["decisions"] for body in house.bodies().values()} == {DECISIONS} == {2}


def test_the_rules_are_those_about_patients_and_devices_and_come_back_as_they_are(house: House):
    body = house.bodies()["a"]
    rules = RuleSet(tuple(Rule.from_content(c, shadow=s) for c, s in body["rules"]))
    assert rules.hash == body["rules_hash"]
    assert {r.subject for r in rules} == {"patient", "device"}
    assert {r.id for r in rules} == {r.id for r in RULES if r.subject in {"patient", "device"}}


def test_nothing_in_it_changes_with_time_alone_and_it_comes_back_from_json_as_it_is(house: House):
    before = house.bodies()["a"]
    house.clock.advance(1000)
    assert {**house.bodies()["a"], "issued": 0} == {**before, "issued": 0}
    assert json.loads(json.dumps(before)) == before


def test_who_was_on_a_device_until_lately_is_still_known_and_then_forgotten(house: House):
    house.clock.advance(10)
    house.change(lambda d: d.associations.end(SYSTEM, "oxi"))
    ended = house.clock.now_ns()
    body = house.bodies()["a"]
    assert body["associations"] == [["oxi", "ada", NOW - HOUR, ended]]
    assert Context.of(body["contexts"]["ada"]).expected == {}
    house.clock.advance(RECENT_NS / SECOND + 1)
    body = house.bodies()["a"]
    assert (body["associations"], body["contexts"], body["places"]) == ([], {}, {})


def test_nobody_decides_on_who_has_left(house: House):
    house.clock.advance(10)
    house.change(lambda d: d.encounters.end(SYSTEM, "stay"))
    body = house.bodies()["a"]
    assert body["associations"], "whose readings they are is known all the same"
    assert body["contexts"] == {}


def test_a_limit_set_for_a_patient_is_told(house: House):
    who = Principal("usr_1", "Li Na", "main", frozenset({Role.DOCTOR}))
    draft = LimitDraft("spo2-low", "limit", 86, "COPD")
    house.records.run_now(
        lambda s: Limits(s, now=NOW, ids=house.records.ids).set(SYSTEM, "ada", draft, rules=RULES, who=who)
    )
    (limit,) = Context.of(house.bodies()["a"]["contexts"]["ada"]).limits
    assert (limit.rule, limit.value) == ("spo2-low", 86.0)


def test_forty_patients_at_one_gateway_fit_easily(house: House):
    def furnish(d: Directory) -> None:
        for n in range(40):
            d.patients.create(SYSTEM, name=f"P{n}", ident=f"p{n}")
            for kind, profile in (("x", "sig-pulse-oximeter"), ("h", "sig-heart-rate")):
                ident = f"{kind}{n}"
                d.devices.create(
                    SYSTEM, gateway="a", transport="ble", address=ident, profile=profile, ident=ident
                )
                d.associations.create(SYSTEM, device=ident, patient=f"p{n}", start=NOW - HOUR)

    house.change(furnish)
    size = len(ConfigDocument("a", 1, house.bodies()["a"]).encode())
    assert size < MAX_FRAME_BYTES / 8
