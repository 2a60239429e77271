from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cloud_ingest.deadman import DeadMan
from hearthward.core.clock import SystemClock
from hearthward.core.errors import ConfigError
from hearthward.core.telemetry import Telemetry


class Outside(HTTPServer):
    """A receiver of signs of life on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.came: list[tuple[str, str]] = []
        self.status = 200
        self.elsewhere = ""
        self.event = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/ping/secret-token"


class _Handler(BaseHTTPRequestHandler):
    server: Outside

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.came.append((self.command, self.path))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        if self.server.elsewhere:
            self.send_header("Location", self.server.elsewhere)
        self.end_headers()
        self.server.event.set()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def outside() -> Iterator[Outside]:
    server = Outside()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def made(url: str, telemetry: Telemetry, *, healthy: bool = True, every_s: float = 60.0) -> DeadMan:
    return DeadMan(url, every_s, SystemClock(), telemetry, lambda: healthy)


async def test_a_sign_of_life_is_posted_while_all_is_well(outside: Outside) -> None:
    telemetry = Telemetry()
    dead_man = made(outside.url, telemetry)
    assert await dead_man.beat()
    assert outside.came == [("POST", "/ping/secret-token")]
    assert not dead_man.failing
    assert telemetry.value("heartbeat_url_total", outcome="sent") == 1


async def test_nothing_is_said_while_something_is_not_well(outside: Outside) -> None:
    telemetry = Telemetry()
    assert not await made(outside.url, telemetry, healthy=False).beat()
    assert outside.came == []
    assert telemetry.value("heartbeat_url_total", outcome="withheld") == 1


@pytest.mark.parametrize("status", [404, 500])
async def test_a_refusal_is_visible_until_it_is_taken_again(
    outside: Outside, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    telemetry = Telemetry()
    dead_man = made(outside.url, telemetry)
    outside.status = status
    assert not await dead_man.beat()
    assert dead_man.failing
    assert telemetry.value("heartbeat_url_total", outcome="failed") == 1
    assert f"status {status}" in caplog.text
    assert "secret-token" not in caplog.text
    outside.status = 200
    assert await dead_man.beat()
    assert not dead_man.failing


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    outside: Outside, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    dead_man = made(outside.url, Telemetry())
    outside.status, outside.elsewhere = status, "/elsewhere"
    assert not await dead_man.beat()
    assert outside.came == [("POST", "/ping/secret-token")]
    assert dead_man.failing
    assert f"status {status}" in caplog.text


async def test_a_receiver_that_is_not_there_is_visible(
    outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    unused = outside.url.replace(str(outside.server_address[1]), "9")
    dead_man = made(unused, Telemetry())
    assert not await dead_man.beat()
    assert dead_man.failing
    assert "secret-token" not in caplog.text


async def test_it_goes_on_by_itself(outside: Outside) -> None:
    task = asyncio.create_task(made(outside.url, Telemetry(), every_s=0.0).run())
    for _ in range(3):
        outside.event.clear()
        assert await asyncio.to_thread(outside.event.wait, 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(outside.came) >= 3


def test_only_web_addresses_are_called() -> None:
    with pytest.raises(ConfigError):
        made("file:///etc/passwd", Telemetry())
