"""Observations by hand in a real browser: how many clicks and keys they take, on what size of screen."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.wards import Open, Server

MOST_INTERACTIONS = 8
"""A click or a key takes a practised person well under two seconds: 15 s on the form."""


class Hands:
    """Counts what a person does: every click and every key."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.count = 0

    def click(self, target: Locator) -> None:
        self.count += 1
        target.click()

    def type(self, text: str) -> None:
        for key in text:
            self.press(key)

    def press(self, key: str) -> None:
        self.count += 1
        self.page.keyboard.press(key)


def chip(page: Page, group: str, text: str) -> Locator:
    return page.get_by_role("group", name=re.compile(f"^{group}")).get_by_role("radio", name=text, exact=True)


def to_form(page: Page) -> None:
    page.locator(".tile").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Enter observations").click()
    page.wait_for_url(re.compile("/patients/.*/entry"))


def with_the_mouse(page: Page, hands: Hands) -> None:
    hands.click(chip(page, "Consciousness", "Alert"))
    hands.click(chip(page, "Air or oxygen", "Oxygen"))
    hands.click(page.get_by_label("Respiratory rate"))
    hands.type("18")
    hands.click(chip(page, "Pain", "3"))
    hands.press("Enter")


def on_a_phone(page: Page, hands: Hands) -> None:
    hands.click(chip(page, "Consciousness", "Alert"))
    hands.click(chip(page, "Air or oxygen", "Oxygen"))
    hands.click(chip(page, "Pain", "3"))
    hands.click(page.get_by_label("Respiratory rate"))
    hands.type("18")
    hands.click(page.get_by_role("button", name="Save"))


@pytest.mark.parametrize(("way", "size"), [(with_the_mouse, (1280, 900)), (on_a_phone, (390, 844))])
def test_a_nurses_round_of_four_takes_eight_interactions_at_most(
    server: Server,
    open_page: Open,
    way: Callable[[Page, Hands], None],
    size: tuple[int, int],
):
    del server
    page = open_page(size=size)
    to_form(page)
    expect(page.get_by_role("heading", level=1)).to_contain_text("A-01 · Rosa Lindqvist")
    assert page.locator("input[type=radio]:checked").evaluate_all("all => all.every(r => r.value === '')")
    hands = Hands(page)
    way(page, hands)
    saved = page.get_by_role("status")
    expect(saved).to_contain_text("Saved")
    assert hands.count <= MOST_INTERACTIONS
    for text in ("Consciousness Alert", "Air or oxygen Oxygen", "Respiratory rate 18 /min", "Pain 3"):
        expect(saved).to_contain_text(text)
    expect(page.locator(".entered time").first).not_to_contain_text("UTC")


def test_without_a_mouse(server: Server, open_page: Open):
    del server
    page = open_page()
    to_form(page)
    page.locator("input[name=consciousness]").first.focus()
    hands = Hands(page)
    for key in ("ArrowRight", "Tab", "ArrowRight", "Tab", "1", "8", "Tab", "ArrowRight", "Enter"):
        hands.press(key)
    saved = page.get_by_role("status")
    for text in ("Consciousness Alert", "Air or oxygen Room air", "Respiratory rate 18 /min", "Pain 0"):
        expect(saved).to_contain_text(text)


def test_a_symptom_takes_a_patient_two_clicks(server: Server, open_page: Open):
    del server
    page = open_page("patient", size=(390, 844))
    hands = Hands(page)
    hands.click(page.get_by_role("link", name="How do you feel?").first)
    hands.click(page.get_by_role("button", name="Nausea"))
    expect(page.get_by_role("status")).to_contain_text("Symptom Nausea")
    assert hands.count == 2


def test_an_earlier_time_is_the_browsers_own(server: Server, open_page: Open):
    del server
    page = open_page()
    to_form(page)
    assert page.locator("input[name=zone]").input_value()
    ago = page.evaluate(
        "() => { const d = new Date(Date.now() - 3.6e6 - 6e4 * new Date().getTimezoneOffset());"
        " return d.toISOString().slice(0, 16); }"
    )
    chip(page, "Pain", "5").click()
    page.get_by_text("Observed earlier?").click()
    page.locator("#f-at").fill(ago)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Pain 5")
    expect(page.locator("ol.entered > li").first).to_contain_text("entered")


def test_a_refusal_is_shown_and_what_was_chosen_stays(server: Server, open_page: Open):
    del server
    page = open_page()
    to_form(page)
    chip(page, "Consciousness", "Reacts to pain").click()
    page.get_by_label("Respiratory rate").fill("300")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Respiratory rate: 300 is not within 0 to 200 /min")
    assert page.locator("input[name=consciousness]:checked").input_value() == "P"
    page.get_by_label("Respiratory rate").fill("30")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Consciousness Reacts to pain")


@pytest.mark.parametrize(("lang", "theme"), [("en-GB", "day"), ("zh-CN", "night")])
def test_the_forms_fit_a_phone(
    server: Server,
    open_page: Open,
    lang: str,
    theme: str,
):
    for who in ("nurse", "patient"):
        page = open_page(who, lang=lang, theme=theme, size=(390, 844))
        if who == "nurse":
            page.goto(f"{server.base}/admin/patient")
            page.goto(server.base + (page.locator('a[href$="/entry"]').first.get_attribute("href") or ""))
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        small = page.locator(".chips label:not(.none) > span, .send button").evaluate_all(
            "all => all.filter(e => e.getBoundingClientRect().height < 44).length"
        )
        assert small == 0
