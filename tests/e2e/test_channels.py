"""Channels, notifications on this device and the burden of alarms in a real browser, on a phone, too."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.e2e.walk import fits
from tests.e2e.wards import Open, Server

PHONE = 390
SEEN = pytest.mark.parametrize(
    ("lang", "size", "theme"),
    [("en-GB", (1280, 900), "day"), ("zh-CN", (PHONE, 844), "night")],
)
CHINESE = re.compile("[一-鿿]")


@SEEN
def test_the_channels_are_looked_at_and_tested(
    server: Server,
    open_page: Open,
    lang: str,
    size: tuple[int, int],
    theme: str,
):
    server.do("history")
    page = open_page("engineer", lang=lang, size=size, theme=theme)
    page.goto(f"{server.base}/channels")
    sms = page.locator("section[aria-labelledby=sms]")
    voice = page.locator("section[aria-labelledby=voice]")
    email = page.locator("section[aria-labelledby=email]")
    expect(sms.locator(".heading .chip.good")).to_be_visible()
    expect(voice.locator(".heading .chip.bad")).to_be_visible()
    expect(voice).to_contain_text("401")
    expect(email).to_contain_text("email.from_address")
    assert (page.locator("h1").inner_text() == "Channels") == lang.startswith("en")
    sms.locator("select").select_option("@number-1")
    sms.locator("form[action$=test] button").click()
    expect(sms.locator("[role=status] .chip.good")).to_be_visible()
    voice.locator("form[action$=check] button").click()
    expect(voice.locator(".notice.bad")).to_contain_text("401")
    fits(page)


@SEEN
def test_the_burden_of_a_week_is_filtered_and_leads_to_the_alarms(
    server: Server,
    open_page: Open,
    lang: str,
    size: tuple[int, int],
    theme: str,
):
    server.do("history")
    page = open_page("doctor", lang=lang, size=size, theme=theme)
    page.goto(f"{server.base}/burden")
    expect(page.locator("#total")).to_contain_text("160")
    page.select_option("#rule", "")
    page.select_option("#by", "day")
    page.locator("form.filters button").click()
    expect(page).to_have_url(re.compile("by=day"))
    assert re.search(r"zone=\w+", page.url), "the browser's own days are asked for"
    assert page.locator("table.figures").first.locator("tbody tr").count() >= 7
    if lang.startswith("zh"):
        labels = page.locator("label, th, dt").all_inner_texts()
        assert not [text for text in labels if re.search("[A-Za-z]{4,}", text) and not CHINESE.search(text)]
    first = page.locator("tbody td a").first
    shown = int(first.inner_text())
    first.click()
    expect(page).to_have_url(re.compile("/alarms\\?"))
    assert shown > 0


def test_this_browser_is_not_subscribed_until_somebody_asks(
    server: Server,
    open_page: Open,
):
    server.do("history")
    page = open_page("nurse", size=(PHONE, 844))
    page.goto(f"{server.base}/notifications")
    expect(page.locator("#push [role=status]")).to_contain_text("not subscribed")
    expect(page.locator("[data-do=push-on]")).to_be_visible()
    expect(page.locator("[data-do=push-off]")).to_be_hidden()
    scope = page.evaluate("navigator.serviceWorker.ready.then((w) => w.scope)")
    assert scope == f"{server.base}/"


def test_a_push_is_shown_while_no_page_is_looked_at(
    server: Server,
    open_page: Open,
):
    """The browser gives the registered worker a message, as a push service would."""
    server.do("history")
    page = open_page("nurse")
    page.context.grant_permissions(["notifications"], origin=server.base)
    registrations: list[str] = []
    session = page.context.new_cdp_session(page)
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda found: registrations.extend(r["registrationId"] for r in found["registrations"]),
    )
    session.send("ServiceWorker.enable")
    page.goto(f"{server.base}/notifications")
    page.evaluate("navigator.serviceWorker.ready.then(() => 1)")
    for _ in range(100):
        if registrations:
            break
        page.wait_for_timeout(50)
    message = {
        "id": "ntf_1",
        "alarm": "alm_1",
        "kind": "tell",
        "priority": "high",
        "language": "en",
        "subject": "ALARM high #ab12cd",
        "text": "SpO2 84 < 90, Ward A, bed A-03",
        "link": f"{server.base}/alarms/alm_1",
    }
    session.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": server.base, "registrationId": registrations[-1], "data": json.dumps(message)},
    )
    shown = page.evaluate(
        """async () => {
        const worker = await navigator.serviceWorker.ready;
        for (let i = 0; i < 100; i++) {
          const found = await worker.getNotifications();
          if (found.length) return found.map((n) => [n.title, n.body, n.tag, n.data, n.lang]);
          await new Promise((done) => setTimeout(done, 50));
        }
        return [];
        }"""
    )
    assert shown == [[message["subject"], message["text"], "alm_1", message["link"], "en"]]
