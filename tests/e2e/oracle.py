"""The alarms of a recording: of plain limits straight from the file, of more rules by a replay of it.

``alarms_of`` knows no engine and no clock, only wire rounding. ``replayed`` runs the shipped rules over the
file without devices, frames or stores, for the rules that look at one device: they depend on no order in
which the readings of a moment arrive.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from hearthward.app.recording import Recording, read_recording
from hearthward.app.ward import TWINS
from hearthward.core.clock import SECOND
from rules import Context, Rule, RuleSet, load_rules
from rules.conditions import Missing, leaves
from rules.replay import Track, replay

LIMITS = {
    "spo2-low": (lambda v: v["spo2"] < 90, lambda v: v["spo2"] >= 91, ("spo2",)),
    "heart-rate-low": (lambda v: v["heart_rate"] < 40, lambda v: v["heart_rate"] >= 42, ("heart_rate",)),
    "heart-rate-high": (lambda v: v["heart_rate"] > 130, lambda v: v["heart_rate"] <= 125, ("heart_rate",)),
}
"""Rule -> breach, clearance and metrics; every delay is shorter than these recordings' intervals."""
PLACES = {"heart_rate": "1", "spo2": "0.1", "pulse_rate": "0.1"}


def as_on_the_wire(metric: str, value: float) -> float:
    """What the twins' formats carry: whole heart rates, one decimal of the oximeter's values."""
    return float(Decimal(str(value)).quantize(Decimal(PLACES.get(metric, "0.1")), ROUND_HALF_UP))


Alarm = tuple[str, str, float, float | None]


def alarms_of(source: Path | Recording, *, without_zeros: bool = False) -> list[Alarm]:
    """(rule, patient, onset, end or None) in seconds, sorted; ``without_zeros``: an SpO2 of 0 is no value."""
    recording = read_recording(source) if isinstance(source, Path) else source
    open_: dict[tuple[str, str], float] = {}
    found: list[Alarm] = []
    for moment in recording.moments():
        values: dict[str, dict[str, float]] = {}
        for patient, metric, value in moment.rows:
            if value or metric != "spo2" or not without_zeros:
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


DEVICES = [TWINS[kind][2] for kind in ("heart-rate", "pulse-oximeter", "blood-pressure")]


def of_one_device(rule: Rule) -> bool:
    """Whether it decides by what one of the player's devices measures, and not by what does not come."""
    return rule.kind == "physiological" and any(
        rule.inputs.keys() <= metrics and not any(isinstance(x, Missing) for x in leaves(rule.condition))
        for metrics in DEVICES
    )


def replayed(path: Path) -> list[Alarm]:
    """The alarms of all shipped rules that look at one device; see ``alarms_of``."""
    recording = read_recording(path)
    tracks: dict[str, Track] = {}
    for moment in recording.moments():
        for patient, metric, value in moment.rows:
            for n, metrics in enumerate(DEVICES):
                if metric in metrics:
                    track = tracks.setdefault(patient, Track(patient))
                    track.add(f"d{n}", metric, as_on_the_wire(metric, value), round(moment.at * SECOND))
    rules = RuleSet(tuple(filter(of_one_device, load_rules())))
    found = replay(rules, tracks.values(), {p: Context(setting="ward", adult=True) for p in tracks})
    return sorted(
        (
            (e.rule, e.patient, e.onset / SECOND, None if e.end is None else e.end / SECOND)
            for e in found.episodes
        ),
        key=lambda a: (a[2], a[0], a[1]),
    )
