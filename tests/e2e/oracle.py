"""The alarms of a recording, computed straight from the file: no engine, no clock, only wire rounding."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from hearthward.app.recording import Recording, read_recording

LIMITS = {
    "spo2-low": (lambda v: v["spo2"] < 90, lambda v: v["spo2"] >= 91, ("spo2",)),
    "heart-rate-low": (lambda v: v["heart_rate"] < 40, lambda v: v["heart_rate"] >= 42, ("heart_rate",)),
    "heart-rate-high": (lambda v: v["heart_rate"] > 130, lambda v: v["heart_rate"] <= 125, ("heart_rate",)),
    "home-bp-high": (
        lambda v: v["nibp_systolic"] >= 180 or v["nibp_diastolic"] >= 110,
        lambda v: v["nibp_systolic"] <= 175 and v["nibp_diastolic"] <= 105,
        ("nibp_systolic", "nibp_diastolic"),
    ),
}
"""Rule -> breach, clearance and metrics; every delay is shorter than these recordings' intervals."""
PLACES = {"heart_rate": "1", "spo2": "0.1", "pulse_rate": "0.1"}


def as_on_the_wire(metric: str, value: float) -> float:
    """What the twins' formats carry: whole heart rates, one decimal of the oximeter's values."""
    return float(Decimal(str(value)).quantize(Decimal(PLACES.get(metric, "0.1")), ROUND_HALF_UP))


Alarm = tuple[str, str, float, float | None]


def alarms_of(source: Path | Recording) -> list[Alarm]:
    """(rule, patient, onset, end or None) in seconds, sorted."""
    recording = read_recording(source) if isinstance(source, Path) else source
    open_: dict[tuple[str, str], float] = {}
    found: list[Alarm] = []
    for moment in recording.moments():
        values: dict[str, dict[str, float]] = {}
        for patient, metric, value in moment.rows:
            values.setdefault(patient, {})[metric] = as_on_the_wire(metric, value)
        for patient, now in values.items():
            for rule, (breach, clear, metrics) in LIMITS.items():
                if not set(metrics) <= now.keys():
                    continue
                key = rule, patient
                if key not in open_ and breach(now):
                    open_[key] = moment.at
                elif key in open_ and clear(now):
                    found.append((rule, patient, open_.pop(key), moment.at))
    found += [(rule, patient, onset, None) for (rule, patient), onset in open_.items()]
    return sorted(found, key=lambda a: (a[2], a[0], a[1]))
