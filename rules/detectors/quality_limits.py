"""What a signal can be, how fast it can change, and when it is critical: the table of the quality gate.

Sources: ranges are the metrics' own (``hearthward.core.codes``). Rates of change are generous upper bounds on
what a body does between two values: apnoea lowers SpO2 by well under 1 % a second; a rhythm can change the
heart rate at once, so a jump is only ever suspect. ``critical`` is what the library's rules tell as high
priority, or worse than that.
"""

from __future__ import annotations

from math import inf
from typing import Any, Final, Literal, NamedTuple

from hearthward.core.codes import METRICS

__all__ = ["LIMITS", "PRESSURES", "RATES", "Limits"]

_SECOND: Final = 1e9


class Limits(NamedTuple):
    """Of one metric, in its unit: ``step`` may lie between any two values, ``rate`` more a second.

    ``flat`` is after how many seconds the same value is doubtful (0: never). ``zero``: exactly 0 is an
    oximeter's word for no signal (lost), or may be (doubt). Critical is what is not within ``critical``, or
    lies ``falling`` below its mean of two minutes.
    """

    low: float
    high: float
    step: float
    rate: float
    flat: float = 0.0
    zero: Literal["lost", "doubt", ""] = ""
    critical: tuple[float, float] = (-inf, inf)
    falling: float = inf

    def allowed(self, passed: int) -> float:
        """How far a value may lie from the one believed ``passed`` ns before."""
        return self.step + self.rate * passed / _SECOND


def _of(metric: str, step: float, rate: float, flat: float = 0.0, **more: Any) -> tuple[str, Limits]:
    known = METRICS[metric]
    return metric, Limits(known.low, known.high, step, rate, flat, **more)


LIMITS: Final[dict[str, Limits]] = dict(
    [
        _of("heart_rate", 30, 1, 1800, zero="doubt", critical=(40, 150)),
        _of("pulse_rate", 30, 1, 1800, zero="lost", critical=(40, 150), falling=25),
        _of("spo2", 6, 0.7, zero="lost", critical=(90, inf), falling=4),
        _of("respiratory_rate", 15, 1),
        _of("etco2", 20, 2),
        _of("ibp_systolic", 40, 2, 120, zero="doubt", critical=(70, inf)),
        _of("ibp_mean", 30, 2, 120, zero="doubt", critical=(50, inf)),
        _of("ibp_diastolic", 30, 2, 120, zero="doubt"),
        _of("nibp_systolic", 50, 0.2, zero="doubt"),
        _of("nibp_mean", 40, 0.2, zero="doubt"),
        _of("nibp_diastolic", 40, 0.2, zero="doubt"),
        _of("body_temperature", 1, 0.02),
        _of("interstitial_glucose", 30, 0.2),
        _of("blood_glucose", 100, 0.2, zero="doubt"),
        _of("body_weight", 2, 0.001, zero="doubt"),
    ]
)
RATES: Final = {"heart_rate": "pulse_rate", "pulse_rate": "heart_rate"}
"""Two measures of one thing: the other one of each."""
PRESSURES: Final = {
    f"{way}_{part}": (f"{way}_systolic", f"{way}_mean", f"{way}_diastolic")
    for way in ("ibp", "nibp")
    for part in ("systolic", "mean", "diastolic")
}
"""The metrics that must not be smaller than the next."""
