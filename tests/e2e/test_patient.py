"""The page of one patient in a real browser: trends, by keyboard too, on a phone, in both languages."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.wards import Open, Server, start, stop


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = start("12", "4")
    made.do("scene")
    yield made
    stop(made)


def go(page: Page, server: Server, bed: str = "A-03") -> None:
    """From the wall to the page of the patient with the worst alarm."""
    page.locator(".tile", has_text=bed).locator(".vitals").click()
    page.locator("#detail a.button", has_text=re.compile("Whole page|完整页面")).click()
    expect(page.locator(".plot canvas").first).to_be_visible()
    assert page.url.startswith(f"{server.base}/patients/")


def test_trends_are_drawn_and_read_by_keyboard(server: Server, open_page: Open):
    page = open_page(size=(1280, 900))
    go(page, server)
    expect(page.locator("#trend-spo2")).to_contain_text("below 90")
    expect(page.locator("#trend-spo2 .drawn a")).to_contain_text("SpO2 84 < 90")
    plot = page.locator("#trend-spo2 .plot")
    plot.focus()
    page.keyboard.press("End")
    expect(page.locator("#trend-spo2 .readout")).to_contain_text("84 %")
    at_end = plot.get_attribute("aria-valuetext")
    page.keyboard.press("Home")
    expect(plot).to_have_attribute("aria-valuenow", "0")
    assert plot.get_attribute("aria-valuetext") != "–"  # noqa: RUF001 - nothing to say
    assert at_end
    page.locator("#trend-spo2 summary").click()
    expect(page.locator("#trend-spo2 tbody tr").first).to_be_visible()
    page.get_by_role("link", name="24 hours").click()
    expect(page.locator("#trend-spo2 .plot canvas")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()
    assert "spo2" in download.value.path().read_text()


def test_a_picture_that_is_not_refreshed_says_so(server: Server, open_page: Open):
    page = open_page(size=(1280, 900))
    go(page, server)
    figure = page.locator("#trend-spo2")
    page.evaluate("document.querySelectorAll('.plot').forEach((box) => { box.dataset.poll = '1'; })")
    page.context.set_offline(True)
    # a fetch that was on its way is given up after 8 s
    expect(figure.locator(".old")).to_be_visible(timeout=15_000)
    page.context.set_offline(False)
    expect(figure.locator(".old")).to_be_hidden(timeout=15_000)


def pass_until(page: Page, done: Callable[[], bool], seconds: int = 60) -> None:
    """Let the page's time pass; what is seen is noticed in ours."""
    for _ in range(seconds):
        if done():
            return
        page.clock.run_for(1_000)
        page.wait_for_timeout(40)


def test_waveforms_go_on_while_they_are_seen_and_lead_back_in_time(server: Server, open_page: Open):
    page = open_page(size=(390, 844))
    page.clock.install()
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/waves") else None)
    go(page, server)
    pass_until(page, lambda: bool(asked), seconds=20)
    assert asked == [], "far below what is seen nothing is asked for"
    page.locator("#waves").scroll_into_view_if_needed()
    newest = page.locator("#waves-now .strip time").first
    expect(newest).to_be_visible()
    before = newest.get_attribute("datetime")
    pass_until(page, lambda: newest.get_attribute("datetime") != before, seconds=200)
    expect(newest).not_to_have_attribute("datetime", str(before))
    page.locator("details.waves > summary").click()
    pass_until(page, lambda: False, seconds=10)  # one may have been on its way
    there = len(asked)
    page.clock.run_for(30_000)
    assert len(asked) == there, "closed it is not refreshed"
    page.locator("details.waves > summary").click()
    page.get_by_role("link", name="Pulse wave (pleth)").click()
    page.get_by_role("link", name="Earlier").click()
    expect(page.locator(".strip svg.wave")).to_be_visible()
    page.get_by_role("link", name="1 min").click()
    page.wait_for_url("**window=60s**")
    for _ in range(3):  # on a busy machine the gap is more than a minute ago by now
        expect(page.locator(".strip svg.wave")).to_be_visible()
        if page.locator(".strip .flaws").count():
            break
        seen = page.url
        page.get_by_role("link", name="Earlier").click()
        page.wait_for_url(lambda url, seen=seen: url != seen)  # type: ignore[misc]
    expect(page.locator(".strip .flaws")).to_contain_text("no sample")
    expect(page.locator(".strip .flaws")).to_contain_text("poor signal")
    page.get_by_role("link", name="Newest").click()
    page.wait_for_url("**/waves/pleth?window=60s")
    expect(page.locator(".strip svg.wave")).to_be_visible()
    expect(page.get_by_role("link", name="Later")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_an_alarm_leads_to_the_waveforms_of_its_time(server: Server, open_page: Open):
    page = open_page(size=(1280, 900))
    page.goto(f"{server.base}/alarms/alm_1")
    page.get_by_role("link", name="Waveforms at that time").click()
    expect(page.locator(".strip svg.wave")).to_be_visible()
    expect(page.locator(".pick [aria-current]")).to_have_text("30 s")
