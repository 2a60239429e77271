"""The wall over a shift: its sound check, scores, more patients than fit, and the ward on paper."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.e2e.walk import fits
from tests.e2e.wards import Open, Server, live

BADGE = "04A2249C5F6180"


def test_the_sound_is_checked_when_a_shift_begins(server: Server, open_page: Open):
    server.do("staff")
    page = open_page("wall")
    live(page)
    check = page.locator("#sound-check")
    expect(check).to_contain_text("Sound check for the shift that began at")
    expect(check.get_by_role("button", name="I heard it")).to_be_hidden()
    check.get_by_role("button", name="Play the alarm tone").click()
    expect(page.locator("#sound-state")).to_have_text("Sound is on")
    fits(page)
    check.get_by_role("button", name="I heard nothing").click()
    page.fill("#badge", BADGE)
    page.get_by_role("button", name="Unlock").click()
    expect(check).to_contain_text("This wall was not heard")
    expect(page.locator("#unheard")).to_contain_text("Ward A")
    expect(check.get_by_role("button", name="I heard it")).to_be_hidden()
    check.get_by_role("button", name="Play the alarm tone").click()
    check.get_by_role("button", name="I heard it").click()
    expect(check).to_be_hidden()
    expect(page.locator("#unheard")).to_be_empty()


def test_each_tile_has_its_score_and_says_what_is_not_known_of_it(server: Server, open_page: Open):
    page = open_page()
    live(page)
    chip = page.locator(".tile").first.locator(".news")
    expect(chip).to_contain_text(re.compile(r"NEWS2 ≥\d"))
    expect(chip).to_have_attribute(
        "title", re.compile("not known: air or oxygen, consciousness, temperature")
    )
    assert page.locator(".news.old").count() == 0
    server.do("link-lost")
    expect(page.locator(".news.old").first).to_be_attached()
    struck = page.locator(".news.old b").first.evaluate("e => getComputedStyle(e).textDecorationLine")
    assert struck == "line-through"


def corner(page: Page) -> str:
    """The bed of the tile at the top left."""
    return str(
        page.evaluate(
            """() => [...document.querySelectorAll('.tile')].map((t) => [t.getBoundingClientRect(), t])
                 .sort(([a], [b]) => a.y - b.y || a.x - b.x)[0][1].querySelector('.bed').textContent"""
        )
    )


def test_where_not_all_fit_the_worst_are_first_and_none_moves_under_the_pointer(
    server: Server,
    open_page: Open,
):
    page = open_page(size=(1280, 640))
    live(page)
    expect(page.locator("#tiles.many")).to_be_attached()
    server.do("scene")
    expect(page.locator("#strip .alarm")).to_have_count(4)
    expect(page.locator('.tile[data-p="high"]')).to_have_count(2)
    expect(page.locator(".tile").nth(2)).to_have_css("order", "0")
    assert corner(page) == "A-03"
    page.evaluate(
        """() => { const at = performance.now(); performance.now = () => at;  // the moment of the touch, held
             document.getElementById('tiles').dispatchEvent(new PointerEvent('pointermove')); }"""
    )
    server.do("alarm")
    expect(page.locator(".tile").first.locator(".alarm")).to_be_visible()
    assert corner(page) == "A-03", "nothing moves away under a finger"
    page.evaluate("delete performance.now")
    expect(page.locator(".tile").first).to_have_css("order", "0", timeout=10_000)
    assert corner(page) == "A-01"


def test_a_wall_is_not_printed_but_its_sheet_is(server: Server, open_page: Open):
    page = open_page()
    live(page)
    server.do("scene")
    expect(page.locator(".tile .alarm").first).to_be_visible()
    page.emulate_media(media="print")
    expect(page.locator(".paper")).to_be_visible()
    expect(page.locator("#tiles")).to_be_hidden()
    page.emulate_media(media="screen")
    with page.expect_popup() as opened:
        page.keyboard.press("p")
    sheet = opened.value
    expect(sheet.locator("table.sheet tbody tr")).to_have_count(16)
    expect(sheet.locator("main")).to_contain_text("SpO2 84 < 90")
    for size, lang in ((1280, "zh_Hans"), (390, "en")):
        sheet.set_viewport_size({"width": size, "height": 800})
        sheet.goto(f"{server.base}/lang/{lang}?next=/ward/print")
        assert sheet.evaluate("document.documentElement.scrollWidth") <= size
    expect(page.locator("#link.on")).to_be_visible()
