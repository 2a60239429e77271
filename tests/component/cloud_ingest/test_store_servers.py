"""What servers answer besides data: refusals, absences, settings that lose readings."""

from __future__ import annotations

from pathlib import Path

import pytest

from cloud_ingest.stores import Outcome
from cloud_ingest.stores.engine import Engine, Server
from cloud_ingest.stores.influxdb import InfluxDB2
from cloud_ingest.stores.server import ServerStore
from cloud_ingest.stores.spool import SpooledStore
from cloud_ingest.stores.spool_file import SpoolFile
from cloud_ingest.stores.victoriametrics import VictoriaMetrics
from hearthward.core.clock import SystemClock
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.component.cloud_ingest.influx_standin import BUCKET, ORG, TOKEN, InfluxStandIn
from tests.component.cloud_ingest.victoria import Victoria
from tests.unit.cloud_ingest.stores.suite import everything, origins, reading


@pytest.fixture
def influx():
    with InfluxStandIn() as server:
        yield server


def engine_of(server: InfluxStandIn, **other: str) -> InfluxDB2:
    settings = {"token": TOKEN, "org": ORG, "bucket": BUCKET} | other
    return InfluxDB2(Server(server.url, timeout_s=2, **settings))


@pytest.mark.parametrize("status", [401, 404, 429, 500, 503, 0])
async def test_a_server_that_does_not_take_it_now_is_asked_again(influx: InfluxStandIn, status: int):
    store = ServerStore(engine_of(influx), SystemClock())
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    influx.behaviour.append(status)
    with pytest.raises(StoreUnavailable):
        await store.append("main", ReadingBatch.of([reading(10**9)]), origins(2))
    assert not influx.behaviour  # asked once: trying again is the spool's business
    assert await store.append("main", ReadingBatch.of([reading(10**9)]), origins(2)) == [Outcome.NEW]
    await store.close()


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_data_that_is_refused_is_not_sent_for_ever(influx: InfluxStandIn, status: int):
    store = ServerStore(engine_of(influx), SystemClock())
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    influx.behaviour.append(status)
    with pytest.raises(StoreRejected):
        await store.append("main", ReadingBatch.of([reading(10**9)]), origins(2))
    influx.behaviour.append(status)
    with pytest.raises(StoreUnavailable):  # a refused question is not refused data
        await everything(store, "main")
    await store.close()


async def test_nobody_there_is_told_with_the_address():
    for engine in (VictoriaMetrics(Server("http://127.0.0.1:9")), InfluxDB2(Server("http://127.0.0.1:9"))):
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1:9 does not answer"):
            engine.examine()
        engine.close()


def test_the_wrong_token_bucket_or_kind_of_server_is_found_out(influx: InfluxStandIn):
    wrong: list[tuple[Engine, str]] = [
        (engine_of(influx, token="other"), "401"),  # noqa: S106
        (engine_of(influx, bucket="none"), "404"),
        (VictoriaMetrics(Server(influx.url)), "answer"),
    ]
    for engine, said in wrong:
        with pytest.raises(StoreUnavailable, match=said):
            engine.examine()
        engine.close()
    good = engine_of(influx)
    assert BUCKET in good.examine().text
    good.close()


def test_settings_of_victoriametrics_that_lose_readings_are_found_out(tmp_path: Path):
    server = Victoria(tmp_path / "data", "-retentionPeriod=1")
    try:
        server.start()
        engine = VictoriaMetrics(server.server)
        found = engine.examine()
        engine.close()
    finally:
        server.kill()
    assert "keeps 1" in found.text
    assert [("dedup" in text, "retentionPeriod" in text) for text in found.advice] == [
        (True, False),
        (False, True),
    ]


async def test_behind_a_spool_influxdb_s_word_is_enough(influx: InfluxStandIn, tmp_path: Path):
    file = SpoolFile(tmp_path / "series.db")
    inner = ServerStore(engine_of(influx), SystemClock())
    store = SpooledStore(file, inner, clock=SystemClock(), telemetry=Telemetry())
    rows = [reading(i, digest=2**62 + i, value=1 / (i + 1)) for i in range(100)]
    await store.append("main", ReadingBatch.of(rows), origins(*range(100)))
    influx.behaviour.extend([503, 0])
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await store.shipper.step()
    while await store.shipper.step():
        pass
    assert (await file.fill()).waiting == 0
    assert len(influx.written) == 100
    assert await everything(inner, "main") == rows
    await store.close()
