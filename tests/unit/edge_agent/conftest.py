from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from edge_agent import outbox as module
from edge_agent.outbox import Outbox
from hearthward.core.clock import EventClock
from hearthward.core.ids import SeededIds
from hearthward.core.model import ReadingBatch
from hearthward.core.telemetry import Telemetry
from tests.unit.edge_agent.batches import make_batch

SMALL = 2 << 20
Opener = Callable[..., Awaitable[Outbox]]
Batcher = Callable[..., ReadingBatch]


@pytest.fixture
def batch() -> Batcher:
    return make_batch


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture(autouse=True)
def _no_group_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_S", 0.0)


@pytest.fixture
async def open_outbox(tmp_path: Path, telemetry: Telemetry) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:

        async def opener(path: Path | None = None, *, max_bytes: int = SMALL, seed: int = 0) -> Outbox:
            box = await Outbox.open(
                path or tmp_path / "outbox",
                clock=EventClock(10**18),
                ids=SeededIds(seed),
                telemetry=telemetry,
                max_bytes=max_bytes,
            )
            stack.push_async_callback(box.close)
            return box

        yield opener
