"""``profiles record`` against an instrument on a real pty."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from devices.twins.serial import MasimoTwin
from firmware_profiles.report import check
from hearthward.core.clock import SystemClock
from tests.component.app.commands import command

pytestmark = pytest.mark.usefixtures("clean_settings")


async def test_frames_of_a_live_instrument_become_vectors(tmp_path: Path):
    twin = MasimoTwin("oxi", clock=SystemClock())
    await twin.start()
    try:
        with command(
            tmp_path, "record", "profiles", "record", "masimo-ascii1", twin.address, "--seconds", "3"
        ) as run:
            for spo2 in (97, 96):
                async with asyncio.timeout(20):
                    await twin.wait_ready()
                await twin.send({"spo2": spo2, "pulse_rate": 70})
            await asyncio.to_thread(run.wait_for, "value: 96")
    finally:
        await twin.close()
    assert "value: 97" in run.out
    assert "2 frames heard" in run.err
    assert check([]).ok
