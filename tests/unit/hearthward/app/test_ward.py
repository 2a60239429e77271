"""The virtual ward's plan and its patients' vital signs."""

from __future__ import annotations

import json
from array import array
from pathlib import Path

import pytest

from firmware_profiles import load_catalog
from hearthward.app.recording import Recording
from hearthward.app.twins import open_ward
from hearthward.app.ward import (
    MAX_PLAYED,
    TWINS,
    PlannedDevice,
    PlannedPatient,
    VitalSigns,
    WardPlan,
    plan_for_recording,
    virtual_ward,
)
from hearthward.core.errors import ConfigError


def test_the_virtual_ward_has_twelve_beds_and_four_homes():
    plan = virtual_ward()
    assert sum(p.bed is not None for p in plan.patients) == 12
    assert sum(p.bed is None for p in plan.patients) == 4
    ids = [d.id for _, d in plan.devices()]
    assert len(ids) == len(set(ids))


PARTS = {"sig-user-data", "sig-battery", "sig-current-time", "sig-device-information"}
"""Profiles of services that are no device by themselves."""
OF_NOBODY = {"eddystone-tlm", "generic-instrument"}
"""Profiles of devices that tell of themselves, and never of a patient."""


def test_every_profile_of_a_device_has_a_kind_that_measures_something():
    catalog = load_catalog()
    assert {profile for profile, _, _ in TWINS.values()} == {p.id for p in catalog} - PARTS - OF_NOBODY
    values = VitalSigns("p").at(1)
    for profile_id in OF_NOBODY:
        frames = catalog.get(profile_id).document.frames.values()
        assert not {spec.metric for frame in frames for spec in frame.fields} & values.keys(), profile_id
    for kind, (profile_id, transport, metrics) in TWINS.items():
        profile = catalog.get(profile_id)
        assert (profile.transport == "serial") is (transport == "serial"), kind
        told = {spec.metric for frame in profile.document.frames.values() for spec in frame.fields}
        assert metrics
        assert metrics <= told, kind
        assert metrics <= values.keys(), kind


async def test_a_twin_of_every_kind_can_be_made_and_takes_what_it_measures(tmp_path: Path):
    devices = tuple(PlannedDevice(kind, kind, 1.0) for kind in TWINS)
    plan = WardPlan("W", "gw-1", (PlannedPatient("p", "Rosa", None, devices),))
    values = VitalSigns("p").at(1)
    async with open_ward(plan, ptys=tmp_path) as ward:
        for _, device in ward.plan.devices():
            twin = ward.twins[device.id]
            assert (twin.profile, twin.transport, device.address) == (*TWINS[device.kind][:2], twin.address)
            for metric in TWINS[device.kind][2]:
                assert twin.express(metric, values[metric]) == pytest.approx(values[metric], abs=0.5)


def test_a_plan_survives_json(tmp_path: Path):
    plan = virtual_ward().with_addresses({d.id: f"addr-{d.id}" for _, d in virtual_ward().devices()})
    path = tmp_path / "plan.json"
    path.write_text(json.dumps({**plan.to_data(), "hci": 1, "control": 2}))
    assert WardPlan.read(path) == plan


@pytest.mark.parametrize("text", ["{}", "[1]", '{"ward": "w", "gateway": "g", "patients": [{"id": 1}]}'])
def test_a_wrong_plan_is_refused_by_name(tmp_path: Path, text: str):
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"plan\.json: is not a ward plan"):
        WardPlan.read(path)


def test_a_recording_gets_the_devices_that_carry_its_metrics():
    recording = Recording(
        array("d", [0, 60, 0, 0]),
        ["a", "a", "a", "b"],
        ["spo2", "spo2", "ibp_mean", "heart_rate"],
        array("d", [97, 96, 80, 60]),
    )
    plan = plan_for_recording(recording)
    assert [(p.name, [(d.kind, d.interval_s) for d in p.devices]) for p in plan.patients] == [
        ("a", [("pulse-oximeter", 60.0)]),
        ("b", [("heart-rate", 1.0)]),
    ]


def test_too_many_patients_are_refused():
    n = MAX_PLAYED + 1
    recording = Recording(
        array("d", [0] * n), [f"p{i}" for i in range(n)], ["spo2"] * n, array("d", [97] * n)
    )
    with pytest.raises(ConfigError, match=f"{n} patients"):
        plan_for_recording(recording)


def test_scripted_episodes_breach_and_quiet_patients_do_not():
    quiet, sick, home = VitalSigns("pat-01"), VitalSigns("pat-03"), VitalSigns("home-2")
    assert all(quiet.at(t)["spo2"] > 92 for t in range(600))
    assert min(sick.at(t)["spo2"] for t in range(60)) < 90
    assert max(home.at(t)["nibp_systolic"] for t in range(140)) > 180
