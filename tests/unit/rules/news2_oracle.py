"""NEWS2 a second time, written from the chart as it is printed: rows of bands in rounded numbers.

Shares nothing with ``rules.news2``: it rounds with Decimal (half up) and then looks for the band.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal

STEP = {"temperature": Decimal("0.1")}
NUMERIC = ("respiratory_rate", "spo2", "systolic", "pulse", "temperature")
ALL = ("respiratory_rate", "spo2", "supplemental_oxygen", "systolic", "pulse", "consciousness", "temperature")

# (from, to, points), both ends included; None: open
CHART: dict[str, list[tuple[str | None, str | None, int]]] = {
    "respiratory_rate": [(None, "8", 3), ("9", "11", 1), ("12", "20", 0), ("21", "24", 2), ("25", None, 3)],
    "spo2": [(None, "91", 3), ("92", "93", 2), ("94", "95", 1), ("96", None, 0)],
    "spo2 scale 2 on air": [(None, "83", 3), ("84", "85", 2), ("86", "87", 1), ("88", None, 0)],
    "spo2 scale 2 on oxygen": [
        (None, "83", 3),
        ("84", "85", 2),
        ("86", "87", 1),
        ("88", "92", 0),
        ("93", "94", 1),
        ("95", "96", 2),
        ("97", None, 3),
    ],
    "systolic": [(None, "90", 3), ("91", "100", 2), ("101", "110", 1), ("111", "219", 0), ("220", None, 3)],
    "pulse": [
        (None, "40", 3),
        ("41", "50", 1),
        ("51", "90", 0),
        ("91", "110", 1),
        ("111", "130", 2),
        ("131", None, 3),
    ],
    "temperature": [
        (None, "35.0", 3),
        ("35.1", "36.0", 1),
        ("36.1", "38.0", 0),
        ("38.1", "39.0", 1),
        ("39.1", None, 2),
    ],
}
CODED = {
    "supplemental_oxygen": {"air": 0, "oxygen": 2},
    "consciousness": {"A": 0, "C": 3, "V": 3, "P": 3, "U": 3},
}
CODES = {name: tuple(row) for name, row in CODED.items()}


def rounded(parameter: str, text: str) -> Decimal:
    """A decimal text as the chart reads it."""
    return Decimal(text).quantize(STEP.get(parameter, Decimal(1)), rounding=ROUND_HALF_UP)


def points(parameter: str, text: str, scale: int, *, oxygen: bool | None) -> int:
    """Points of a decimal text (of coded parameters: of the code)."""
    if parameter in CODED:
        return CODED[parameter][text]
    row = parameter
    if parameter == "spo2" and scale == 2:
        row = "spo2 scale 2 on oxygen" if oxygen else "spo2 scale 2 on air"
    value = rounded(parameter, text)
    found = [
        score
        for low, high, score in CHART[row]
        if (low is None or value >= Decimal(low)) and (high is None or value <= Decimal(high))
    ]
    assert len(found) == 1, f"{parameter} {text}: bands {found}"
    return found[0]


def total(texts: Mapping[str, str], scale: int) -> tuple[int, int, list[str]]:
    """(sum of the known, the worst single one, what is missing)."""
    oxygen = {None: None, "air": False, "oxygen": True}[texts.get("supplemental_oxygen")]
    known = [points(name, text, scale, oxygen=oxygen) for name, text in texts.items()]
    return sum(known), max([0, *known]), [name for name in ALL if name not in texts]
