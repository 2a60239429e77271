"""The page of one patient in a real browser: trends, by keyboard too, on a phone, in both languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.test_wall import Open, Server, browser, open_page, start, stop  # noqa: F401 - fixtures


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


def test_trends_are_drawn_and_read_by_keyboard(server: Server, open_page: Open):  # noqa: F811 - a fixture
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


def test_a_picture_that_is_not_refreshed_says_so(server: Server, open_page: Open):  # noqa: F811 - a fixture
    page = open_page(size=(1280, 900))
    go(page, server)
    figure = page.locator("#trend-spo2")
    page.evaluate("document.querySelectorAll('.plot').forEach((box) => { box.dataset.poll = '1'; })")
    page.context.set_offline(True)
    expect(figure.locator(".old")).to_be_visible()
    page.context.set_offline(False)
    expect(figure.locator(".old")).to_be_hidden()


@pytest.mark.parametrize(("lang", "theme", "width"), [("en-GB", "day", 390), ("zh-CN", "night", 1280)])
def test_axe_finds_nothing_and_a_phone_needs_no_scrolling_sideways(
    server: Server,
    open_page: Open,  # noqa: F811 - a fixture
    lang: str,
    theme: str,
    width: int,
):
    page = open_page(lang=lang, theme=theme, size=(1280, 900))
    go(page, server)
    page.set_viewport_size({"width": width, "height": 844})
    expect(page.locator("#trend-spo2 .plot canvas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page)
    assert not found.violations_count, found.generate_report()
