"""A learned risk as one site has found it to be worth: its log-odds, stretched and moved."""

from __future__ import annotations

from math import log
from typing import Final

from rules.conditions import Calibration
from rules.models.deterioration import shipped
from rules.models.trees import probability

__all__ = ["log_odds", "recalibrated"]

_LEAST: Final = 0.005
_DIGITS: Final = 4


def log_odds(risk: float) -> float:
    """The log-odds of a risk as it is told to rules: in hundredths, so 0 and 1 are half a hundredth in."""
    inside = min(max(risk, _LEAST), 1.0 - _LEAST)
    return log(inside / (1.0 - inside))


def recalibrated(calibration: Calibration, risk: float) -> float | None:
    """The risk at the site; None where the calibration is of another training than the model shipped."""
    if calibration.training != shipped().version:
        return None
    return round(probability(calibration.intercept + calibration.slope * log_odds(risk)), _DIGITS)
