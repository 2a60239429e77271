"""The sound check at the start of a shift: when it is due, who says so, and what a silent wall counts as."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx

from dashboards.people_port import ShiftDraft
from dashboards.sound_checks import CHECK_SOUND, KEPT
from hearthward.core.clock import iso
from hearthward.trust.access import Principal, Role, Scope
from tests.unit.dashboards.webworld import BADGE, T0, S, World, world

HOUR = 3600 * S


def wall(made: World, place: str = "A") -> Principal:
    return replace(made.principal(Role.DISPLAY, wards=place), user=f"usr_wall_{place}")


async def report(client: httpx.AsyncClient, *, audible: bool = True) -> dict[str, Any]:
    answer = await client.post("/api/v1/live/wall", json={"wall": "w1", "audible": audible})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def say(client: httpx.AsyncClient, **body: Any) -> int:
    return (await client.post("/api/v1/live/sound-check", json=body)).status_code


def later(made: World, ns: int) -> None:
    made.clock.advance(ns / S)
    made.app.state.sound_checks._kept.clear()  # what is kept is kept by a clock that runs by itself


async def test_it_is_due_from_the_start_of_a_shift_until_somebody_has_heard_the_wall():
    async with world() as made, made.client(wall(made)) as client:
        assert (await report(client))["check"] == {"since": iso(T0), "failed": False}
        assert await say(client, heard=True) == 422, "at a shared wall somebody says who they are"
        assert await say(client, heard=True, badge=BADGE) == 204
        assert (await report(client))["check"] is None
        line = (await made.backend.audit_entries(Scope.system("main")))[0]
        assert (line.action, line.target, line.outcome) == (CHECK_SOUND, "usr_wall_A", "done")
        assert line.detail == {"via": "usr_wall_A"}
        assert line.actor == made.ids["main", "second"]


async def test_a_wall_that_was_not_heard_counts_as_silent_until_it_is():
    async with world() as made, made.client(wall(made)) as client:
        (ward,) = (await report(client))["wards"]
        assert ward["audible"] == 1
        assert await say(client, heard=False, badge=BADGE) == 204
        told = await report(client)
        assert (told["check"]["failed"], told["wards"][0]["audible"]) == (True, 0)
        assert await say(client, heard=True, badge=BADGE) == 204
        told = await report(client)
        assert (told["check"], told["wards"][0]["audible"]) == (None, 1)


async def test_the_next_shift_asks_again_and_a_check_shortly_before_counts():
    async with world() as made, made.client(wall(made)) as client:
        assert await say(client, heard=True, badge=BADGE) == 204
        second, ward = made.ids["main", "second"], made.ids["main", "wardA"]
        draft = ShiftDraft(second, "nurse", ward, T0 + HOUR, T0 + 5 * HOUR, "UTC")
        admin = made.principal(Role.ADMIN)
        await made.backend.add_shift(Scope.system("main"), draft, who=admin)
        later(made, HOUR)
        assert (await report(client))["check"] is None, "an hour before"
        start = T0 + 6 * HOUR
        draft = replace(draft, start=start, end=T0 + 12 * HOUR)
        await made.backend.add_shift(Scope.system("main"), draft, who=admin)
        later(made, 5 * HOUR)
        assert (await report(client))["check"] == {"since": iso(start), "failed": False}


async def test_without_anybody_on_duty_nothing_is_due():
    async with world() as made, made.client(wall(made)) as client:
        later(made, 9 * HOUR)
        assert (await report(client))["check"] is None


async def test_a_wall_that_was_not_heard_stays_silent_over_the_next_shift_and_without_one():
    async with world() as made, made.client(wall(made)) as client:
        assert await say(client, heard=False, badge=BADGE) == 204
        failed_at = made.clock.now_ns()
        second, ward = made.ids["main", "second"], made.ids["main", "wardA"]
        draft = ShiftDraft(second, "nurse", ward, T0 + 8 * HOUR, T0 + 16 * HOUR, "UTC")
        await made.backend.add_shift(Scope.system("main"), draft, who=made.principal(Role.ADMIN))
        for at, since in ((8 * HOUR, T0 + 8 * HOUR), (9 * HOUR, failed_at)):  # the next shift, and nobody
            later(made, at)
            told = await report(client)
            assert told["check"] == {"since": iso(since), "failed": True}
            assert told["wards"][0]["audible"] == 0
        assert await say(client, heard=True, badge=BADGE) == 204
        told = await report(client)
        assert (told["check"], told["wards"][0]["audible"]) == (None, 1)


async def test_each_wall_is_checked_and_no_tab_of_somebody_of_all_wards():
    async with world() as made:
        async with made.client(wall(made)) as client:
            assert await say(client, heard=True, badge=BADGE) == 204
        async with made.client(wall(made, "B")) as client:
            assert (await report(client))["check"] is not None
        async with made.client(made.principal(Role.NURSE)) as client:
            assert (await report(client))["check"] is None
        async with made.client(made.principal(Role.NURSE, wards="B")) as client:
            assert (await report(client))["check"] is not None
            assert await say(client, heard=True) == 204, "a person's own page knows who they are"
            assert (await report(client))["check"] is None


async def test_the_rota_and_the_audit_are_not_read_at_every_report():
    async with world() as made, made.client(wall(made)) as client:
        checks = made.app.state.sound_checks
        first = await checks.due(wall(made))
        assert first is not None
        await made.backend.audit(wall(made), CHECK_SOUND, "wall", target="usr_wall_A")
        assert (await report(client))["check"] is not None, "as it was"
        later(made, KEPT)
        assert (await report(client))["check"] is None


async def test_who_may_not_watch_a_ward_says_nothing_of_its_sound():
    async with world() as made:
        for role in (Role.PATIENT, Role.ENGINEER):
            async with made.client(made.principal(role)) as client:
                assert await say(client, heard=True) == 403
