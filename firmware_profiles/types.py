"""The types that a field can have, and the units that are converted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from firmware_profiles.numbers import KPA_TO_MMHG

__all__ = ["CONVERSIONS", "INTEGERS", "PAIR_TYPES", "STRUCT_CODES", "WIDTHS"]

WIDTHS: Final[Mapping[str, int]] = MappingProxyType(
    {"u8": 8, "s8": 8, "u16": 16, "s16": 16, "u24": 24, "u32": 32, "s32": 32, "hex": 32}
)
"""Integer type -> bits."""

INTEGERS: Final = frozenset(WIDTHS)
"""Types whose number later conditions, bits and quality rules can look at."""

PAIR_TYPES: Final = frozenset({"decimal", "hex"})
"""Types of the values in a line of pairs."""

STRUCT_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "u8": "B",
        "s8": "b",
        "u16": "H",
        "s16": "h",
        "u32": "I",
        "s32": "i",
        "sfloat": "H",
        "float32-11073": "I",
        "dt7": "HBBBBB",
    }
)

CONVERSIONS: Final[Mapping[tuple[str, str], float]] = MappingProxyType({("kPa", "mm[Hg]"): KPA_TO_MMHG})
"""(unit on the wire, canonical unit) -> factor."""
