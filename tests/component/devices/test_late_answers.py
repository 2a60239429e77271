"""Answers that come late, twice, or mean nothing: who gave up is not haunted, who goes on is not misled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from bleak import BleakClient
from bumble import hci

from devices.links.radio import Radio
from devices.twins.ble import BlePeripheral
from devices.twins.world import TwinWorld

MODEL = "00002a24-0000-1000-8000-00805f9b34fb"
HEART_RATE = "00002a37-0000-1000-8000-00805f9b34fb"


@pytest.fixture(autouse=True)
async def unhandled(caplog: pytest.LogCaptureFixture) -> AsyncIterator[list[dict[str, Any]]]:
    """What fails in a callback, where nobody catches it: nothing may; nor may bumble grumble."""
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
    yield failures
    await asyncio.sleep(0.05)
    assert failures == []
    assert not [r.getMessage() for r in caplog.records if r.name.startswith(("bumble", "asyncio"))]


def client(radio: Radio, address: str) -> BleakClient:
    return BleakClient(address, backend=radio.backend, **radio.backend_arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("turns", range(0, 60, 4))
async def test_a_start_that_is_cancelled_at_any_moment_leaves_no_trace(turns: int):
    async with TwinWorld(seed=1) as world:
        for n in range(6):
            world.add_heart_rate(f"hr{n}")
        starting = asyncio.create_task(world.start())
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        await asyncio.wait([starting])


@pytest.mark.parametrize("turns", range(12))
async def test_a_read_that_is_cancelled_at_any_moment_leaves_no_trace(
    world: TwinWorld, radio: Radio, turns: int
):
    twin = world.add_heart_rate("hr")
    await world.start()
    async with client(radio, twin.address) as connected:
        reading = asyncio.create_task(connected.read_gatt_char(MODEL))
        for _ in range(turns):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait([reading])
    async with client(radio, twin.address) as again:
        assert await again.read_gatt_char(MODEL) == b"Virtual heart rate strap"


@pytest.mark.parametrize("turns", range(0, 120, 3))
async def test_a_connect_that_is_cancelled_at_any_moment_leaves_no_trace(
    world: TwinWorld, radio: Radio, turns: int
):
    twin = world.add_heart_rate("hr")
    await world.start()
    first = client(radio, twin.address)
    connecting = asyncio.create_task(first.connect())
    for _ in range(turns):
        await asyncio.sleep(0)
    in_time = connecting.cancel()
    await asyncio.wait([connecting])
    assert connecting.cancelled() is in_time  # a cancellation is never swallowed
    if not in_time:
        await first.disconnect()
    await twin.wait_free()
    async with client(radio, twin.address) as again:
        assert await again.read_gatt_char(MODEL) == b"Virtual heart rate strap"


async def test_the_answer_to_a_cancelled_command_is_not_taken_for_the_next_ones(world: TwinWorld):
    twin = world.add_heart_rate("hr")
    await world.start()
    host = _device(twin).host
    given_up = asyncio.create_task(host.send_sync_command(hci.HCI_Read_Local_Name_Command()))
    await asyncio.sleep(0)
    given_up.cancel()
    answer = await host.send_sync_command(hci.HCI_Read_BD_ADDR_Command())
    assert isinstance(answer, hci.HCI_Read_BD_ADDR_ReturnParameters)
    await asyncio.wait([given_up])


@pytest.mark.parametrize(
    "pdu",
    [b"", b"\x1b", b"\x1b\x01", b"\x01", b"\x03", b"\x09", b"\x0b", b"\x0bunasked", b"\x1e", b"\xff" * 30],
    ids=bytes.hex,
)
async def test_a_peer_that_talks_nonsense_is_heard_on(world: TwinWorld, radio: Radio, pdu: bytes):
    twin = world.add_heart_rate("hr")
    await world.start()
    got: asyncio.Queue[bytes] = asyncio.Queue()
    async with client(radio, twin.address) as connected:
        await connected.start_notify(HEART_RATE, lambda _c, data: got.put_nowait(bytes(data)))
        await twin.wait_ready()
        connection = twin._connection
        assert connection is not None
        connection.send_l2cap_pdu(4, pdu)
        await twin.send({"heart_rate": 60})
        assert await got.get() == b"\x06\x3c"
        assert await connected.read_gatt_char(MODEL) == b"Virtual heart rate strap"


async def test_nonsense_is_told(world: TwinWorld, radio: Radio, caplog: pytest.LogCaptureFixture):
    twin = world.add_heart_rate("hr")
    await world.start()
    async with client(radio, twin.address) as connected:
        assert twin._connection is not None
        twin._connection.send_l2cap_pdu(4, b"\x1b\x01")
        await connected.read_gatt_char(MODEL)
    assert [r.levelno for r in caplog.records if "2 bytes means nothing" in r.getMessage()] == [
        logging.WARNING
    ]


def _device(twin: BlePeripheral) -> Any:
    assert twin._device is not None
    return twin._device
