"""Alarms answered in a real browser: on the wall, at a shared wall with badge and PIN, and on their pages."""

from __future__ import annotations

import re
import time

import httpx
from playwright.sync_api import Page, expect

from tests.e2e.wards import Open, Server, live

GOODBYE_S = 6
"""Without a goodbye a wall counts as there for 10 s."""


def scene(server: Server, page: Page) -> None:
    live(page)
    server.do("answers")
    expect(page.locator(".tile .alarm").first).to_be_visible()


def tile(page: Page, bed: str) -> Page:
    return page.locator(".tile", has=page.locator(".bed", has_text=bed))  # type: ignore[return-value]


def test_a_tile_says_who_is_next_and_when_and_what_is_paused(server: Server, open_page: Open) -> None:
    page = open_page()
    scene(server, page)
    first = tile(page, "A-03").locator(".alarm")
    expect(first.locator(".owner")).to_have_text(re.compile(r"^→ Dr Weber in 1:1\d$"))
    paused = tile(page, "A-06").locator(".alarm")
    expect(paused.locator(".owner")).to_have_text(re.compile(r"^→ Li Na \+1 in 0:\d\d$"))
    expect(paused.locator(".mute")).to_have_text(re.compile(r"1:[45]\d"))
    latched = tile(page, "A-02").locator(".alarm")
    expect(latched.locator(".owner")).to_contain_text("to be acknowledged")
    expect(latched.locator(".accept")).to_have_text("Acknowledge")
    expect(tile(page, "A-02")).to_have_attribute("data-p", "")
    expect(tile(page, "A-07").locator(".off")).to_contain_text("in the shower")
    expect(tile(page, "A-01").locator(".off")).to_contain_text("maintenance until")
    expect(page.locator(".n-off")).to_have_text("2 paused or off")
    expect(page.locator(".n-ended")).to_have_text("1 ended")


def test_one_gateway_is_one_alarm_with_what_it_explains_below_it(server: Server, open_page: Open) -> None:
    page = open_page()
    scene(server, page)
    root = page.locator("#strip > .alarm", has_text="gw-1")
    expect(root.locator(".what")).to_have_text("Gateway gw-1: no word for 30 s · +2 that it explains")
    below = tile(page, "A-04").locator(".alarm")
    expect(below).to_have_attribute("data-s", "under")
    expect(below.locator("button:visible")).to_have_count(0)
    expect(page.locator(".n-high")).to_have_text("3 high")
    expect(page.locator("#strip")).not_to_contain_text("No heart rate")


def level(page: Page) -> str:
    return str(page.evaluate("document.body.dataset.heard ?? ''"))


def test_a_pause_silences_one_alarm_and_any_new_one_is_heard(server: Server, open_page: Open) -> None:
    page = open_page()
    live(page)
    page.click("#sound-bar")
    expect(page.locator("#sound-bar")).to_be_hidden()
    assert level(page) == ""
    server.do("alarm")
    row = tile(page, "A-01").locator(".alarm")
    expect(row.locator(".accept")).to_be_visible()
    assert level(page) == "high"
    row.locator(".mute").click()
    expect(row.locator(".mute")).to_have_text(re.compile(r"[12]:\d\d"))
    expect(row).to_have_attribute("data-s", "audio_paused")
    assert level(page) == ""
    server.do("scene")
    expect(tile(page, "A-03").locator(".alarm")).to_be_visible()
    assert level(page) == "high"
    row.locator(".mute").click()
    expect(row).to_have_attribute("data-s", "on")


def test_the_keyboard_pauses_and_acknowledges(server: Server, open_page: Open) -> None:
    page = open_page()
    scene(server, page)
    tile(page, "A-03").focus()
    page.keyboard.press("s")
    expect(tile(page, "A-03").locator(".alarm")).to_have_attribute("data-s", "audio_paused")
    tile(page, "A-02").focus()
    page.keyboard.press("a")
    expect(tile(page, "A-02").locator(".alarm")).to_have_count(0)


def test_a_shared_wall_asks_who_it_is_and_then_takes_one_tap(server: Server, open_page: Open) -> None:
    page = open_page("wall")
    scene(server, page)
    row = tile(page, "A-03").locator(".alarm")
    row.locator(".accept").click()
    dialog = page.locator("#unlock")
    expect(dialog).to_be_visible()
    page.fill("#badge", "FFFF")
    page.keyboard.press("Enter")
    expect(dialog.locator("[role=alert]")).to_contain_text("not known")
    page.fill("#badge", "04A1B2")
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect(row.locator(".owner")).to_have_text("accepted by Li Na")
    expect(page.locator("#unlocked")).to_contain_text("Li Na")
    second = tile(page, "A-06").locator(".alarm")
    second.locator(".accept").click()
    expect(second.locator(".owner")).to_contain_text("accepted by Li Na")
    page.click("#unlocked button")
    expect(page.locator("#unlocked")).to_be_hidden()
    tile(page, "A-02").locator(".accept").click()
    expect(dialog).to_be_visible()
    page.fill("#unlock-login", "doctor")
    page.fill("#unlock-pin", "2580")
    page.keyboard.press("Enter")
    expect(tile(page, "A-02").locator(".alarm")).to_have_count(0)


