"""All pages, in both languages and themes: no barriers, nothing untranslated, no scrolling sideways."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from dashboards.i18n import script_strings
from tests.e2e.walk import LANGUAGES, Findings, strangers, walk
from tests.e2e.wards import Server


@pytest.mark.timeout(400)
@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_page_is_for_everybody(browser: Browser, server: Server, lang: str):
    found = Findings()
    walk(browser, server, lang, found)
    assert not found.all(), "\n".join([f"{found.looks} looks at {found.pages} pages", *found.all()])


def test_the_walk_would_find_english_words():
    shown = [
        "Rosa Lindqvist",
        "A-03 · SpO2 84 %",
        script_strings("en")["ok"],
        "最后读数 3 min",
        "Nobody 值班",
    ]
    assert [text.split("'")[1] for text in strangers(shown)] == [script_strings("en")["ok"], "Nobody 值班"]
