"""The demo's people: made once, renewed at each start; the relative sees what the patient allows."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cloud_ingest.records import Records
from hearthward.app.seed import demo_logins, enter_plan
from hearthward.app.ward import PlannedPatient, WardPlan
from hearthward.core.clock import SystemClock
from hearthward.core.ids import RandomIds
from hearthward.trust.access import Scope


async def test_the_relative_sees_everything_until_the_patient_decides_otherwise(tmp_path: Path):
    scope, clock = Scope.system("main"), SystemClock()
    records = await asyncio.to_thread(Records.open, tmp_path / "records.db", clock=clock, ids=RandomIds())
    try:
        plan = WardPlan("Ward 1", "gw-1", (PlannedPatient("home-1", "Rosa", None, ()),))
        await enter_plan(records, plan, clock.now_ns())
        first = {login.login: login.password for login in await demo_logins(records, plan)}
        people = await records.read(lambda s: {u.login: u for u in records.users(s).list(scope)})
        relative, patient = people["family"], people["patient"]
        assert relative.patient == patient.patient
        given = await records.read(lambda s: records.consents(s).in_force(scope, relative.id))
        assert given is not None
        assert given.sees == ["values", "alarms", "plan"]
        await records.run(lambda s: records.consents(s).revoke(scope, given.id, by=patient.id))
        again = {login.login: login.password for login in await demo_logins(records, plan)}
        assert again.keys() == first.keys()
        assert again["family"] != first["family"]
        assert await records.read(lambda s: records.consents(s).in_force(scope, relative.id)) is None
    finally:
        await records.close()
