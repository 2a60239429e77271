"""What people write, as it is kept: all that their keyboards give, without what nobody can see."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

__all__ = ["legible"]

BREAKS: Final = re.compile(r"\r\n|[\n\r\v\f\x85\u2028\u2029]")
JOINERS: Final = "\u200c\u200d"
"""Within emoji (a nurse is a woman, a joiner and a staff) and scripts such as Persian's."""
UNWRITTEN: Final = ("Cc", "Cs", "Co")


def legible(text: str) -> str | None:
    """The text with plain spaces and line ends and nothing invisible; None: it holds what is no text.

    Chinese keyboards give full-width spaces, telephones no-break spaces and joiners. Signs newer than this
    Python's tables are taken.
    """
    lines = BREAKS.sub("\n", text).replace("\t", " ").split("\n")
    kept = "\n".join("".join(map(_seen, line)).rstrip() for line in lines).strip()
    if any(unicodedata.category(c) in UNWRITTEN for c in kept if c != "\n"):
        return None
    return "" if all(c in JOINERS or c.isspace() for c in kept) else kept


def _seen(char: str) -> str:
    category = unicodedata.category(char)
    if category == "Zs":
        return " "
    return "" if category == "Cf" and char not in JOINERS else char
