"""What stands in a page of the documentation: its code blocks, tables, plain text and anchors."""

from __future__ import annotations

import re
from pathlib import Path

from dashboards.app import build_app
from dashboards.fake_backend import FakeBackend
from hearthward.core.clock import EventClock
from hearthward.core.telemetry import Telemetry
from tests.unit.dashboards.webworld import routes

__all__ = ["ROOT", "all_paths", "anchors", "blocks", "prose", "table"]

ROOT = Path(__file__).parents[3]


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def table(page: str, *header: str) -> list[list[str]]:
    """The rows of the one table whose header begins with these cells."""
    found = []
    for part in re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in part.splitlines()]
        if rows[0][: len(header)] == list(header):
            found.append(rows[2:])
    assert len(found) == 1, f"{len(found)} tables begin with {header}"
    return found[0]


def prose(page: str) -> str:
    """The text on one line, without emphasis."""
    return " ".join(page.replace("*", "").split())


def anchors(page: str) -> set[str]:
    """What a link into the page may name."""
    titles = re.findall(r"^#+ (.+)$", page, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def all_paths() -> set[str]:
    """The paths of all pages and of the whole API."""
    app = build_app(FakeBackend(EventClock(0)), telemetry=Telemetry())
    return {path for path, _ in routes(app)}
