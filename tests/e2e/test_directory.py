"""The directory in a real browser: scanning without touching the mouse, and everybody can read it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.test_wall import Open, Server, browser, open_page, start, stop  # noqa: F401 - fixtures


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = start("12", "4", "calm")
    yield made
    stop(made)


def scan(page: Page, code: str) -> None:
    """What a scanner does: type where the page waits for it, and press Enter."""
    page.keyboard.type(code)
    page.keyboard.press("Enter")
    page.wait_for_load_state()


def first_cell(page: Page, path: str) -> str:
    page.goto(path)
    return page.locator("tbody tr").first.locator("td").first.inner_text().strip()


def test_a_device_is_given_away_by_two_scans_and_a_confirmation(
    server: Server,
    open_page: Open,  # noqa: F811 - a fixture
):
    page = open_page("nurse")
    device = first_cell(page, f"{server.base}/admin/device")
    page.goto(f"{server.base}/admin/patient?page=1")
    name = page.locator("tbody tr").last.locator("td").first.inner_text().strip()
    page.goto(f"{server.base}/assign")
    scan(page, device)
    expect(page.locator(".scan")).to_contain_text(device)
    scan(page, name)
    expect(page.locator("#sure")).to_be_visible()
    page.locator(".ask button.primary").click()
    expect(page.get_by_role("status")).to_contain_text(name)
    expect(page.locator("input[name=device]")).to_be_focused()


@pytest.mark.parametrize(("lang", "theme", "width"), [("en-GB", "day", 1280), ("zh-CN", "night", 390)])
def test_everybody_can_read_the_directory(
    server: Server,
    open_page: Open,  # noqa: F811 - a fixture
    lang: str,
    theme: str,
    width: int,
):
    page = open_page("admin", lang=lang, theme=theme, size=(width, 844))
    page.goto(f"{server.base}/admin/device")
    entry = page.locator("tbody a").first.get_attribute("href") or ""
    for path in ("/admin?q=a", "/admin/device", entry, "/assign?device=x", "/audit"):
        page.goto(server.base + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        found = Axe().run(page).response["violations"]
        assert not found, (path, [(v["id"], [n["html"] for n in v["nodes"]][:3]) for v in found])
