"""How often a battery lasts as long as was said: made-up discharges, judged day by day until the end."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Final

from bench.figures import Outcome
from cloud_ingest.device_health.battery import EMPTY, battery_of
from cloud_ingest.device_health.slopes import slope_of

__all__ = ["KINDS", "Judged", "judged", "measure"]

KINDS: Final = {
    "the same every day": (1.0,),
    "uneven days (spread half of the mean)": (0.5,),
    "five days a week, little at the weekend": (1.2, 1.2, 1.2, 1.2, 1.2, 0.5, 0.5),
    "uneven weeks (each half as much again, or half as little)": (),
}
"""What is spent a day, in parts of the device's mean; read to whole % with an error of 1 %."""
RATES: Final = (0.5, 0.9, 2.0, 4.0)
LIVES: Final = 150
ENOUGH: Final = 0.8


@dataclass(frozen=True, slots=True)
class Judged:
    """Of so many: the part within the interval, before it, and within that of the slope alone.

    Width and error are medians in parts of the days that were really left.
    """

    count: int
    within: float
    before: float
    slope_alone: float
    width: float
    error: float


def _levels(kind: str, chance: random.Random) -> Iterator[float]:
    """The true level by day, from full to empty."""
    rate, level, day, week = chance.choice(RATES), 100.0, 0, 1.0
    parts = KINDS[kind]
    while level > 0:
        yield level
        if day % 7 == 0:
            week = chance.choice((0.5, 1.5))
        if not parts:
            part = week
        elif parts == (0.5,):
            part = chance.gammavariate(4, 1 / 4)
        else:
            part = parts[day % len(parts)]
        level, day = level - rate * part, day + 1


def _told(levels: Sequence[float], chance: random.Random) -> list[tuple[int, float]]:
    return [
        (day, min(100.0, max(0.0, float(round(level + chance.gauss(0.0, 1.0))))))
        for day, level in enumerate(levels)
    ]


def judged(kind: str, lives: int = LIVES, seed: int = 0) -> Judged:
    """Each life is judged once, on a day of its last two thirds."""
    chance = random.Random(seed)  # noqa: S311 - a course, no secret
    within = before = alone = 0
    widths, errors = [], []
    for _ in range(lives):
        levels = list(_levels(kind, chance))
        end = next((day for day, level in enumerate(levels) if level <= EMPTY), len(levels))
        today = chance.randrange(max(6, end // 3), end)
        points = _told(levels[: today + 1], chance)
        found, slope, left = battery_of(points, today), slope_of(points), end - today
        if found is None or found.left is None or found.low is None or found.high is None or slope is None:
            continue
        within += found.low - 0.5 <= left <= found.high + 0.5
        before += left < found.low - 0.5
        above = max(0.0, slope.level - EMPTY)
        alone += above / -slope.low - 0.5 <= left <= above / -slope.high + 0.5
        widths.append((found.high - found.low) / left)
        errors.append(abs(found.left - left) / left)
    n = len(widths)
    return Judged(n, within / n, before / n, alone / n, median(widths), median(errors))


def measure() -> Outcome:
    """How often the interval holds, by how a device is used."""
    outcome = Outcome("battery", f"{LIVES} made-up discharges each, seed 0; said: nine in ten")
    for kind in KINDS:
        found = judged(kind)
        add = partial(outcome.add, unit="")
        add(f"{kind}: within the interval", found.within, target=ENOUGH, at_least=True)
        add(f"{kind}: empty before it", found.before, note="the visit comes too late")
        add(f"{kind}: within the slope's interval alone", found.slope_alone)
        add(f"{kind}: width, in parts of the days left", found.width, note=f"error {found.error:.2f}")
    return outcome
