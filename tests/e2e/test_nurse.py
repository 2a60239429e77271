"""Around the wall in a real browser: unseen messages, the header's menus, one answer that is enough."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.e2e.wards import Open, Server, live


def test_a_wall_goes_on_from_its_page_and_shows_that_a_patient_has_written(server: Server, open_page: Open):
    page = open_page()
    fetched: list[str] = []
    page.on("request", lambda r: fetched.append(r.url) if r.url.endswith("/api/v1/wall") else None)
    page.reload()
    live(page)
    value = page.locator('.tile [data-vital="hr"] .value').first
    first = value.text_content()
    expect(value).not_to_have_text(first or "", timeout=15_000)
    assert not fetched, "the page's own snapshot and the stream after it are enough"
    expect(page.locator(".tile .mail:visible")).to_have_count(0)

    server.do("home")
    mark = page.locator(".tile", has_text="Samuel Mensah").locator(".mail b")
    expect(mark).to_have_text("✉ 1")
    waiting = page.locator("#counts .n-mail")
    expect(waiting).to_have_text("messages: 1")
    waiting.click()
    page.wait_for_url("**/messages")
    page.locator(".inbox a").first.click()
    expect(page.locator("#talk")).to_contain_text("72.4 kg this morning")
    page.goto(f"{server.base}/ward")
    live(page)
    expect(page.locator(".tile .mail:visible")).to_have_count(0)
    expect(page.locator("#counts .n-mail")).to_have_count(0)


def test_the_headers_menus_open_by_keyboard_and_close_by_escape_and_elsewhere(open_page: Open):
    page = open_page(size=(1280, 800))
    page.goto(page.url.replace("/ward", "/alarms"))
    assert page.locator("header.bar").bounding_box()["height"] < 64, "one row in English at 1280"  # type: ignore[index]
    menu = page.locator(".jobs details").first
    staff = menu.get_by_role("link", name="Staff")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(staff).to_be_visible()
    page.keyboard.press("Escape")
    expect(staff).to_be_hidden()
    menu.locator("summary").click()
    expect(staff).to_be_visible()
    page.locator("h1").click(position={"x": 5, "y": 5})
    expect(staff).to_be_hidden()
    menu.locator("summary").click()
    staff.click()
    page.wait_for_url("**/staff")
    expect(page.locator(".jobs summary.here")).to_have_text("People")


def test_a_phone_has_one_menu(open_page: Open):
    page = open_page(size=(390, 844), lang="zh-CN", theme="night")
    page.goto(page.url.replace("/ward", "/alarms"))
    expect(page.locator(".jobs")).to_be_hidden()
    page.locator(".all-jobs summary").click()
    box = page.locator(".all-jobs nav").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".all-jobs").get_by_role("link", name="交接班").click()
    page.wait_for_url("**/handover")
