"""Small things about text that people read."""

from __future__ import annotations

import re

__all__ = ["natural", "tidy"]

_DIGITS = re.compile(r"(\d+)")


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts ``2`` before ``10`` and ``B2`` before ``B10``."""
    return tuple(
        (0, int(part), "") if part.isdecimal() else (1, 0, part.casefold())
        for part in _DIGITS.split(text)
        if part
    )


def tidy(text: str, most: int) -> str:
    """At most ``most`` characters, all printable: what comes from a device may go to a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:most])
