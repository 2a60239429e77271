"""Staff, schedule, hand-over and escalation in a real browser: two languages, on a desk and on a phone."""

from __future__ import annotations

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


def test_the_hole_of_the_next_day_is_loud(server: Server, open_page: Open):
    server.do("staff")
    page = open_page("nurse", size=(1280, 900))
    page.goto(f"{server.base}/staff")
    expect(page.get_by_role("alert")).to_contain_text("Nobody is on duty at some time in the next 24 hours")
    ward = page.locator(".ward", has=page.get_by_role("heading", name="Ward A"))
    expect(ward.locator(".hole")).to_contain_text("Doctor: nobody")
    expect(ward).to_contain_text("Li Na")


def test_a_patient_to_me_in_one_click_then_whom_an_alarm_would_tell(server: Server, open_page: Open):
    server.do("staff")
    page = open_page("nurse", size=(1280, 900))
    page.goto(f"{server.base}/staff")
    row = page.locator("li", has_text="Giulia Bianchi")
    expect(row.locator(".whose")).to_contain_text("nobody")
    row.get_by_role("button", name="To me").click()
    expect(page.locator(".notice.good")).to_have_text("Assigned.")
    expect(page.locator("li", has_text="Giulia Bianchi").locator(".whose")).to_contain_text("Li Na")
    page.goto(f"{server.base}/escalation/default")
    page.select_option("#now-patient", label="A-09 Giulia Bianchi")
    page.get_by_role("button", name="Show").click()
    told = page.locator(".told li")
    expect(told.first).to_contain_text("the ward's walls")
    expect(told.nth(1)).to_contain_text("Li Na in the app, SMS")
    expect(told.last).to_contain_text("Dr Weber in the app, SMS, phone call")


def test_the_admin_adds_changes_and_cancels_a_shift(server: Server, open_page: Open):
    server.do("staff")
    page = open_page("admin", size=(1280, 900))
    page.goto(f"{server.base}/oncall")
    page.locator("a[rel=next]").click()
    page.select_option("#add-user", label="Dr Weber")
    page.select_option("#add-role", "doctor")
    page.select_option("#add-ward", label="Ward A")
    page.fill("#add-from", "20:00")
    page.fill("#add-to", "06:00")
    page.get_by_role("button", name="Add").click()
    expect(page.locator(".notice.good")).to_contain_text("Added.")
    turn = page.locator("a.turn", has_text="20:00").filter(has_text="Dr Weber")
    expect(turn).to_have_count(1)
    turn.click()
    page.fill("#change-to", "08:00")
    page.get_by_role("button", name="Change").click()
    expect(page.locator(".notice.good")).to_have_text("Changed.")
    page.locator("a.turn", has_text=re.compile("20:00.08:00")).click()
    page.get_by_role("button", name="Cancel this time").click()
    expect(page.locator(".notice.good")).to_have_text("Cancelled.")
    expect(page.locator("a.turn", has_text="20:00").filter(has_text="Dr Weber")).to_have_count(0)


@SEEN
def test_a_hand_over_with_the_pin_of_who_takes_it(
    server: Server,
    open_page: Open,
    lang: str,
    size: tuple[int, int],
    theme: str,
):
    server.do("staff")
    server.do("scene")
    page = open_page("nurse", lang=lang, size=size, theme=theme)
    page.goto(f"{server.base}/handover")
    expect(page.locator(".patient")).to_have_count(4)
    expect(page.locator(".patient").nth(2)).to_contain_text("84 < 90")
    page.locator("input[name=patients]").first.uncheck()
    page.select_option("#give-to", label="Chen Mei")
    page.fill("#give-pin", "1111")
    page.fill("#give-note", "A-02 sleeps")
    give = page.locator("section[aria-labelledby=give] button.primary")
    give.click()
    expect(page.locator("#give-pin + .why")).to_be_visible()
    expect(page.locator("#give-note")).to_have_value("A-02 sleeps")
    expect(page.locator("input[name=patients]").first).not_to_be_checked()
    expect(page.locator("#give-pin")).to_have_value("")
    fits(page)
    page.select_option("#give-to", label="Chen Mei")
    page.fill("#give-pin", "4711")
    give.click()
    done = page.locator(".notice.good")
    expect(done).to_contain_text("Chen Mei")
    expect(page.locator("section[aria-labelledby=past] li").first).to_contain_text("Li Na → Chen Mei")
    expect(page.locator(".patient")).to_have_count(1)


def test_the_sheet_prints_with_its_time_and_the_ages_of_values(server: Server, open_page: Open):
    server.do("staff")
    page = open_page("nurse", size=(1280, 900))
    page.goto(f"{server.base}/handover")
    page.emulate_media(media="print")
    expect(page.locator(".bar")).to_be_hidden()
    expect(page.locator("#give")).to_be_hidden()
    expect(page.locator(".printed")).to_contain_text("as of")
    expect(page.locator(".values .age").first).to_contain_text("ago")
    expect(page.locator(".sign")).to_be_visible()


def test_a_policy_is_refused_kept_and_put_in_force(server: Server, open_page: Open):
    page = open_page("admin", size=(1280, 900))
    page.goto(f"{server.base}/escalation/home")
    text = page.locator("#policy-text")
    good = text.input_value()
    text.fill(good.replace("on_duty:doctor", "on_duty:dokter"))
    page.get_by_role("button", name="Check and keep").click()
    expect(page.locator(".notice.bad[role=alert]")).to_contain_text("on_duty:dokter")
    expect(text).to_have_value(re.compile("dokter"))
    fits(page)
    text.fill(good.replace("en: At home", "en: At home, ours"))
    page.get_by_role("button", name="Check and keep").click()
    expect(page.locator(".notice.good")).to_contain_text("Put it in force below")
    page.get_by_role("button", name="Put in force").first.click()
    expect(page.locator(".notice.good")).to_contain_text("In force from now on")
    expect(page.locator("h1")).to_contain_text("At home, ours")


def test_the_pin_is_set_by_the_person(server: Server, open_page: Open):
    page = open_page("nurse", size=(PHONE, 844))
    page.goto(f"{server.base}/account")
    page.fill("#me-pin", "1234")
    page.get_by_role("button", name="Set PIN").click()
    expect(page.locator(".why")).to_contain_text("is guessed at once")
    page.fill("#me-pin", "2580")
    page.get_by_role("button", name="Set PIN").click()
    expect(page.locator(".notice.good")).to_have_text("The PIN is set.")
    expect(page.locator("label[for=me-pin]")).to_contain_text("(set)")
