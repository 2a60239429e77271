"""All our Markdown: lines that can be read in a terminal, links that lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, anchors

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
LONGEST = 120


def text_of(page: Path) -> Iterator[str]:
    """The lines that can be broken: no code, tables or pictures."""
    fenced = False
    for line in page.read_text("utf-8").splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith(("|", "    ", "![")):
            yield line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_no_line_of_text_is_too_long(page: Path):
    assert [line for line in text_of(page) if len(line) > LONGEST] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_within_the_project_lead_somewhere(page: Path):
    for where, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([\w-]+))?\)", page.read_text("utf-8")):
        target = page.parent / where if where else page
        assert target.exists(), where
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"{where}#{anchor}"


def test_each_decision_has_a_number_of_its_own():
    found = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
    assert len({page.name[:4] for page in found}) == len(found) > 0
    for page in found:
        assert page.read_text("utf-8").startswith(f"# {int(page.name[:4])}. "), page.name
