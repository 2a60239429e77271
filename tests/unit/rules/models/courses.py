"""Patients' courses made up for tests of the deterioration model: some get worse hour by hour."""

from __future__ import annotations

import random

from bench.icu_stays import Stay
from rules.models.deterioration import Course

__all__ = ["HOUR", "course_of", "stay"]

HOUR = 3600.0
FINE = {"heart_rate": 75.0, "respiratory_rate": 15.0, "spo2": 97.0, "body_temperature": 36.9}
FINE |= {"nibp_systolic": 125.0, "nibp_diastolic": 75.0, "nibp_mean": 90.0, "consciousness": 0.0}
WORSE = {"heart_rate": 1.2, "respiratory_rate": 0.4, "spo2": -0.3, "nibp_systolic": -1.0}
SPREAD = {"consciousness": 0.0, "body_temperature": 0.2}


def stay(number: int, *, died: bool, hours: int = 48) -> Stay:
    """Hourly values; those who die get steadily worse, and their consciousness fails at last."""
    draw = random.Random(number)
    out = Stay(str(number), died)
    for hour in range(hours):
        for metric, fine in FINE.items():
            drift = WORSE.get(metric, 0.0) * hour if died else 0.0
            value = round(fine + drift + draw.gauss(0, SPREAD.get(metric, 2.0)), 1)
            if metric == "consciousness":
                value = 3.0 if died and hour > 30 else 0.0
            if draw.random() < 0.9:
                out.readings.append((hour * HOUR, metric, value))
    return out


def course_of(known: Stay, *, without: str = "") -> Course:
    """What is remembered of it."""
    course = Course()
    for time, metric, value in known.readings:
        if metric != without:
            course.push(time, metric, value)
    return course
