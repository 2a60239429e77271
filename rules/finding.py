"""What all checks of rule files share: findings, and between which values a signal can lie."""

from __future__ import annotations

from dataclasses import dataclass

from hearthward.core.codes import METRICS
from rules.conditions import DETECTOR
from rules.document import Where, nearest

__all__ = ["Finding", "is_coded", "known_metrics", "unknown", "value_range"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and where in the file."""

    where: Where
    message: str


def value_range(signal: str) -> tuple[float, float] | None:
    """Between which values a signal can lie; None: it has none that rules look at, or is unknown."""
    if signal.startswith(DETECTOR):
        return 0.0, 1.0
    row = METRICS.get(signal)
    if row is None:
        return None
    if row.kind == "wave":
        return None
    if row.kind == "coded":
        return (0.0, len(row.codes) - 1.0) if row.codes else None
    return row.low, row.high


def is_coded(signal: str) -> bool:
    """Whether the signal's values are codes."""
    return signal in METRICS and METRICS[signal].kind == "coded"


def unknown(signal: str, known: list[str]) -> str:
    """Why rules cannot look at a signal without a ``value_range``."""
    if signal in METRICS and METRICS[signal].kind == "wave":
        return f"{signal} is a waveform: rules look at values, never at its samples"
    return f"unknown metric {signal!r} ({nearest(signal, known)})"


def known_metrics() -> list[str]:
    """The metrics that rules can look at."""
    return [name for name in METRICS if value_range(name) is not None]
