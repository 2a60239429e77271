"""The learned risk through the web's port: one suite over the fake and the real service with its rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from math import nan
from pathlib import Path

import pytest

from dashboards.risk_models import Risk, RiskReason, ScoreTrend, risk_view
from hearthward.trust.access import Scope
from rules import RuleSet, load_rules
from rules.conditions import RISK
from rules.models.deterioration import Reason
from rules.models.watch import Watch
from rules.news2 import PARAMETERS
from rules.risk import DEVICE
from rules.risk_now import RiskNow
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    FakeSide,
    RealSide,
    S,
    furnish,
    lived,
)

RULES = RuleSet(tuple(r for r in load_rules() if r.id == "deterioration"))
HOUR = 3600 * S
OTHERS = ["supplemental_oxygen", "systolic", "consciousness", "temperature"]
SIGNS = {"heart_rate": 112.0, "respiratory_rate": 27.0, "spo2": 91.0}


class FakeRisks(FakeSide):
    async def hours(self, patient: str, last: int) -> None:
        self.clock.follow(T0 + last * HOUR)
        told = Risk(state="unknown")
        if last >= 6:
            reason = RiskReason(name="respiratory_rate", odds=2.0, value=27)
            went = ScoreTrend(since=T0 + (last - 6) * HOUR, change=0, left_out=OTHERS)
            told = Risk(state="known", value=0.3, at=T0 + last * HOUR, reasons=[reason], news2=went)
        if last >= 10:
            told = told.model_copy(update={"trend": "up", "before": 0.2, "before_at": T0 + 6 * HOUR})
        self.backend.put_risk("main", patient, told)

    async def later(self, patient: str, at: int) -> None:
        self.clock.follow(at)
        went = ScoreTrend(since=T0 + 10 * HOUR, change=None, left_out=list(PARAMETERS))
        update = {"state": "stale", "news2": went}
        stale = (await self.backend.risks(SCOPE))[patient].model_copy(update=update)
        self.backend.put_risk("main", patient, stale)

    async def at_home(self, patient: str) -> None:
        self.backend.put_risk("main", patient, None)


class RealRisks(RealSide):
    hour = 0

    async def hours(self, patient: str, last: int) -> None:
        del patient  # who wears the device
        while self.hour <= last:
            for metric, value in SIGNS.items():
                await self.measure("oxi", metric, value, T0 + self.hour * HOUR)
            self.hour += 1

    async def later(self, patient: str, at: int) -> None:
        del patient
        self.clock.follow(at)

    async def at_home(self, patient: str) -> None:
        (stay,) = await self.backend.items(SCOPE, "encounter")
        await self.backend.end(SCOPE, "encounter", stay.id)
        wards = await self.backend.items(SCOPE, "ward")
        start = self.clock.now_ns()
        fields = {"patient": patient, "kind": "home", "ward": wards[0].id, "start": start}
        await self.backend.create(SCOPE, "encounter", fields)


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FakeRisks | RealRisks]:
    if request.param == "fake":
        yield FakeRisks()
        return
    async with lived(RealRisks(tmp_path, RULES)) as made:
        yield made


async def test_a_risk_is_unknown_then_known_with_its_reasons_then_stale(side: FakeRisks | RealRisks):
    patient = (await furnish(side))["patient"]
    await side.hours(patient, 2)
    assert await side.backend.risk(SCOPE, patient) == Risk(state="unknown")
    await side.hours(patient, 6)
    known = await side.backend.risk(SCOPE, patient)
    assert known is not None
    assert (known.state, known.at, known.trend) == ("known", T0 + 6 * HOUR, None)
    assert known.value is not None
    assert 0 < known.value < 1
    assert not known.conscious
    assert {r.name for r in known.reasons} & {"respiratory_rate", "pulse", "spo2", "news2"}
    assert all(r.odds > 0 for r in known.reasons)
    assert known.news2 == ScoreTrend(since=T0, change=0, left_out=OTHERS)
    await side.hours(patient, 12)
    later = await side.backend.risk(SCOPE, patient)
    assert later is not None
    assert later.trend in {"up", "down", "steady"}
    assert later.before_at == T0 + 6 * HOUR
    assert (await side.backend.risks(SCOPE))[patient] == later
    await side.later(patient, T0 + 16 * HOUR + S)
    stale = await side.backend.risk(SCOPE, patient)
    assert stale is not None
    assert stale.news2 == ScoreTrend(since=T0 + 10 * HOUR, change=None, left_out=list(PARAMETERS))
    assert stale == later.model_copy(update={"state": "stale", "news2": stale.news2})


async def test_who_is_out_of_scope_has_none(side: FakeRisks | RealRisks):
    ids = await furnish(side)
    await side.hours(ids["patient"], 6)
    for scope in (Scope("main", frozenset({ids["other"]})), Scope.system("other")):
        assert await side.backend.risk(scope, ids["patient"]) is None
        assert ids["patient"] not in await side.backend.risks(scope)
    mine = Scope("main", frozenset({ids["ward"]}))
    assert list(await side.backend.risks(mine)) == [ids["patient"]]
    assert await side.backend.risk(SCOPE, "nobody") is None


async def test_who_is_at_home_has_none(side: FakeRisks | RealRisks):
    patient = (await furnish(side))["patient"]
    await side.hours(patient, 6)
    await side.at_home(patient)
    assert await side.backend.risk(SCOPE, patient) is None
    assert patient not in await side.backend.risks(SCOPE)


async def test_it_is_what_the_rules_were_told(tmp_path: Path):
    async with lived(RealRisks(tmp_path, RULES)) as made:
        patient = (await furnish(made))["patient"]
        await made.hours(patient, 7)
        subject = made.service.pipeline.state.subjects[patient]
        told = await made.backend.risk(SCOPE, patient)
        assert told is not None
        assert told.value == subject.series[RISK][DEVICE].value
        assert isinstance(subject.watch, Watch)
        assert [r.name for r in told.reasons] == [
            r.name for r in subject.watch.reasons if abs(r.term) >= 0.05
        ]


async def test_without_a_rule_on_it_nobody_has_one(tmp_path: Path):
    async with lived(RealRisks(tmp_path)) as made:
        patient = (await furnish(made))["patient"]
        await made.hours(patient, 6)
        assert await made.backend.risks(SCOPE) == {}
        assert await made.backend.risk(SCOPE, patient) is None


def test_a_vital_sign_that_is_missing_has_no_value():
    reasons = (Reason("spo2", 0.7, nan), Reason("pulse", 0.01, 80.0))
    shown = risk_view(RiskNow("known", 0.2, T0, reasons=reasons))
    assert shown.reasons == [RiskReason(name="spo2", odds=2.01, value=None)]
