"""Staff, schedule, hand-over and escalation: one suite over the fake and the real records and service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from dashboards.backend import AlarmQuery, DirectoryError, DutyChanged
from dashboards.people_port import HandOverDraft, ShiftDraft, TeamDraft
from dashboards.response_models import Act
from hearthward.core.errors import AccessError
from hearthward.trust.access import Principal, Role, Scope
from rules.response.policies import load_policies
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    RealSide,
    S,
    Side,
    furnish,
    next_of,
)

ADMIN = Principal("usr_admin", "Max", "main", frozenset({Role.ADMIN}))
HOUR = 3600 * S
DAY = 24 * HOUR
QUERY = AlarmQuery(active_only=True)
POLICY = """
id: default
version: 1
title: {en: Ours, zh: 本院}
timetables:
  physiological.high:
    steps: [{after_s: 0, targets: [wall, assigned], channels: [in_app]}]
"""


async def staffed(side: Side) -> dict[str, str]:
    """The furnished wards with two nurses and a doctor, and who administers; by login their ids."""
    ids = await furnish(side)
    for login, role in (
        ("li", Role.NURSE),
        ("chen", Role.NURSE),
        ("weber", Role.DOCTOR),
        ("max", Role.ADMIN),
    ):
        await side.person(login, role)
    if isinstance(side, RealSide):
        side.service.reach = replace(side.service.reach, policies=load_policies())
        await side.service.duty_changed()
    return ids | {u.login: u.id for u in await side.backend.users(SCOPE)}


def shift(ids: Mapping[str, str], user: str = "li", **more: Any) -> ShiftDraft:
    fields: dict[str, Any] = {
        "role": "nurse",
        "ward": ids["ward"],
        "start": T0 + HOUR,
        "end": T0 + 9 * HOUR,
        "timezone": "Europe/Berlin",
        **more,
    }
    return ShiftDraft(user=ids[user], **fields)


async def times(side: Side, until: int = T0 + 40 * DAY) -> list[tuple[str, int, int]]:
    return [(t.user, t.start, t.end) for t in await side.backend.shifts(SCOPE, T0, until)]


async def refused(act: Any) -> tuple[str, str]:
    with pytest.raises(DirectoryError) as caught:
        await act
    return caught.value.field, caught.value.code


async def test_contacts_are_set_and_count_for_alarms(side: Side):
    ids, backend = await staffed(side), side.backend
    assert [s.login for s in await backend.staff(SCOPE)] == ["chen", "li", "max", "weber"]
    li = await backend.set_contacts(SCOPE, ids["li"], phone="+49 (151) 1234567", email="li@ward.example")
    assert li is not None
    assert (li.phone, li.email, li.pin, li.badge) == ("+491511234567", "li@ward.example", False, False)
    assert "in_app" in li.channels
    assert (await backend.staff_member(SCOPE, ids["li"])) == li
    assert await refused(backend.set_contacts(SCOPE, ids["li"], phone="1234", email=None)) == (
        "phone",
        "invalid",
    )
    assert await refused(backend.set_contacts(SCOPE, ids["li"], phone=None, email="li@")) == (
        "email",
        "invalid",
    )
    assert await backend.set_contacts(SCOPE, "nobody", phone=None, email=None) is None
    with pytest.raises(AccessError):
        await backend.set_contacts(Scope("main", frozenset({ids["ward"]})), ids["li"], phone=None, email=None)
    assert (await backend.duty(SCOPE)).people[ids["li"]].name == "Li"


async def test_who_watches_is_told_of_who_is_there_and_looks_after_whom(side: Side):
    ids, backend = await staffed(side), side.backend
    draft = TeamDraft("East", ids["ward"], (ids["li"],))

    async def given() -> Any:
        return await backend.assign(SCOPE, ids["patient"], user=ids["li"], team=None, who=ADMIN)

    async def handed() -> Any:
        over = HandOverDraft(ids["li"], ids["chen"], ids["ward"], "", (ids["patient"],), ())
        return await backend.hand_over(SCOPE, over, who=ADMIN)

    async def taken() -> Any:
        now = (await backend.assignments(SCOPE))[0]
        return await backend.unassign(SCOPE, now.id)

    async with backend.subscribe() as events:
        for change in (
            lambda: backend.set_contacts(SCOPE, ids["li"], phone="+8613800138000", email=None),
            lambda: backend.add_team(SCOPE, draft),
            given,
            handed,
            taken,
            lambda: backend.add_shift(SCOPE, shift(ids), who=ADMIN),
        ):
            assert await change() is not None
            assert (await next_of(events, DutyChanged)).tenant == "main"


async def test_pin_and_badge(side: Side):
    ids, backend = await staffed(side), side.backend
    assert await refused(backend.set_pin(SCOPE, ids["li"], "12ab")) == ("pin", "digits")
    assert await refused(backend.set_pin(SCOPE, ids["li"], "4321")) == ("pin", "simple")
    member = await backend.set_pin(SCOPE, ids["li"], "2580")
    assert member is not None
    assert member.pin
    known = await backend.person_by_pin("li", "2580")
    assert known is not None
    assert known.user == ids["li"]
    assert await backend.person_by_pin("li", "2581") is None
    member = await backend.set_pin(SCOPE, ids["li"], None)
    assert member is not None
    assert not member.pin
    assert await backend.person_by_pin("li", "2580") is None
    member = await backend.set_badge(SCOPE, ids["li"], "04:A2:24:9C")
    assert member is not None
    assert member.badge
    assert await refused(backend.set_badge(SCOPE, ids["chen"], "04a2249c")) == ("badge", "taken")
    assert await refused(backend.set_badge(SCOPE, ids["chen"], "x")) == ("badge", "invalid")
    assert await backend.set_pin(SCOPE, "nobody", "2580") is None


async def test_teams(side: Side):
    ids, backend = await staffed(side), side.backend
    team = await backend.add_team(SCOPE, TeamDraft("East", ids["ward"], (ids["li"], ids["chen"])))
    assert (team.name, team.ward, team.members) == ("East", ids["ward"], sorted([ids["li"], ids["chen"]]))
    assert await refused(backend.add_team(SCOPE, TeamDraft("East", None, ()))) == ("name", "taken")
    assert await refused(backend.add_team(SCOPE, TeamDraft("West", "no", ()))) == ("ward", "unknown")
    assert await refused(backend.add_team(SCOPE, TeamDraft("West", None, ("no",)))) == ("members", "unknown")
    changed = await backend.change_team(SCOPE, team.id, TeamDraft("East 2", ids["ward"], (ids["li"],)))
    assert changed is not None
    assert (changed.name, changed.members) == ("East 2", [ids["li"]])
    assert (await backend.duty(SCOPE)).teams[team.id].members == (ids["li"],)
    elsewhere = Scope("main", frozenset({ids["other"]}))
    assert await backend.teams(elsewhere) == []
    assert await backend.change_team(elsewhere, team.id, TeamDraft("x", None, ())) is None
    assert await backend.end_team(elsewhere, team.id) is None
    given = await backend.assign(SCOPE, ids["patient"], user=None, team=team.id, who=ADMIN)
    assert given is not None
    side.clock.advance(60)
    assert (await backend.end_team(SCOPE, team.id)) is not None
    assert await backend.teams(SCOPE) == []
    assert await backend.assignments(SCOPE) == []


async def test_assignments(side: Side):
    ids, backend = await staffed(side), side.backend
    patient = ids["patient"]
    first = await backend.assign(SCOPE, patient, user=ids["li"], team=None, who=ADMIN)
    side.clock.advance(60)
    second = await backend.assign(SCOPE, patient, user=ids["chen"], team=None, who=ADMIN)
    assert first is not None
    assert second is not None
    assert [(a.user, a.by) for a in await backend.assignments(SCOPE)] == [(ids["chen"], "usr_admin")]
    now = side.clock.now_ns() + S
    assert (await backend.duty(SCOPE)).assigned(patient, now) == [ids["chen"]]
    elsewhere = Scope("main", frozenset({ids["other"]}))
    assert await backend.assignments(elsewhere) == []
    assert await backend.assign(elsewhere, patient, user=ids["li"], team=None, who=ADMIN) is None
    assert await backend.unassign(elsewhere, second.id) is None
    assert await refused(backend.assign(SCOPE, patient, user="no", team=None, who=ADMIN)) == (
        "user",
        "unknown",
    )
    assert await refused(backend.assign(SCOPE, patient, user=None, team="no", who=ADMIN)) == (
        "team",
        "unknown",
    )
    away = {"login": "away", "name": "Away", "roles": ["nurse"], "wards": [ids["other"]]}
    stranger = await backend.add_user(SCOPE, away, "a short sentence")
    group = await backend.add_team(SCOPE, TeamDraft("Away", ids["other"], (stranger.id,)))
    assert await refused(backend.assign(SCOPE, patient, user=stranger.id, team=None, who=ADMIN)) == (
        "user",
        "elsewhere",
    )
    assert await refused(backend.assign(SCOPE, patient, user=None, team=group.id, who=ADMIN)) == (
        "team",
        "elsewhere",
    )
    side.clock.advance(60)
    assert await backend.unassign(SCOPE, second.id) is not None
    assert await backend.assignments(SCOPE) == []
    assert (await backend.duty(SCOPE)).assigned(patient, side.clock.now_ns() + S) == []


async def test_a_weekly_shift_over_the_change_of_clocks(side: Side):
    ids, backend = await staffed(side), side.backend
    start = T0 + 81 * DAY + 20 * HOUR  # 23 March 2026, 21:00 in Berlin; summer time begins on the 29th
    draft = shift(ids, start=start, end=start + 8 * HOUR, weekly=True, until=start + 20 * DAY)
    turn = await backend.add_shift(SCOPE, draft, who=ADMIN)
    assert (turn.start, turn.weekly, turn.timezone) == (start, True, "Europe/Berlin")
    found = await times(side, T0 + 120 * DAY)
    assert [(s - start) // HOUR for _, s, _ in found] == [0, 7 * 24 - 1, 14 * 24 - 1]
    once = await backend.cancel_shift(SCOPE, turn.id, start + 7 * DAY - HOUR, who=ADMIN)
    assert once is not None
    assert once.start == start + 7 * DAY - HOUR
    assert [(s - start) // HOUR for _, s, _ in await times(side, T0 + 120 * DAY)] == [0, 14 * 24 - 1]
    assert await refused(backend.cancel_shift(SCOPE, turn.id, start + HOUR, who=ADMIN)) == ("at", "unknown")
    assert await backend.cancel_shift(SCOPE, turn.id, who=ADMIN) is not None
    assert await times(side, T0 + 120 * DAY) == []
    assert (await refused(backend.cancel_shift(SCOPE, turn.id, who=ADMIN)))[1] == "ended"
    assert await backend.cancel_shift(SCOPE, "none", who=ADMIN) is None


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"user": "none"}, "user", "unknown"),
        ({"ward": "none"}, "ward", "unknown"),
        ({"role": "doctor"}, "role", "lacks"),
        ({"end": T0 + HOUR}, "end", "period"),
        ({"start": T0 - 9 * HOUR, "end": T0 - HOUR}, "end", "past"),
        ({"until": T0 + DAY}, "until", "invalid"),
        ({"start": T0 + 3 * HOUR}, "user", "overlap"),
    ],
)
async def test_refused_shifts(side: Side, change: dict[str, Any], field: str, code: str):
    ids = await staffed(side)
    await side.backend.add_shift(SCOPE, shift(ids), who=ADMIN)
    draft = replace(shift(ids, start=T0 + 10 * HOUR, end=T0 + 12 * HOUR), **change)
    assert await refused(side.backend.add_shift(SCOPE, draft, who=ADMIN)) == (field, code)
    assert await times(side) == [(ids["li"], T0 + HOUR, T0 + 9 * HOUR)]


async def test_a_shift_is_changed_and_what_is_past_stays(side: Side):
    ids, backend = await staffed(side), side.backend
    once = await backend.add_shift(SCOPE, shift(ids), who=ADMIN)
    later = shift(ids, "chen", start=T0 + 2 * HOUR, end=T0 + 10 * HOUR)
    assert (await backend.change_shift(SCOPE, once.id, later, who=ADMIN)) is not None
    assert await times(side) == [(ids["chen"], T0 + 2 * HOUR, T0 + 10 * HOUR)]
    side.clock.advance(3 * 3600)
    shorter = replace(later, end=T0 + 6 * HOUR)
    assert (await backend.change_shift(SCOPE, once.id, shorter, who=ADMIN)) is not None
    another = replace(shorter, user=ids["li"])
    assert await refused(backend.change_shift(SCOPE, once.id, another, who=ADMIN)) == ("shift", "begun")
    assert await times(side) == [(ids["chen"], T0 + 2 * HOUR, T0 + 6 * HOUR)]
    weekly = shift(ids, start=T0 + 4 * HOUR, end=T0 + 8 * HOUR, weekly=True, until=T0 + 15 * DAY)
    series = await backend.add_shift(SCOPE, weekly, who=ADMIN)
    side.clock.advance(2 * 3600)
    follows = await backend.change_shift(SCOPE, series.id, replace(weekly, user=ids["chen"]), who=ADMIN)
    assert follows is not None
    assert follows.id != series.id
    assert [(u, (s - T0) // DAY) for u, s, _ in await times(side) if s > T0 + 3 * HOUR] == [
        (ids["li"], 0),
        (ids["chen"], 7),
        (ids["chen"], 14),
    ]
    assert await backend.change_shift(SCOPE, "none", weekly, who=ADMIN) is None


async def test_swapping(side: Side):
    ids, backend = await staffed(side), side.backend
    mine = await backend.add_shift(SCOPE, shift(ids, weekly=True, until=T0 + 9 * DAY), who=ADMIN)
    at = T0 + 2 * DAY
    theirs = await backend.add_shift(SCOPE, shift(ids, "chen", start=at, end=at + 8 * HOUR), who=ADMIN)
    assert await refused(
        backend.swap_shift(SCOPE, mine.id, mine.start, to=ids["li"], back=None, who=ADMIN)
    ) == ("to", "invalid")
    wrong = backend.swap_shift(SCOPE, mine.id, mine.start, to=ids["weber"], back=(theirs.id, at), who=ADMIN)
    assert (await refused(wrong))[0] == "back"
    assert await refused(
        backend.swap_shift(SCOPE, mine.id, mine.start, to=ids["weber"], back=None, who=ADMIN)
    ) == ("role", "lacks")
    before = await times(side)
    assert [u for u, _, _ in before] == [ids["li"], ids["chen"], ids["li"]]
    side.clock.advance(2 * 3600)
    done = await backend.swap_shift(
        SCOPE, mine.id, mine.start, to=ids["chen"], back=(theirs.id, at), who=ADMIN
    )
    assert done is not None
    now = side.clock.now_ns()
    assert (done.user, done.start, done.end) == (ids["chen"], now, mine.end)
    assert await times(side) == [
        (ids["li"], mine.start, now),
        (ids["chen"], now, mine.end),
        (ids["li"], at, at + 8 * HOUR),
        (ids["li"], mine.start + 7 * DAY, mine.end + 7 * DAY),
    ]
    duty = await backend.duty(SCOPE)
    assert duty.on_duty(ids["ward"], "nurse", now + HOUR) == [ids["chen"]]
    assert await backend.swap_shift(SCOPE, "none", at, to=ids["li"], back=None, who=ADMIN) is None


async def test_a_ward_without_a_schedule_counts_everybody(side: Side):
    ids, backend = await staffed(side), side.backend
    assert set((await backend.duty(SCOPE)).on_duty(ids["ward"], "nurse", T0)) == {ids["li"], ids["chen"]}
    await backend.add_shift(SCOPE, shift(ids), who=ADMIN)
    duty = await backend.duty(SCOPE)
    assert (duty.scheduled, duty.on_duty(ids["ward"], "nurse", T0)) == (frozenset({ids["ward"]}), [])
    assert duty.on_duty(ids["ward"], "nurse", T0 + 2 * HOUR) == [ids["li"]]
    elsewhere = Scope("main", frozenset({ids["other"]}))
    assert await backend.shifts(elsewhere, T0, T0 + DAY) == []


async def test_a_hand_over_moves_alarms_and_patients_and_is_recorded(side: Side):
    ids, backend = await staffed(side), side.backend
    patient = ids["patient"]
    await backend.assign(SCOPE, patient, user=ids["li"], team=None, who=ADMIN)
    await side.measure("oxi", "spo2", 84, T0 + S)
    (open_,) = [a for a in await backend.alarms(SCOPE, QUERY) if a.condition == "active"]
    assert (await backend.answer(SCOPE, open_.id, Act("accept", actor=ids["li"]))) is not None
    taken = await backend.answer(SCOPE, open_.id, Act("take_over", actor=ids["chen"], note="drain"))
    assert taken is not None
    assert taken.accepted_by == ids["chen"]
    draft = HandOverDraft(ids["li"], ids["chen"], ids["ward"], "drain", (patient,), (open_.id,))
    made = await backend.hand_over(SCOPE, draft, who=ADMIN)
    assert (made.by_name, made.to_name, made.note, made.patients, made.alarms) == (
        "Li",
        "Chen",
        "drain",
        [patient],
        [open_.id],
    )
    assert [a.user for a in await backend.assignments(SCOPE)] == [ids["chen"]]
    assert await backend.hand_overs(SCOPE) == [made]
    assert await backend.hand_overs(Scope("main", frozenset({ids["other"]}))) == []
    here, there = (Scope("main", frozenset({ids[w]})) for w in ("ward", "other"))
    assert [h.id for h in await backend.hand_overs(here)] == [made.id]
    nothing = await backend.hand_over(
        SCOPE, HandOverDraft(ids["chen"], ids["li"], None, "of any ward", (), ()), who=ADMIN
    )
    assert nothing in await backend.hand_overs(SCOPE)
    assert [h.id for h in await backend.hand_overs(here)] == [made.id], "the note may speak of anybody"
    own = await backend.hand_overs(there, reader=ids["li"])
    assert {h.note for h in own} == {"of any ward"}, "no longer what was in a ward that is not theirs"


async def test_policies(side: Side):
    await staffed(side)
    backend = side.backend
    shipped = {p.id: p for p in await backend.policies(SCOPE)}
    assert {"default", "home", "system"} <= set(shipped)
    assert shipped["default"].shipped
    assert shipped["default"].text.startswith("#")
    with pytest.raises(DirectoryError, match=r"line 7: timetables\.physiological\.high\.steps\.0\.channels"):
        await backend.draft_policy(SCOPE, POLICY.replace("in_app]", "telex]"), who=ADMIN)
    own = await backend.draft_policy(SCOPE, POLICY, who=ADMIN)
    assert (own.version, own.active, own.text) == (2, False, POLICY)
    assert (await backend.duty(SCOPE)).policies["default"].title["en"] == "Ward"
    done = await backend.activate_policy(SCOPE, "default", 2, who=ADMIN)
    assert done is not None
    assert done.active
    assert (await backend.duty(SCOPE)).policies["default"].title["en"] == "Ours"
    versions = await backend.policy(SCOPE, "default") or ()
    assert [(v.version, v.active, v.shipped) for v in versions] == [(2, True, False), (1, False, True)]
    back = await backend.activate_policy(SCOPE, "default", 1, who=ADMIN)
    assert back is not None
    assert (back.active, back.shipped) == (True, True)
    assert (await backend.duty(SCOPE)).policies["default"].title["en"] == "Ward"
    assert await backend.activate_policy(SCOPE, "default", 9, who=ADMIN) is None
    assert await backend.policy(SCOPE, "none") is None
    with pytest.raises(AccessError):
        await backend.draft_policy(Scope("main", frozenset()), POLICY, who=ADMIN)
