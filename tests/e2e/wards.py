"""A fake ward as a server of its own and a browser to look at it: what the browsers' tests share.

The fixtures are in ``conftest.py``.
"""

from __future__ import annotations

import gzip
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from playwright.sync_api import Page, expect

from dashboards.i18n import LOCALE
from tests.e2e.fake_ward import PASSWORD

__all__ = ["FLAGS", "VENDOR", "Open", "Server", "live", "start", "stop", "wall_weight"]

HERE = Path(__file__).parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=user-gesture-required",
]
VENDOR = LOCALE.parent / "assets" / "vendor" / "htmx.min.js"


@dataclass
class Server:
    """The ward's web server; it can be frozen."""

    base: str
    process: subprocess.Popen[bytes]
    client: httpx.Client
    used: bool = False

    def reset(self) -> None:
        """All begins anew; the former ward may answer for a moment still."""
        before = self.number()
        self.do("reset")
        end = time.monotonic() + 30
        while self.number() in {None, before}:
            assert time.monotonic() < end, "the ward did not begin anew"
            time.sleep(0.02)

    def number(self) -> int | None:
        """Which ward it is, once it serves; None: the connection was the former one's."""
        try:
            return int(self.client.get("/_test/number").raise_for_status().text)
        except httpx.TransportError:
            return None

    def do(self, what: str) -> None:
        self.client.post(f"/_test/{what}").raise_for_status()

    def token(self, login: str) -> str:
        """A session of somebody of the fake ward."""
        answer = self.client.post("/api/v1/login", json={"login": login, "password": PASSWORD})
        return str(answer.raise_for_status().json()["token"])

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def start(*arguments: str, port: int = 0) -> Server:
    command = [sys.executable, str(HERE / "fake_ward.py"), str(port), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    base = f"http://127.0.0.1:{int(process.stdout.readline())}"
    server = Server(base, process, httpx.Client(base_url=base, timeout=30))
    server.client.get("/healthz").raise_for_status()  # it listens already: until it serves
    return server


def stop(server: Server) -> None:
    server.thaw()
    server.client.close()
    server.process.terminate()
    server.process.wait(10)
    assert server.process.stdout is not None
    server.process.stdout.close()


Open = Callable[..., Page]


def live(page: Page) -> None:
    expect(page.locator("#link.on")).to_be_visible()
    expect(page.locator('.tile[data-s="ok"]').first).to_be_visible()


def loaded(folder: Path, script: str) -> set[Path]:
    """A script with everything that it imports or starts."""
    found, waiting = set(), [folder / script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            names = re.findall(r"""(?:from |new URL\()'\./([\w-]+\.js)'""", path.read_text())
            waiting += [folder / name for name in names]
    return found


def wall_weight() -> int:
    """Bytes of all scripts and styles that a wall loads, each compressed by gzip; charts' script is in it."""
    folder = LOCALE.parent / "assets"
    templates = [LOCALE.parent / "templates" / name for name in ("base.html", "wall.html")]
    named = "".join(t.read_text() for t in templates)
    styles = {folder / "css" / name for name in re.findall(r"/css/([\w-]+\.css)", named)}
    scripts = [loaded(folder / "js", name) for name in re.findall(r"/js/([\w-]+\.js)", named)]
    files = {*styles, *set().union(*scripts), *folder.glob("vendor/*.min.*")}
    assert {"wall.css", "wall.js", "answer.js", "stream.js", "htmx.min.js"} <= {f.name for f in files}
    return sum(len(gzip.compress(f.read_bytes())) for f in files)
