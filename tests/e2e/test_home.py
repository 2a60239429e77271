"""A patient's own pages and the care team's side of them in a real browser."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.e2e.fake_ward import PASSWORD
from tests.e2e.test_family import chinese
from tests.e2e.test_staff import PHONE
from tests.e2e.wards import Open, Server, start, stop

OWN = ("", "/measure?metric=nibp_systolic", "/feel", "/messages", "/plan", "/values", "/sheet")
SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('body *')]
  .filter((e) => e.offsetParent && !e.classList.contains('unseen'))
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
  .map((e) => parseFloat(getComputedStyle(e).fontSize)))"""
LOWEST_TARGET = """() => Math.min(...
  [...document.querySelectorAll('a, button, select, textarea, summary, input')]
  .filter((e) => e.offsetParent && !e.classList.contains('skip') && !['hidden', 'radio'].includes(e.type))
  .map((e) => e.getBoundingClientRect().height))"""


LOOKS: tuple[tuple[str, tuple[int, int], str], ...] = (
    ("en-GB", (1280, 900), "day"),
    ("zh-CN", (PHONE, 844), "night"),
)


def test_each_page_of_a_patient_is_large(
    server: Server,
    open_page: Open,
):
    server.do("home")
    server.do("measure-again")
    for lang, size, theme in LOOKS:
        page = open_page("patient", lang=lang, size=size, theme=theme)
        for path in OWN:
            page.goto(f"{server.base}/me{path}")
            assert page.evaluate(SMALLEST_TEXT) >= 24, path
            assert page.evaluate(LOWEST_TARGET) >= 60, path


def test_the_care_team_goes_from_message_to_plan(
    server: Server,
    open_page: Open,
):
    server.do("home")
    for lang, size, theme in LOOKS:
        page = open_page("nurse", lang=lang, size=size, theme=theme)
        page.goto(f"{server.base}/messages")
        page.locator(".inbox a").first.click()
        expect(page.locator(".talk li")).to_have_count(3)
        page.locator(".beside a").first.click()
        expect(page.locator(".grid tbody tr")).to_have_count(4)


def test_a_message_without_a_connection_is_kept_and_sent_later(
    server: Server,
    open_page: Open,
):
    page = open_page("patient", size=(390, 844))
    page.goto(f"{server.base}/me/messages")
    page.context.set_offline(True)
    page.fill("#text", "I feel dizzy.")
    page.click("#compose button")
    kept = page.locator("#unsent li")
    expect(kept).to_contain_text("It is kept on this device")
    page.context.set_offline(False)
    expect(kept).to_have_count(0)
    sent = page.locator("#thread li.mine")
    expect(sent).to_have_count(1)
    expect(sent).to_contain_text("Received today")
    page.fill("#text", "Better now.")
    page.click("#compose button")
    expect(sent).to_have_count(2)
    assert page.evaluate("Object.values(localStorage)") == ["[]"]


def test_a_symptom_takes_two_clicks_without_scripts_too(
    server: Server,
    browser: Browser,
):
    context = browser.new_context(java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto(server.base)
    page.fill("#login", "patient")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.click(".pair a >> nth=0")
    page.click("button[value=dizziness]")
    expect(page.locator(".entered")).to_contain_text("Dizziness")
    context.close()


def test_without_a_connection_an_installed_page_says_so_in_the_patients_language(
    browser: Browser,
):
    server = start("4", "1", "calm")
    context = browser.new_context(locale="zh-CN", viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(server.base)
    page.fill("#login", "patient")
    page.fill("#password", PASSWORD)
    page.click("button.primary")
    page.wait_for_url("**/me")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    page.goto(f"{server.base}/me")
    stop(server)
    page.goto(f"{server.base}/me")
    expect(page.locator("h1")).to_contain_text("现在无法连接到您的医护人员")
    chinese(page)
    assert page.evaluate(SMALLEST_TEXT) >= 24, "its style is there, too"
    context.close()


def test_a_page_that_stays_open_is_of_now_and_a_refused_message_is_given_back(
    server: Server,
    open_page: Open,
):
    page = open_page("patient", size=(390, 844))
    page.goto(f"{server.base}/me")
    link = page.locator("#rest .pair a").first
    link.focus()
    page.evaluate("document.querySelector('#rest .asof').textContent = 'of yesterday'")
    page.evaluate("htmx.ajax('GET', '/me/now', {target: '#now', swap: 'outerHTML'})")
    expect(page.locator("#rest .asof")).to_contain_text("As of")
    expect(page.locator("#rest")).to_have_count(1)
    expect(link).to_be_focused()
    page.goto(f"{server.base}/me/messages")
    page.route("**/api/v1/patients/*/messages", lambda route: route.fulfill(status=422, body="{}"))
    page.fill("#text", "Too much.")
    page.click("#compose button")
    expect(page.locator("#why-text")).to_contain_text("Your words are still in the box")
    expect(page.locator("#text")).to_have_value("Too much.")
    expect(page.locator("#unsent li")).to_have_count(0)
