"""The ward wall in a real browser (the system's Chromium), over the fake backend in a process of its own."""

from __future__ import annotations

import re
import time

from playwright.sync_api import Browser, expect

from dashboards.i18n import script_strings
from tests.e2e.fake_ward import KEPT, PASSWORD
from tests.e2e.wards import Open, Server, live, start, stop, wall_weight

NO_ALARM = script_strings("en")["ok"]


def test_values_move_an_alarm_appears_and_is_accepted(server: Server, open_page: Open):
    page = open_page()
    live(page)
    tile = page.locator(".tile").first
    value = tile.locator('[data-vital="hr"] .value')
    first = value.text_content()
    expect(value).not_to_have_text(first or "", timeout=15_000)
    expect(tile.locator(".verdict")).to_have_text(NO_ALARM)
    expect(page.locator("#coverage")).to_contain_text("16/16 reporting")

    server.do("alarm")
    row = tile.locator(".alarm")
    expect(row).to_be_visible()
    expect(row.locator(".mark")).to_have_text("▲ !!!")
    expect(row.locator(".what")).to_have_text("SpO2 83 < 90")
    expect(row.locator(".since")).to_have_text(re.compile(r"· 0:\d\d"))
    expect(row.locator(".owner")).to_have_text("nobody yet")
    assert NO_ALARM not in (tile.text_content() or "")
    expect(page.locator("#strip .alarm")).to_contain_text("A-01")
    expect(page.locator("#said")).to_contain_text("New alarm, high priority: A-01, SpO2 83 < 90")
    expect(page.locator(".n-high")).to_have_text("1 high")

    row.locator(".accept").click()
    expect(row.locator(".owner")).to_have_text("accepted by Li Na")
    expect(row.locator(".accept")).to_be_hidden()


def test_a_learned_risk_stands_beside_news2_and_changes_without_a_reload(server: Server, open_page: Open):
    page = open_page()
    live(page)
    tiles = page.locator(".tile")
    shown = tiles.nth(0).locator(".risk")
    expect(shown).to_have_text("Risk 3 % ↓ · NEWS2 +3")
    server.do("risk")
    expect(shown).to_have_text("Risk 47 % ↑ · NEWS2 +3", timeout=15_000)
    expect(tiles.nth(0).locator(".news")).to_have_attribute("title", re.compile("a hint beside the rules"))
    page.evaluate("document.querySelector('.risk').dataset.kept = 'yes'")
    expect(tiles.nth(0).locator('.risk[data-kept="yes"]')).to_be_visible()
    unknown = page.locator('.tile .risk[data-k="unknown"]').first
    expect(unknown).to_have_text("Risk \u2013")
    stale = page.locator('.tile .risk[data-k="stale"]').first
    assert stale.evaluate("e => getComputedStyle(e).textDecorationLine") == "line-through"
    good = page.evaluate("getComputedStyle(document.querySelector('.verdict')).color")
    colours = page.locator(".risk:not(:empty)").evaluate_all("all => all.map(e => getComputedStyle(e).color)")
    assert good not in colours
    assert (
        page.locator(".tile", has=page.get_by_text("Home", exact=True)).locator(".risk").first.text_content()
        == ""
    )


def test_an_alarm_of_a_patient_without_a_stay_is_named_and_accepted(server: Server, open_page: Open):
    page = open_page()
    live(page)
    server.do("no-stay")
    expect(page.locator(".tile")).to_have_count(15)
    server.do("alarm")
    item = page.locator("#strip .alarm")
    expect(item.locator(".where")).to_have_text("Rosa Lindqvist")
    expect(item.locator(".what")).to_have_text("SpO2 83 < 90")
    expect(page.locator("#said")).to_contain_text("Rosa Lindqvist, SpO2 83 < 90")
    item.get_by_role("button", name="Accept: Rosa Lindqvist SpO2 83 < 90").click()
    expect(item).to_contain_text("accepted by Li Na")
    expect(item.locator(".accept")).to_be_hidden()


def test_a_frozen_server_makes_the_whole_wall_stale_in_five_seconds(server: Server, open_page: Open):
    page = open_page()
    live(page)
    server.freeze()
    began = time.monotonic()
    expect(page.locator("body.wall-stale")).to_be_attached(timeout=5_000)
    assert time.monotonic() - began < 5.5
    assert NO_ALARM not in (page.locator("#tiles").text_content() or "")
    assert page.locator('.tile[data-s="ok"]').count() == 0
    assert page.locator('[data-vital][data-state="live"]').count() == 0
    expect(page.locator(".tile .verdict").first).to_have_text(
        re.compile(r"\? unknown since \d\d:\d\d \(\d+ s\)")
    )
    struck = page.locator('[data-vital="hr"] .value').first.evaluate(
        "e => getComputedStyle(e).textDecorationLine"
    )
    assert struck == "line-through"
    expect(page.locator("#coverage")).to_contain_text("0/16 reporting")
    expect(page.locator("#strip")).not_to_contain_text("No active alarms")
    server.thaw()
    live(page)


