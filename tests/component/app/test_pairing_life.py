"""A device that tells nothing before it is paired: its refusal, the person who pairs it, its readings.

And restarts of the gateway's process from then on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import pytest

from devices.links.radio import open_radio
from devices.twins.peripheral import Security
from devices.twins.profile_twin import ProfileTwin
from devices.twins.world import TwinWorld
from hearthward.core.device_states import Cause
from hearthward.core.device_words import ADVICE, reason
from tests.component.app.test_device_pair import DIGITS, QUESTION, terminal
from tests.component.devices.test_conditions import until
from tests.component.devices.test_fleet import Ward

pytestmark = pytest.mark.usefixtures("clean_settings")
AT = datetime(2026, 7, 1, 8)  # noqa: DTZ001 - a device's clock has no zone


@asynccontextmanager
async def gateway(radio: str, folder: Path, twin: ProfileTwin) -> AsyncIterator[Ward]:
    """The gateway's process from its start to its end, with what it keeps in ``folder``."""
    async with open_radio(radio, bonds=folder / "edge" / "bonds.json") as opened:
        ward = Ward(opened)
        async with ward.running(twin):
            yield ward
    await twin.wait_free()


async def weigh(ward: Ward, twin: ProfileTwin, kilograms: float) -> None:
    """The device measures, and the gateway has it."""
    await twin.wait_ready()
    assert twin.encrypted
    if twin.profile == "sig-glucose":
        twin.keep({"blood_glucose": kilograms}, device_time=AT)
        await twin.disconnect()  # it tells what it has kept when it is connected anew
        await ward.wait_for("blood_glucose", 1)
    else:
        await twin.send({"body_weight": kilograms}, device_time=AT)
        await ward.wait_for("body_weight", 1)


@pytest.mark.parametrize(
    ("profile", "cause", "said"),
    [
        ("sig-glucose", Cause.NEEDS_PASSKEY, "asks for a passkey"),
        ("sig-weight-scale", Cause.NEEDS_PAIRING, "asks to be paired"),
    ],
)
async def test_a_device_that_shows_digits_is_paired_by_a_person_and_known_from_then_on(
    tmp_path: Path, profile: str, cause: Cause, said: str
):
    async with asyncio.timeout(20), TwinWorld(seed=7) as world:
        twin = world.add(profile, "it", security=Security("passkey", DIGITS))
        assert isinstance(twin, ProfileTwin)
        await world.start()
        radio = f"tcp-client:127.0.0.1:{await world.serve_hci('127.0.0.1', 0)}"

        async with gateway(radio, tmp_path, twin) as ward:
            word = await until(ward, "it", cause)
        assert reason(word, "en", lambda _: "14:02").startswith(said)
        assert f"`hearthward devices pair {twin.address}` on this gateway" in word.detail
        assert "hearthward devices pair" in ADVICE[word.cause]["en"]
        assert not twin.ready()

        async with terminal("--data", str(tmp_path), "devices", "pair", twin.address, "--radio", radio) as at:
            await at.wait_for(QUESTION)
            at.type(f"{DIGITS}\n".encode())
            assert await at.ended() == 0
        await twin.wait_free()

        for kilograms in (80.0, 81.0):
            async with gateway(radio, tmp_path, twin) as ward:
                await weigh(ward, twin, kilograms)
