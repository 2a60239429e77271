"""The types that a field can have, and the units that are converted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from hearthward.core.codes import Metric

__all__ = [
    "CLOCKS",
    "CONVERSIONS",
    "FLOATS",
    "INTEGERS",
    "PAIR_TYPES",
    "STRUCT_CODES",
    "TAILS",
    "WIDTHS",
    "Conversion",
    "conversion",
    "size_of",
    "units_of",
]

WIDTHS: Final[Mapping[str, int]] = MappingProxyType(
    {"u8": 8, "s8": 8, "u16": 16, "s16": 16, "u24": 24, "s24": 24, "u32": 32, "s32": 32, "hex": 32}
)
"""Integer type -> bits."""

INTEGERS: Final = frozenset(WIDTHS)
"""Types whose number later conditions, bits and quality rules can look at."""

FLOATS: Final = frozenset({"sfloat", "float32-11073"})
"""Decimal numbers of ISO/IEEE 11073-20601."""

CLOCKS: Final = frozenset({"dt7", "time8", "seconds32"})
"""Types that are a date and a time of day."""

TAILS: Final = frozenset({"utf8", "bytes"})
"""Types that take whatever is left of the payload."""

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
        "time8": "BBBBBBBB",
        "seconds32": "I",
    }
)

_SIZES: Final = {"sfloat": 2, "float32-11073": 4, "dt7": 7, "time8": 8, "seconds32": 4}


def size_of(kind: str) -> int:
    """Bytes of a type that always has as many; 0 for the others."""
    return WIDTHS[kind] // 8 if kind in WIDTHS else _SIZES.get(kind, 0)


@dataclass(frozen=True, slots=True)
class Conversion:
    """Canonical value = number * times + plus, exactly."""

    times: Fraction
    plus: Fraction = Fraction(0)


_KPA = Conversion(Fraction(1000) / Fraction("133.322387415"))  # NIST SP 811
_POUND, _INCH = Fraction("0.45359237"), Fraction("2.54")
_GLUCOSE = Fraction("180.156")  # g/mol, C6H12O6

CONVERSIONS: Final[Mapping[tuple[str, str], Conversion]] = MappingProxyType(
    {
        ("kPa", "mm[Hg]"): _KPA,
        ("[degF]", "Cel"): Conversion(Fraction(5, 9), Fraction(-160, 9)),
        ("K", "Cel"): Conversion(Fraction(1), Fraction("-273.15")),
        ("kg/L", "mg/dL"): Conversion(Fraction(100_000)),
        ("mol/L", "mg/dL"): Conversion(_GLUCOSE * 100),
        ("mmol/L", "mg/dL"): Conversion(_GLUCOSE / 10),
        ("[lb_av]", "kg"): Conversion(_POUND),
        ("g", "kg"): Conversion(Fraction(1, 1000)),
        ("[in_i]", "cm"): Conversion(_INCH),
        ("m", "cm"): Conversion(Fraction(100)),
        ("kcal", "kJ"): Conversion(Fraction("4.184")),
        ("kcal/d", "kJ/d"): Conversion(Fraction("4.184")),
        ("kg", "g"): Conversion(Fraction(1000)),
        ("kg", "mg"): Conversion(Fraction(1_000_000)),
        ("L", "mL"): Conversion(Fraction(1000)),
        ("min", "s"): Conversion(Fraction(60)),
        ("s", "ms"): Conversion(Fraction(1000)),
    }
)
"""(unit on the wire, canonical unit) -> conversion."""

_MOLAR: Final = frozenset({"mol/L", "mmol/L"})
_OF_GLUCOSE: Final = frozenset({"blood_glucose", "interstitial_glucose"})


def units_of(row: Metric) -> list[str | None]:
    """The units in which a metric may stand on the wire, its own first; moles are known of glucose only."""
    wires = [wire for wire, canonical in CONVERSIONS if canonical == row.unit]
    return [row.unit, *(wire for wire in wires if wire not in _MOLAR or row.key in _OF_GLUCOSE)]


def conversion(wire: str | None, row: Metric) -> Conversion | None:
    """What brings the unit on the wire into the metric's own; None when it is that already."""
    return CONVERSIONS.get((wire or "", row.unit or ""))
