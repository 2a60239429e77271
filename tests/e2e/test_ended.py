"""A login that ends while a page is open, and a form with a wrong value: what the browser does then."""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Page, expect

from tests.e2e.fake_ward import PASSWORD
from tests.e2e.wards import Open, Server


def end_others(server: Server, login: str) -> None:
    """The same person logs out everywhere else."""
    with httpx.Client(
        base_url=server.base, headers={"Authorization": f"Bearer {server.token(login)}"}
    ) as client:
        client.post("/api/v1/me/sessions/end-others").raise_for_status()


def log_in(page: Page, login: str) -> None:
    expect(page.locator(".notice")).to_contain_text("Your login has ended")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("button.primary")


def test_a_wall_whose_login_ends_says_so_and_comes_back_after_the_next(server: Server, open_page: Open):
    page = open_page("doctor")
    page.goto(f"{server.base}/ward")
    expect(page.locator("#link b")).to_have_text("LIVE")
    end_others(server, "doctor")
    server.do("directory")  # the stream tells of a change; without one it ends within ten seconds
    page.wait_for_url("**/login?next=/ward")
    log_in(page, "doctor")
    page.wait_for_url("**/ward")
    expect(page.locator("#link b")).to_have_text("LIVE")


def test_a_part_that_fetches_itself_leads_to_the_login_and_back_to_its_page(server: Server, open_page: Open):
    page = open_page("patient", size=(390, 844))
    page.goto(f"{server.base}/me/messages")
    expect(page.locator("#thread")).to_be_visible()
    page.wait_for_function("() => window.htmx && document.getElementById('thread')?._htmx")
    end_others(server, "patient")
    page.evaluate("document.getElementById('thread').dispatchEvent(new Event('sent'))")
    page.wait_for_url("**/login?next=/me/messages")
    log_in(page, "patient")
    page.wait_for_url("**/me/messages")


def test_a_wrong_value_is_kept_and_has_the_focus(server: Server, open_page: Open):
    page = open_page("patient", size=(390, 844))
    page.goto(f"{server.base}/me/measure?metric=nibp_systolic")
    page.fill("#f-nibp_systolic", "1200")
    page.get_by_role("button", name="Send").click()
    wrong = page.locator("#f-nibp_systolic")
    expect(wrong).to_be_focused()
    expect(wrong).to_have_value("1200")
    expect(wrong).to_have_attribute("aria-invalid", "true")
    assert re.search(r"\w", page.locator("#why-nibp_systolic").inner_text())
