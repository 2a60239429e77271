"""What happens to a nurse's wall in a real browser when its server stands still, its link is lost, and so on.

Over the fake ward of the browsers' tests, in a process of its own; each measurement begins with a new one.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import Error as BrowserError

from dashboards.access import COOKIE
from dashboards.i18n import script_strings
from tests.e2e.fake_ward import KEPT
from tests.e2e.wards import Server, live, start, stop

__all__ = ["accepting_tabs", "hidden_receives", "recovers", "until_stale"]

TABS: Final = 9
PATIENCE_MS: Final = 15_000
CALM: Final = "e => e.dataset.s === 'ok' || e.textContent.includes(%r)"
Broken = Callable[[Server, "Link"], None]


class Link:
    """A TCP relay to the server that can stop passing anything on, with its connections left open."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._passing = threading.Event()
        self._passing.set()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.base = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listening]
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self) -> None:
        """From now on nothing comes through."""
        self._passing.clear()

    def close(self) -> None:
        """End it."""
        self._passing.set()
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listening.accept()
                there = socket.create_connection(("127.0.0.1", self._to))
                self._open += [here, there]
                for way in ((here, there), (there, here)):
                    threading.Thread(target=self._pump, args=way, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                self._passing.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


@contextmanager
def _wall(browser: Browser, base: str, beds: int) -> Iterator[Page]:
    """A nurse's live wall."""
    context = browser.new_context(viewport={"width": 1920, "height": 1080}, locale="en-GB")
    context.add_cookies([{"name": COOKIE, "value": KEPT, "url": base}])
    try:
        page = context.new_page()
        page.goto(f"{base}/ward")
        live(page)
        expect(page.locator(".tile")).to_have_count(beds)
        yield page
    finally:
        context.close()


@contextmanager
def _ward(beds: int = 30) -> Iterator[Server]:
    server = start(f"{beds}", "0", "calm")
    try:
        yield server
    finally:
        stop(server)


def until_stale(browser: Browser, *, frozen: bool) -> tuple[float | None, int]:
    """Seconds until the whole wall is visibly stale (None: it never was), and tiles that then look calm.

    Either the server is ``frozen``, or the link to it is lost.
    """
    with _ward() as server:
        link = Link(int(server.base.rsplit(":", 1)[1]))
        try:
            with _wall(browser, link.base, 30) as page:
                began = time.monotonic()
                if frozen:
                    server.freeze()
                else:
                    link.lose()
                try:
                    expect(page.locator("body.wall-stale")).to_be_attached(timeout=PATIENCE_MS)
                except AssertionError:
                    return None, page.locator(".tile").count()
                seconds = time.monotonic() - began
                look = CALM % script_strings("en")["ok"]
                return seconds, int(page.locator(".tile").evaluate_all(f"all => all.filter({look}).length"))
        finally:
            server.thaw()
            link.close()


def accepting_tabs(browser: Browser) -> int:
    """In how many of nine tabs of one browser an alarm that comes is shown and can be accepted."""
    done = 0
    with _ward(12) as server, _wall(browser, server.base, 12) as first:
        tabs = [first, *(first.context.new_page() for _ in range(TABS - 1))]
        for tab in tabs[1:]:
            tab.goto(f"{server.base}/ward")
        for tab in tabs:
            live(tab)
        for tab in tabs:
            server.do("alarm")
            row = tab.locator(".tile").first.locator(".alarm")
            with suppress(AssertionError, BrowserError):
                row.locator(".accept").click(timeout=PATIENCE_MS)
                expect(row.locator(".owner")).to_have_text("accepted by Li Na", timeout=PATIENCE_MS)
                done += 1
    return done


def hidden_receives(browser: Browser) -> bool:
    """Whether a tab whose timers never run, as those of hidden tabs hardly do, shows values and an alarm."""
    with _ward(12) as server, _wall(browser, server.base, 12) as page:
        page.add_init_script("setInterval = setTimeout = () => 0")
        page.reload()
        live(page)
        value = page.locator('.tile [data-vital="hr"] .value').first
        before = value.text_content() or ""
        try:
            expect(value).not_to_have_text(before, timeout=PATIENCE_MS)
            server.do("alarm")
            expect(page.locator(".tile").first.locator(".alarm")).to_be_visible(timeout=PATIENCE_MS)
        except AssertionError:
            return False
    return True


def recovers(browser: Browser) -> bool:
    """Whether a wall goes on by itself after its server was killed and started again."""
    first = start("12", "0", "calm")
    running = [first]
    try:
        with _wall(browser, first.base, 12) as page:
            first.process.kill()
            stop(first)
            running.clear()
            expect(page.locator("body.wall-stale")).to_be_attached(timeout=PATIENCE_MS)
            again = start("12", "0", "calm", port=int(first.base.rsplit(":", 1)[1]))
            running.append(again)
            try:
                expect(page.locator("#link.on")).to_be_visible(timeout=PATIENCE_MS)
                again.do("alarm")
                expect(page.locator(".tile").first.locator(".alarm")).to_be_visible(timeout=PATIENCE_MS)
            except AssertionError:
                return False
    finally:
        for server in running:
            stop(server)
    return True
