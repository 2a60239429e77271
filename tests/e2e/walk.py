"""A walk through all pages with one browser: barriers (axe-core), sideways scrolling, untranslated texts.

Every page is looked at twice, each time by the full set of axe's rules: in English on a desk's screen by day
(then made as narrow as a phone), in Chinese on a phone by night. What a theme changes is colour alone (custom
properties), and colours do not depend on the language: one look at each makes both themes whole.
``./dev bench ux`` looks at both themes in both languages (``thorough``).
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Browser, BrowserContext, Page, expect

from dashboards.access import COOKIE, LANG_COOKIE
from dashboards.pages.render import THEME_COOKIE
from tests.e2e import fake_around, fake_fleet
from tests.e2e.all_pages import VISITS, Visit, filled
from tests.e2e.wards import Server

__all__ = ["LANGUAGES", "Findings", "Walker", "barriers", "fits", "strangers", "walk"]

PHONE: Final = (390, 844)
DESK: Final = (1280, 900)
LANGUAGES: Final = {"en-GB": ("en", DESK, "day"), "zh-CN": ("zh_Hans", PHONE, "night")}
"""Browser's language -> ours, and the screen and the theme in which it is looked at."""
FURNITURE: Final = (
    "answers",
    "staff",
    "history",
    "family",
    "home",
    "measure-again",
    "books",
    "fleet",
    "around",
)
TRY_S: Final = 30.0
STALE_MS: Final = 6_000

RUN: Final = """axe.run(document, { resultTypes: ['violations'] }).then((found) => found.violations.map((v) =>
  `${v.id} (${v.nodes.length}): ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')}`))"""
OPEN: Final = "document.querySelectorAll('main details').forEach((d) => { d.open = true; })"
TURN: Final = (
    "(r => { r.dataset.theme = r.dataset.theme === 'night' ? 'day' : 'night'; })(document.documentElement)"
)
WIDTH: Final = "document.documentElement.scrollWidth"
TEXTS: Final = """() => {
  const found = new Set();
  const all = document.createTreeWalker(document.body, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT);
  const skip = 'script, style, textarea, pre, code, template, svg.qr, [lang]:not(html), [translate=no]';
  for (let node = all.currentNode; node; node = all.nextNode()) {
    const element = node.nodeType === 1 ? node : node.parentElement;
    if (element.closest(skip) || !element.checkVisibility()) continue;
    if (node.nodeType === 3) found.add(node.textContent.trim());
    else for (const name of ['aria-label', 'title', 'placeholder', 'alt'])
      if (node.hasAttribute(name)) found.add(node.getAttribute(name).trim());
  }
  return [...found, document.title].filter((text) => /[A-Za-z]{3}/.test(text));
}"""
"""What can be read or heard of a page, as far as it has letters of ours."""
SYMBOLS: Final = """SpO mmHg NEWS NIBP SMS PIN CSV URL UTC YAML Hearthward English Bluetooth BLE RSSI HTTP
MQTT TLS USB Ctrl Slack PagerDuty Webhook apprise Twilio Apprise ntfy VAPID COPD min kPa bpm dBm"""
"""Words that are the same in every language."""
IDS: Final = """admin nurse doctor engineer patient family wall chen brandt okoro default home system ward
Admin Engineer Patient Family Wall deterioration"""
"""Logins, policies, a rule whose id is one word, and the names of people who are called like their login."""
PATTERNS: Final = r"https?://\S+|\S+@\S+|/[\w/-]+|\b[\w.-]*[_\d][\w.:-]*|\w+(?:[-.:]\w+)+"
"""Addresses and ids."""


@dataclass(slots=True)
class Findings:
    """What was found, each with page and look; ``looks`` counts how often axe has run."""

    looks: int = 0
    pages: int = 0
    axe: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    english: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def all(self) -> list[str]:
        """Everything that should not be."""
        return [*self.wrong, *self.axe, *self.wide, *self.english]


