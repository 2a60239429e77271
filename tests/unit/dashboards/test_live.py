"""What is on a tile of the wall, and why."""

from __future__ import annotations

import pytest

from dashboards.api.directory import check_device
from dashboards.backend import DirectoryError, RosterDevice, RosterEntry
from dashboards.choices import Choices
from dashboards.fake_views import plain
from dashboards.live.board import Board
from dashboards.models import Gateway, ProfileChoice
from dashboards.profiles import profile_choices
from firmware_profiles import load_catalog
from hearthward.core.model import Quality
from hearthward.trust.access import Scope
from tests.unit.dashboards.followed import OXI, board, off, sample
from tests.unit.dashboards.webworld import T0, S, alarm


def test_only_what_a_device_can_measure_is_waited_for():
    made = board(OXI)
    made.refresh(T0)
    shown = made.tile("p1")["v"]
    assert (shown["spo2"][1], shown["hr"][1], shown["nibp"][1]) == ("never", "never", "none")
    unknown = RosterDevice("x", "gw", None, None, T0)
    other = board(unknown)
    other.refresh(T0)
    assert other.tile("p1")["v"]["nibp"][1] == "never", "an unmatched device may measure anything"


def test_values_of_the_patient_before_are_never_shown():
    made = board(OXI)
    made.take([sample(at=T0 - S)])
    made.refresh(T0)
    assert made.tile("p1")["v"]["spo2"][:2] == ["", "never"]


def test_an_older_value_never_replaces_a_newer_one():
    made = board(OXI)
    made.take([sample(value=97, at=T0 + 2 * S), sample(value=80, at=T0 + S)])
    made.refresh(T0 + 2 * S)
    assert made.tile("p1")["v"]["spo2"][0] == "97"


def test_fractions_are_not_rounded_over_a_limit():
    made = board(OXI)
    made.take([sample(value=89.5)])
    made.refresh(T0)
    assert made.tile("p1")["v"]["spo2"][0] == "89.5"


