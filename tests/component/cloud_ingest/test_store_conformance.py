"""Stores over servers, under the suite of all stores.

VictoriaMetrics is real. InfluxDB 2 is a stand-in for its two paths (``influx_standin``): no server could be
had, so what is shown of it is that our adapter speaks the published contract.
"""

from __future__ import annotations

import pytest

from cloud_ingest.stores.engine import Engine, Server
from cloud_ingest.stores.influxdb import InfluxDB2
from cloud_ingest.stores.server import REMEMBERED_NS, ServerStore
from cloud_ingest.stores.victoriametrics import VictoriaMetrics
from hearthward.core.clock import SystemClock
from tests.component.cloud_ingest.influx_standin import BUCKET, ORG, TOKEN, InfluxStandIn
from tests.component.cloud_ingest.victoria import Victoria
from tests.unit.cloud_ingest.stores.suite import StoreSuite


@pytest.fixture(scope="module")
def victoria(tmp_path_factory: pytest.TempPathFactory):
    server = Victoria(tmp_path_factory.mktemp("victoria") / "data")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module")
def influx():
    with InfluxStandIn() as server:
        yield server


@pytest.fixture(params=["victoriametrics", "influxdb2"])
def engine(request: pytest.FixtureRequest):
    made: Engine
    if request.param == "victoriametrics":
        made = VictoriaMetrics(request.getfixturevalue("victoria").server)
    else:
        url = request.getfixturevalue("influx").url
        made = InfluxDB2(Server(url, token=TOKEN, org=ORG, bucket=BUCKET))
    yield made
    made.close()


class TestServers(StoreSuite):
    @pytest.fixture
    async def store(self, engine: Engine):
        # a server that shows at once what it has is always looked at, nothing is remembered
        remembered = 0 if engine.durable_ack else REMEMBERED_NS
        made = ServerStore(engine, SystemClock(), remembered_ns=remembered)
        yield made
        await made.close()
