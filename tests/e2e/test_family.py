"""Invitations, consent and users in a real browser: two languages, on a desk and on a telephone."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.fake_ward import PASSWORD
from tests.e2e.test_staff import PHONE
from tests.e2e.walk import fits
from tests.e2e.wards import Open, Server

SEEN = pytest.mark.parametrize(
    ("lang", "size", "theme"),
    [("en-GB", (1280, 900), "day"), ("zh-CN", (PHONE, 844), "night")],
)
ENGLISH = re.compile(r"\b(?:the|nobody|until|see|link|password)\b", re.IGNORECASE)
"""Words that stand on no Chinese page."""


def chinese(page: Page) -> None:
    texts = "\n".join(
        page.locator("main :is(h1, h2, h3, p, label, button, th, summary, legend)").all_inner_texts()
    )
    found = ENGLISH.search(re.sub(r"https?://\S+", "", texts))
    assert not found, found


def patient_of(page: Page, server: Server) -> str:
    found = page.request.get(f"{server.base}/api/v1/patients").json()["items"]
    return str(next(p["id"] for p in found if p["name"] == "Samuel Mensah"))


@SEEN
def test_an_invitation_is_handed_out_and_consent_is_large(
    server: Server,
    open_page: Open,
    lang: str,
    size: tuple[int, int],
    theme: str,
):
    server.do("family")
    page = open_page("admin", lang=lang, size=size, theme=theme)
    patient = patient_of(page, server)
    page.goto(f"{server.base}/patients/{patient}/people")
    page.locator("form.fields button.primary").first.click()
    expect(page.locator(".handout svg.qr")).to_be_visible()
    fits(page)
    mine = open_page("patient", lang=lang, size=size, theme=theme)
    mine.goto(f"{server.base}/me/consent")
    expect(mine.locator(".relative")).to_have_count(2)
    mine.locator("main details summary").first.click()
    small = mine.evaluate(
        "[...document.querySelectorAll('main :is(p, li, label, button, select, legend, summary, h3)')]"
        ".filter(e => e.offsetParent && parseFloat(getComputedStyle(e).fontSize) < 24).map(e => e.outerHTML)"
    )
    assert not small
    low = mine.evaluate(
        "[...document.querySelectorAll('main :is(button, .button, select, summary, .ticks label)')]"
        ".filter(e => e.offsetParent && e.getBoundingClientRect().height < 60).map(e => e.outerHTML)"
    )
    assert not low
    if lang == "zh-CN":
        chinese(mine)


def test_a_relative_from_the_invitation_to_what_the_patient_allows(server: Server, open_page: Open):
    nurse = open_page("nurse", size=(1280, 900))
    nurse.goto(f"{server.base}/patients/{patient_of(nurse, server)}/people")
    nurse.fill("#rel-name", "Ann Mensah")
    nurse.get_by_role("button", name="Invite").click()
    url = nurse.locator(".address").inner_text()
    relative = open_page("nurse", size=(PHONE, 844))
    relative.context.clear_cookies()
    relative.goto(f"{server.base}{urlsplit(url).path}")
    relative.fill("#password", PASSWORD)
    relative.fill("#again", PASSWORD)
    relative.get_by_role("button", name="Set and log in").click()
    relative.goto(f"{server.base}/me/consent")
    expect(relative.locator("main")).to_contain_text("You see nothing at present")
    patient = open_page("patient", size=(PHONE, 844))
    patient.goto(f"{server.base}/me/consent")
    theirs = patient.locator(".relative")
    for part in ("measured values", "care plan"):
        theirs.get_by_label(part).check()
    theirs.get_by_role("button", name="Allow").click()
    expect(patient.locator(".notice.good")).to_be_visible()
    relative.reload()
    expect(relative.locator(".seen li")).to_have_text(
        ["measured values and trends, symptoms and pain", "care plan and what was done"]
    )
    patient.get_by_role("button", name="Take it back").click()
    relative.reload()
    expect(relative.locator("main")).to_contain_text("You see nothing at present")
