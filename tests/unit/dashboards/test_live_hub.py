"""What happens reaches the walls within their scope, and what is missed is made good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dashboards.backend import EventsMissed
from dashboards.live import hub as hubs
from dashboards.live.channel import Subscription
from dashboards.live.hub import LiveHub
from dashboards.response_models import Act
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Role, Scope, scope_of
from tests.unit.dashboards.followed import follow, parse, until
from tests.unit.dashboards.webworld import T0, S, World, alarm, reading, seeded, world


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
