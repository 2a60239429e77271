"""NEWS2, the National Early Warning Score: seven parameters, 0 to 3 points each, 20 at most.

Source: Royal College of Physicians, "National Early Warning Score (NEWS) 2", 2017, chart 1. Its table is in
whole numbers (temperature: tenths), so a value is rounded first, half up. A band that ends at 91 therefore
ends below 91.5: the table here has these cut points. A float lies below a cut exactly when the decimal text
it was read from does, both being rounded to the nearest float, so no rounding is left to be done.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["CUTS", "MAX_AGE_S", "METRICS_OF", "PARAMETERS", "Total", "points", "total"]

PARAMETERS: Final = (
    "respiratory_rate",
    "spo2",
    "supplemental_oxygen",
    "systolic",
    "pulse",
    "consciousness",
    "temperature",
)

METRICS_OF: Final[dict[str, tuple[str, ...]]] = {
    "respiratory_rate": ("respiratory_rate",),
    "spo2": ("spo2",),
    "supplemental_oxygen": ("supplemental_oxygen",),
    "systolic": ("nibp_systolic", "ibp_systolic"),
    "pulse": ("heart_rate", "pulse_rate"),
    "consciousness": ("consciousness",),
    "temperature": ("body_temperature",),
}
"""The metrics that may stand for a parameter, the preferred one first."""

MAX_AGE_S: Final = {
    "respiratory_rate": 14_400,
    "spo2": 3600,
    "supplemental_oxygen": 28_800,
    "nibp_systolic": 14_400,
    "ibp_systolic": 3600,
    "heart_rate": 3600,
    "pulse_rate": 3600,
    "consciousness": 28_800,
    "body_temperature": 14_400,
}
"""An older value says nothing of now: what the library's NEWS2 rules say."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of the chart: ``points`` of the bands that ``cuts`` part, from the lowest values up."""

    cuts: tuple[float, ...]
    points: tuple[int, ...]

    def at(self, value: float) -> int:
        """The points of the band that ``value`` lies in; a value at a cut belongs to the band above."""
        return self.points[bisect_right(self.cuts, value)]


_TABLE: Final[dict[str, _Row]] = {
    "respiratory_rate": _Row((8.5, 11.5, 20.5, 24.5), (3, 1, 0, 2, 3)),
    "spo2": _Row((91.5, 93.5, 95.5), (3, 2, 1, 0)),
    "supplemental_oxygen": _Row((0.5,), (0, 2)),
    "systolic": _Row((90.5, 100.5, 110.5, 219.5), (3, 2, 1, 0, 3)),
    "pulse": _Row((40.5, 50.5, 90.5, 110.5, 130.5), (3, 1, 0, 1, 2, 3)),
    "consciousness": _Row((0.5,), (0, 3)),
    "temperature": _Row((35.05, 36.05, 38.05, 39.05), (3, 1, 0, 1, 2)),
}
_SPO2_2_AIR: Final = _Row((83.5, 85.5, 87.5), (3, 2, 1, 0))
_SPO2_2_OXYGEN: Final = _Row((83.5, 85.5, 87.5, 92.5, 94.5, 96.5), (3, 2, 1, 0, 1, 2, 3))

CUTS: Final[dict[int, dict[str, tuple[float, ...]]]] = {
    scale: {
        metric: _SPO2_2_OXYGEN.cuts if parameter == "spo2" and scale != 1 else _TABLE[parameter].cuts
        for parameter, metrics in METRICS_OF.items()
        for metric in metrics
    }
    for scale in (1, 2)
}
"""By scale and metric, the values at which the points change: one at a cut counts as above it."""


def points(parameter: str, value: float, scale: int = 1, oxygen: bool | None = None) -> int:  # noqa: FBT001 - a reading
    """The points of one parameter, 0 to 3.

    ``value`` is in the chart's unit (/min, %, mm[Hg], Cel), unrounded; ``supplemental_oxygen`` is 0 (air) or
    1, ``consciousness`` 0 (alert) or 1 to 4 (C, V, P, U). ``scale`` is the SpO2 scale; on scale 2, ``oxygen``
    None (not known) counts as air, which gives the fewest points that are possible.

    Raises ValueError for NaN, which is no value, and for a scale that is neither 1 nor 2; KeyError for a name
    that is none of ``PARAMETERS``.
    """
    if value != value:  # noqa: PLR0124 - NaN, of which bisect would make the highest band
        msg = f"{parameter} is not a number"
        raise ValueError(msg)
    if parameter == "spo2" and scale != 1:
        if scale != 2:  # noqa: PLR2004 - the chart's own numbering
            msg = f"NEWS2 has the SpO2 scales 1 and 2, not {scale!r}"
            raise ValueError(msg)
        return (_SPO2_2_OXYGEN if oxygen else _SPO2_2_AIR).at(value)
    return _TABLE[parameter].at(value)


@dataclass(frozen=True, slots=True)
class Total:
    """A score as far as it is known.

    ``points`` by parameter, for those that are known; ``missing`` the others, in the chart's order. ``total``
    is the sum of the known points: the score when ``complete``, else the least it can be. ``worst`` is the
    highest of the points of a single parameter.
    """

    points: dict[str, int]
    missing: tuple[str, ...]
    total: int
    complete: bool
    worst: int


def total(values: Mapping[str, float], scale: int = 1) -> Total:
    """Score the parameters that are known; one that is absent is missing, never 0 points of a complete score.

    ``values`` are by parameter, as ``points`` takes them; other keys are ignored. Raises as ``points`` does.
    """
    oxygen = values.get("supplemental_oxygen")
    on_oxygen = None if oxygen is None else oxygen >= _TABLE["supplemental_oxygen"].cuts[0]
    known = {p: points(p, values[p], scale, on_oxygen) for p in PARAMETERS if p in values}
    missing = tuple(p for p in PARAMETERS if p not in known)
    return Total(known, missing, sum(known.values()), not missing, max(known.values(), default=0))
