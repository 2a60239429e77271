"""What if, and the charts of alarms, in a real browser: in two languages, on a desk and on a phone."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.e2e.test_rules_pages import SEEN
from tests.e2e.walk import fits
from tests.e2e.wards import Open, Server


@SEEN
def test_a_limit_is_moved_tried_and_made_a_draft(
    server: Server,
    open_page: Open,
    lang: str,
    size: tuple[int, int],
    theme: str,
):
    server.do("history")
    page = open_page("doctor", lang=lang, size=size, theme=theme)
    page.goto(f"{server.base}/rules/spo2-low")
    page.locator("a[href$='/try']").click()
    page.locator("input[name='to:parameters/limit/value']").fill("85")
    page.locator("form[action$='/try'] button.primary").click()
    page.wait_for_url(re.compile(r"/rules/spo2-low/try/\w+"))
    expect(page.locator("section[aria-labelledby=came]")).to_be_visible()  # it came by itself
    expect(page.locator(".versus .losing dd")).not_to_have_text("0")
    expect(page.locator("section[aria-labelledby=days] svg.chart")).to_be_visible()
    assert page.locator("section[aria-labelledby=lost] tbody tr").count() > 0
    page.locator("a[href$='/draft']").click()
    expect(page.locator("textarea")).to_have_value(re.compile("value: 85, low: 80"))
    page.locator("form[action='/rules/drafts'] button.primary").click()
    expect(page.locator(".notice.good")).to_be_visible()
    fits(page)


@SEEN
def test_alarms_and_their_burden_are_drawn(
    server: Server,
    open_page: Open,
    lang: str,
    size: tuple[int, int],
    theme: str,
):
    server.do("history")
    page = open_page("nurse", lang=lang, size=size, theme=theme)
    page.goto(f"{server.base}/burden?by=hour")
    expect(page.locator("section[aria-labelledby=over-time] svg.chart")).to_be_visible()
    page.locator("section[aria-labelledby=over-time] summary").click()
    assert page.locator("section[aria-labelledby=over-time] tbody tr").count() == 24
    page.goto(f"{server.base}/alarms?show=all")
    expect(page.locator("details[open] svg.chart")).to_be_visible()
