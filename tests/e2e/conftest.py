"""One browser for each file of tests, one fake ward for all: it begins anew for each test."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from dashboards.access import COOKIE
from dashboards.pages.render import THEME_COOKIE
from tests.e2e.wards import FLAGS, VENDOR, Open, Server, start, stop
from tests.programs import program


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = program("chromium")
    if not VENDOR.exists():
        pytest.skip("web assets are not built: python hatch_build.py")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def process() -> Iterator[Server]:
    made = start("12", "4", "calm")
    yield made
    stop(made)


@pytest.fixture
def server(process: Server) -> Server:
    """A ward that nothing has happened to: of a process that all tests share, one after the other."""
    process.thaw()
    if process.used:
        process.reset()
    process.used = True
    return process


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """Somebody's own page in a fresh context, logged in; errors in the page fail the test."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def go(
        who: str = "nurse", *, lang: str = "en-GB", theme: str = "day", size: tuple[int, int] = (1920, 1080)
    ) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, locale=lang, reduced_motion="reduce"
        )
        contexts.append(context)
        cookies = {THEME_COOKIE: theme, COOKIE: server.token(who)}
        context.add_cookies([{"name": k, "value": v, "url": server.base} for k, v in cookies.items()])
        page = context.new_page()
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on("console", lambda m: problems.append(m.text) if "Security Policy" in m.text else None)
        page.goto(server.base)
        page.wait_for_url(re.compile("/(ward|admin|devices|fleet|me)"))
        return page

    yield go
    server.thaw()
    for context in contexts:
        context.close()
    assert not problems
