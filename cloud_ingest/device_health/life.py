"""How long an instrument will last, from what its own sensors told in each cycle: history, finding. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloud_ingest.device_health.findings import Evidence, Finding, date_of, rounded
from cloud_ingest.device_health.remaining_life import Learned, Left
from cloud_ingest.device_health.run_to_failure import Run
from cloud_ingest.device_health.slopes import COVERAGE
from cloud_ingest.device_health.sums import DAY_NS, day_of
from hearthward.core.codes import CYCLES, SENSORS, SETTINGS

__all__ = ["LIFE_METRICS", "MOST_CYCLES", "Cycle", "cycles_of", "life_finding", "run_of"]

LIFE_METRICS: Final = (CYCLES, *SETTINGS, *SENSORS)
MOST_CYCLES: Final = 2_000
"""The newest so many are read; of an instrument with more since its overhaul the beginning is not known."""
GAP: Final = 20
"""So many cycles may be missing at a time, the beginning included: the one before stands for them."""
RATE_NS: Final = 30 * DAY_NS
"""Looked back for how many cycles a day it makes."""
NOTICE_DAYS: Final = 60
"""A part that is ordered and fitted within two months; nothing is said of what lasts longer for sure."""


@dataclass(slots=True)
class Cycle:
    """One cycle as it was told; ``at`` is when (UTC ns)."""

    number: int
    at: int
    values: dict[str, float] = field(default_factory=dict)


def cycles_of(readings: Iterable[tuple[int, str, float]]) -> list[Cycle]:
    """Of (time, metric, value) in the order of time: the cycles since the last overhaul, each once, in order.

    What came at one time belongs together. A count that goes back is an overhaul, or another instrument.
    """
    told: dict[int, dict[str, float]] = {}
    for at, metric, value in readings:
        told.setdefault(at, {})[metric] = value
    cycles: list[Cycle] = []
    for at, values in sorted(told.items()):
        number = values.pop(CYCLES, None)
        if number is None or number < 1 or number != int(number):
            continue
        if cycles and int(number) < cycles[-1].number:
            cycles.clear()
        elif cycles and int(number) == cycles[-1].number:
            cycles.pop()
        cycles.append(Cycle(int(number), at, values))
    return cycles


def run_of(cycles: Sequence[Cycle], sensors: Sequence[int]) -> Run | None:
    """The history as ``Learned`` takes it; None: it has a gap, or lacks one of ``sensors`` (from 0).

    A value that was not told is the one before.
    """
    settings: list[tuple[float, ...]] = []
    rows: list[tuple[float, ...]] = []
    held: dict[str, float] = {}
    for cycle in cycles:
        missing = cycle.number - len(rows) - 1
        if missing > GAP:
            return None
        held |= cycle.values
        if any(SENSORS[s] not in held for s in sensors):
            return None
        if missing and rows:
            settings += settings[-1:] * missing
            rows += rows[-1:] * missing
        new = 1 if rows else missing + 1
        settings += [tuple(held.get(name, 0.0) for name in SETTINGS)] * new
        rows += [tuple(held.get(name, 0.0) for name in SENSORS)] * new
    return Run(1, tuple(settings), tuple(rows)) if rows else None


def life_finding(learned: Learned, cycles: Sequence[Cycle], now: int) -> Finding | None:
    """What is to be said of an instrument with this history; None: nothing yet, or too little is known.

    Nothing is said while the interval reaches to where nothing shows (``Learned.horizon``), nor while it will
    last ``NOTICE_DAYS`` for sure. The date counts from ``now`` (UTC ns): one that rests does not wear, so its
    date is never over. Where no pace is known it is today.
    """
    run = run_of(cycles, learned.conditions.sensors)
    if run is None:
        return None
    (left,) = learned.left([run])
    if left.low is None or left.high is None or left.high >= learned.horizon:
        return None
    per_day = _per_day(cycles)
    days = None if per_day is None else left.low / per_day
    if days is not None and days > NOTICE_DAYS:
        return None
    evidence: dict[str, float | int | str] = {
        "cycles": cycles[-1].number,
        "cycles_left": rounded(left.cycles),
        "cycles_left_low": rounded(left.low),
        "cycles_left_high": rounded(left.high),
        "units": learned.units,
        "since": date_of(day_of(cycles[0].at)),
    }
    if per_day is not None:
        evidence["cycles_a_day"] = rounded(per_day)
    proposed = (day_of(now) + int(days or 0.0)) * DAY_NS
    return Finding("life", evidence, COVERAGE, _said(left, days, evidence), proposed=proposed)


def _per_day(cycles: Sequence[Cycle]) -> float | None:
    """Cycles a day of late; None: it was not used for a whole day yet."""
    last = cycles[-1]
    first = next(cycle for cycle in cycles if cycle.at >= last.at - RATE_NS)
    span, made = last.at - first.at, last.number - first.number
    return made / (span / DAY_NS) if span >= DAY_NS and made else None


def _said(left: Left, days: float | None, evidence: Evidence) -> dict[str, str]:
    n = evidence["cycles"]
    en = f"Fails in about {left.cycles:.0f} cycles ({left.low:.0f} to {left.high:.0f}) after {n}"
    zh = f"已运行 {n} 次循环，预计约 {left.cycles:.0f} 次后失效（{left.low:.0f} 至 {left.high:.0f} 次）"  # noqa: RUF001 - Chinese punctuation
    if days is not None:
        en += f": in {days:.0f} days at the earliest"
        zh += f"，最早 {days:.0f} 天后"  # noqa: RUF001 - Chinese punctuation
    return {"en": en, "zh": zh}
