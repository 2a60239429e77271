"""The ward on paper, and what the wall's style must keep."""

from __future__ import annotations

import re

from dashboards.i18n import script_strings
from dashboards.pages.render import ASSETS
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import S, World, reading, seeded, world

CSS = ASSETS / "css"


async def sheet(made: World, role: Role = Role.NURSE, *, wards: str | None = None, lang: str = "en") -> str:
    await seeded(made)
    who = made.principal(role, wards=wards)
    async with made.client(who, cookie=True, **{"accept-language": lang}) as client:
        answer = await client.get("/ward/print")
        assert answer.status_code == 200
        return answer.text


def row(html: str, name: str) -> str:
    found = next(r for r in re.findall(r"(?s)<tr>.*?</tr>", html) if name in r)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", found))


async def test_each_value_says_how_old_it_is_and_the_sheet_when_it_was_made():
    async with world() as made:
        made.backend.put_readings("main", [reading("main-oxi-A", "spo2", 93, made.clock.now_ns() - S // 2)])
        html = await sheet(made)
        assert 'As of <time datetime="2026-01-01T00:01:00Z">' in html
        text = row(html, "Patient A")
        assert "A-01" in text
        assert "93 0 s ago" in text
        assert "NEWS2" in html
        assert "≥0 0 s ago · SpO2 scale 2" in text, "what is known of the score"
        assert "6 of 7 not known" in text
        assert "SpO2 84 &lt; 90" in text
        assert "nobody yet" in text


async def test_a_value_that_is_not_live_says_so_and_is_struck_through():
    async with world() as made:
        await seeded(made)
        made.clock.advance(180)
        html = await sheet(made)
        assert "97 3 min ago · ? stale" in row(html, "Patient A")
        assert '<strong class="old">97</strong>' in html


async def test_a_shared_wall_prints_its_own_ward_only():
    async with world() as made:
        html = await sheet(made, Role.DISPLAY, wards="B")
        assert "Patient B" in html
        assert "Patient A" not in html


async def test_it_is_in_chinese_too():
    async with world() as made:
        html = await sheet(made, lang="zh-CN")
        assert "病区一览表" in html
        assert "7 项中 6 项未知" in row(html, "Patient A")


async def test_patients_have_no_sheet_of_the_ward():
    async with world() as made, made.client(made.principal(Role.PATIENT), cookie=True) as client:
        assert (await client.get("/ward/print")).status_code == 403


def themes() -> dict[str, dict[str, str]]:
    css = (CSS / "base.css").read_text()
    blocks = re.findall(r"(?s):root(\[data-theme=\"\w+\"\])? \{(.*?)\}", css)
    return {name: dict(re.findall(r"(--[\w-]+): ([^;]+);", body)) for name, body in blocks}


def test_the_night_dims_the_background_and_no_alarm():
    found = themes()
    day, night = found[""], found['[data-theme="night"]']
    alarm = {"--high", "--high-ink", "--medium", "--medium-ink", "--low", "--low-ink"}
    assert alarm <= day.keys()
    assert not alarm & night.keys(), "alarms are as bright at night"
    assert {"--bg", "--surface", "--bar"} <= night.keys()
    dimmed = (CSS / "wall.css").read_text()
    assert not re.search(r"data-theme[^{]*\{[^}]*(opacity|filter|brightness)", dimmed)


def test_alarms_flash_at_the_rates_of_their_priority():
    css = (CSS / "wall.css").read_text()
    rates = dict(re.findall(r"data-p=\"(\w+)\"\] \.mark \{ animation: flash ([\d.]+)s", css))
    assert {p: 1 / float(s) for p, s in rates.items()} == {"high": 2.0, "medium": 0.5}, "low is steady"


def test_every_parameter_of_the_score_has_a_name_in_both_languages():
    from rules.news2 import PARAMETERS

    for language in ("en", "zh_Hans"):
        assert {f"n_{p}" for p in PARAMETERS} <= script_strings(language).keys()
