"""A pleth from an oximeter's bytes to the API, through a real broker and the real cloud."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.stores.base import FOREVER
from cloud_ingest.waves import WaveParcel
from devices import DeviceConfig
from hearthward.app.stores import open_waves
from hearthward.core.errors import ConfigError
from hearthward.core.settings import Settings
from tests.component.app.chain import chain, eventually
from tests.component.edge_agent.oximeter import PACKET, Oximeter, packets
from tests.unit.cloud_ingest.waves.made import chunk


async def test_a_pleth_reaches_the_patient_and_every_number_is_accounted_for(tmp_path: Path):
    oximeter = Oximeter("oxi")
    await oximeter.start()
    async with chain(tmp_path, oxi="masimo") as whole:
        agent, service = whole.agent, whole.cloud.service
        config = DeviceConfig("oxi", "serial", oximeter.address, "nonin-df2")
        await agent.fleet.apply([config])  # the patient gets another device under the same name
        await oximeter.wait_ready()
        await eventually(lambda: agent.fleet.words()["oxi"].state == "streaming")
        for samples in packets(0, 6):
            await oximeter.send(samples)
        assert len(await whole.stored("spo2", 6)) == 6
        held: list[Any] = []
        async with asyncio.timeout(30):
            while not held or len(await service.waves.read("main", "oxi", "pleth", 0, FOREVER)) < 2:
                held = await whole.api.get("patients/p1/waves")
                await asyncio.sleep(0.02)
        chunks = await service.waves.read("main", "oxi", "pleth", 0, FOREVER)
        assert [(h["metric"], h["device"]) for h in held] == [("pleth", "oxi")]
        assert [c.first for c in chunks] == [0, 75]
        assert [s for c in chunks for s in c.samples] == [s % 256 for s in range(6 * PACKET)]
        await agent.outbox.drained()
        committed = service.pipeline.ledger.of(agent.gateway, agent.outbox.boot).blocks
        assert committed.missing(1, agent.outbox.accepted) == []
        assert whole.rejected() == {}
        assert whole.telemetry.value("outbox_dropped_total", reason="full") == 0
    await oximeter.close()


@pytest.mark.parametrize("damage", [b"SQLite format 3\0" + b"\xff" * 5000, bytes(5000)])
async def test_a_garbled_file_of_waveforms_keeps_no_cloud_from_its_alarms(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes
):
    settings = Settings(data=tmp_path)
    file = tmp_path / "cloud" / "waves.db"
    file.parent.mkdir()
    file.write_bytes(damage)
    with caplog.at_level(logging.ERROR):
        waves = await open_waves(settings)
    assert await waves.append("main", [WaveParcel("gw", [chunk()])]) == 1
    await waves.close()
    assert file.with_name("waves.db.garbled").read_bytes() == damage
    assert "waves.db.garbled" in caplog.text


async def test_a_file_that_is_none_of_ours_is_left_where_it_is(tmp_path: Path):
    file = tmp_path / "cloud" / "waves.db"
    file.mkdir(parents=True)
    with pytest.raises(ConfigError, match="waveforms"):
        await open_waves(Settings(data=tmp_path))
    assert file.is_dir()
