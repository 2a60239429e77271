"""Small recordings made for tests."""

from __future__ import annotations

import random
from pathlib import Path


def ward_of(path: Path, *, patients: int, moments: int, seed: int = 1, every: float = 60.0) -> Path:
    """Write a recording in which everybody has episodes beyond every limit."""
    rng = random.Random(seed)
    rows = ["time,patient,metric,value"]
    for n in range(moments):
        at = round(n * every, 3)
        for p in range(patients):
            sick = (n // 5 + p) % 3 == 0
            values = {
                "heart_rate": rng.choice([33.4, 35, 142, 150.6]) if sick else rng.uniform(55, 100),
                "spo2": rng.uniform(70, 89.8) if sick else rng.uniform(93, 100),
                "pulse_rate": rng.uniform(50, 110),
            }
            if n % 4 == p % 4:
                values["nibp_systolic"] = 190 if sick else 121
                values["nibp_diastolic"] = 95 if sick else 78
                values["nibp_mean"] = 110 if sick else 90
            values["gcs"] = 15
            rows += [f"{at},p{p},{metric},{value:.1f}" for metric, value in values.items()]
    path.write_text("\n".join(rows) + "\n")
    return path
