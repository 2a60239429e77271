"""Recordings in the long format ``time,patient,metric,value`` (seconds from the record's start)."""

from __future__ import annotations

import csv
import gzip
import math
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

from hearthward.core.errors import ConfigError

__all__ = ["Moment", "Recording", "read_recording"]

HEADER: Final = ["time", "patient", "metric", "value"]


@dataclass(frozen=True, slots=True)
class Moment:
    """All rows of one moment: (patient, metric, value) in the file's order, ``at`` in seconds."""

    at: float
    rows: tuple[tuple[str, str, float], ...]


@dataclass(slots=True)
class Recording:
    """A recording as columns, sorted by time; ``without_value`` counts its empty cells by metric."""

    time: array[float] = field(default_factory=lambda: array("d"))
    patient: list[str] = field(default_factory=list)
    metric: list[str] = field(default_factory=list)
    value: array[float] = field(default_factory=lambda: array("d"))
    without_value: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.time)

    def carried(self) -> dict[str, set[str]]:
        """Patient -> the metrics that the recording has of them, patients in order of appearance."""
        out: dict[str, set[str]] = {}
        for patient, metric in zip(self.patient, self.metric, strict=True):
            out.setdefault(patient, set()).add(metric)
        return out

    def counts(self) -> Counter[str]:
        """Rows by metric."""
        return Counter(self.metric)

    def intervals_s(self) -> dict[tuple[str, str], float]:
        """(patient, metric) -> the median seconds between its values, where it has two or more."""
        times: dict[tuple[str, str], list[float]] = {}
        for at, patient, metric in zip(self.time, self.patient, self.metric, strict=True):
            times.setdefault((patient, metric), []).append(at)
        gaps = {
            key: sorted(b - a for a, b in pairwise(sorted(column)) if b > a) for key, column in times.items()
        }
        return {key: column[len(column) // 2] for key, column in gaps.items() if column}

    def moments(self) -> Iterator[Moment]:
        """The rows grouped by time, in order of time."""
        order = sorted(range(len(self.time)), key=self.time.__getitem__)
        for at, group in groupby(order, key=self.time.__getitem__):
            yield Moment(at, tuple((self.patient[i], self.metric[i], self.value[i]) for i in group))


def read_recording(path: Path) -> Recording:
    """Read a ``.csv`` or ``.csv.gz`` file whole.

    Raises:
        ConfigError: naming file and line: no such file, a wrong header, a row that is not four columns, a
            time or value that is not a number, or a damaged archive.
    """
    recording = Recording()
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            _read_rows(csv.reader(file), str(path), recording)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"cannot be read: {reason}"
        raise ConfigError(msg, file=str(path)) from error
    if not len(recording):
        msg = "holds no values"
        raise ConfigError(msg, file=str(path))
    return recording


def _read_rows(rows: Iterator[list[str]], file: str, recording: Recording) -> None:
    header = [cell.strip() for cell in next(rows, [])]
    if header != HEADER:
        unknown = [cell for cell in header if cell not in HEADER]
        missing = [cell for cell in HEADER if cell not in header]
        wrong = [f"unknown column {c!r}" for c in unknown] + [f"missing column {c!r}" for c in missing]
        msg = f"the header must be {','.join(HEADER)}; {', '.join(wrong) or 'the order differs'}"
        raise ConfigError(msg, file=file, line=1)
    for line, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) != len(HEADER):
            msg = f"{len(row)} columns instead of {len(HEADER)}"
            raise ConfigError(msg, file=file, line=line)
        time, patient, metric, value = row
        if not patient or not metric:
            msg = f"column {'metric' if patient else 'patient'!r} is empty"
            raise ConfigError(msg, file=file, line=line)
        at = _number(time, "time", file, line)
        if value.strip().lower() in {"", "nan"}:
            recording.without_value[metric] += 1
            continue
        recording.time.append(at)
        recording.patient.append(sys.intern(patient))
        recording.metric.append(sys.intern(metric))
        recording.value.append(_number(value, "value", file, line))


def _number(text: str, column: str, file: str, line: int) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f"column {column!r}: {text!r} is not a number"
        raise ConfigError(msg, file=file, line=line)
    return number
