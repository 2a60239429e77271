"""Browsers at the wall, without the browser: ``python -m bench.hub_clients URL TOKEN COUNT SECONDS``.

A process of its own, so that the server's is measured alone. Each client keeps one stream and fetches the
whole wall when it is told to, or when a number is missing, as ``wall.js`` does. One line of JSON at the end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from hearthward.app.tracker import percentiles

__all__ = ["watch"]

LIMIT: Final = 1 << 22
CONNECT_AT_ONCE: Final = 20
SETTLE_S: Final = 2.0


@dataclass(slots=True)
class Client:
    """What one browser knows and has seen."""

    seq: int = -1
    patches: int = 0
    tiles: int = 0
    beats: int = 0
    fetches: int = 0
    bytes: int = 0
    delays: list[float] = field(default_factory=list)
    """Milliseconds from the newest value in a patch being measured to its arrival."""


async def _ask(url: str, token: str, path: str, accept: str) -> tuple[Any, Any]:
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port, limit=LIMIT)
    writer.write(
        f"GET {path} HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {token}\r\nAccept: {accept}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    return reader, writer


async def _fetch(client: Client, url: str, token: str) -> None:
    reader, writer = await _ask(url, token, "/api/v1/wall", "application/json")
    try:
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            msg = f"the wall was refused: {head[:80]!r}"
            raise RuntimeError(msg)
        client.seq = json.loads(body)["seq"]
        client.fetches += 1
    finally:
        writer.close()


async def _follow(client: Client, url: str, token: str, ready: asyncio.Event, until: float) -> None:
    await _fetch(client, url, token)
    reader, writer = await _ask(url, token, "/api/v1/live", "text/event-stream")
    kind = ""
    try:
        while time.monotonic() < until and (line := await reader.readline()):
            client.bytes += len(line)
            if line.startswith(b"event: "):
                kind = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                ready.set()
                await _take(client, kind, json.loads(line[6:]), (url, token))
    finally:
        writer.close()


async def _take(client: Client, kind: str, data: Any, server: tuple[str, str]) -> None:
    if kind == "beat":
        client.beats += 1
    missed = kind == "refetch"
    if kind == "patch" and data["seq"] > client.seq:
        missed = data["seq"] != client.seq + 1
        client.seq = data["seq"]
        client.patches += 1
        client.tiles += len(data["tiles"])
        newest = max((v[2] for t in data["tiles"] for v in t["v"].values()), default=0)
        if newest:
            client.delays.append(time.time() * 1e3 - newest)
    if missed:
        await _fetch(client, *server)


async def watch(url: str, token: str, count: int, seconds: float) -> dict[str, Any]:
    """Connect ``count`` clients, say so, and count what they are told for ``seconds``."""
    clients = [Client() for _ in range(count)]
    began = time.monotonic()
    gate = asyncio.Semaphore(CONNECT_AT_ONCE)
    until = began + 3600.0

    async def one(client: Client, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        async with gate:
            ready = asyncio.Event()
            task = group.create_task(_follow(client, url, token, ready, until))
            await ready.wait()
        return task

    async with asyncio.TaskGroup() as group:
        tasks = await asyncio.gather(*(one(c, group) for c in clients))
        connected = time.monotonic() - began
        print("connected", flush=True)
        await asyncio.sleep(SETTLE_S)  # what has changed between the wall and the stream is fetched once
        for client in clients:
            client.delays.clear()
        before = [(c.patches, c.tiles, c.fetches, c.bytes) for c in clients]
        await asyncio.sleep(seconds)
        after = [(c.patches, c.tiles, c.fetches, c.bytes) for c in clients]
        for task in tasks:
            task.cancel()
    sums = [sum(a[i] - b[i] for a, b in zip(after, before, strict=True)) for i in range(4)]
    least = min(a[1] - b[1] for a, b in zip(after, before, strict=True))
    delays = percentiles([d for c in clients for d in c.delays])
    names = ("patches", "tiles", "fetches", "bytes")
    return {**dict(zip(names, sums, strict=True)), "least": least, "connect_s": connected, "delays": delays}


if __name__ == "__main__":
    found = asyncio.run(watch(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))
    print(json.dumps(found), flush=True)
