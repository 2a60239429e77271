"""Slow changes of what a device tells of itself: its temperature, its voltage, the strength of its radio."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final, Literal, NamedTuple

from cloud_ingest.device_health.findings import SUREST, Finding, date_of, rounded
from cloud_ingest.device_health.slopes import COVERAGE, FEWEST, slope_of
from cloud_ingest.device_health.sums import DAY_NS

__all__ = ["ALONE", "LIMITS", "WEAK_DBM", "Limit", "Place", "drift_finding", "link_finding", "of_its_own"]

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
WITNESSES: Final = 2
"""So many others tell what a place did on a day: of one nobody knows which of the two it was."""
MOST_WITNESSES: Final = 16
"""The steadiest so many are asked: more make the median no surer than the limit needs."""
ROUNDS: Final = 4
"""So often levels and days are told from each other; what is left of a step is then below a tenth of it."""
ALONE: Final = 0.5
"""Confidence in a temperature that can be held against no other of its place: it may be the room's."""


Place = Mapping[int, Collection[tuple[str, float]]]
"""What the devices behind one gateway told, by day: (device, its mean)."""


class Own(NamedTuple):
    """A device's days less what its place did, as if it had been there as today; ``others`` were compared."""

    points: Sequence[tuple[int, float]]
    others: int


def of_its_own(device: str, points: Sequence[tuple[int, float]], place: Place) -> Own:
    """What a device did apart from those around it: a heat wave warms all, and nothing is to be mended.

    Each of them counts by how far it lies from its own level, so that one which comes or goes, and is always
    warmer, is no change. Asked are those that were there on half of the days. Where too few days have
    witnesses nothing is taken off, and ``others`` is 0.
    """
    told: dict[str, dict[int, float]] = {}
    for day, _ in points:
        for other, value in place.get(day, ()):
            if other != device:
                told.setdefault(other, {})[day] = value
    steady = [other for other, days in told.items() if 2 * len(days) >= len(points)]
    asked = sorted(steady, key=lambda other: (-len(told[other]), other))[:MOST_WITNESSES]
    around = {
        day: found
        for day, _ in points
        if len(found := [other for other in asked if day in told[other]]) >= WITNESSES
    }
    seen = [(day, value) for day, value in points if day in around]
    if len(seen) < max(FEWEST, len(points) / 2):
        return Own(points, 0)
    did = _did(around, {other: told[other] for other in asked})
    now = did[seen[-1][0]]
    return Own([(day, value - did[day] + now) for day, value in seen], min(map(len, around.values())))


def _did(around: Mapping[int, Sequence[str]], told: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """What a place did on each day, by the medians of devices less their levels in turn (median polish)."""
    levels = {other: median(days.values()) for other, days in told.items()}
    did: dict[int, float] = {}
    for _ in range(ROUNDS):
        did = {
            day: median(told[other][day] - levels[other] for other in found) for day, found in around.items()
        }
        levels |= {
            other: median(apart)
            for other, days in told.items()
            if (apart := [value - did[day] for day, value in days.items() if day in did])
        }
    return did


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
    # wards are kept within about 4 K over the year (ISO 7730 comfort class B), homes are not: what the others
    # of a place do as well is taken off first
    "temperature": Limit(3.0, "°C", "Temperature", "温度"),
    # supplies are specified to within 5 % of their nominal voltage
    "voltage": Limit(0.05, "V", "Voltage", "电压", relative=True),
}


def drift_finding(
    kind: Literal["temperature", "voltage"],
    points: Sequence[tuple[int, float]],
    today: int,
    *,
    device: str = "",
    place: Place | None = None,
) -> Finding | None:
    """Of (day, value) by day: whether it has drifted away within the window; None else.

    With a ``place`` less what that did; alone there its confidence is ``ALONE``.
    """
    limit, used = LIMITS[kind], [(day, value) for day, value in points if day > today - WINDOW]
    others = None
    if place is not None:
        own = of_its_own(device, used, place)
        used, others = list(own.points), own.others
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
    if others is not None:
        evidence["others"] = others
    days = slope.last - slope.first
    text = {
        "en": f"{limit.en} changed by {change:+.2g} {limit.unit} within {days} days, "
        f"to {slope.level:.3g} {limit.unit}",
        "zh": f"{limit.zh}在 {days} 天内变化 {change:+.2g} {limit.unit}，现为 {slope.level:.3g} {limit.unit}",  # noqa: RUF001 - Chinese punctuation
    }
    if others:
        text["en"] += f", unlike {others} others there"
        text["zh"] += f"，同处其他 {others} 台设备并非如此"  # noqa: RUF001 - Chinese punctuation
    elif others == 0:
        text["en"] += "; no other device is there to tell whether the room did"
        text["zh"] += "；无同处设备可判断是否为室温变化"  # noqa: RUF001 - Chinese punctuation
    confidence = ALONE if others == 0 else COVERAGE
    return Finding(kind, evidence, confidence, text, proposed=(today + ACT_DAYS) * DAY_NS)


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