@cache
def _data() -> re.Pattern[str]:
    """What the fake ward says in its own words: names, messages, notes. They are nobody's to translate."""
    texts: set[str] = set()
    for path in Path(__file__).parent.glob("fake_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
                texts.update(part for part in node.value.split(",") if "," in node.value)
    names = {t.strip() for t in texts if re.search(r"[A-Z0-9 _-]", t) and re.search("[A-Za-z]{2}", t)}
    ordered = sorted((n for n in names if len(n) < 200), key=len, reverse=True)
    return re.compile(r"(?<![A-Za-z])(?:" + "|".join(map(re.escape, ordered)) + r")(?![A-Za-z])")


def strangers(texts: Iterable[str]) -> list[str]:
    """The texts of a Chinese page in which English words stand that are no data and no symbols."""
    found = []
    for text in texts:
        rest = re.sub(PATTERNS, " ", _data().sub(" ", re.sub(r"\w+(?:-\w+){2,}", " ", text)))
        words = set(re.findall("[A-Za-z]{3,}", rest)) - set(SYMBOLS.split()) - set(IDS.split())
        if words:
            found.append(f"{text[:120]!r}: {' '.join(sorted(words))}")
    return found


def barriers(page: Page) -> list[str]:
    """What axe finds in a page as it is now."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found: list[str] = page.evaluate(RUN)
    return found


def fits(page: Page) -> None:
    """Nothing is wider than the page, and nothing is hard to read or to reach.

    For what a page is after something was done in it; all pages as they open are in the walk.
    """
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert not (found := barriers(page)), found


def known_in(server: Server) -> dict[str, str]:
    """What stands in the addresses of pages; an invitation is made, and a limit tried."""
    admin = {"authorization": f"Bearer {server.token('admin')}"}

    def get(path: str, headers: dict[str, str] = admin) -> Any:
        return server.client.get(f"/api/v1/{path}", headers=headers).raise_for_status().json()

    kinds = ("ward", "bed", "encounter", "gateway", "device", "association", "shift")
    known = {kind: str(get(f"{kind}s")["items"][0]["id"]) for kind in kinds}
    known["home"] = get("me", {"authorization": f"Bearer {server.token('patient')}"})["patient"]
    known["patient"] = get("alarms/alm_1")["patient"]
    link = server.client.post(
        f"/api/v1/patients/{known['home']}/invitations",
        json={"relative": True, "name": "Kofi Mensah"},
        headers=admin,
    )
    known["token"] = str(link.raise_for_status().json()["url"]).rsplit("/", 1)[1]
    known["trial"] = _tried(server)
    known |= {"alarm": "alm_1", "technical": "alm_6", "letter": "1", "policy": "default", "login": "nurse"}
    known["device"] = fake_around.WAITING
    known |= {"order": fake_fleet.ORDER, "worn": "heart-1"}
    return known | {"rule": "spo2-low", "metric": "spo2", "wave": "pleth"}


def _tried(server: Server) -> str:
    """A limit that the doctor has tried, once what came of it is there."""
    doctor = {"authorization": f"Bearer {server.token('doctor')}"}
    body = {"moved": {"parameters/limit/value": 85}, "days": 1}
    tries = "/api/v1/rules/spo2-low/tries"
    key = str(server.client.post(tries, json=body, headers=doctor).raise_for_status().json()["id"])
    end = time.monotonic() + TRY_S
    while server.client.get(f"{tries}/{key}", headers=doctor).json()["state"] in {"waiting", "running"}:
        assert time.monotonic() < end, "the trial does not end"
        time.sleep(0.05)
    return key


class Walker:
    """One page object of one browser, in one language; who looks is changed by its cookie."""

    def __init__(
        self, browser: Browser, server: Server, lang: str, found: Findings, *, thorough: bool = False
    ) -> None:
        self.server, self.lang, self.found = server, lang, found
        self.thorough = thorough
        self._ours, (self._width, height), self._theme = LANGUAGES[lang]
        self._height = height
        self.context: BrowserContext = browser.new_context(
            viewport={"width": self._width, "height": height}, locale=lang, reduced_motion="reduce"
        )
        self.context.add_init_script(AXE_SCRIPT)
        self.page: Page = self.context.new_page()
        self.page.on("pageerror", lambda error: found.wrong.append(f"script: {error}"))
        self._tokens: dict[str, str] = {}

    def sign_in(self, login: str) -> None:
        """From now on it is they who look; with an empty login nobody."""
        self.context.clear_cookies()
        cookies = {LANG_COOKIE: self._ours, THEME_COOKIE: self._theme}
        if login:
            if login not in self._tokens:
                self._tokens[login] = self.server.token(login)
            cookies[COOKIE] = self._tokens[login]
        self.context.add_cookies(
            [{"name": k, "value": v, "url": self.server.base} for k, v in cookies.items()]
        )

    def visit(self, visit: Visit, known: Mapping[str, str]) -> None:
        """Open it as who is signed in, and look at it."""
        answer = self.page.goto(self.server.base + filled(visit.address, known))
        name = f"{visit.login or 'nobody'} {visit.address}"
        if answer is None or answer.status != visit.status:
            self.found.wrong.append(f"{name}: {answer and answer.status}")
        if self.page.locator("#link").count():
            expect(self.page.locator("#link.on")).to_be_attached()
        self.look(name)

    def look(self, name: str) -> None:
        """Look at what is shown."""
        self.found.pages += 1
        self.page.evaluate(OPEN)
        self._axe(f"{name} {self.lang} {self._theme}")
        if self.lang.startswith("zh"):
            self.found.english += [f"{name}: {text}" for text in strangers(self.page.evaluate(TEXTS))]
        if self.thorough:
            self.page.evaluate(TURN)
            self._axe(f"{name} {self.lang} other theme")
            self.page.evaluate(TURN)
        if self._width != PHONE[0]:
            self.page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        if (width := self.page.evaluate(WIDTH)) > PHONE[0]:
            self.found.wide.append(f"{name} {self.lang}: {width} px")
        if self._width != PHONE[0]:
            self.page.set_viewport_size({"width": self._width, "height": self._height})

    def _axe(self, name: str) -> None:
        self.found.looks += 1
        self.found.axe += [f"{name}: {text}" for text in barriers(self.page)]

    def everywhere(self, known: Mapping[str, str], visits: Iterable[Visit] = VISITS) -> None:
        """All pages, grouped by who looks."""
        for login, mine in _by_login(visits):
            self.sign_in(login)
            for visit in mine:
                self.visit(visit, known)


def _by_login(visits: Iterable[Visit]) -> Iterator[tuple[str, list[Visit]]]:
    groups: dict[str, list[Visit]] = {}
    for visit in visits:
        groups.setdefault(visit.login, []).append(visit)
    yield from groups.items()


def walk(browser: Browser, server: Server, lang: str, found: Findings, *, thorough: bool = False) -> None:
    """Look at a calm ward's wall, then at all pages of a furnished one, and at the wall in each state."""
    walker = Walker(browser, server, lang, found, thorough=thorough)
    page, nurse, admin = walker.page, Visit("nurse", "/ward"), Visit("admin", "/admin/ward")
    try:
        walker.everywhere({}, [nurse])
        for what in FURNITURE:
            server.do(what)
        walker.everywhere(known_in(server))
        walker.everywhere({}, [admin])
        page.locator("section:has(#add) form.fields > button").click()
        expect(page.locator("[aria-invalid]").first).to_be_visible()
        walker.look("a refused form")
        walker.everywhere({}, [nurse])
        page.locator(".tile").nth(2).click()
        expect(page.locator("#detail")).to_be_visible()
        walker.look("a wall with a patient's detail")
        walker.everywhere({}, [nurse])
        server.freeze()
        expect(page.locator("body.wall-stale")).to_be_attached(timeout=STALE_MS)
        walker.look("a stale wall")
    finally:
        server.thaw()
        walker.context.close()
