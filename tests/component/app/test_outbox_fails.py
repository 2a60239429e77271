"""A gateway that accepts nothing any more ends with an error, so that another process begins anew."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from edge_agent import Outbox
from hearthward.app.edge import edge_running
from hearthward.core.clock import SystemClock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.settings import load_settings
from hearthward.core.telemetry import Telemetry
from tests.component.edge_agent.brokers import free_port
from tests.unit.edge_agent.batches import make_batch


async def test_the_end_of_the_outboxs_writer_is_the_gateways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(_: Outbox, __: Any) -> None:
        raise MemoryError

    settings = load_settings(data=tmp_path, edge={"radio": "off"})
    url = f"mqtt://127.0.0.1:{free_port()}"
    ended = None

    async def run() -> None:
        nonlocal ended
        async with edge_running(
            settings, broker_url=url, clock=SystemClock(), telemetry=Telemetry()
        ) as agent:
            assert agent.lives()
            monkeypatch.setattr(Outbox, "_commit", broken)
            with pytest.raises(StoreUnavailable):
                await agent.accept(make_batch(1, 1))
            ended = agent
            await asyncio.Event().wait()

    with pytest.raises(BaseExceptionGroup) as caught:
        await run()
    assert caught.group_contains(MemoryError)
    assert ended is not None
    assert not ended.lives()
    monkeypatch.undo()
    async with edge_running(settings, broker_url=url, clock=SystemClock(), telemetry=Telemetry()) as agent:
        await agent.accept(make_batch(1, 1))
        assert agent.outbox.accepted == 1
