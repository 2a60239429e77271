from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge_agent import Outbox
from hearthward.core.clock import SystemClock
from hearthward.core.ids import RandomIds
from hearthward.core.telemetry import Telemetry
from tests.component.edge_agent.brokers import MOSQUITTO, Broker, Mosquitto, Nats


@pytest.fixture(params=["nats", "mosquitto"])
def make_broker(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Broker]:
    if request.param == "nats":
        return lambda port=0: Nats(tmp_path, port)
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    return lambda port=0: Mosquitto(tmp_path, port)


@pytest.fixture
async def broker(make_broker: Callable[..., Broker]) -> AsyncIterator[Broker]:
    async with make_broker() as running:
        yield running


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
async def open_outbox(
    tmp_path: Path, telemetry: Telemetry
) -> AsyncIterator[Callable[..., Awaitable[Outbox]]]:
    async with AsyncExitStack() as stack:

        async def opener(name: str = "outbox.db", max_bytes: int = 4 << 20) -> Outbox:
            box = await Outbox.open(
                tmp_path / name,
                clock=SystemClock(),
                ids=RandomIds(),
                telemetry=telemetry,
                max_bytes=max_bytes,
            )
            stack.push_async_callback(box.close)
            return box

        yield opener
