"""The rules and a patient's limits in a real browser: in two languages, on a desk and on a phone."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.walk import fits
from tests.e2e.wards import Open, Server

PHONE = 390
SEEN = pytest.mark.parametrize(
    ("lang", "size", "theme"),
    [("en-GB", (1280, 900), "day"), ("zh-CN", (PHONE, 844), "night")],
)
CHINESE = re.compile("[一-鿿]")


def limits_of_the_first(page: Page, base: str) -> None:
    page.goto(f"{base}/ward")
    patient = page.locator(".tile").first.get_attribute("data-patient")
    page.goto(f"{base}/patients/{patient}/limits")


@SEEN
def test_the_rules_and_one_of_them(
    server: Server,
    open_page: Open,
    lang: str,
    size: tuple[int, int],
    theme: str,
):
    page = open_page("doctor", lang=lang, size=size, theme=theme)
    page.goto(f"{server.base}/rules")
    rows = page.locator("section").first.locator("tbody tr")
    assert rows.count() >= 25
    expect(page.locator("tr#spo2-low")).to_contain_text("血氧饱和度过低" if lang == "zh-CN" else "< 90")
    if lang == "zh-CN":
        assert all(CHINESE.search(title) for title in rows.locator("td:first-child a").all_text_contents())
    page.locator("tr#spo2-low a").click()
    page.wait_for_url(re.compile("/rules/spo2-low"))
    expect(page.locator("section[aria-labelledby=says]")).to_contain_text(
        "限值" if lang == "zh-CN" else "limit"
    )


@SEEN
def test_a_limit_is_set_refused_and_ended_by_the_form(
    server: Server,
    open_page: Open,
    lang: str,
    size: tuple[int, int],
    theme: str,
):
    page = open_page("doctor", lang=lang, size=size, theme=theme)
    limits_of_the_first(page, server.base)
    card = page.locator("section#spo2-low")
    expect(card.locator("strong.set")).to_have_text("90")
    card.locator("summary").click()
    card.locator("input[name=value]").fill("92")
    card.locator("input[name=reason]").fill("COPD, 88-92")
    card.locator("select[name=lasts]").select_option("24")
    card.locator("button.primary").click()
    expect(page.locator(".notice.good")).to_be_visible()
    expect(card.locator("strong.set")).to_have_text("92")
    expect(card.locator(".set-by")).to_contain_text("Dr Weber")
    expect(card.locator(".set-by")).to_contain_text("COPD, 88-92")
    fits(page)

    change = card.locator("details").last
    change.locator("summary").click()
    change.locator("input[name=value]").evaluate(
        "input => { input.removeAttribute('max'); input.value = '99'; }"
    )
    change.locator("input[name=reason]").fill("too high")
    change.locator("button.primary").click()
    wrong = card.locator(".field.wrong")
    expect(wrong.locator("[role=alert]")).to_contain_text("80 - 94")
    expect(wrong.locator("input")).to_have_value("99")
    fits(page)

    end = card.locator(".set-by details")
    end.locator("summary").click()
    end.locator("input[name=reason]").fill("weaned")
    end.locator("button.primary").click()
    expect(card.locator("strong.set")).to_have_text("90")
    expect(page.locator("section[aria-labelledby=history]")).to_contain_text("weaned")
