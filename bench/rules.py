"""What deciding costs in the live pipeline: the whole library, 48 readings a frame, in CPU time."""

from __future__ import annotations

import random
import time
from statistics import median
from typing import Final

from bench.figures import Outcome
from rules import Engine, Readings, Rows, RuleSet, State, load_rules
from rules.rule import SECOND

PATIENTS: Final = 12
SIGNALS: Final = (
    ("belt", "heart_rate", 75.0, 3.0),
    ("oximeter", "spo2", 97.0, 0.7),
    ("oximeter", "pulse_rate", 75.0, 3.0),
    ("monitor", "respiratory_rate", 15.0, 1.0),
)
FRAMES: Final = 1500
ROUNDS: Final = 5
START: Final = 1_800_000_000 * SECOND
TARGET_US: Final = 5.0


def measure() -> Outcome:
    """Rounds of the same quarter of an hour on a ward, without and with an alarm that goes on."""
    rules = load_rules()
    outcome = Outcome(
        "rules",
        f"{len(rules)} rules, {PATIENTS} patients x {len(SIGNALS)} signals at 1 Hz = "
        f"{PATIENTS * len(SIGNALS)} readings a frame, {FRAMES} frames, median of {ROUNDS} rounds",
    )
    for name, low in (("all well", 0), ("1 of 12 with SpO2 about 85", 1)):
        frames = _frames(low)
        found = [_cost(rules, frames) for _ in range(ROUNDS)]
        outcome.add(f"CPU per reading, {name}", median(us for us, _ in found), "us", target=TARGET_US)
        outcome.add(f"alarms told, {name}", found[0][1], "")
    return outcome


def _frames(low: int) -> list[Readings]:
    """One frame a second; the first ``low`` patients want oxygen."""
    chance = random.Random(48)  # noqa: S311 - a measurement, the same each time
    out = []
    for n in range(FRAMES):
        at = START + n * SECOND
        rows = Rows()
        for patient in range(PATIENTS):
            for device, metric, centre, spread in SIGNALS:
                value = float(round(chance.gauss(centre, spread)))
                if metric == "spo2":
                    value = min(value, 100.0) - (12.0 if patient < low else 0.0)
                rows.append(f"p{patient}", f"{device}-{patient}", metric, value, at, at + SECOND // 100)
        out.append(Readings(n + 1, at + SECOND // 50, rows, "gateway", at + SECOND // 60))
    return out


def _cost(rules: RuleSet, frames: list[Readings]) -> tuple[float, int]:
    """(CPU microseconds per reading, alarms started)."""
    engine = Engine(State.empty("bench", rules))
    told = 0
    begun = time.process_time()
    for frame in frames:
        told += sum(t.kind == "start" for t in engine.step(frame))
    spent = time.process_time() - begun
    return spent / sum(len(f.rows) for f in frames) * 1e6, told
