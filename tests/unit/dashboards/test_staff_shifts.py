"""The on-call schedule: times through API and pages, weeks, summer time, swapping."""

from __future__ import annotations

import re
from datetime import date, time

import pytest

from dashboards.duty_views import roles_watched
from dashboards.shift_times import at_local, day_of, gaps, hour_of, week_of
from dashboards.staff_models import Turn
from hearthward.trust.access import Role, Scope
from tests.unit.dashboards.webworld import T0, S, World, world

HOUR = 3600 * S
SCOPE = Scope.system("main")


def body(made: World, **more: object) -> dict[str, object]:
    return {
        "user": "usr_nurse",
        "role": "nurse",
        "ward": made.ids["main", "wardA"],
        "start": "2026-01-05T23:00:00Z",
        "end": "2026-01-06T07:00:00Z",
        "timezone": "Asia/Shanghai",
        **more,
    }


def test_hours_of_a_day_in_a_time_zone():
    assert at_local(date(2026, 1, 1), time(8), "Asia/Shanghai") == T0
    assert (day_of(T0 - 1, "UTC"), hour_of(T0, "Asia/Shanghai")) == (date(2025, 12, 31), "08:00")
    assert week_of(date(2026, 1, 1)) == date(2025, 12, 29)


def test_gaps_are_where_nobody_of_the_role_and_ward_is():
    def turn(start: int, end: int, role: str = "nurse", ward: str | None = "w") -> Turn:
        return Turn(
            id="s", user="u", role=role, ward=ward, start=start * HOUR, end=end * HOUR, timezone="UTC"
        )

    turns = [turn(0, 4), turn(3, 6), turn(8, 10, ward=None), turn(6, 8, ward="other"), turn(6, 8, "doctor")]
    holes = [(h.start // HOUR, h.end // HOUR) for h in gaps("w", "nurse", turns, 0, 12 * HOUR)]
    assert holes == [(6, 8), (10, 12)]
    assert roles_watched([turn(0, 1, "charge")]) == ("nurse", "charge", "doctor")


async def test_a_weekly_shift_comes_back_is_cancelled_once_and_ends():
    async with world() as made, made.client(made.principal(Role.ADMIN)) as client:
        weekly = body(made, weekly=True, until="2026-02-05T00:00:00Z")
        made_ = await client.post("/api/v1/shifts", json=weekly)
        assert made_.status_code == 201
        key = made_.json()["id"]

        async def starts() -> list[str]:
            found = await client.get("/api/v1/shifts?from=2026-01-02T00:00:00Z&to=2026-02-20T00:00:00Z")
            return [t["start"] for t in found.json()["items"] if t["id"] == key]

        assert await starts() == [f"2026-01-{d:02d}T23:00:00Z" for d in (5, 12, 19, 26)] + [
            "2026-02-02T23:00:00Z"
        ]
        once = await client.post(f"/api/v1/shifts/{key}/cancel", json={"at": "2026-01-12T23:00:00Z"})
        assert once.status_code == 200
        assert "2026-01-12T23:00:00Z" not in await starts()
        wrong = await client.post(f"/api/v1/shifts/{key}/cancel", json={"at": "2026-01-13T23:00:00Z"})
        assert (wrong.status_code, wrong.json()["errors"][0]["code"]) == (422, "unknown")
        assert (await client.post(f"/api/v1/shifts/{key}/cancel", json={})).status_code == 200
        assert await starts() == []
        gone = await client.post(f"/api/v1/shifts/{key}/cancel", json={})
        assert (gone.status_code, gone.json()["errors"][0]["code"]) == (409, "ended")


async def test_hours_stay_over_the_change_to_summer_time():
    async with world() as made, made.client(made.principal(Role.ADMIN)) as client:
        night = body(
            made,
            start="2026-03-23T20:00:00Z",
            end="2026-03-24T04:00:00Z",
            timezone="Europe/Berlin",
            weekly=True,
        )
        assert (await client.post("/api/v1/shifts", json=night)).status_code == 201
        found = await client.get("/api/v1/shifts?from=2026-03-20T00:00:00Z&to=2026-04-03T00:00:00Z")
        assert [t["start"][11:16] for t in found.json()["items"]] == ["20:00", "19:00"]


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"end": "2026-01-05T22:00:00Z"}, "end", "period"),
        ({"until": "2026-02-01T00:00:00Z"}, "until", "invalid"),
        ({"role": "doctor"}, "role", "lacks"),
        ({"user": "nobody"}, "user", "unknown"),
        ({"ward": "nowhere"}, "ward", "unknown"),
        ({"start": "2025-12-01T00:00:00Z", "end": "2025-12-01T08:00:00Z"}, "end", "past"),
        ({"start": "2026-01-01T04:00:00Z", "end": "2026-01-01T12:00:00Z"}, "user", "overlap"),
    ],
)
async def test_refused_shifts(change: dict[str, object], field: str, code: str):
    async with world() as made, made.client(made.principal(Role.ADMIN)) as client:
        refused = await client.post("/api/v1/shifts", json=body(made, **change))
        assert refused.status_code in {409, 422}
        assert [(e["field"], e["code"]) for e in refused.json()["errors"]] == [(field, code)]


