"""States of a value, the board, and the hub's bounds and replay."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from dashboards.api.directory import check_device
from dashboards.backend import DirectoryError, EventsMissed, RosterDevice, RosterEntry, VitalSample
from dashboards.choices import Choices
from dashboards.fake_views import plain
from dashboards.live import hub as hubs
from dashboards.live.board import Board
from dashboards.live.channel import RING, Channel, Subscription, members
from dashboards.live.hub import LiveHub
from dashboards.live.states import ValueState, expected_interval_s, state_of
from dashboards.models import Gateway, Inactivation, ProfileChoice
from dashboards.profiles import profile_choices
from dashboards.response_models import Act
from firmware_profiles import load_catalog
from hearthward.core.model import Quality
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Role, Scope, scope_of
from tests.unit.dashboards.webworld import PROFILES, T0, S, World, alarm, reading, seeded, world


def sample(metric: str = "spo2", value: float | None = 97, at: int = T0, **more: Any) -> VitalSample:
    return VitalSample(more.pop("device", "oxi"), metric, value, at, at, **{"quality": 0, **more})


def gateway(*, online: bool = True, **states: str) -> Gateway:
    return Gateway(id="gw", online=online, states=states)


@pytest.mark.parametrize(
    ("age_s", "state"), [(0, "live"), (2.5, "live"), (2.6, "ageing"), (3, "ageing"), (3.1, "stale")]
)
def test_state_by_age_is_counted_in_expected_intervals(age_s: float, state: str):
    now = T0 + int(age_s * S)
    assert state_of(sample(), now, 1.0, "oxi", None) == state
    assert state_of(sample(), T0 + int(age_s * 3600 * S), 3600.0, "oxi", None) == state


def test_a_clock_ahead_makes_no_value_older():
    assert state_of(sample(at=T0 + 5 * S), T0, 1.0, "oxi", None) is ValueState.LIVE


def test_a_devices_clock_that_is_ahead_keeps_no_silent_signal_live():
    made = board(OXI)
    made.take([VitalSample("oxi", "spo2", 97, T0 + 55 * S, T0, 0)])
    seen = []
    for age in (0, 2, 5, 57):
        made.refresh(T0 + age * S)
        seen.append(made.tile("p1")["v"]["spo2"][1:3])
    at = T0 // 1_000_000
    assert seen == [["live", at], ["live", at], ["stale", at], ["stale", at]]


def test_why_a_value_is_not_live():
    assert state_of(None, T0, 1, "oxi", None) is ValueState.NEVER
    assert state_of(sample(quality=Quality.SENSOR_OFF), T0, 1, "oxi", None) is ValueState.SENSOR_OFF
    assert state_of(sample(), T0, 1, "oxi", gateway(oxi="backoff: gone")) is ValueState.DEVICE_OFFLINE
    assert state_of(sample(), T0, 1, "oxi", gateway(oxi="streaming")) is ValueState.LIVE
    assert state_of(sample(), T0, 1, "oxi", gateway(online=False, oxi="streaming")) is ValueState.LINK_LOST
    assert state_of(sample(), T0, 1, "oxi", Gateway(id="gw")) is ValueState.LIVE, "never seen is not offline"


def test_a_cuff_is_not_expected_to_stay_connected_between_measurements():
    idle = gateway(cuff="backoff: waiting")
    assert state_of(sample(), T0 + 600 * S, 3600, "cuff", idle) is ValueState.LIVE
    assert state_of(sample(), T0 + 4 * 3600 * S, 3600, "cuff", idle) is ValueState.DEVICE_OFFLINE


def test_the_expected_interval_is_the_devices_then_the_profiles_then_the_metrics():
    assert expected_interval_s("spo2", 5, 2) == 5
    assert expected_interval_s("spo2", None, 2) == 2
    assert expected_interval_s("nibp_systolic", None, None) == 3600


def board(*devices: RosterDevice, home: bool = False, profiles: Sequence[ProfileChoice] = PROFILES) -> Board:
    made = Board(profiles)
    made.set_roster([RosterEntry("p1", "Rosa", "w1", "Ward A", "A-01", home, tuple(devices))])
    return made


OXI = RosterDevice("oxi", "gw", "sig-pulse-oximeter", None, T0)


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


def off(subject: str, kind: str = "alarm_paused") -> Inactivation:
    return Inactivation(
        id=subject, subject=subject, kind=kind, by="u", by_name="Li Na", reason="bath", start=T0, until=T0 + S
    )


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


async def test_switching_off_reaches_the_walls_at_once():
    async with world() as made:
        hub = await seeded(made)
        queue = await follow(hub, Scope.system("main"))
        act = Act("pause_alarms", "usr_nurse", note="bath", until=made.clock.now_ns() + 60 * S)
        assert await made.backend.switch(Scope.system("main"), made.ids["main", "patientA"], act)
        while not (patch := await until(queue, "patch")).get("off"):
            pass
        assert patch["off"] == 1
        shown = next(t for t in hub.snapshot(Scope.system("main"))["tiles"] if t["name"] == "Patient A")
        assert ([i["why"] for i in shown["i"]], shown["a"][0]["s"]) == (["bath"], "alarm_paused")
        hub.close()
        await queue.task  # type: ignore[attr-defined]


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


# --- hub --------------------------------------------------------------------------------------------


def parse(message: bytes | None) -> tuple[str, dict[str, Any]]:
    assert message is not None
    fields = dict(line.split(": ", 1) for line in message.decode().strip().splitlines())
    return fields["event"], json.loads(fields["data"])


def test_a_slow_client_is_told_to_fetch_again_and_costs_bounded_memory():
    client = Subscription()
    taken = [client.put(b"x") for _ in range(10_000)]
    assert client.queue.qsize() == 1
    assert not all(taken)
    assert parse(client.queue.get_nowait())[0] == "refetch"


async def test_a_slow_client_goes_on_after_its_refetch():
    client = Subscription()
    while client.put(b"x"):
        pass
    assert parse(await client.get())[0] == "refetch"
    assert client.put(b"y")
    assert await client.get() == b"y"


def test_the_end_reaches_even_a_full_client():
    client = Subscription()
    while client.put(b"x"):
        pass
    assert client.put(None)
    assert client.queue.get_nowait() is None or client.queue.get_nowait() is None


async def test_all_that_waits_travels_as_one_piece_and_then_the_end():
    client = Subscription()
    for message in (b"a", b"b", b"c", None):
        client.put(message)
    assert await client.get() == b"abc"
    assert await client.get() is None


async def test_who_comes_costs_those_who_are_there_nothing():
    async with world() as made:
        hub = await seeded(made)
        scope = Scope.system("main")
        queue = await follow(hub, scope)
        (there,) = hub._channel(scope).clients
        others = [await follow(hub, scope) for _ in range(3)]
        assert there.queue.empty()
        assert queue.empty()
        hub.close()
        for reader in (queue, *others):
            await reader.task  # type: ignore[attr-defined]


async def test_a_tile_is_encoded_once_for_all_scopes_that_see_it(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        hub = await seeded(made)
        scopes = [Scope.system("main"), scope_of(made.principal(Role.NURSE, wards="A"))]
        for scope in scopes:
            hub.snapshot(scope)
        encoded: list[str] = []
        real = hub._board.tile

        def tile(patient: str) -> dict[str, Any]:
            encoded.append(patient)
            return real(patient)

        monkeypatch.setattr(hub._board, "tile", tile)
        made.clock.advance(1)
        made.backend.put_readings("main", [reading("main-oxi-A", "spo2", 90, made.clock.now_ns())])
        before = [hub._channel(scope).seq for scope in scopes]
        hub._dirty = {made.ids["main", "patientA"]}
        hub._board.take([sample(device="main-oxi-A", value=90, at=made.clock.now_ns())])
        hub._send()
        assert [hub._channel(scope).seq for scope in scopes] == [n + 1 for n in before]
        assert encoded == [made.ids["main", "patientA"]]


def test_replay_gives_exactly_what_was_missed_or_says_that_it_cannot():
    channel = Channel(Scope.system("main"), "boot-a")
    for n in range(5):
        channel.publish("patch", members({"n": n}))
    assert [parse(m)[1]["n"] for m in channel.since("boot-a-3") or []] == [3, 4]
    assert channel.since("boot-a-5") == []
    assert channel.since("boot-b-3") is None, "another server"
    assert channel.since("boot-a-9") is None, "from the future"
    assert channel.since("nonsense") is None
    for n in range(RING):
        channel.publish("patch", members({"n": n}))
    assert channel.since("boot-a-3") is None, "older than the ring"


async def follow(
    hub: LiveHub, scope: Scope, last: str | None = None
) -> asyncio.Queue[tuple[str, dict[str, Any]]]:
    """A reader of the stream, as a queue."""
    out: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()

    async def alive() -> bool:
        return True

    async def read() -> None:
        async for messages in hub.stream(scope, last, alive):
            for message in messages.strip().split(b"\n\n"):
                if not message.startswith(b"retry"):
                    out.put_nowait(parse(message))

    out.task = asyncio.create_task(read())  # type: ignore[attr-defined]
    await out.get()  # the first heartbeat: it is listening
    return out


async def until(queue: asyncio.Queue[tuple[str, dict[str, Any]]], kind: str) -> dict[str, Any]:
    async with asyncio.timeout(10):
        while True:
            found, data = await queue.get()
            if found == kind:
                return data


async def test_values_and_alarms_reach_a_listener_within_its_scope_only():
    async with world() as made:
        hub = await seeded(made)
        nurse = scope_of(made.principal(Role.NURSE, wards="A"))
        queue = await follow(hub, nurse)
        before = hub.snapshot(nurse)
        assert [t["name"] for t in before["tiles"]] == ["Patient A"]
        now = made.clock.now_ns()
        made.backend.put_readings("main", [reading("main-oxi-B", "spo2", 91, now)])
        made.backend.put_readings("other", [reading("other-oxi-A", "spo2", 92, now)])
        made.backend.put_readings("main", [reading("main-oxi-A", "spo2", 93, now)])
        patch = await until(queue, "patch")
        assert [t["id"] for t in patch["tiles"]] == [made.ids["main", "patientA"]]
        assert patch["tiles"][0]["v"]["spo2"][0] == "93"
        assert patch["seq"] == before["seq"] + 1
        made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], "alm_new"))
        patch = await until(queue, "patch")
        assert "alm_new" in {a["id"] for a in patch["tiles"][0]["a"]}
        hub.close()
        await queue.task  # type: ignore[attr-defined]


@pytest.mark.parametrize("role", [Role.NURSE, Role.DOCTOR])
async def test_an_alarm_of_a_patient_without_a_stay_has_a_name_and_is_accepted(role: Role):
    async with world() as made:
        hub = await seeded(made)
        who, confined = made.principal(role), scope_of(made.principal(role, wards="A"))
        patient = made.ids["main", "patientA"]
        queue, theirs = await follow(hub, scope_of(who)), await follow(hub, confined)
        await made.backend.end(Scope.system("main"), "encounter", made.ids["main", "encounterA"])
        await until(queue, "refetch")
        await until(theirs, "refetch")
        (loose,) = hub.snapshot(scope_of(who))["loose"]
        assert (loose["id"], loose["patient"], loose["name"]) == ("main-alm-A", patient, "Patient A")
        assert hub.snapshot(confined)["loose"] == []
        other = await made.backend.create(Scope.system("main"), "patient", {"name": "Nora"})
        made.backend.put_alarm("main", alarm(other.id, "alm_new"))
        patch = await until(queue, "patch")
        assert [a["name"] for a in patch["loose"]] == ["Patient A", "Nora"]
        async with made.client(who) as client:
            assert (await client.post("/api/v1/alarms/main-alm-A/accept")).status_code == 200
        patch = await until(queue, "patch")
        assert [a["by"] for a in patch["loose"]] == [
            {Role.NURSE: "Nurse", Role.DOCTOR: "The doctor"}[role],
            None,
        ]
        hub.close()
        for reader in (queue, theirs):
            await reader.task  # type: ignore[attr-defined]
        sent = [theirs.get_nowait() for _ in range(theirs.qsize())]
        assert not any("loose" in data for _, data in sent)


async def test_a_change_of_the_directory_makes_walls_fetch_again():
    async with world() as made:
        hub = await seeded(made)
        queue = await follow(hub, Scope.system("main"))
        await made.backend.create(Scope.system("main"), "patient", {"name": "New"})
        assert (await until(queue, "refetch"))["why"] == "directory"
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def test_no_alarm_waits_for_the_directory(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        hub, scope = await seeded(made), Scope.system("main")
        queue = await follow(hub, scope)
        asked, gone_on, real = asyncio.Event(), asyncio.Event(), made.backend.roster
        looks: list[Scope] = []

        async def slow(scope: Scope) -> Any:
            looks.append(scope)
            asked.set()
            await gone_on.wait()
            return await real(scope)

        monkeypatch.setattr(made.backend, "roster", slow)
        await made.backend.create(scope, "patient", {"name": "New"})
        await asked.wait()
        for n in range(5):  # all of these are one more look
            await made.backend.create(scope, "patient", {"name": f"New {n}"})
        made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], "alm_new"))
        patch = await until(queue, "patch")
        assert "alm_new" in {a["id"] for t in patch["tiles"] for a in t["a"]}
        assert hub.snapshot(scope)["why"] == ""
        gone_on.set()
        assert (await until(queue, "refetch"))["why"] == "directory"
        assert (await until(queue, "refetch"))["why"] == "directory"
        assert len(looks) == 2
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def test_only_of_devices_that_are_new_the_values_are_asked(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        hub, scope = await seeded(made), Scope.system("main")
        queue = await follow(hub, scope)
        asked: list[Any] = []
        real = made.backend.latest

        async def latest(scope: Scope, devices: Any = None) -> Any:
            asked.append(devices)
            return await real(scope, devices)

        monkeypatch.setattr(made.backend, "latest", latest)
        await made.backend.change(scope, "patient", made.ids["main", "patientA"], {"name": "Anna"})
        await until(queue, "refetch")
        assert asked == []
        fields = {"id": "cuff", "gateway": "main-gw-A", "transport": "ble", "address": "C4:12:5D:00:AE:92"}
        await made.backend.create(scope, "device", fields)
        worn = {"device": "cuff", "patient": made.ids["main", "patientA"]}
        await made.backend.create(scope, "association", worn)
        await until(queue, "refetch")
        assert asked == [{"cuff"}]
        shown = next(t for t in hub.snapshot(scope)["tiles"] if t["name"] == "Anna")
        assert shown["v"]["spo2"][0] == "97", "the board had it"
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def test_who_looks_after_whom_is_loaded_alone(monkeypatch: pytest.MonkeyPatch):
    async with world() as made:
        hub, scope = await seeded(made), Scope.system("main")
        queue = await follow(hub, scope)

        async def never(*_: Any, **__: Any) -> Any:
            raise AssertionError

        for name in ("roster", "latest", "items"):
            monkeypatch.setattr(made.backend, name, never)
        who = made.principal(Role.ADMIN)
        await made.backend.assign(
            scope, made.ids["main", "patientA"], user=made.ids["main", "second"], team=None, who=who
        )
        assert (await until(queue, "refetch"))["why"] == "directory"
        tiles = {t["name"]: t["by"] for t in hub.snapshot(scope)["tiles"]}
        assert "Second" in tiles["Patient A"]
        assert "Second" not in tiles["Patient B"]
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def test_events_that_were_thrown_away_are_made_good(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hubs, "RETRY_S", 0.01)
    async with world() as made:
        hub, scope, patient = await seeded(made), Scope.system("main"), made.ids["main", "patientA"]
        queue = await follow(hub, scope)
        tell = made.backend._publish
        monkeypatch.setattr(made.backend, "_publish", lambda _: None)
        made.backend.put_alarm("main", alarm(patient, "alm_new"))
        old = await made.backend.alarm(scope, "main-alm-A")
        assert old is not None
        made.backend.put_alarm("main", old.model_copy(update={"condition": "inactive", "ended": T0}))
        tell(EventsMissed("main"))
        assert (await until(queue, "beat"))["why"] == "source", "said until it is made good"
        assert (await until(queue, "refetch"))["why"] == "start"
        tile = next(t for t in hub.snapshot(scope)["tiles"] if t["id"] == patient)
        assert [a["id"] for a in tile["a"]] == ["alm_new"]
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def test_losing_the_source_is_said_on_the_wall(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hubs, "RETRY_S", 0.01)
    async with world() as made:
        hub = await seeded(made)
        queue = await follow(hub, Scope.system("main"))
        made.backend.stop()
        async with asyncio.timeout(10):
            while (await until(queue, "beat"))["why"] != "source":
                pass
        assert (await until(queue, "refetch"))["why"] == "start"
        assert hub.snapshot(Scope.system("main"))["why"] == ""
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def test_a_snapshot_never_swallows_a_change_that_others_wait_for():
    async with world() as made:
        hub = await seeded(made)
        queue = await follow(hub, Scope.system("main"))
        made.clock.advance(600)
        seq = hub.snapshot(Scope.system("main"))["seq"]
        patch = await until(queue, "patch")
        assert patch["seq"] <= seq
        assert {t["v"]["spo2"][1] for t in patch["tiles"]} == {"stale"}
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def test_an_ended_session_ends_its_stream(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hubs, "CHECK_S", 0)
    async with world() as made:
        hub = await seeded(made)

        async def alive() -> bool:
            return False

        async with asyncio.timeout(10):
            got = [m async for m in hub.stream(Scope.system("main"), None, alive)]
        assert 1 <= len(got) <= 3


async def test_a_recording_whose_clock_stands_still_is_not_live():
    made = await World().fill()
    hub = LiveHub(made.backend, Telemetry(), boot="b")
    hub._trouble = ""
    queue = hub._channel(Scope.system("main"))
    client = Subscription()
    queue.clients.add(client)
    real = made.clock.monotonic_ns()
    hub._clock_at = made.clock.now_ns(), real - 11 * S
    hub._beat()
    assert parse(client.queue.get_nowait())[1]["why"] == "clock"
    made.clock.advance(1)
    hub._beat()
    assert parse(client.queue.get_nowait())[1]["why"] == ""


async def test_a_message_reaches_the_walls_and_leaves_them_when_it_was_seen():
    async with world() as made:
        hub = await seeded(made)
        scope, patient = Scope.system("main"), made.ids["main", "patientA"]
        before = hub.snapshot(scope)
        assert before["mail"] == 2, "each patient has written once"
        queue = await follow(hub, scope)
        nurse = made.principal(Role.NURSE)
        assert await made.backend.see_messages(nurse, patient) == 1
        while not (patch := await until(queue, "patch")).get("tiles"):
            pass
        assert ([t["m"] for t in patch["tiles"] if t["id"] == patient], patch["mail"]) == ([0], 1)
        hub.close()
        await queue.task  # type: ignore[attr-defined]


async def test_a_page_goes_on_from_its_own_snapshot_without_another():
    async with world() as made:
        hub = await seeded(made)
        scope = Scope.system("main")
        shown = hub.snapshot(scope)
        made.backend.put_alarm("main", alarm(made.ids["main", "patientA"], "alm_new"))
        async with asyncio.timeout(10):
            while hub.snapshot(scope)["seq"] == shown["seq"]:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)

        async def alive() -> bool:
            return True

        stream = hub.stream(scope, f"{shown['boot']}-{shown['seq']}", alive)
        pieces = (await anext(stream)).strip().split(b"\n\n")[1:]
        kinds = [parse(piece)[0] for piece in pieces]
        assert kinds[-1] == "beat"
        assert set(kinds[:-1]) == {"patch"}, "what it has missed, and no order to fetch all"
        await stream.aclose()


async def test_a_channel_that_was_dropped_does_not_pass_for_the_one_after_it():
    async with world() as made:
        hub = await seeded(made)
        scope = Scope.system("main")
        shown = hub.snapshot(scope)
        del hub._channels[scope]
        assert hub.snapshot(scope)["boot"] != shown["boot"]
        assert hub._channel(scope).since(f"{shown['boot']}-{shown['seq']}") is None
