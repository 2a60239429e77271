"""How long ``hearthward replay`` takes for a million readings under the whole library, on one core."""

from __future__ import annotations

import gzip
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from math import sin
from pathlib import Path
from typing import Any, Final

from bench.figures import Outcome
from bench.processes import ROOT, work_folder

__all__ = ["measure", "write_recording"]

READINGS: Final = 1_000_000
TARGET_S: Final = 30.0
TURN_S: Final = 3 * 3600
"""Each patient gets worse and better again about once in this time."""
LIMIT_PER_DAY: Final = 6.5
WARNING_MIN: Final = 19.0


@dataclass(frozen=True, slots=True)
class Signal:
    """A vital sign: how often it comes, its usual value and noise, how far it goes when things are bad."""

    metric: str
    interval_s: int
    usual: float
    noise: float
    worst: float
    decimals: int = 0


BEDSIDE: Final = (
    Signal("heart_rate", 1, 78, 1.2, 138),
    Signal("pulse_rate", 1, 78, 1.2, 138),
    Signal("spo2", 1, 96.5, 0.4, 87),
    Signal("respiratory_rate", 5, 16, 0.8, 29),
    Signal("ibp_systolic", 5, 124, 2.5, 84),
    Signal("ibp_diastolic", 5, 70, 2.0, 46),
    Signal("ibp_mean", 5, 88, 2.0, 57),
    Signal("body_temperature", 300, 37.0, 0.05, 39.3, 1),
)
"""Monitors at 1 Hz."""
CHARTED: Final = tuple(
    Signal(s.metric, 60 if s.metric != "body_temperature" else 3600, s.usual, s.noise, s.worst, s.decimals)
    for s in BEDSIDE
)
"""What a central station keeps: a value a minute."""


def write_recording(path: Path, signals: tuple[Signal, ...], patients: int, readings: int) -> None:
    """The same file each time: noise about a usual value, and turns for the worse of different depth."""
    each = readings // patients
    with gzip.open(path, "wt", compresslevel=1, newline="") as file:
        file.write("time,patient,metric,value\n")
        for n in range(patients):
            file.writelines(_rows(f"p{n:03}", signals, each, random.Random(n)))  # noqa: S311 - no secret


def _rows(patient: str, signals: tuple[Signal, ...], count: int, rng: random.Random) -> Iterator[str]:
    drift = [0.0] * len(signals)
    phase, depth, left, at = rng.uniform(0, TURN_S), rng.uniform(0.2, 1.1), count, 0
    step = min(s.interval_s for s in signals)
    while True:
        bad = max(0.0, sin((at + phase) / TURN_S * 6.2832)) ** 8 * depth
        for i, s in enumerate(signals):
            if at % s.interval_s:
                continue
            drift[i] = 0.97 * drift[i] + rng.gauss(0, s.noise) * 0.25
            value = round(s.usual + drift[i] + (s.worst - s.usual) * bad, s.decimals)
            yield f"{at},{patient},{s.metric},{value:g}\n"
            left -= 1
            if not left:
                return
        at += step


def measure() -> Outcome:
    """A million readings twice, as monitors give them and as they are kept; and what it says of pressure."""
    outcome = Outcome(
        "replay", f"{READINGS:,} readings under the whole library: wall time of the command, one core"
    )
    with work_folder() as folder:
        for name, signals, patients in (
            ("8 signals at 1 Hz", BEDSIDE, 10),
            ("8 signals a minute", CHARTED, 100),
        ):
            path = folder / "recording.csv.gz"
            write_recording(path, signals, patients, READINGS)
            seconds, memory, found = _replay(folder, path)
            note = (
                f"{found['rules']['count']} rules, {found['patients']} patients,"
                f" {found['alarms']} alarms, at most {memory:.0f} MB"
            )
            outcome.add(name, seconds, "s", target=TARGET_S, note=note)
        _pressure(outcome, folder)
    return outcome


def _replay(folder: Path, *arguments: str | Path) -> tuple[float, float, dict[str, Any]]:
    """Seconds and MB (peak resident) of the command, and what it wrote."""
    out = folder / "out.json"
    command = [sys.executable, "-m", "hearthward", "replay", *map(str, arguments), "--out", str(out)]
    start = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        msg = f"replay ended with {process.returncode}"
        raise RuntimeError(msg)
    return seconds, _mb(usage), json.loads(out.read_text())


def _mb(usage: resource.struct_rusage) -> float:
    return usage.ru_maxrss * 1024 / 1e6


def _pressure(outcome: Outcome, folder: Path) -> None:
    """The shipped ibp-mean-low rules beside a plain limit, where the recorded pressures are at hand."""
    data = Path(os.environ.get("HEARTHWARD_DATA", ROOT.parent / "shared" / "data")) / "ahe"
    recording, events = data / "train.csv.gz", data / "train-events.csv"
    if not recording.exists():
        print(f"arterial pressure: skipped, {recording} is not there (HEARTHWARD_DATA)", file=sys.stderr)
        return
    options = ("--only", "ibp-mean-low*", "--compare", ROOT / "bench" / "rules-naive", "--events", events)
    _, _, found = _replay(folder, recording, *options)
    for name, figures in (("ibp-mean-low*", found), ("plain limit of 65", found["compare"])):
        caught, ours = figures["events"], figures is found
        outcome.add(
            f"{name}: alarms a patient-day",
            figures["alarms_per_patient_day"],
            "",
            target=LIMIT_PER_DAY if ours else None,
            note=f"{caught['caught']}/{caught['events']} episodes caught, {len(caught['lost'])} lost",
        )
        outcome.add(
            f"{name}: median warning",
            caught["median_warning_s"] / 60,
            "min",
            target=WARNING_MIN if ours else None,
            at_least=True,
        )
