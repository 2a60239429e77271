"""The intensive-care stays of PhysioNet's challenge of 2012, as readings of our metrics.

``time`` counts seconds from the stay's start. The Glasgow coma scale is told as ACVPU, which is what we have;
what is no vital sign (inspired oxygen, ventilation) is kept apart, and counted.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from rules.models.deterioration import CHANNEL_OF

__all__ = ["Stay", "Stays", "acvpu", "read_stays"]

Reading = tuple[float, str, float]


@dataclass(slots=True)
class Stay:
    """One patient's 48 hours, in order of time. ``oxygen`` is when it was given (1) and when not (0)."""

    ident: str
    died: bool
    readings: list[Reading] = field(default_factory=list)
    oxygen: list[tuple[float, float]] = field(default_factory=list)


@dataclass(slots=True)
class Stays:
    """All stays, by the number of their record; ``others`` counts the rows that are no vital sign."""

    stays: list[Stay]
    rows: int
    others: Counter[str]


def acvpu(gcs: float) -> float:
    """The place in ACVPU that a Glasgow coma scale (3 to 15) is taken for.

    15 A, 13 and 14 C, 9 to 12 V, 4 to 8 P, 3 U: our own convention, the scales measure not quite the same.
    """
    return float(sum(gcs < least for least in (15, 13, 9, 4)))


def read_stays(folder: Path) -> Stays:
    """All of set A; stays without any row are there, too."""
    with (folder / "set-a-outcomes.csv").open(newline="") as file:
        died = {row["RecordID"]: row["In-hospital_death"] == "1" for row in csv.DictReader(file)}
    stays = {ident: Stay(ident, died[ident]) for ident in sorted(died)}
    others: Counter[str] = Counter()
    rows = 0
    with gzip.open(folder / "set-a.csv.gz", "rt", newline="") as file:
        for row in csv.DictReader(file):
            stay, metric = stays[row["patient"]], row["metric"]
            time, value = float(row["time"]), float(row["value"])
            rows += 1
            if metric == "gcs":
                if 3 <= value <= 15:
                    stay.readings.append((time, "consciousness", acvpu(value)))
            elif metric in CHANNEL_OF:
                stay.readings.append((time, metric, value))
            if metric not in CHANNEL_OF:
                others[metric] += 1
            if metric in {"mechanical_ventilation", "fio2"}:
                stay.oxygen.append((time, float(metric != "fio2" or value > 0.21)))
    for stay in stays.values():
        stay.readings.sort()
        stay.oxygen.sort()
    return Stays(list(stays.values()), rows, others)
