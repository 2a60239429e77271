"""Changed rules tried on history: one suite over the fake and the real records and store, and a process."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_ingest import trying
from cloud_ingest.records.limits import LimitDraft
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.engine import Server
from cloud_ingest.stores.influxdb import InfluxDB2
from cloud_ingest.stores.server import ServerStore
from cloud_ingest.stores.spool_file import SpoolFile
from cloud_ingest.trying import TryAsked
from hearthward.app.whatif import ChildTrier
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.settings import Settings, load_settings
from hearthward.trust.access import Principal, Role, Scope
from rules import Rule
from rules.amend import amended
from rules.loader import LIBRARY, load_rule
from tests.component.cloud_ingest.influx_standin import BUCKET, ORG, TOKEN, InfluxStandIn
from tests.component.dashboards.sides import (
    SCOPE,
    T0,
    FakeSide,
    S,
    Side,
    furnish,
    real,
)

DOCTOR = Principal("usr_1", "Li Na", "main", frozenset({Role.DOCTOR}))
TEXT = (LIBRARY / "spo2-low.yaml").read_text("utf-8")


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    async with real(tmp_path) as made:
        yield made


def rule(**moved: float) -> Rule:
    paths = {"limit": "parameters/limit/value", "delay_s": "delay_s"}
    return load_rule(amended(TEXT, {paths[k]: v for k, v in moved.items()}), "spo2-low").rule


def asked(*patients: str, **moved: float) -> TryAsked:
    return TryAsked(rule(), rule(**moved), patients, T0 - 3600 * S, T0 + 3600 * S)


async def measured(side: Side) -> dict[str, str]:
    """Two dips: 88 for half a minute, then 84."""
    ids = await furnish(side)
    await dip(side)
    return ids


async def dip(side: Side) -> None:
    values = (97, 88, 88, 88, 97, 97, 84, 84, 84, 97, 97)
    for n, value in enumerate(values):
        await side.measure("oxi", "spo2", value, T0 + (n + 1) * 10 * S)


async def test_what_would_be_lost_and_with_which_worst_value(side: Side):
    ids = await measured(side)
    seen: list[tuple[int, int]] = []
    wanted = asked(ids["patient"], ids["second"], limit=86)
    found = await side.backend.try_rule(SCOPE, wanted, lambda done, of: seen.append((done, of)))
    assert (found.before.alarms, found.after.alarms, found.lost_count, found.gained_count) == (2, 1, 1, 0)
    (lost,) = found.lost
    assert (lost.patient, lost.peak, lost.onset, lost.ended) == (
        ids["patient"],
        88,
        T0 + 20 * S,
        T0 + 50 * S,
    )
    assert [one.patient for one in found.patients] == [ids["patient"]], "of the other one nothing is known"
    assert found.readings == 11
    assert seen == [(0, 2), (1, 2), (2, 2)]


async def test_a_limit_that_held_then_counts_though_it_has_ended_since(side: Side):
    patient = (await furnish(side))["patient"]
    draft = LimitDraft("spo2-low", "limit", 86, "COPD")
    limit = await side.backend.set_limit(SCOPE, patient, draft, who=DOCTOR)
    assert limit is not None
    await dip(side)
    side.clock.follow(T0 + 300 * S)
    await side.backend.end_limit(SCOPE, patient, limit.id, reason="fine", who=DOCTOR)
    found = await side.backend.try_rule(SCOPE, asked(patient, limit=88), lambda *_: None)
    assert (found.before.alarms, found.after.alarms) == (1, 1), "88 was above the limit of then"
    assert found.patients[0].limits


async def test_a_rule_on_the_learned_risk_is_tried_on_what_that_is_computed_from(side: Side):
    patient = (await furnish(side))["patient"]
    ill = {"heart_rate": 128.0, "respiratory_rate": 34.0, "spo2": 88.0, "nibp_systolic": 82.0}
    for hour in range(9):
        for metric, value in ill.items():
            await side.measure("oxi", metric, value, T0 + hour * 3600 * S)
    text = (LIBRARY / "deterioration.yaml").read_text("utf-8")
    before, after = (
        load_rule(amended(text, {"parameters/trigger/value": limit}), "deterioration").rule
        for limit in (0.1, 0.8)
    )
    wanted = TryAsked(before, after, (patient,), T0 - 3600 * S, T0 + 10 * 3600 * S)
    found = await side.backend.try_rule(SCOPE, wanted, lambda *_: None)
    assert found.readings == 36
    assert (found.before.alarms, found.after.alarms, found.lost_count) == (1, 0, 1)
    assert found.lost[0].patient == patient


async def test_nobody_out_of_scope_is_looked_at(side: Side):
    ids = await measured(side)
    elsewhere = Scope("main", frozenset({ids["other"]}))
    found = await side.backend.try_rule(elsewhere, asked(ids["patient"], limit=86), lambda *_: None)
    assert (found.patients, found.lost_count) == ([], 0)


async def test_readings_follow_the_patient_and_the_period(side: Side):
    ids = await measured(side)
    side.clock.follow(T0 + 300 * S)
    await side.backend.end(SCOPE, "association", ids["worn"], T0 + 65 * S)
    found = await side.backend.try_rule(SCOPE, asked(ids["patient"], limit=86), lambda *_: None)
    assert (found.before.alarms, found.after.alarms, found.readings) == (1, 0, 6)


async def test_a_process_of_its_own_says_the_same(tmp_path: Path):
    folder = tmp_path / "cloud"
    folder.mkdir()
    async with real(folder) as side:
        ids = await measured(side)
        here = await side.backend.try_rule(SCOPE, asked(ids["patient"], limit=86), lambda *_: None)
    (folder / "readings.db").rename(folder / "series.db")
    trier = ChildTrier(load_settings(data=tmp_path, backup={"every_s": 7.0}))  # as the product reads them
    seen: list[tuple[int, int]] = []
    wanted = asked(ids["patient"], limit=86)
    assert await trier(wanted, lambda done, of: seen.append((done, of))) == here
    assert seen[-1] == (1, 1)
    given_up = asyncio.ensure_future(trier(wanted, lambda *_: None))
    await asyncio.sleep(0)
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_history_on_a_server_is_tried_as_well_and_its_absence_is_told(tmp_path: Path):
    """What is old has left the spool and is on the server only."""
    folder = tmp_path / "cloud"
    folder.mkdir()
    async with real(folder) as side:
        ids = await measured(side)
        here = await side.backend.try_rule(SCOPE, asked(ids["patient"], limit=86), lambda *_: None)
        kept = await side.store.read("main", ["oxi"], None, 0, T0 + 3600 * S)
    await SpoolFile(folder / "series.db").close()
    with closing(sqlite3.connect(folder / "series.db", isolation_level=None)) as db:
        db.execute("UPDATE spool SET moved_before = ?", (T0 + 3600 * S,))
    with InfluxStandIn() as influx:
        engine = InfluxDB2(Server(influx.url, token=TOKEN, org=ORG, bucket=BUCKET, timeout_s=2))
        server = ServerStore(engine, SystemClock())
        await server.append("main", kept, Origins("gw", "boot", range(1, len(kept) + 1)))
        await server.close()
        store = {"kind": "influxdb2", "url": influx.url, "token": TOKEN, "org": ORG, "bucket": BUCKET}
        trier = ChildTrier(load_settings(data=tmp_path, cloud={"store": store}))
        wanted = asked(ids["patient"], limit=86)
        assert (await trier(wanted, lambda *_: None)) == here
        assert here.readings == len(kept)
        influx.behaviour += [503] * 50
        with pytest.raises(StoreUnavailable, match="503"):
            await trier(wanted, lambda *_: None)


async def test_a_file_that_is_no_store_is_told_of(tmp_path: Path):
    folder = tmp_path / "cloud"
    folder.mkdir()
    async with real(folder) as side:
        ids = await measured(side)
    (folder / "series.db").write_bytes(b"no database" * 100)
    with pytest.raises((ConfigError, StoreUnavailable), match=r"series\.db"):
        await ChildTrier(load_settings(data=tmp_path))(asked(ids["patient"], limit=86), lambda *_: None)


async def test_a_process_that_finds_no_records_says_so(tmp_path: Path):
    with pytest.raises(ConfigError, match="no stored history"):
        await ChildTrier(Settings(data=tmp_path))(asked("pat", limit=86), lambda *_: None)


async def test_what_is_too_much_is_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with real(tmp_path) as side:
        ids = await measured(side)
        wanted = asked(ids["patient"], ids["second"], limit=86)
        monkeypatch.setattr(trying, "MOST_OF_ONE", 6)
        wanted = replace(wanted, start=T0, end=T0 + 120 * S)
        newest = await side.backend.try_rule(SCOPE, wanted, lambda *_: None)
        (one,) = newest.patients
        assert one.since == T0 + 120 * S - 120 * S * 6 // 11
        assert (newest.readings, newest.before.alarms) == (6, 1), "only the second dip is in the newest part"
        monkeypatch.setattr(trying, "MOST_READINGS", 0)
        nobody = await side.backend.try_rule(SCOPE, wanted, lambda *_: None)
        assert (nobody.patients, nobody.left) == ([], [ids["patient"], ids["second"]])


async def test_one_who_has_gone_is_judged_by_what_was_known_then(tmp_path: Path):
    """At home a rule of the ward does not apply, nor to who has left: while they were there, it did."""
    ward_only = TEXT.replace("kind: physiological", "kind: physiological\nsetting: ward")
    rules = (
        load_rule(ward_only, "spo2-low").rule,
        load_rule(amended(ward_only, {"parameters/limit/value": 86.0}), "spo2-low").rule,
    )
    async with real(tmp_path) as side:
        ids = await measured(side)
        side.clock.follow(T0 + 300 * S)
        await side.backend.end(SCOPE, "association", ids["worn"], T0 + 200 * S)
        await side.backend.end(SCOPE, "encounter", ids["stay"], T0 + 210 * S)
        wanted = TryAsked(*rules, (ids["patient"],), T0, T0 + 3600 * S)
        found = await side.backend.try_rule(SCOPE, wanted, lambda *_: None)
    assert (found.before.alarms, found.after.alarms) == (2, 1)