async def test_a_week_is_shown_and_a_shift_added_by_the_form():
    async with world() as made, made.client(made.principal(Role.ADMIN), cookie=True) as client:
        page = (await client.get("/oncall?day=2026-01-01&zone=Asia/Shanghai")).text
        assert re.search("2025-12-29 . 2026-01-04", page)
        assert re.search("08:00.16:00", page)  # the world's shift of 00:00 to 08:00 UTC
        assert "⚠ nobody" in page
        form = {
            "user": "usr_nurse",
            "role": "nurse",
            "ward": made.ids["main", "wardA"],
            "day": "2026-01-02",
            "from": "19:00",
            "to": "07:00",
            "zone": "Asia/Shanghai",
        }
        added = await client.post("/oncall", data=form)
        assert added.headers["location"] == "/oncall?day=2026-01-02&zone=Asia%2FShanghai&done=add"
        page = (await client.get(added.headers["location"])).text
        assert 'title="the day after">+1</sup>' in page
        for change, words in (
            ({"zone": "Mars/Base"}, "is not valid: Mars/Base"),
            ({"from": "soon"}, "is not valid: soon"),
            ({"user": ""}, "is required"),
            ({"role": "doctor"}, "this person has not the role"),
        ):
            refused = await client.post("/oncall", data={**form, **change})
            assert (refused.status_code, words in refused.text) == (422, True), change


async def test_a_shift_is_changed_from_now_on():
    async with world() as made, made.client(made.principal(Role.ADMIN), cookie=True) as client:
        key, ward = made.ids["main", "shiftA"], made.ids["main", "wardA"]
        page = await client.get(f"/oncall/{key}?at=2026-01-01T00:00:00Z")
        assert (page.status_code, 'value="08:00"' in page.text) == (200, True)
        form = {
            "user": "usr_nurse",
            "role": "nurse",
            "ward": ward,
            "day": "2026-01-01",
            "from": "00:00",
            "to": "06:00",
            "zone": "UTC",
        }
        assert (await client.post(f"/oncall/{key}", data=form)).status_code == 303
        begun = await client.post(f"/oncall/{key}", data={**form, "user": made.ids["main", "second"]})
        assert (begun.status_code, "has begun" in begun.text) == (422, True)
        (turn,) = [t for t in await made.backend.shifts(SCOPE, T0, T0 + HOUR) if t.id == key]
        assert turn.end == T0 + 6 * HOUR
        assert (await client.get("/oncall/none")).status_code == 404


async def test_ones_own_shift_is_swapped_with_the_others_pin():
    async with world() as made:
        second, key = made.ids["main", "second"], made.ids["main", "shiftA"]
        admin = made.principal(Role.ADMIN)
        async with made.client(admin) as client:
            theirs = (await client.post("/api/v1/shifts", json=body(made, user=second))).json()
        async with made.client(made.principal(Role.NURSE), cookie=True) as client:
            page = (await client.get("/account")).text
            assert f"{second}|{theirs['id']}|{theirs['start']}" in page
            form = {"at": "2026-01-01T00:00:00Z", "with": f"{second}|{theirs['id']}|{theirs['start']}"}
            refused = await client.post(f"/account/shifts/{key}/swap", data={**form, "pin": "1111"})
            assert (refused.status_code, "is wrong" in refused.text) == (422, True)
            swapped = await client.post(f"/account/shifts/{key}/swap", data={**form, "pin": "2580"})
            assert swapped.status_code == 303
            not_mine = await client.post(f"/account/shifts/{theirs['id']}/swap", data={**form, "pin": "2580"})
            assert not_mine.status_code == 404
        turns = await made.backend.shifts(
            Scope("main", frozenset({made.ids["main", "wardA"]})), T0, T0 + 7 * 24 * HOUR
        )
        now = T0 + 60 * S
        assert [(t.user, t.start, t.end) for t in turns] == [
            ("usr_nurse", T0, now),
            (second, now, T0 + 8 * HOUR),
            ("usr_nurse", T0 + 4 * 24 * HOUR + 23 * HOUR, T0 + 5 * 24 * HOUR + 7 * HOUR),
        ]
