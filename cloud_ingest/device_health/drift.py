"""Slow changes of what a device tells of itself: its temperature, its voltage, the strength of its radio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal

from cloud_ingest.device_health.findings import SUREST, Finding, date_of, rounded
from cloud_ingest.device_health.slopes import COVERAGE, slope_of
from cloud_ingest.device_health.sums import DAY_NS

__all__ = ["LIMITS", "WEAK_DBM", "Limit", "drift_finding", "link_finding"]

WINDOW: Final = 30
"""Days that are looked back."""
WEAK_DBM: Final = -85.0
"""Mean of the last days. Receivers must take -70 dBm (Bluetooth Core 5.4, Vol 6 A 4.1); usual ones lose
packets from about -90 on, so 5 dB are left."""
WEAK_DAYS: Final = 3
UNHEARD_DAYS: Final = 3
"""Of a radio that is unheard for longer nothing is said: a bad day may not last for want of another."""
FALL_DB: Final = 10.0
"""Ten times less power in the window."""
ACT_DAYS: Final = 14


@dataclass(frozen=True, slots=True)
class Limit:
    """How much may change within the window; ``either``: up as well as down."""

    change: float
    unit: str
    en: str
    zh: str
    either: bool = True
    relative: bool = False


LIMITS: Final[dict[Literal["temperature", "voltage"], Limit]] = {
    # wards are kept within about 4 K over the year (ISO 7730 comfort class B): what drifts by 3 in a month is
    # the device's own
    "temperature": Limit(3.0, "°C", "Temperature", "温度"),
    # supplies are specified to within 5 % of their nominal voltage
    "voltage": Limit(0.05, "V", "Voltage", "电压", relative=True),
}


def drift_finding(
    kind: Literal["temperature", "voltage"], points: Sequence[tuple[int, float]], today: int
) -> Finding | None:
    """Of (day, value) by day: whether it has drifted away within the window; None else."""
    limit, used = LIMITS[kind], [(day, value) for day, value in points if day > today - WINDOW]
    slope = slope_of(used)
    if slope is None or not (slope.falls or slope.rises):
        return None
    change = slope.per_day * (slope.last - slope.first)
    allowed = limit.change * abs(slope.level - change) if limit.relative else limit.change
    if abs(change) < allowed:
        return None
    evidence: dict[str, float | int | str] = {
        "change": rounded(change),
        "per_day": rounded(slope.per_day),
        "per_day_low": rounded(slope.low),
        "per_day_high": rounded(slope.high),
        "level": rounded(slope.level),
        "days": slope.points,
        "since": date_of(slope.first),
    }
    days = slope.last - slope.first
    text = {
        "en": f"{limit.en} changed by {change:+.2g} {limit.unit} within {days} days, "
        f"to {slope.level:.3g} {limit.unit}",
        "zh": f"{limit.zh}在 {days} 天内变化 {change:+.2g} {limit.unit}，现为 {slope.level:.3g} {limit.unit}",  # noqa: RUF001 - Chinese punctuation
    }
    return Finding(kind, evidence, COVERAGE, text, proposed=(today + ACT_DAYS) * DAY_NS)


def link_finding(points: Sequence[tuple[int, float]], today: int) -> Finding | None:
    """Of (day, mean dBm) by day: whether the radio is weak, or has become much weaker; None else."""
    used = [(day, value) for day, value in points if day > today - WINDOW]
    newest = [value for _, value in used[-WEAK_DAYS:]]
    if len(newest) < WEAK_DAYS or used[-1][0] < today - UNHEARD_DAYS:
        return None
    mean = fmean(newest)
    slope = slope_of(used)
    fall = 0.0 if slope is None or not slope.falls else -slope.per_day * (slope.last - slope.first)
    if mean > WEAK_DBM and fall < FALL_DB:
        return None
    evidence: dict[str, float | int | str] = {
        "rssi": rounded(mean),
        "days": len(used),
        "since": date_of(used[0][0]),
    }
    if slope is not None and fall >= FALL_DB:
        days = slope.last - slope.first
        evidence |= {
            "fall": rounded(fall),
            "per_day": rounded(slope.per_day),
            "per_day_low": rounded(slope.low),
            "per_day_high": rounded(slope.high),
        }
        text = {
            "en": f"Radio signal fell by {fall:.0f} dB within {days} days, to {mean:.0f} dBm",
            "zh": f"无线信号在 {days} 天内下降 {fall:.0f} dB，现为 {mean:.0f} dBm",  # noqa: RUF001 - Chinese punctuation
        }
    else:
        text = {"en": f"Radio signal is weak: {mean:.0f} dBm", "zh": f"无线信号弱：{mean:.0f} dBm"}  # noqa: RUF001 - Chinese punctuation
    confidence = SUREST if mean <= WEAK_DBM else COVERAGE
    return Finding("link", evidence, confidence, text, proposed=(today + ACT_DAYS) * DAY_NS)
