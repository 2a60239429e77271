"""A link that is closed between the client's asking to write and the loop's looking at it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest

from cloud_ingest.sources.connection import Broker
from cloud_ingest.sources.connection import Connection as Ingest
from edge_agent.uplink.connection import BrokerAddress
from edge_agent.uplink.connection import Connection as Uplink


def of_ingest() -> Any:
    return Ingest(Broker("127.0.0.1", 1), identifier="i")


def of_uplink() -> Any:
    return Uplink(BrokerAddress("127.0.0.1", 1), identifier="u", will=None, pending=1)


class Writes:
    """What the library's client is to the callback."""

    def __init__(self, error: OSError | None = None) -> None:
        self.error, self.called = error, asyncio.Event()

    def loop_write(self) -> None:
        self.called.set()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("made", [of_ingest, of_uplink])
async def test_nothing_is_said_of_it(made: Callable[[], Any]):
    loop, told = asyncio.get_running_loop(), list[dict[str, Any]]()
    loop.set_exception_handler(lambda _, what: told.append(what))
    connection, writes = made(), Writes()
    here, there = socket.socketpair()
    connection._on_socket_register_write(writes, None, here)
    here.close()
    await asyncio.sleep(0)
    there.close()
    assert told == []
    assert not writes.called.is_set()


@pytest.mark.parametrize("made", [of_ingest, of_uplink])
async def test_an_open_one_is_written_to_and_its_failure_ends_the_connection(made: Callable[[], Any]):
    loop = asyncio.get_running_loop()
    connection, writes = made(), Writes(BrokenPipeError("gone"))
    here, there = socket.socketpair()
    here.setblocking(False)
    try:
        connection._on_socket_register_write(writes, None, here)
        async with asyncio.timeout(5):
            await writes.called.wait()
        with pytest.raises(BrokenPipeError):
            await connection._disconnected
    finally:
        loop.remove_writer(here)
        here.close()
        there.close()
