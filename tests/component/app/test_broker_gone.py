"""No broker at the start: edge and cloud wait, say so once, and go on by themselves when there is one."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from hearthward.app.broker import BrokerChild
from hearthward.app.cloud import cloud_running, open_records
from hearthward.app.edge import edge_running
from hearthward.core.clock import SystemClock
from hearthward.core.settings import load_settings
from hearthward.core.telemetry import Telemetry
from tests.component.app.chain import eventually
from tests.component.edge_agent.brokers import free_port

SECRET = "hush"  # noqa: S105 - to see that nobody says it


async def readiness(url: str) -> tuple[int, dict[str, Any]]:
    def ask() -> tuple[int, dict[str, Any]]:
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=10) as answer:  # noqa: S310 - our own server
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    return await asyncio.to_thread(ask)


def told(caplog: pytest.LogCaptureFixture, logger: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == logger and r.levelno >= logging.WARNING]


async def test_an_edge_waits_for_its_broker_and_says_so_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    port, telemetry = free_port(), Telemetry()
    settings = load_settings(data=tmp_path, edge={"radio": "off"})
    url = f"mqtt://u:{SECRET}@127.0.0.1:{port}"
    async with edge_running(settings, broker_url=url, clock=SystemClock(), telemetry=telemetry):
        await eventually(lambda: telemetry.value("uplink_connect_failures_total") >= 4)
        (said,) = told(caplog, "edge_agent.uplink.uplink")
        assert f"broker at mqtt://127.0.0.1:{port} cannot be reached" in said
        async with BrokerChild(tmp_path / "broker", port):
            await eventually(lambda: telemetry.value("uplink_connected") == 1)
    assert SECRET not in caplog.text


async def test_a_cloud_waits_for_its_broker_says_so_once_and_is_not_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    port, telemetry = free_port(), Telemetry()
    settings = load_settings(data=tmp_path, web={"port": 0})
    url = f"mqtt://u:{SECRET}@127.0.0.1:{port}"
    async with (
        open_records(settings) as records,
        cloud_running(settings, records, broker_url=url, clock=SystemClock(), telemetry=telemetry) as cloud,
    ):
        status, body = await readiness(cloud.url)
        assert status == 503
        assert body["status"] == "not ready"
        assert "is not connected" in body["parts"]["broker"]
        await asyncio.sleep(1)  # several attempts, which nobody counts
        (said,) = told(caplog, "cloud_ingest.sources.mqtt")
        assert f"broker at mqtt://127.0.0.1:{port} cannot be reached" in said
        async with BrokerChild(tmp_path / "broker", port):
            await eventually(lambda: telemetry.value("source_connected") == 1)
            status, body = await readiness(cloud.url)
            assert (status, body) == (200, {"status": "ready", "parts": {}})
        await eventually(lambda: telemetry.value("source_connected") == 0)
        assert (await readiness(cloud.url))[0] == 503
    assert SECRET not in caplog.text
