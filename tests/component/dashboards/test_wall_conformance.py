"""What a tile needs besides values: one suite over the port's fake and the real records and service."""

from __future__ import annotations

from pathlib import Path

from dashboards.backend import DirectoryChanged, RosterEntry
from dashboards.people_port import TeamDraft
from hearthward.trust.access import Principal, Role, Scope
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    S,
    Side,
    furnish,
    next_of,
    real,
)
from tests.component.dashboards.test_staff_conformance import ADMIN, staffed

DOCTOR = Principal("usr_1", "Li Na", "main", frozenset({Role.DOCTOR}))


async def entry(side: Side, patient: str, scope: Scope = SCOPE) -> RosterEntry:
    return next(e for e in await side.backend.roster(scope) if e.patient == patient)


async def test_the_roster_knows_how_the_rules_score_a_patient(side: Side):
    ids, backend = await staffed(side), side.backend
    patient = ids["patient"]
    assert ((await entry(side, patient)).scored, (await entry(side, patient)).scale) == (True, 1)
    order = await backend.give_order(SCOPE, patient, "spo2_scale_2", reason="gas", expires=None, who=DOCTOR)
    assert order is not None
    assert (await entry(side, patient)).scale == 2
    await backend.end_order(SCOPE, patient, order.id, reason="fine", who=DOCTOR)
    assert (await entry(side, patient)).scale == 1
    await backend.change(SCOPE, "patient", patient, {"pregnant": True})
    assert not (await entry(side, patient)).scored
    await backend.change(SCOPE, "patient", patient, {"pregnant": False, "birth_date": "2020-01-01"})
    assert not (await entry(side, patient)).scored, "a child"
    await backend.change(SCOPE, "patient", patient, {"birth_date": "1950-01-01"})
    assert (await entry(side, patient)).scored


async def test_the_roster_names_who_looks_after_a_patient(side: Side):
    ids, backend = await staffed(side), side.backend
    patient = ids["patient"]
    assert (await entry(side, patient)).owners == ()
    team = await backend.add_team(SCOPE, TeamDraft("East", ids["ward"], (ids["li"],)))
    await backend.assign(SCOPE, patient, user=None, team=team.id, who=ADMIN)
    assert (await entry(side, patient)).owners == ("East",)
    given = await backend.assign(SCOPE, patient, user=ids["li"], team=None, who=ADMIN)
    assert given is not None
    first = (await entry(side, patient)).owners[0]
    assert first == next(s.name for s in await backend.staff(SCOPE) if s.id == ids["li"])
    side.clock.advance(60)
    await backend.unassign(SCOPE, given.id)
    assert (await entry(side, patient)).owners == ("East",)


async def test_walls_hear_of_an_order_that_ends_by_itself(tmp_path: Path):
    async with real(tmp_path) as made:
        patient, backend = (await furnish(made))["patient"], made.backend
        until = T0 + 300 * S
        await backend.give_order(SCOPE, patient, "spo2_scale_2", reason="gas", expires=until, who=DOCTOR)
        assert (await entry(made, patient)).scale == 2
        async with backend.subscribe() as events:
            made.clock.follow(until + S)
            await made.service._know()  # what maintenance does all the time
            assert (await next_of(events, DirectoryChanged)).tenant == "main"
            assert (await entry(made, patient)).scale == 1
