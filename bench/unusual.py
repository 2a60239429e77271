"""What is unusual for the patient: alarms a patient-day on recordings and made-up patients, and CPU.

The rule is run by the product's own engine. Its limit was chosen on the recorded stay, on records 1 of the
acute hypotension set and on every twentieth of the 4,000 stays from the first on. No other part is untouched:
the other records and the stays from the second on, which are measured here, were looked at while it was
tuned, and the population's numbers are made of all stays.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import sqrt
from pathlib import Path
from statistics import median
from typing import Final

from bench.figures import Outcome
from bench.icu_stays import Stay, read_stays
from bench.real_data import recordings
from hearthward.app.tracks import Timescale, read_tracks
from hearthward.app.ward import VitalSigns
from rules.conditions import Any_, Unusual
from rules.detectors.novelty import Novelty
from rules.detectors.priors import POPULATION
from rules.loader import load_rules
from rules.replay import Episode, Track, replay
from rules.rule import SECOND, Rule, RuleSet
from rules.tally import days_by_patient

__all__ = ["measure"]

RULE: Final = "vital-unusual"
PRESSURE: Final = Unusual("ibp_mean", "below", "limit", 0.3)
AT_MOST: Final = 1.0
"""Alarms of low priority a patient-day that a nurse may be asked to bear."""
STAYS: Final = 200
LEAST: Final = 10
"""Values of a patient that say what is usual of one."""
HOURS: Final = 8
BEDS: Final = 12
SIGNALS: Final = ("heart_rate", "spo2")
READINGS: Final = 100_000
SOON: Final = 1800 * SECOND


def measure() -> Outcome:
    """Burden of the shipped rule; and of arterial pressure, which it does not look at."""
    outcome = Outcome("unusual", "vital-unusual as shipped; low priority, beside the hard limits")
    rules = RuleSet(tuple(load_rules()))
    rule = rules.by_id[RULE]
    _cost(outcome)
    _ward(outcome, rule)
    if (folder := recordings("icu-numerics")) is not None:
        tracks = _read(folder / "s00001.csv.gz")
        _stay(outcome, rule, tracks)
        _beside(outcome, rules, tracks)
    if (folder := recordings("ahe")) is not None:
        tracks = _read(folder / "train.csv.gz")
        pressure = replace(
            rule,
            inputs={"ibp_mean": 900.0},
            condition=Any_((PRESSURE,)),
            explanation=rule.title,
            cleared=rule.title,
        )
        for group in ("1", "2"):
            chosen = [t for t in tracks if t.patient[1] == group]
            _burden(outcome, f"arterial pressure, records {group}", pressure, chosen)
    if (folder := recordings("cinc2012")) is not None:
        stays = read_stays(folder).stays
        _population(outcome, stays)
        _intensive(outcome, rule, stays[1 :: 4000 // STAYS])
    return outcome


def _read(path: Path) -> list[Track]:
    return list(read_tracks(path, Timescale("s")).tracks.values())


def _burden(
    outcome: Outcome, name: str, rule: Rule, tracks: Sequence[Track], target: float | None = AT_MOST
) -> list[Episode]:
    found = replay(RuleSet((rule,)), tracks).episodes
    days = sum(days_by_patient(tracks).values())
    lasted = [(e.end - e.started) / SECOND / 60 for e in found if e.end is not None]
    note = f"{len(found)} in {days:.1f} d" + (f"; median {median(lasted):.0f} min" if lasted else "")
    outcome.add(f"alarms a patient-day, {name}", len(found) / days, "/d", target=target, note=note)
    return found


def _stay(outcome: Outcome, rule: Rule, tracks: Sequence[Track]) -> None:
    _burden(outcome, "recorded stay, a reading a minute", rule, tracks)
    for value in (0.5, 0.7, 0.8):
        own = rule.with_values({"limit": value})
        _burden(outcome, f"recorded stay, limit {value}", own, tracks, target=None)


def _beside(outcome: Outcome, rules: RuleSet, tracks: Sequence[Track]) -> None:
    """How many of them come beside another physiological alarm, or up to half an hour before one."""
    found = [e for e in replay(rules, tracks).episodes if e.kind == "physiological"]
    own, others = ([e for e in found if (e.rule == RULE) is is_own] for is_own in (True, False))
    beside = sum(any(o.active(e.started) or 0 <= o.started - e.started <= SOON for o in others) for e in own)
    outcome.add("of these beside, or half an hour before, another alarm", float(beside), "")
    days = sum(days_by_patient(tracks).values())
    outcome.add("other physiological alarms a patient-day, recorded stay", len(others) / days, "/d")


def _ward(outcome: Outcome, rule: Rule) -> None:
    tracks = []
    for bed in range(BEDS):
        name = f"pat-{bed + 1:02}"
        track, person = Track(name), VitalSigns(name)
        for second in range(HOURS * 3600):
            values = person.at(float(second))
            for metric in SIGNALS:
                track.add("monitor", metric, values[metric], second * SECOND)
            track.seen(second * SECOND)
        tracks.append(track)
    _burden(outcome, f"virtual ward, {BEDS} beds x {HOURS} h at 1 Hz", rule, tracks)


def _intensive(outcome: Outcome, rule: Rule, stays: Iterable[Stay]) -> None:
    tracks, died = [], {}
    for stay in stays:
        track = Track(stay.ident)
        for second, metric, value in stay.readings:
            if metric in rule.inputs:
                track.add("monitor", metric, value, round(second * SECOND))
                track.seen(round(second * SECOND))
        if len(track):
            tracks.append(track)
            died[stay.ident] = stay.died
    found = _burden(outcome, f"{len(tracks)} stays of 48 h, a reading an hour", rule, tracks)
    told = {e.patient for e in found}
    for name, fate in (("died", True), ("lived", False)):
        of = [p for p, f in died.items() if f is fate]
        share = 100 * len(told.intersection(of)) / len(of)
        outcome.add(f"patients with an alarm, of those who {name}", share, "%", note=f"of {len(of)}")


def _population(outcome: Outcome, stays: Iterable[Stay]) -> None:
    """The numbers of ``rules.detectors.priors``, made again: all that the stays have of them."""
    found: dict[str, list[list[float]]] = {metric: [] for metric in POPULATION}
    for stay in stays:
        own: dict[str, list[float]] = {metric: [] for metric in POPULATION}
        for _, metric, value in stay.readings:
            if value > 0 and metric in own:
                own[metric].append(value)
        for metric, values in own.items():
            if len(values) >= LEAST:
                found[metric].append(values)
    for metric, patients in found.items():
        if not patients:
            continue
        levels = [median(values) for values in patients]
        level = median(levels)
        between = 1.4826 * median(abs(own - level) for own in levels)
        spread = median(_successive(values) for values in patients)
        note = f"of {len(patients)}; between them {between:.2f}, from value to value {spread:.2f}"
        outcome.add(f"population's {metric}", level, "", note=note)


def _successive(values: Sequence[float]) -> float:
    return sqrt(sum((b - a) ** 2 for a, b in pairwise(values)) / (len(values) - 1) / 2)


def _cost(outcome: Outcome) -> None:
    chance = random.Random(1)  # noqa: S311 - the same each time
    values = [round(chance.gauss(80.0, 3.0)) for _ in range(READINGS)]
    novelty = Novelty("above", 60 * SECOND, POPULATION["heart_rate"])
    begun = time.process_time()
    for n, value in enumerate(values):
        novelty.push(n * SECOND, float(value), frozen=False)
    spent = (time.process_time() - begun) / READINGS * 1e6
    outcome.add("CPU a reading at 1 Hz", spent, "us", target=2.0)
    size = sum(len(x) if isinstance(x, bytes) else 9 for x in novelty.pack())
    outcome.add("state a stream, about", size + 3 * 6 * 9, "B", target=1024.0)
