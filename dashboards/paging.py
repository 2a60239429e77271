"""Pages of a long list, by number in the address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

__all__ = ["PAGE", "Pager", "page_number"]

PAGE: Final = 50
MOST_PAGES: Final = 100_000


def page_number(text: str) -> int:
    """The number of a page out of an address; what is none is the first."""
    return min(max(int(text), 1), MOST_PAGES) if text.isascii() and text.isdigit() else 1


@dataclass(frozen=True, slots=True)
class Pager:
    """Where in a list of ``total`` entries a page stands, and the addresses around it."""

    path: str
    asked: Mapping[str, str]
    total: int
    number: int = 1
    name: str = "page"
    size: int = PAGE

    @property
    def last(self) -> int:
        """The number of the last page."""
        return max(1, -(-self.total // self.size))

    @property
    def first_shown(self) -> int:
        """The number of the first entry of this page, from 1; 0 when there is none."""
        return 0 if self.first > self.total else self.first

    @property
    def first(self) -> int:
        """What it would be if the page were full."""
        return (self.number - 1) * self.size + 1

    @property
    def last_shown(self) -> int:
        """The number of its last entry."""
        return min(self.number * self.size, self.total)

    def to(self, number: int) -> str:
        """The address of a page, with everything else that was asked for."""
        kept = {k: v for k, v in self.asked.items() if v and k != self.name}
        more = {self.name: str(number)} if number > 1 else {}
        query = urlencode({**kept, **more})
        return f"{self.path}?{query}" if query else self.path
