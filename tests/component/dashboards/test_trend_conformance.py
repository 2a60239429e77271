"""Trends and export over the port's fake and over the real store and records."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_ingest.entry import Draft
from cloud_ingest.records.limits import LimitDraft
from cloud_ingest.stores import Origins
from dashboards.models import Value
from dashboards.trend_port import EXPORTED_AT_ONCE
from hearthward.core.model import ReadingBatch
from hearthward.trust.access import Principal, Role, Scope
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    FakeSide,
    RealSide,
    S,
    Side,
    furnish,
    made_reading,
    real,
)

HOUR = 3600 * S
DOCTOR = Principal("usr_doc", "Doctor", "main", frozenset({Role.DOCTOR}))


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    async with real(tmp_path) as made:
        yield made


async def exported(side: Side, patient: str, scope: Scope = SCOPE, *metrics: str) -> list[Value]:
    batches = side.backend.export(scope, patient, metrics, T0 - HOUR, T0 + 24 * HOUR)
    return [value async for batch in batches for value in batch]


async def test_a_trend_follows_the_patient_from_device_to_device(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    other = await backend.create(SCOPE, "patient", {"name": "Next"})
    for n, value in enumerate((97, 95, 85, 96)):
        await side.measure("oxi", "spo2", value, T0 + (60 + n * 60) * S)
    moved = T0 + 300 * S
    side.clock.follow(moved)
    await backend.end(SCOPE, "association", ids["worn"], moved)
    await backend.create(SCOPE, "association", {"device": "oxi", "patient": other.id, "start": moved})
    await side.measure("oxi", "spo2", 70, T0 + 330 * S)
    limit = await backend.set_limit(SCOPE, patient, LimitDraft("spo2-low", "limit", 88, "COPD"), who=DOCTOR)
    assert limit is not None
    found = await backend.trend(SCOPE, patient, "spo2", T0, T0 + HOUR, 6)
    assert [(p.time, p.low, p.high, p.last, p.count) for p in found.points] == [(T0, 85, 97, 96, 4)]
    assert (found.step, found.unit) == (600 * S, "%")
    assert [(x.value, x.own, x.start, x.end) for x in found.limits] == [
        (90, False, T0, limit.set_at),
        (88, True, limit.set_at, T0 + HOUR),
    ]
    assert [(a.rule, a.end is None) for a in found.alarms] == [("spo2-low", False)]
    assert await backend.measured(SCOPE, patient) == ["spo2"]
    assert [v.value for v in await exported(side, patient)] == [97, 95, 85, 96]
    assert [v.value for v in await exported(side, other.id)] == [70]
    assert await exported(side, patient, SCOPE, "etco2") == []
    own = await backend.trend(Scope("main", None, patient), patient, "spo2", T0, T0 + HOUR, 6)
    assert (len(own.points), own.limits) == (1, [])
    for scope in (Scope("other"), Scope("main", frozenset({ids["other"]})), Scope("main", None, other.id)):
        nothing = await backend.trend(scope, patient, "spo2", T0, T0 + HOUR, 6)
        assert (nothing.points, nothing.limits, nothing.alarms) == ([], [], [])
        assert await backend.measured(scope, patient) == []
        assert await exported(side, patient, scope) == []


async def test_a_long_export_is_whole_in_order_and_small_in_memory(tmp_path: Path):
    async with real(tmp_path) as side:
        ids = await furnish(side)
        assert isinstance(side, RealSide)
        total = 0
        for block in range(12):  # 24,000 readings, a burst of one moment among them
            rows = [
                made_reading("oxi", "spo2", 90 + n % 9, T0 + (60 + block * 2000 + n) * S) for n in range(2000)
            ]
            if block == 5:
                rows = [made_reading("oxi", "spo2", 90 + n / 1000, T0 + 12_000 * S) for n in range(2000)]
            seqs = range(total, total + len(rows))
            await side.store.append("main", ReadingBatch.of(rows), Origins("gw-1", "b", list(seqs)))
            total += len(rows)
        largest, times, values = 0, 0, 0
        tracemalloc.start()
        before = 0
        async for batch in side.backend.export(SCOPE, ids["patient"], (), T0, T0 + 24 * HOUR):
            largest = max(largest, len(batch))
            assert batch[0].time >= before
            before, values, times = batch[-1].time, values + len(batch), times + 1
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert values == total
        assert times > 10
        assert largest <= 2 * EXPORTED_AT_ONCE
        assert peak < 16 * 2**20, "of 24,000 readings only a part is in memory at once"


async def test_the_newest_of_several_sources_is_the_newest_also_in_a_wide_bucket(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    await side.measure("oxi", "pulse_rate", 80, T0 + 10 * S)
    end = T0 + 1801 * S
    side.clock.follow(end - S)
    entered = await backend.enter(SCOPE, patient, Draft("e1", {"pulse_rate": "38"}), author="usr_1")
    assert entered
    for hours in (1, 30 * 24):
        trend = await backend.trend(SCOPE, patient, "pulse_rate", end - hours * HOUR, end)
        assert (trend.points[-1].last, trend.newest) == (38, entered[0].time)
    early = await backend.trend(SCOPE, patient, "pulse_rate", end - HOUR, T0 + 20 * S)
    assert (early.points[-1].last, early.newest) == (80, T0 + 10 * S)
    nothing = await backend.trend(SCOPE, patient, "spo2", end - HOUR, end)
    assert (nothing.points, nothing.newest) == ([], None)
