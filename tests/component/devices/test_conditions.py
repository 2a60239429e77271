"""Why a device does not stream, as the fleet tells it over real links: a virtual radio, ptys."""

from __future__ import annotations

from pathlib import Path

from devices import DeviceConfig
from devices.links.radio import Radio, open_radio
from devices.twins.serial import MasimoTwin
from devices.twins.world import TwinWorld
from hearthward.core.clock import SystemClock
from hearthward.core.device_states import Cause, DeviceWord
from tests.component.devices.test_fleet import Ward


async def until(ward: Ward, device: str, cause: Cause) -> DeviceWord:
    """The word of a device, once it has that cause."""
    while (word := ward.fleet.words().get(device)) is None or word.cause is not cause:
        ward.news.clear()
        await ward.news.wait()
    return word


async def test_a_strap_that_goes_is_lost_since_then_and_well_when_it_is_back(world: TwinWorld, radio: Radio):
    strap = world.add_heart_rate("hr")
    await world.start()
    ward = Ward(radio)
    async with ward.running(strap):
        await strap.wait_ready()
        await ward.wait_streaming()
        before = SystemClock().now_ns()
        await strap.close()
        lost = await until(ward, "hr", Cause.LINK_LOST)
        assert before <= lost.since <= SystemClock().now_ns()
        assert lost.detail
        await strap.start()
        await strap.wait_ready()
        await ward.wait_streaming()
        assert (await until(ward, "hr", Cause.NONE)).since > lost.since


async def test_an_instrument_that_is_unplugged_is_lost_since_then(tmp_path: Path):
    ward, twin = Ward(None), MasimoTwin("m", link_path=tmp_path / "port")
    await twin.start()
    async with ward.running(twin):
        await twin.wait_ready()
        await ward.wait_streaming()
        twin.unplug()
        gone = await until(ward, "m", Cause.LINK_LOST)
        assert gone.since > 0
        assert str(tmp_path) in gone.detail
    await twin.close()


async def test_what_can_never_work_is_named(tmp_path: Path):
    async with open_radio("off") as off:
        ward = Ward(off)
        file = tmp_path / "no-port"
        file.touch()
        async with ward.running():
            await ward.fleet.apply(
                [
                    DeviceConfig("ble", "ble", "C0:00:00:00:00:01", "sig-heart-rate"),
                    DeviceConfig("typo", "ble", "C0:00", "sig-heart-rate"),
                    DeviceConfig("none", "serial", str(tmp_path / "nothing"), "masimo-ascii1"),
                    DeviceConfig("file", "serial", str(file), "masimo-ascii1"),
                    DeviceConfig("other", "serial", "/dev/null", "sig-heart-rate"),
                ]
            )
            expected = {
                "ble": Cause.NO_RADIO,
                "typo": Cause.MISCONFIGURED,
                "none": Cause.PORT_MISSING,
                "file": Cause.MISCONFIGURED,
                "other": Cause.MISCONFIGURED,
            }
            for device, cause in expected.items():
                await until(ward, device, cause)
