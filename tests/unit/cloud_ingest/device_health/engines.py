"""Engines that wear out: made up, with the shape of C-MAPSS."""

from __future__ import annotations

import math
import random

from cloud_ingest.device_health.run_to_failure import SENSORS, Run

REGIMES = ((0.0, 0.0, 100.0), (42.0, 0.84, 100.0), (20.0, 0.7, 60.0))


def engine(unit: int, life: int, *, regimes: int = 1, cycles: int | None = None) -> Run:
    """Sensors 2 and 3 drift towards the end, 4 is noise, the others never move but with the regime."""
    rng = random.Random(unit)
    settings, sensors = [], []
    for cycle in range(life):
        place = rng.randrange(regimes)
        settings.append(tuple(x + rng.uniform(-1e-3, 1e-3) for x in REGIMES[place]))
        wear = math.exp((cycle - life) / 25)
        row = [100.0 + 10 * place] * SENSORS
        row[1] += 3 * wear + rng.gauss(0, 0.2)
        row[2] -= 2 * wear + rng.gauss(0, 0.2)
        row[3] += rng.gauss(0, 1)
        sensors.append(tuple(row))
    return Run(unit, tuple(settings), tuple(sensors)).until(life if cycles is None else cycles)


def lines(*runs: Run) -> str:
    """As a file has them."""
    return "".join(
        f"{run.unit} {n} " + " ".join(f"{x:.6f}" for x in (*a, *b)) + "  \n"
        for run in runs
        for n, (a, b) in enumerate(zip(run.settings, run.sensors, strict=True), 1)
    )
