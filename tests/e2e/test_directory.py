"""The directory in a real browser: scanning without touching the mouse, and everybody can read it."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.wards import Open, Server


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
    open_page: Open,
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
