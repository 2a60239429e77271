"""The ward wall in a real browser (the system's Chromium), over the fake backend in a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from dashboards.i18n import LOCALE, script_strings
from tests.e2e.fake_ward import KEPT, PASSWORD
from tests.programs import program

HERE = Path(__file__).parent
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=user-gesture-required",
]
NO_ALARM = script_strings("en")["ok"]
VENDOR = LOCALE.parent / "assets" / "vendor" / "htmx.min.js"


@dataclass
class Server:
    """The ward's web server; it can be frozen."""

    base: str
    process: subprocess.Popen[bytes]
    used: bool = False

    def reset(self) -> None:
        """All begins anew; the former ward may answer for a moment still."""
        before = self.number()
        self.do("reset")
        end = time.monotonic() + 30
        while self.number() in {None, before}:
            assert time.monotonic() < end, "the ward did not begin anew"
            time.sleep(0.02)

    def number(self) -> int | None:
        """Which ward it is, once it serves; None: the connection was the former one's."""
        try:
            return int(httpx.get(f"{self.base}/_test/number", timeout=30).raise_for_status().text)
        except httpx.TransportError:
            return None

    def do(self, what: str) -> None:
        httpx.post(f"{self.base}/_test/{what}", timeout=10).raise_for_status()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def start(*arguments: str, port: int = 0) -> Server:
    command = [sys.executable, str(HERE / "fake_ward.py"), str(port), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    base = f"http://127.0.0.1:{int(process.stdout.readline())}"
    server = Server(base, process)
    httpx.get(f"{base}/healthz", timeout=30).raise_for_status()  # it listens already: until it serves
    return server


def stop(server: Server) -> None:
    server.thaw()
    server.process.terminate()
    server.process.wait(10)
    assert server.process.stdout is not None
    server.process.stdout.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = program("chromium")
    if not VENDOR.exists():
        pytest.skip("web assets are not built: python hatch_build.py")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def process() -> Iterator[Server]:
    made = start("12", "4", "calm")
    yield made
    stop(made)


@pytest.fixture
def server(process: Server) -> Server:
    """A ward that nothing has happened to: of a process that all tests share, one after the other."""
    process.thaw()
    if process.used:
        process.reset()
    process.used = True
    return process


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, server: Server) -> Iterator[Open]:
    """Log in in a fresh context; errors in the page fail the test."""
    contexts: list[BrowserContext] = []
    problems: list[str] = []

    def go(
        who: str = "nurse", *, lang: str = "en-GB", theme: str = "day", size: tuple[int, int] = (1920, 1080)
    ) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, locale=lang, reduced_motion="reduce"
        )
        contexts.append(context)
        context.add_cookies([{"name": "hearthward_theme", "value": theme, "url": server.base}])
        page = context.new_page()
        page.on("pageerror", lambda e: problems.append(str(e)))
        page.on("console", lambda m: problems.append(m.text) if "Security Policy" in m.text else None)
        page.goto(server.base)
        page.fill("#login", who)
        page.fill("#password", PASSWORD)
        page.click("button.primary")
        page.wait_for_url(re.compile("/(ward|admin|devices|me)"))
        return page

    yield go
    server.thaw()
    for context in contexts:
        context.close()
    assert not problems


def live(page: Page) -> None:
    expect(page.locator("#link.on")).to_be_visible()
    expect(page.locator('.tile[data-s="ok"]').first).to_be_visible()


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


@pytest.mark.parametrize(("lang", "theme"), [("en-GB", "day"), ("zh-CN", "night")])
def test_axe_finds_nothing(server: Server, open_page: Open, lang: str, theme: str):
    axe = Axe()

    def check(page: Page, what: str) -> None:
        found = axe.run(page)
        assert not found.violations_count, f"{what}: {found.generate_report()}"

    page = open_page(lang=lang, theme=theme)
    live(page)
    check(page, "live")
    server.do("scene")
    expect(page.locator(".tile .alarm").first).to_be_visible()
    check(page, "alarm")
    page.locator(".tile").nth(2).click()
    expect(page.locator("#detail")).to_be_visible()
    check(page, "detail")
    page.keyboard.press("Escape")
    server.freeze()
    expect(page.locator("body.wall-stale")).to_be_attached(timeout=6_000)
    check(page, "stale")
    server.thaw()
    for who, path in (("admin", "/admin/ward"), ("engineer", "/devices"), ("patient", "/me"), ("", "/login")):
        other = open_page(who or "admin", lang=lang, theme=theme)
        other.goto(server.base + path)
        if path == "/admin/ward":
            other.locator("section:has(#add) form.fields > button").click()
            expect(other.locator("[aria-invalid]").first).to_be_visible()
        check(other, path)


def test_the_patients_text_is_large(open_page: Open):
    page = open_page("patient", size=(390, 844))
    sizes = page.evaluate(
        """() => [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility()
             && [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()))
             .map((e) => [parseFloat(getComputedStyle(e).fontSize), e.outerHTML.slice(0, 80)])"""
    )
    assert [s for s in sizes if s[0] < 24] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def loaded(folder: Path, script: str) -> set[Path]:
    """A script with everything that it imports or starts."""
    found, waiting = set(), [folder / script]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            names = re.findall(r"""(?:from |new URL\()'\./([\w-]+\.js)'""", path.read_text())
            waiting += [folder / name for name in names]
    return found


def test_the_walls_own_weight_is_small():
    import gzip

    folder = LOCALE.parent / "assets"
    templates = [LOCALE.parent / "templates" / name for name in ("base.html", "wall.html")]
    named = "".join(t.read_text() for t in templates)
    styles = {folder / "css" / name for name in re.findall(r"/css/([\w-]+\.css)", named)}
    scripts = [loaded(folder / "js", name) for name in re.findall(r"/js/([\w-]+\.js)", named)]
    files = {*styles, *set().union(*scripts), *folder.glob("vendor/*.min.*")}
    assert {"wall.css", "wall.js", "answer.js", "stream.js", "htmx.min.js"} <= {f.name for f in files}
    assert sum(len(gzip.compress(f.read_bytes())) for f in files) < 60_000