@pytest.mark.parametrize(
    ("quality", "state"),
    [(Quality.SENSOR_OFF, "sensor_off"), (Quality.BAD | Quality.DROPOUT, "signal_lost")],
    ids=["sensor off", "signal lost"],
)
def test_what_is_no_measurement_shows_the_last_usable_value_and_its_time(quality: Quality, state: str):
    made = board(OXI)
    made.take([sample(value=96, at=T0), sample(value=0, at=T0 + 5 * S, quality=quality)])
    made.refresh(T0 + 5 * S)
    assert made.tile("p1")["v"]["spo2"][:3] == ["96", state, T0 // 1_000_000]


def test_what_the_gate_only_doubts_is_shown_as_it_is():
    made = board(OXI)
    made.take([sample(value=70, quality=Quality.SUSPECT | Quality.JUMP)])
    made.refresh(T0)
    assert made.tile("p1")["v"]["spo2"][:2] == ["70", "live"]


def test_what_was_measured_nobody_knows_when_is_on_no_tile():
    made = board(OXI)
    memory = Quality.FROM_STORE | Quality.TIME_UNKNOWN
    made.take([sample(value=96, at=T0), sample(value=70, at=T0 + S, quality=memory)])
    made.refresh(T0 + S)
    assert made.tile("p1")["v"]["spo2"][:2] == ["96", "live"]
    empty = board(OXI)
    empty.take([sample(value=70, quality=memory)])
    empty.refresh(T0)
    assert empty.tile("p1")["v"]["spo2"][:2] == ["", "never"]


def test_blood_pressure_pairs_only_values_of_one_measurement():
    cuff = RosterDevice("cuff", "gw", None, None, T0)
    made = board(cuff)
    made.take(
        [
            sample("nibp_systolic", 120, device="cuff", group=7),
            sample("nibp_diastolic", 80, device="cuff", group=7),
        ]
    )
    made.refresh(T0)
    assert made.tile("p1")["v"]["nibp"][0] == "120/80"
    made.take([sample("nibp_systolic", 150, device="cuff", group=8, at=T0 + S)])
    made.refresh(T0 + S)
    assert made.tile("p1")["v"]["nibp"][0] == "150/-"


def test_a_live_source_is_preferred_to_a_stale_better_one():
    strap = RosterDevice("strap", "gw", "sig-heart-rate", None, T0)
    made = board(strap, OXI)
    made.take([sample("heart_rate", 70, device="strap"), sample("pulse_rate", 72, at=T0 + 10 * S)])
    made.refresh(T0 + 10 * S)
    assert made.tile("p1")["v"]["hr"][:2] == ["72", "live"]


def test_a_cuffs_pulse_never_hides_that_the_strap_is_silent():
    strap = RosterDevice("strap", "gw", "sig-heart-rate", None, T0)
    cuff = RosterDevice("cuff", "gw", None, 3600, T0)
    made = board(strap, cuff)
    late = T0 + 60 * S
    made.take([sample("heart_rate", 70, device="strap"), sample("pulse_rate", 88, device="cuff")])
    made.refresh(late)
    assert made.tile("p1")["v"]["hr"][:2] == ["70", "stale"]


def test_a_device_of_unknown_abilities_does_not_hide_a_real_value():
    unknown = RosterDevice("x", "gw", None, 1, T0)
    cuff = RosterDevice("cuff", "gw", None, 3600, T0)
    made = board(unknown, cuff)
    made.take([sample("nibp_systolic", 120, device="cuff"), sample("nibp_diastolic", 80, device="cuff")])
    made.refresh(T0)
    assert made.tile("p1")["v"]["nibp"][:2] == ["120/80", "live"]


def test_the_catalogue_says_what_is_measured_and_how_often():
    choices = {c.id: c for c in profile_choices(load_catalog())}
    strap, cuff = choices["sig-heart-rate"], choices["sig-blood-pressure"]
    assert strap.metrics is not None
    assert "heart_rate" in strap.metrics
    assert "nibp_systolic" not in strap.metrics
    assert (strap.interval_s or 1) < 60
    assert cuff.metrics is not None
    assert cuff.metrics >= {"nibp_systolic", "nibp_diastolic"}
    assert (cuff.interval_s or 0) >= 3600, "also for the pulse that it measures"


def test_a_device_of_two_services_has_a_choice_joined_of_theirs():
    choices = Choices(profile_choices(load_catalog()))
    both = choices["sig-health-thermometer+sig-heart-rate"]
    assert both.metrics is not None
    assert both.metrics >= {"heart_rate", "body_temperature"}
    assert (both.interval_of("heart_rate"), both.interval_of("body_temperature")) == (1, 14_400)
    assert both.interval_of("spo2") is None
    assert both.transport == "ble"
    assert len(list(choices)) == len(choices) == len(profile_choices(load_catalog()))
    for name in (
        "sig-heart-rate+sig-health-thermometer",
        "sig-heart-rate+masimo-ascii1",
        "sig-heart-rate+nobody",
        "beurer-bm85+sig-blood-pressure",
        "",
    ):
        assert name not in choices, name


def test_a_joined_profile_can_be_entered_and_one_that_cannot_be_joined_is_refused():
    offered = profile_choices(load_catalog())
    check_device({"profile": "sig-body-composition+sig-weight-scale"}, offered, "ble")
    for profile, transport, code in (
        ("sig-body-composition+sig-weight-scale", "serial", "transport"),
        ("sig-heart-rate+masimo-ascii1", "ble", "unknown"),
    ):
        with pytest.raises(DirectoryError) as refused:
            check_device({"profile": profile}, offered, transport)
        assert refused.value.code == code


def test_what_a_device_tells_beside_its_profile_is_shown():
    strap = RosterDevice("oxi", "gw", "sig-heart-rate", None, T0)
    made = board(strap, profiles=profile_choices(load_catalog()))
    made.take([sample("spo2", 97, device="oxi")])
    made.refresh(T0)
    assert made.tile("p1")["v"]["spo2"][:2] == ["97", "live"]


def test_profiles_that_are_only_parts_are_not_offered():
    offered = {c.id: c.transport for c in profile_choices(load_catalog())}
    assert not offered.keys() & {"sig-battery", "sig-device-information"}
    assert offered["masimo-ascii1"] == "serial"
    assert offered["sig-heart-rate"] == "ble"


def test_ended_alarms_leave_the_tile_and_those_without_tile_are_kept():
    made = board(OXI)
    lost = plain(alarm("nobody", "alm_x"))
    made.set_alarms([lost])
    assert [a["id"] for a in made.loose_alarms(Scope.system("main"))] == ["alm_x"]
    assert made.without_tile() == {"nobody"}
    assert made.loose_alarms(Scope.system("main"))[0]["name"] == "nobody", "until the name is known"
    made.set_names({"nobody": "Nora"})
    assert [(a["patient"], a["name"]) for a in made.loose_alarms(Scope.system("main"))] == [
        ("nobody", "Nora")
    ]
    assert made.loose_alarms(Scope("main", frozenset({"w1"}))) == []
    made.set_alarm(lost.model_copy(update={"patient": "p1", "id": "alm_y"}))
    assert [a["id"] for a in made.tile("p1")["a"]] == ["alm_y"]
    made.set_alarm(lost.model_copy(update={"patient": "p1", "id": "alm_y", "condition": "inactive"}))
    assert made.tile("p1")["a"] == []


def test_a_second_measurement_that_is_waited_for_is_on_the_tile_but_no_alarm():
    made = board(OXI)
    asked = plain(alarm("p1", "alm_x", condition="asked"))
    made.set_alarms([asked])
    tile = made.tile("p1")
    assert (tile["a"], [a["id"] for a in tile["q"]]) == ([], ["alm_x"])
    made.set_alarm(asked.model_copy(update={"patient": "nobody", "id": "alm_y"}))
    assert made.loose_alarms(Scope.system("main")) == []
    made.set_alarm(asked.model_copy(update={"condition": "active"}))
    tile = made.tile("p1")
    assert ([a["id"] for a in tile["a"]], tile["q"]) == (["alm_x"], [])


def test_what_is_not_as_usual_about_an_alarm_is_told_and_nothing_else():
    made = board(OXI)
    made.set_alarms([plain(alarm("p1", "plain"))])
    (usual,) = made.tile("p1")["a"]
    assert usual.keys() == {"id", "p", "k", "text", "why", "onset", "by", "late"}
    more = {"condition": "latched", "signal": "audio_paused", "signal_until": T0 + S, "next_at": T0 + 2 * S}
    made.set_alarm(plain(alarm("p1", "plain", next_to=["Dr Li"], episodes=2, accepted_name="Li Na", **more)))
    (shown,) = made.tile("p1")["a"]
    ms = T0 // 1_000_000
    assert (shown["c"], shown["s"], shown["su"], shown["nx"]) == (
        "latched",
        "audio_paused",
        ms + 1000,
        ms + 2000,
    )
    assert (shown["to"], shown["e"], shown["by"]) == (["Dr Li"], 2, "Li Na")


def test_a_root_counts_what_it_explains_and_both_tiles_change_with_either():
    made = board(OXI)
    root = plain(alarm("gateway:gw", "root", kind="technical"))
    child = plain(alarm("p1", "child", kind="technical", root="root"))
    assert made.set_alarm(child) == {"p1"}
    assert "r" not in made.tile("p1")["a"][0], "its root is not there: it signals for itself"
    assert made.set_alarm(root) == {"gateway:gw", "p1"}
    assert made.tile("p1")["a"][0]["r"] == "root"
    assert made.loose_alarms(Scope.system("main"))[0]["n"] == 1
    assert made.set_alarm(child.model_copy(update={"root": None})) == {"gateway:gw", "p1"}
    assert "n" not in made.loose_alarms(Scope.system("main"))[0]
    made.set_alarm(child)
    assert made.set_alarm(root.model_copy(update={"condition": "inactive"})) == {"gateway:gw", "p1"}
    assert "r" not in made.tile("p1")["a"][0]


def test_what_is_switched_off_is_on_every_tile_that_it_is_about():
    made = board(OXI)
    assert made.set_inactivations([off("p1"), off("gateway:gw", "maintenance"), off("p9")]) == {"p1"}
    assert [(i["of"], i["k"], i["by"]) for i in made.tile("p1")["i"]] == [
        ("gateway:gw", "maintenance", "Li Na"),
        ("p1", "alarm_paused", "Li Na"),
    ]
    assert made.switched_off(Scope.system("main")) == 3
    assert made.switched_off(Scope("main", frozenset({"w1"}))) == 1
    assert made.set_inactivations([]) == {"p1"}
    assert made.tile("p1")["i"] == []


def test_a_wall_of_one_ward_sees_what_is_about_that_ward():
    made = board(OXI)
    made.set_gateway(Gateway(id="gw", ward="w1"))
    subjects = ("gateway:gw", "device:oxi", "component:wall-w1", "component:wall-w2", "component:ingest")
    made.set_alarms([plain(alarm(s, s)) for s in subjects])
    mine = [a["id"] for a in made.loose_alarms(Scope("main", frozenset({"w1"})))]
    assert mine == ["gateway:gw", "device:oxi", "component:wall-w1", "component:ingest"]
    assert made.loose_alarms(Scope("main", None, "p1")) == []


def test_a_thousand_patients_fit_the_time_of_a_first_page():
    made = Board([ProfileChoice(id="p", title="", transport="ble")])
    devices = [RosterDevice(f"d{i}", "gw", "p", None, T0) for i in range(1000)]
    made.set_roster([RosterEntry(f"p{i}", "N", "w", "W", f"{i}", False, (d,)) for i, d in enumerate(devices)])
    made.take([sample(device=d.device) for d in devices])
    made.refresh(T0)
    assert len(made.roster(Scope.system("main"), T0)) == 1000
    assert made.refresh(T0) == set(), "nothing changed, nothing is sent"


def test_messages_that_nobody_has_seen_are_on_the_tile_and_counted_within_the_scope():
    made = board(OXI)
    assert made.tile("p1")["m"] == 0
    assert made.set_mail({"p1": 2, "nobody": 3, "seen": 0}) == {"p1"}
    assert made.tile("p1")["m"] == 2
    assert made.unseen(Scope.system("main")) == 5
    assert made.unseen(Scope("main", frozenset({"w1"}))) == 2, "who has no stay is in no ward"
    assert made.set_mail({"p1": 2}) == set()
    assert made.set_mail({}) == {"p1"}
    assert made.tile("p1")["m"] == 0


def test_an_alarm_that_moves_to_another_patient_leaves_the_first():
    made = board(OXI)
    first = plain(alarm("p1", "alm_x"))
    made.set_alarm(first)
    made.set_alarm(first.model_copy(update={"patient": "p2"}))
    assert made.tile("p1")["a"] == []
    assert [a["patient"] for a in made.loose_alarms(Scope.system("main"))] == ["p2"]
