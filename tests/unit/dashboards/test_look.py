"""The design system: which page loads which sheet, known tokens, and no rule without a user."""

from __future__ import annotations

import re

from dashboards.i18n import LOCALE
from dashboards.pages.audit_words import ACTIONS, KINDS
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import World, guards, routes, world

ROOT = LOCALE.parent
CSS = ROOT / "assets" / "css"
OF_LIBRARIES = {"uplot"}
"""Classes that a library of ours puts on the page."""
PUT_TOGETHER = ("n-", "tone-")
"""Beginnings of classes that a script or a template puts together."""


def sheets(html: str) -> list[str]:
    return re.findall(r'<link rel="stylesheet" href="/assets/\w+/css/([\w-]+\.css)"', html)


async def test_the_wall_carries_nothing_that_other_pages_need():
    async with world() as made, made.client(made.principal(Role.NURSE), cookie=True) as client:
        assert sheets((await client.get("/ward")).text) == ["base.css", "wall.css"]
        assert sheets((await client.get("/alarms")).text)[:2] == ["base.css", "page.css"]


def test_each_token_is_known():
    text = "".join(path.read_text() for path in CSS.glob("*.css"))
    made = set(re.findall(r"(--[\w-]+):", text)) | {"--rank"}
    assert set(re.findall(r"var\((--[\w-]+)", text)) <= made


def test_no_rule_is_for_a_class_that_nothing_has():
    sources = [*ROOT.glob("templates/*.html"), *ROOT.glob("assets/js/*.js"), *ROOT.rglob("*.py")]
    words = set(re.findall(r"[\w-]+", "".join(path.read_text() for path in sources))) | OF_LIBRARIES
    for path in CSS.glob("*.css"):
        rules = re.sub(r"(?s)/\*.*?\*/|\{[^{}]*\}|\"[^\"]*\"", " ", path.read_text())
        unknown = {
            name
            for name in re.findall(r"\.([A-Za-z][\w-]*)", rules)
            if name not in words and not name.startswith(PUT_TOGETHER)
        }
        assert not unknown, path.name


def test_every_cell_of_a_table_that_becomes_cards_says_what_it_is():
    bare = re.compile(r'<td(?![^>]*(?:data-label|class="(?:more|first|actions)"))')
    for path in ROOT.glob("templates/*.html"):
        text = path.read_text()
        for table in re.findall(r'(?s)<table class="[^"]*\bcards\b.*?</table>', text):
            body = table.split("<tbody>", 1)[1]
            assert not bare.search(body), path.name


def test_the_audit_has_a_name_for_all_that_a_route_guards():
    asked = [g for _, route in routes(World().app) for g in guards(route) if not g.public]
    assert len(asked) > 150
    assert {g.kind for g in asked} - KINDS.keys() <= {""}
    assert {g.action for g in asked if g.action} <= ACTIONS.keys()