def test_a_restarted_server_is_found_again_by_itself(browser: Browser):
    first = start("4", "1", "calm")
    contexts = [browser.new_context(locale="en-GB") for _ in range(2)]
    contexts[0].add_cookies([{"name": "hearthward_session", "value": KEPT, "url": first.base}])
    kept, forgotten = (context.new_page() for context in contexts)
    kept.goto(f"{first.base}/ward")
    forgotten.goto(first.base)
    forgotten.fill("#login", "wall")
    forgotten.fill("#password", PASSWORD)
    forgotten.click("button.primary")
    for page in (kept, forgotten):
        live(page)
    stop(first)
    for page in (kept, forgotten):
        expect(page.locator("body.wall-stale")).to_be_attached(timeout=6_000)
    again = start("4", "1", "calm", port=int(first.base.rsplit(":", 1)[1]))
    try:
        expect(kept.locator("#link.on")).to_be_visible(timeout=15_000)
        live(kept)
        again.do("alarm")
        expect(kept.locator(".tile").first.locator(".alarm")).to_be_visible()
        # A session that is no longer known: the wall goes to the login page instead of standing still.
        forgotten.wait_for_url("**/login**", timeout=15_000)
    finally:
        for context in contexts:
            context.close()
        stop(again)


def test_a_tab_without_timers_as_hidden_ones_are_keeps_receiving(server: Server, open_page: Open):
    """Chromium slows a hidden page's timers to one a minute; headless it hides none, so here none comes."""
    page = open_page()
    page.add_init_script("setInterval = setTimeout = () => 0")
    page.reload()
    live(page)
    page.click("#sound-bar")
    value = page.locator('.tile [data-vital="hr"] .value').first
    first = value.text_content()
    expect(value).not_to_have_text(first or "", timeout=15_000)
    server.do("alarm")
    expect(page.locator(".tile").first.locator(".alarm")).to_be_visible()
    expect(page.locator("#said")).to_contain_text("SpO2 83 < 90")
    expect(page.locator("body")).to_have_attribute("data-heard", "high")
    page.locator(".tile").first.locator(".accept").click()
    expect(page.locator(".tile").first.locator(".owner")).to_have_text("accepted by Li Na")


def test_demo_values_are_marked_and_never_called_free_of_alarms(open_page: Open):
    page = open_page()
    live(page)
    tile = page.locator(".tile").nth(7)  # its heart rate is flagged as demo
    expect(tile.locator(".tag")).to_have_text("demo data")
    expect(tile.locator(".verdict")).to_contain_text("not watched: demo or test data")
    assert NO_ALARM not in (tile.text_content() or "")


def test_a_lost_gateway_takes_every_tick_away(server: Server, open_page: Open):
    page = open_page()
    live(page)
    server.do("link-lost")
    expect(page.locator('.tile[data-s="ok"]')).to_have_count(0)
    expect(page.locator('.tile [data-vital="hr"] .state').first).to_contain_text("link lost")
    assert NO_ALARM not in (page.locator("#tiles").text_content() or "")


