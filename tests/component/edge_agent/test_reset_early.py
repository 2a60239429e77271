"""A connection that is lost before the broker has answered has failed then, not when its time is up."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiomqtt
import pytest

from cloud_ingest.sources.connection import Broker
from cloud_ingest.sources.connection import Connection as CloudConnection
from edge_agent.uplink.connection import BrokerAddress, Connection


def of_edge(port: int) -> AbstractAsyncContextManager[Any]:
    return Connection(BrokerAddress("127.0.0.1", port), identifier="edge", will=None, pending=1)


def of_cloud(port: int) -> AbstractAsyncContextManager[Any]:
    return CloudConnection(Broker("127.0.0.1", port), identifier="cloud")


@pytest.mark.parametrize("connection", [of_edge, of_cloud])
@pytest.mark.parametrize("reset", [False, True])
async def test_a_broker_that_dies_before_it_answers(connection: Any, *, reset: bool):
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        if reset:
            writer.transport.abort()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(5):  # the library's own limit is twice that
            with pytest.raises(aiomqtt.MqttError, match="before the broker answered"):
                async with connection(port):
                    pass
