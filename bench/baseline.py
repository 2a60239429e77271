"""What the personal baseline makes of made-up patients at home: false alarms, rises found, and its cost."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator
from statistics import median
from typing import Final

from bench.figures import Outcome
from rules.conditions import Deviation
from rules.detectors.baseline import Baseline
from rules.loader import load_rules
from rules.rule import SECOND
from rules.signals import feature_key, make_feature

__all__ = ["measure"]

PATIENTS: Final = 40
STEADY_DAYS: Final = 60
BEFORE: Final = 28
AFTER: Final = 22
"""Days before a rise begins, and behind that."""
ABSENT: Final = 0.15
"""The part of the measurements that do not come."""
FAR: Final = 0.03
"""The part of the values that are badly measured: three times as far off."""
US: Final = 100.0
BYTES: Final = 1024


def measure() -> Outcome:
    """Patients who stay as they are, patients whose pressure rises, and what a reading costs."""
    outcome = Outcome(
        "baseline", f"{PATIENTS} made-up patients at home, seeds 0..{PATIENTS - 1}, shipped rules"
    )
    rising, unusual = _leaf("home-bp-rising"), _leaf("home-pulse-unusual")
    days = PATIENTS * STEADY_DAYS
    for name, leaf, level, spread, a_day in (
        ("pressure that does not rise: alarms in 30 days", rising, 135.0, 8.0, 2),
        ("pulse as ever: alarms in 30 days", unusual, 70.0, 5.0, 1),
    ):
        told = sum(
            len(_alarms(leaf, _values(s, STEADY_DAYS, level, spread, a_day, 0.0))) for s in range(PATIENTS)
        )
        outcome.add(name, told / days * 30, "", note=f"{told} in {days} patient-days")
    for week in (10.0, 15.0):
        found = [
            [
                d - BEFORE
                for d in _alarms(rising, _values(s, BEFORE + AFTER, 135.0, 8.0, 2, week))
                if d >= BEFORE
            ]
            for s in range(PATIENTS)
        ]
        first = [days[0] for days in found if days]
        outcome.add(
            f"pressure that rises by {week:g} a week: found within {AFTER} days",
            float(len(first)),
            "",
            note=f"of {PATIENTS}, after {median(first):.0f} days in the median" if first else "",
        )
    _cost(outcome, rising)
    return outcome


def _leaf(rule: str) -> Deviation:
    leaf = load_rules().by_id[rule].resolved.condition
    assert isinstance(leaf, Deviation)
    return leaf


def _values(
    seed: int, days: int, level: float, spread: float, a_day: int, week: float
) -> Iterator[tuple[int, float]]:
    """(time, value): usual hours, a daily rhythm where it is measured twice, a rise from ``BEFORE`` on."""
    chance = random.Random(seed)  # noqa: S311 - a measurement, the same each time
    level += chance.gauss(0, 10)
    for day in range(days):
        for part in range(a_day):
            if chance.random() < ABSENT:
                continue
            at = day * 86_400 + (7 + 12 * part) * 3600 + chance.gauss(0, 2400)
            usual = level + (4 if part else -4) * (a_day > 1) + max(0, day - BEFORE) * week / 7
            off = chance.gauss(0, spread) * (3 if chance.random() < FAR else 1)
            yield round(at * SECOND), float(round(usual + off))


def _alarms(leaf: Deviation, values: Iterator[tuple[int, float]]) -> list[int]:
    """The days on which an alarm began; the engine's clearing time is left out."""
    feature = make_feature(feature_key(leaf) or "")
    active, out = False, []
    for at, value in values:
        feature.push(at, value, frozen=active)
        if feature.output is None:
            continue
        away = feature.output if leaf.direction == "above" else abs(feature.output)
        if not active and away >= float(leaf.by):
            active = True
            out.append(at // SECOND // 86_400)
        elif active and away <= float(leaf.by) - float(leaf.hysteresis):
            active = False
    return out


def _cost(outcome: Outcome, leaf: Deviation) -> None:
    feature = make_feature(feature_key(leaf) or "")
    assert isinstance(feature, Baseline)
    values = list(_values(1, 4000, 135.0, 8.0, 2, 0.0))
    begun = time.process_time()
    for at, value in values:
        feature.push(at, value, frozen=False)
    spent = (time.process_time() - begun) / len(values) * 1e6
    outcome.add("CPU per reading", spent, "us", target=US)
    outcome.add("state as JSON", float(len(json.dumps(feature.pack()))), "B", target=float(BYTES))
