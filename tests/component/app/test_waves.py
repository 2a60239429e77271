"""A pleth from an oximeter's bytes to the API, through a real broker and the real cloud."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from cloud_ingest.stores.base import FOREVER
from devices import DeviceConfig
from tests.component.app.chain import chain, eventually
from tests.component.edge_agent.oximeter import PACKET, Oximeter, packets


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