def test_keyboard_moves_accepts_and_opens_detail(server: Server, open_page: Open):
    page = open_page()
    live(page)
    server.do("alarm")
    expect(page.locator(".tile").first.locator(".alarm")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tile").nth(0)).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".tile").nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".tile").nth(0)).to_be_focused()
    page.keyboard.press("a")
    expect(page.locator(".tile").first.locator(".owner")).to_have_text("accepted by Li Na")
    page.keyboard.press("Enter")
    expect(page.locator("#detail")).to_be_visible()
    expect(page.locator("#detail")).to_contain_text("SpO2 83 < 90")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()


def test_sound_is_off_until_a_click(open_page: Open):
    page = open_page()
    live(page)
    expect(page.locator("#sound-bar")).to_contain_text("SOUND IS OFF - click to switch it on")
    page.click("#sound-bar")
    expect(page.locator("#sound-bar")).to_be_hidden()
    expect(page.locator("#sound-state")).to_have_text("Sound is on")


def test_a_change_of_the_directory_reaches_the_wall(server: Server, open_page: Open):
    page = open_page()
    live(page)
    with page.expect_response("**/api/v1/wall"):
        server.do("directory")
    live(page)


def test_nine_tabs_share_one_stream_and_can_still_accept(server: Server, open_page: Open):
    page = open_page()
    tabs = [page.context.new_page() for _ in range(8)]
    for tab in tabs:
        tab.goto(f"{server.base}/ward")
    live(tabs[-1])
    server.do("alarm")
    row = tabs[-1].locator(".tile").first.locator(".alarm")
    expect(row).to_be_visible()
    row.locator(".accept").click()
    expect(row.locator(".owner")).to_have_text("accepted by Li Na")
    expect(page.locator(".tile").first.locator(".owner")).to_have_text("accepted by Li Na")


def test_chinese_pages_have_no_english_texts(server: Server, open_page: Open):
    page = open_page(lang="zh-CN")
    live(page)
    server.do("scene")
    expect(page.locator(".tile .alarm").first).to_be_visible()
    english = {text for key, text in script_strings("en").items() if "{" not in text and key != "demo"}
    shown = {t.strip() for t in page.locator("body").inner_text().splitlines()}
    assert not shown & english
    expect(page.locator("#link")).to_contain_text("实时")
    page.click("text=English")
    expect(page.locator("#link")).to_contain_text("LIVE")
    assert page.locator("html").get_attribute("lang") == "en"


def test_a_phone_shows_a_list_by_priority_without_scrolling_sideways(server: Server, open_page: Open):
    page = open_page(size=(390, 844))
    live(page)
    server.do("scene")
    expect(page.locator(".tile .alarm").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = {
        p: page.locator(f'.tile[data-p="{p}"]').first.bounding_box()["y"]  # type: ignore[index]
        for p in ("high", "medium", "low")
    }
    calm = page.locator('.tile[data-s="ok"]').first.bounding_box()
    assert calm is not None
    assert tops["high"] < tops["medium"] < tops["low"] < calm["y"]


def test_thirty_tiles_fit_a_full_hd_screen(browser: Browser):
    big = start("30", "0", "calm")
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    try:
        page = context.new_page()
        page.goto(big.base)
        page.fill("#login", "nurse")
        page.fill("#password", PASSWORD)
        page.click("button.primary")
        live(page)
        page.click("#sound-bar")
        expect(page.locator("#sound-bar")).to_be_hidden()
        expect(page.locator(".tile")).to_have_count(30)
        assert page.evaluate("document.documentElement.scrollHeight") <= 1080
    finally:
        context.close()
        stop(big)


def test_the_patients_text_is_large(open_page: Open):
    page = open_page("patient", size=(390, 844))
    sizes = page.evaluate(
        """() => [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()
             && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
             .map((e) => [parseFloat(getComputedStyle(e).fontSize), e.outerHTML.slice(0, 80)])"""
    )
    assert [s for s in sizes if s[0] < 24] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_walls_own_weight_is_small():
    assert wall_weight() < 60_000


STATES = (
    "none",
    "device_offline",
    "sensor_off",
    "signal_lost",
    "live",
    "ageing",
    "stale",
    "link_lost",
    "never",
)
SHOW = """states => {
  const texts = JSON.parse(document.getElementById('strings').textContent);
  document.querySelectorAll('.tile').forEach((tile, i) => {
    tile.querySelector('.by b').textContent = 'Li Na';
    tile.querySelectorAll('[data-vital]').forEach((vital, j) => {
      const state = vital.dataset.state = states[(i + (i % 2) * j) % states.length];
      const age = ['live', 'none', 'never'].includes(state) ? '' : ' ' + texts.age_min.replace('{n}', 12);
      vital.querySelector('.state span').textContent = texts['s_' + state] + age;
    });
  });
}"""
COVERED = """() => [...document.querySelectorAll('.tile .state span')].flatMap((text) => {
  const [tile, vital] = ['.tile', '[data-vital]'].map((what) => text.closest(what));
  const boxes = [tile, vital, tile.querySelector('.foot')].map((e) => e.getBoundingClientRect());
  const [around, column, foot] = boxes;
  const { right, bottom } = text.getBoundingClientRect();
  const least = foot.height ? foot.top + 1 : around.bottom - 3;
  const fits = bottom <= least && right <= column.right + 8;
  return fits ? [] : [vital.dataset.vital + ': ' + text.textContent];
})"""


def test_every_state_of_a_small_value_fits_with_nothing_over_it(open_page: Open):
    """Of the least height that a tile has, where what a person reads under a value is the narrowest."""
    for lang in ("en-GB", "zh-CN"):
        page = open_page(lang=lang, size=(1280, 720))
        live(page)
        assert page.locator(".tile").first.evaluate("e => e.offsetHeight") < 250
        assert page.evaluate(COVERED) == []
        assert page.evaluate(f"states => {{ ({SHOW})(states); return ({COVERED})(); }}", list(STATES)) == []
