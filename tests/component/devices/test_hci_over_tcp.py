"""The virtual radio served to hosts in other processes, which die without a word."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from devices.links.radio import open_radio
from devices.twins.ble import HeartRateTwin
from devices.twins.world import TwinWorld
from hearthward.core.errors import LinkError
from tests.component.devices.bluetooth import listen, listening

LOCAL = "127.0.0.1"


class HostProcess:
    """A running ``hci_host``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            return (await self._process.stdout.readline()).decode().strip()

    async def kill(self) -> None:
        """kill -9."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.communicate()


@asynccontextmanager
async def host(port: int, *twins: HeartRateTwin) -> AsyncIterator[HostProcess]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.component.devices.hci_host",
        f"tcp-client:{LOCAL}:{port}",
        *(twin.address for twin in twins),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path) or "."},
    )
    made = HostProcess(process)
    try:
        yield made
    finally:
        await made.kill()


async def test_a_killed_host_leaves_the_devices_free_again_and_again(world: TwinWorld):
    twins = [world.add_heart_rate(f"hr{i}") for i in range(4)]
    await world.start()
    port = await world.serve_hci(LOCAL, 0)
    for beat in (61, 62, 63):
        async with host(port, *twins) as running:
            assert await running.line() == "connected"
            for twin in twins:
                await twin.wait_ready()
                await twin.send({"heart_rate": beat})
            assert [await running.line() for _ in twins] == [f"06{beat:02x}"] * 4
            await running.kill()
        for twin in twins:
            async with asyncio.timeout(10):
                await twin.wait_free()
            assert not twin.ready()
            with pytest.raises(LinkError, match="no host is subscribed"):
                await twin.send({"heart_rate": 60})


async def test_a_new_host_takes_over_from_one_that_still_holds_its_socket(world: TwinWorld):
    twin = world.add_heart_rate("hr")
    await world.start()
    port = await world.serve_hci(LOCAL, 0)
    async with open_radio(f"tcp-client:{LOCAL}:{port}") as first:
        old = await listen(first, twin.address, "sig-heart-rate")
        await twin.wait_ready()
        async with open_radio(f"tcp-client:{LOCAL}:{port}") as second:
            async with listening(second, twin.address, "sig-heart-rate") as new:
                await twin.wait_ready()
                await twin.send({"heart_rate": 64})
                assert await new.wait_for("2a37") == [b"\x06\x40"]
            with pytest.raises(LinkError):
                await old.task
        await old.close()


async def test_the_host_outlives_the_radio_it_is_connected_to():
    async with TwinWorld(seed=7) as world:
        twin = world.add_heart_rate("hr")
        await world.start()
        port = await world.serve_hci(LOCAL, 0)
        radio = open_radio(f"tcp-client:{LOCAL}:{port}")
        listener = await listen(radio, twin.address, "sig-heart-rate")
        await twin.wait_ready()
    with pytest.raises(LinkError):
        await listener.task
    await listener.close()
    with pytest.raises(LinkError, match=f"tcp-client:{LOCAL}:{port}: nobody there"):
        await radio.check()
    async with TwinWorld(seed=7) as world, radio:
        twin = world.add_heart_rate("hr")
        await world.start()
        assert await world.serve_hci(LOCAL, port) == port
        async with listening(radio, twin.address, "sig-heart-rate"):
            await twin.wait_ready()


async def test_while_one_waits_for_an_absent_device_the_radio_comes_back():
    """The scan that somebody waits in must not outlive the controller it runs on."""
    async with TwinWorld(seed=7) as world:
        await world.start()
        port = await world.serve_hci(LOCAL, 0)
        radio = open_radio(f"tcp-client:{LOCAL}:{port}")
        await radio.check()
        waiting = asyncio.create_task(
            radio.connect("C0:00:00:00:00:01", timeout=60, on_disconnect=lambda: None)
        )
        await radio.scan(0.05)
    async with TwinWorld(seed=7) as world, radio:
        twin = world.add_heart_rate("hr")
        await world.start()
        assert await world.serve_hci(LOCAL, port) == port
        async with listening(radio, twin.address, "sig-heart-rate"):
            await twin.wait_ready()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)


async def test_who_sends_no_hci_is_cut_off(world: TwinWorld):
    await world.start()
    port = await world.serve_hci(LOCAL, 0)
    reader, writer = await asyncio.open_connection(LOCAL, port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with contextlib.suppress(ConnectionResetError):  # cut off: by end of file or by reset
        assert await reader.read() == b""
    writer.close()


async def test_a_port_in_use_is_named(world: TwinWorld):
    port = await world.serve_hci(LOCAL, 0)
    with pytest.raises(LinkError, match=f"cannot serve HCI on {LOCAL}:{port}"):
        await world.serve_hci(LOCAL, port)
