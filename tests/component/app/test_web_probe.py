"""The probe of our own web server, against real sockets: one that answers, one that does not, one gone."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from hearthward.app import web_probe
from hearthward.app.web_probe import WebProbe
from hearthward.core.telemetry import Telemetry


async def asked(answer: bytes | None) -> str | None:
    """What the probe says of a server that answers so (None: never)."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        if answer is not None:
            writer.write(answer)
        else:
            await reader.read()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        done.set()

    done = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        said = await WebProbe(f"http://127.0.0.1:{port}", lambda: None, Telemetry()).ask()
        await done.wait()
    return said


async def test_what_a_web_server_answers_decides(monkeypatch: pytest.MonkeyPatch):
    assert await asked(b"HTTP/1.1 200 OK\r\n\r\n") is None
    assert await asked(b"HTTP/1.1 503 Service Unavailable\r\n\r\n") == "status 503"
    assert await asked(b"220 mail\r\n") == "no answer of a web server"
    assert await asked(b"") == "no answer of a web server"
    monkeypatch.setattr(web_probe, "TIMEOUT_S", 0.05)
    assert await asked(None) == "TimeoutError"


async def test_a_good_answer_is_a_sign_of_life_and_nothing_else_is():
    beats = []
    probe = WebProbe("http://127.0.0.1:1", lambda: beats.append(1), telemetry := Telemetry())
    task = asyncio.create_task(probe.run())
    while not telemetry.value("web_probes_failed_total"):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert not beats
