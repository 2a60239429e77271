"""Languages: negotiation, complete catalogues, nothing mixed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from dashboards.i18n import LANGUAGES, LOCALE, SCRIPT, html_lang, negotiate, script_strings
from dashboards.profile_words import TITLES, titles_in
from dashboards.profiles import profile_choices
from firmware_profiles import load_catalog

ROOT = LOCALE.parent


def catalogue(language: str):
    with (LOCALE / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language)


@pytest.mark.parametrize("tag", ["zh", "zh-CN", "zh-Hans", "zh-Hans-CN", "zh-SG", "zh-TW", "zh_CN", "ZH-cn"])
def test_every_chinese_tag_gets_the_chinese_page(tag: str):
    assert negotiate(f"{tag},en;q=0.5") == "zh_Hans"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fr", "en"),
        ("fr,zh;q=0.3", "zh_Hans"),
        ("en;q=0.2,zh;q=0.9", "zh_Hans"),
        ("zh;q=0,en", "en"),
        ("zh;q=broken", "en"),
        ("*", "en"),
    ],
)
def test_negotiation(header: str, language: str):
    assert negotiate(header) == language


def test_a_wish_wins_over_the_browser():
    assert negotiate("zh", "en") == "en"
    assert negotiate("en", None, "zh") == "zh_Hans"
    assert html_lang("zh_Hans") == "zh-Hans"


def sources() -> set[str]:
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    options = {"templates/**.html": {"trim_blocks": "true", "lstrip_blocks": "true"}}
    keywords = {"_": None, "N_": None, "gettext": None}
    found = extract_from_dir(str(ROOT), methods, options, keywords)
    return {message for _, _, message, _, _ in found if isinstance(message, str)}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_in_the_catalogue_and_translated(language: str):
    known = catalogue(language)
    texts = sources()
    assert len(texts) > 200
    missing = {t for t in texts if not (known.get(t) and known.get(t).string)}
    assert not missing
    assert not {m.id for m in known if m.id and m.id not in texts}, "no longer used"


def test_placeholders_survive_translation_and_chinese_is_chinese():
    same = {"Bluetooth LE"}
    for message in catalogue("zh_Hans"):
        if not message.id:
            continue
        fields = re.findall(r"\{\w+\}|%\(\w+\)s", message.id)
        assert sorted(fields) == sorted(re.findall(r"\{\w+\}|%\(\w+\)s", message.string)), message.id
        words = re.sub(r"\{\w+\}", "", message.id)
        if re.search(r"[A-Za-z]{2}", words) and message.id not in same and not message.id.startswith("C4:"):
            assert re.search(r"[一-鿿]", message.string), message.id


def test_scripts_use_no_text_that_is_not_delivered():
    code = "".join(p.read_text() for p in (ROOT / "assets" / "js").glob("*.js"))
    used = set(re.findall(r"strings\.(\w+)", code)) - {"js"}
    assert used <= set(SCRIPT)
    assert set(script_strings("zh_Hans")) == set(SCRIPT)


def test_templates_hold_no_untranslated_words():
    marked = re.compile(
        r"(?s)\{#.*?#\}|\{% trans %\}.*?\{% endtrans %\}|\{% block body_class %\}.*?\{% endblock %\}"
        r"|\{%.*?%\}|\{\{.*?\}\}|<script.*?</script>|<[^>]*>"
    )
    for path in (ROOT / "templates").glob("*.html"):
        words = set(re.findall(r"[A-Za-z]{3,}", marked.sub(" ", path.read_text())))
        assert words <= {"Hearthward", "English", "Enter"}, path.name


def test_our_scripts_stay_small():
    """All lines; and those that are neither empty nor a comment (JSDoc says the types)."""
    texts = [path.read_text() for path in Path(ROOT / "assets" / "js").glob("*.js")]
    assert sum(len(text.splitlines()) for text in texts) <= 1250, "docs/adr/0014: past that needs another one"
    code = [re.sub(r"(?s)/\*.*?\*/", "", text) for text in texts]
    lines = [line.strip() for text in code for line in text.splitlines()]
    assert sum(bool(line) and not line.startswith("//") for line in lines) < 1000


def test_a_profile_that_only_people_can_name_can_be_chosen_and_a_part_of_others_cannot():
    offered = {p.id for p in profile_choices(load_catalog())}
    assert {"sig-pulse-oximeter-spot", "nonin-df2", "xiaomi-mibfs"} <= offered
    assert not offered & {"sig-battery", "sig-device-information", "sig-current-time"}


def test_every_shipped_profile_has_a_chinese_title_and_a_sites_own_keeps_its_own():
    """A new profile's title is entered in ``dashboards/profile_words.py`` and in both catalogues."""
    shipped = profile_choices(load_catalog())
    assert {p.title for p in shipped} == TITLES
    chinese = titles_in("zh_Hans", shipped)
    assert [p.id for p in shipped if p.title == chinese[p.id].title] == []
    assert [p.id for p in shipped if not re.search("[\u4e00-\u9fff]", chinese[p.id].title)] == []
    own = shipped[0].model_copy(update={"id": "own", "title": "100 % <b>ours</b> %(x)s"})
    assert titles_in("zh_Hans", [own]) == {"own": own}
