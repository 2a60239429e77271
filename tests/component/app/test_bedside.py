"""The gateway's own page as ``hearthward edge`` serves it, on real ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from edge_agent import EdgeAgent, FakeFleet, FakeOutbox, Outbox, UplinkState
from hearthward.app import bedside as module
from hearthward.app.bedside import Bedside
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.settings import EdgeSettings
from hearthward.core.telemetry import Telemetry


@dataclass
class Uplinked:
    state: UplinkState = UplinkState.CONNECTED


@dataclass
class Agent:
    """What the page asks of a gateway."""

    gateway: str = "gw-1"
    fleet: FakeFleet = field(default_factory=FakeFleet)
    uplink: Uplinked = field(default_factory=Uplinked)
    decider: Any = None


class NothingWaits(FakeOutbox):
    def backlog(self) -> int:
        return 0


def made(folder: Path, *, own: bool = True, **settings: Any) -> Bedside:
    bedside = Bedside(EdgeSettings(**settings), own=own, clock=SystemClock(), telemetry=Telemetry())
    bedside.decider(cast("EdgeAgent", Agent()), cast("Outbox", NothingWaits()), folder)
    return bedside


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@pytest.fixture
def free() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_the_page_is_served_and_goes_with_the_gateway(tmp_path: Path, free: int):
    async with made(tmp_path, page_port=free).serving() as url, httpx.AsyncClient() as client:
        assert url == f"http://127.0.0.1:{free}/"
        answer = await client.get(url)
        assert answer.status_code == 200
        assert "gw-1" in answer.text
        assert "decides on no alarms" in answer.text
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{free}/")


async def test_a_port_that_was_asked_for_and_is_taken_is_an_error(tmp_path: Path, taken: int):
    with pytest.raises(ConfigError, match="cannot listen") as caught:
        async with made(tmp_path, page_port=taken).serving():
            pass
    assert caught.value.details["key"] == "edge.page_port"


async def test_the_usual_port_taken_leaves_a_gateway_without_a_page(
    tmp_path: Path, taken: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(module, "PAGE_PORT", taken)
    async with made(tmp_path).serving() as url:
        assert url is None
    assert "goes on without" in caplog.text


@pytest.mark.parametrize(("own", "settings"), [(False, {}), (True, {"page_port": 0})])
async def test_no_page_where_none_is_wanted(tmp_path: Path, own: bool, settings: dict[str, int]):  # noqa: FBT001
    async with made(tmp_path, own=own, **settings).serving() as url:
        assert url is None


async def test_a_certificate_that_is_none_is_an_error(tmp_path: Path, free: int):
    (tmp_path / "c.pem").write_text("none")
    settings = {"page_tls_certificate": tmp_path / "c.pem", "page_tls_key": tmp_path / "c.pem"}
    with pytest.raises(ConfigError, match="no PEM files"):
        async with made(tmp_path, page_port=free, **settings).serving():
            pass
