"""The figures of what people see: each row of the table that the pages are held to, measured and counted.

The way of an alarm to the pixels is that of the whole cloud (``bench.pixels``). All other rows are seen over
the fake ward that the browsers' tests use, as its pages have all states at once: a walk through all pages in
both languages and themes, and a nurse's wall whose server stands still, whose link is lost, and so on.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from bench import pixels
from bench.figures import Outcome
from bench.screenshots import FLAGS, browser_path
from bench.ux_wall import TABS, accepting_tabs, hidden_receives, recovers, until_stale

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["measure"]

STALE_S: Final = 5.0
WEIGHT_KB: Final = 60.0


def measure() -> Outcome:
    """Row by row."""
    from playwright.sync_api import sync_playwright

    outcome = Outcome("ux", "walls and all pages in Chromium on the same machine")
    _say("from an alarm to the pixels")
    for figure in pixels.measure().figures:
        if figure.target is not None:
            name = f"alarm to pixels, {figure.name}"
            outcome.add(
                name,
                figure.value,
                figure.unit,
                target=figure.target,
                at_least=figure.at_least,
                note=figure.note,
            )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=list(FLAGS))
        try:
            _walls(outcome, browser)
            _pages(outcome, browser)
        finally:
            browser.close()
    return outcome


def _say(text: str) -> None:
    print(f"  {text} ...", file=sys.stderr, flush=True)


def _walls(outcome: Outcome, browser: Browser) -> None:
    """What a wall does when something goes wrong."""
    calm = 0
    for name, frozen in (("server frozen", True), ("link lost", False)):
        _say(name)
        seconds, tiles = until_stale(browser, frozen=frozen)
        outcome.add(f"{name}: whole wall stale", seconds, "s", target=STALE_S)
        calm += tiles
    outcome.add("stale tiles that look calm", float(calm), "tiles", target=0.0)
    _say("tabs, a hidden one, a restart")
    tabs = accepting_tabs(browser)
    outcome.add("tabs that accept", float(tabs), "tabs", target=float(TABS), at_least=True)
    for name, look in (
        ("hidden tab keeps receiving", hidden_receives),
        ("server restart recovers", recovers),
    ):
        outcome.add(name, float(look(browser)), "(1: yes)", target=1.0, at_least=True)


def _pages(outcome: Outcome, browser: Browser) -> None:
    """The walk through all pages, and what the wall weighs."""
    from tests.e2e.walk import LANGUAGES, Findings, walk
    from tests.e2e.wards import start, stop, wall_weight

    found = Findings()
    for lang in LANGUAGES:
        _say(f"all pages, {lang}")
        server = start("12", "4", "calm")
        try:
            walk(browser, server, lang, found, thorough=True)
        finally:
            stop(server)
    for text in found.all():
        print(f"    {text}", file=sys.stderr)
    outcome.add("axe violations", float(len(found.axe)), "", target=0.0, note=f"{found.looks} looks")
    outcome.add("untranslated texts on zh pages", float(len(found.english)), "", target=0.0)
    outcome.add("pages that scroll sideways at 390 px", float(len(found.wide)), "", target=0.0)
    outcome.add("pages that failed", float(len(found.wrong)), "", target=0.0, note=f"of {found.pages}")
    outcome.add("wall JS + CSS, gzip", wall_weight() / 1000, "kB", target=WEIGHT_KB)
