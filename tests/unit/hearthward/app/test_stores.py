"""The store that the settings ask for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.stores.spool import SpooledStore
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.app.stores import open_store
from hearthward.core.errors import ConfigError
from hearthward.core.model import ReadingBatch
from hearthward.core.settings import Settings, load_settings
from tests.unit.cloud_ingest.stores.suite import everything, origins, reading

NOBODY: dict[str, Any] = {"kind": "victoriametrics", "url": "http://127.0.0.1:9/", "timeout_s": 1}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


def settings(data: Path, **store: Any) -> Settings:
    return load_settings(data=data, cloud={"store": store})


async def test_a_file_unless_asked_otherwise(data: Path):
    store = await open_store(settings(data))
    assert isinstance(store, SqliteStore)
    await store.close()


async def test_a_server_that_is_away_stops_neither_start_nor_readings(data: Path):
    store = await open_store(settings(data, **NOBODY))
    assert isinstance(store, SpooledStore)
    assert store.durable_ack
    await store.append("main", ReadingBatch.of([reading(0)]), origins(1))
    beside = await open_store(settings(data, **NOBODY), read_only=True)
    assert await everything(beside, "main") == [reading(0)]
    await beside.close()
    await store.close()
    store = await open_store(settings(data))  # back without a server
    assert await everything(store, "main") == [reading(0)]
    await store.close()


async def test_an_influxdb_is_spooled_too(data: Path):
    chosen = {"kind": "influxdb2", "url": "https://127.0.0.1:9", "token": "t", "org": "o"}
    store = await open_store(settings(data, **chosen))
    assert isinstance(store, SpooledStore)
    assert store.inner.durable_ack
    await store.close()


async def test_certificates_that_are_not_there_are_told_at_start(data: Path):
    with pytest.raises(ConfigError, match=r"cloud\.store\.ca: no such file"):
        await open_store(settings(data, **NOBODY, ca=data / "ca.pem"))


def test_the_servers_client_is_not_loaded_before_it_is_needed():
    """It weighs 25 MB, and most have no server."""
    code = "import sys, hearthward.app.cloud; sys.exit('influxdb_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