def test_the_server_knows_which_walls_are_there_and_heard(server: Server, open_page: Open) -> None:
    page = open_page("wall")
    live(page)
    expect(page.locator("#unheard")).to_contain_text("No wall is heard: ")
    page.click("#sound-bar")
    expect(page.locator("#unheard")).to_have_text("")
    with httpx.Client(base_url=server.base) as client:
        token = client.post("/api/v1/login", json={"login": "wall", "password": "a short sentence"}).json()
        client.headers["authorization"] = f"Bearer {token['token']}"

        def wards(**report: object) -> list[dict[str, object]]:
            body = {"wall": "test", "audible": False, **report}
            return list(client.post("/api/v1/live/wall", json=body).json()["wards"])

        assert [(w["connected"], w["audible"]) for w in wards()] == [(2, 1), (2, 1)]
        page.goto(f"{server.base}/alarms")
        began = time.monotonic()
        while wards()[0]["audible"] and time.monotonic() - began < GOODBYE_S:
            page.wait_for_timeout(100)
        assert [(w["connected"], w["audible"]) for w in wards()] == [(1, 0), (1, 0)], "it said goodbye"


def test_the_list_is_worst_first_filtered_by_its_address_and_answered(
    server: Server, open_page: Open
) -> None:
    page = open_page()
    scene(server, page)
    page.goto(f"{server.base}/alarms")
    shown = [t.split("\n")[0] for t in page.locator(".list .what").all_inner_texts()]
    assert "SpO2 84 < 90" in shown[0]
    assert "Gateway gw-1" in shown[1]
    assert all("No heart rate" in text for text in shown[2:4])
    assert "SpO2 88 < 90" in shown[-1], "what has ended comes last"
    page.click("main summary")
    page.select_option("#priority", "medium")
    page.select_option("#kind", "physiological")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(re.compile("priority=medium.*kind=physiological"))
    expect(page.locator(".list > li")).to_have_count(2)
    page.get_by_role("button", name="Accept: Heart rate 128 > 120").click()
    expect(page).to_have_url(re.compile("priority=medium"))
    expect(page.locator(".list > li", has_text="Heart rate").locator(".owner")).to_contain_text("Li Na")
    page.goto(f"{server.base}/alarms?from=yesterday")
    expect(page.locator("[aria-invalid]")).to_have_attribute("name", "from")


def test_an_alarm_says_who_was_told_and_takes_every_answer(server: Server, open_page: Open) -> None:
    page = open_page()
    scene(server, page)
    page.goto(f"{server.base}/alarms/alm_1")
    told = page.locator("section", has=page.locator("#told"))
    expect(told).to_contain_text("812 ms · HTTP 503")
    history = page.locator("section", has=page.locator("#history"))
    expect(history).to_contain_text("rejected: cannot come · Li Na · with bed 7")
    page.get_by_role("button", name="Accept: SpO2").click()
    expect(page.locator(".notice.good")).to_have_text("You are responsible for it now.")
    page.get_by_label("Note for the record").fill("probe moved to the other hand")
    page.get_by_role("button", name="Note").click()
    expect(history).to_contain_text("probe moved to the other hand")
    page.get_by_role("button", name="Acknowledge: no sound").click()
    expect(page.locator("dl.facts").first).to_contain_text("sound off: acknowledged")
    page.get_by_label("I give it back, because").fill("called away")
    page.get_by_role("button", name="Give back").click()
    expect(page.locator("dl.facts").first).to_contain_text("nobody yet")
    doctor = open_page("doctor")
    doctor.goto(f"{server.base}/alarms/alm_2")
    doctor.get_by_role("button", name="Take over").click()
    expect(doctor.locator("dl.facts").first).to_contain_text("Dr Weber")
    page.goto(f"{server.base}/alarms/alm_2")
    page.get_by_role("button", name="Acknowledge").is_hidden()


def test_alarms_are_switched_off_with_reason_and_end_and_on_again(server: Server, open_page: Open) -> None:
    page = open_page("doctor")
    scene(server, page)
    tile(page, "A-09").click()
    page.click("text=Pause or switch off alarms")
    page.wait_for_url("**/inactivations?subject=**")
    page.check("input[value=alarms_off]")
    page.fill("#reason", "comfort care, agreed with the family")
    page.select_option("#lasts", "10080")
    page.get_by_role("button", name="Switch off").click()
    expect(page.locator(".notice.good")).to_be_visible()
    row = page.locator(".list > li", has_text="A-09")
    expect(row).to_contain_text("Dr Weber")
    expect(row).to_contain_text("comfort care")
    row.get_by_role("button", name="Switch on again").click()
    expect(page.locator(".list > li", has_text="A-09")).to_have_count(0)
    expect(page.locator("section", has=page.locator("#past"))).to_contain_text("ended by Dr Weber")
    nurse = open_page()
    tile(nurse, "A-09").click()
    nurse.click("text=Pause or switch off alarms")
    expect(nurse.locator("input[type=radio]")).to_have_count(1)


def test_engineers_see_and_answer_equipment_only(server: Server, open_page: Open) -> None:
    page = open_page("engineer")
    server.do("answers")
    page.goto(f"{server.base}/alarms")
    expect(page.locator(".list > li")).to_have_count(1)
    assert "SpO2" not in page.locator("main").inner_text()
    page.get_by_role("button", name="Accept: Gateway gw-1").click()
    expect(page.locator(".list .owner")).to_contain_text("Engineer")
    page.goto(f"{server.base}/alarms/alm_1")
    expect(page.locator("main")).to_contain_text("Not found")
    page.goto(f"{server.base}/inactivations")
    expect(page.locator(".list > li")).to_have_count(1)
    page.get_by_role("button", name="Switch on again").click()
    expect(page.locator("main")).to_contain_text("Nothing is paused or off.")
