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
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final, NoReturn

from hearthward.core.errors import ConfigError

__all__ = ["Moment", "Recording", "is_empty", "number_in", "read_recording", "recording_rows"]

HEADER: Final = ["time", "patient", "metric", "value"]
EMPTY: Final = frozenset({"", "nan"})
"""Cells without a value."""


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
    recording, file = Recording(), str(path)
    with recording_rows(path) as rows:
        for line, (time, patient, metric, value) in rows:
            at = number_in(time, "time", file, line)
            if is_empty(value):
                recording.without_value[metric] += 1
                continue
            recording.time.append(at)
            recording.patient.append(sys.intern(patient))
            recording.metric.append(sys.intern(metric))
            recording.value.append(number_in(value, "value", file, line))
    if not len(recording):
        msg = "holds no values"
        raise ConfigError(msg, file=file)
    return recording


@contextmanager
def recording_rows(path: Path) -> Iterator[Iterator[tuple[int, list[str]]]]:
    """The file's rows as (line, [time, patient, metric, value]), with patient and metric never empty.

    Reading them raises ConfigError naming file and line, as in ``read_recording``.
    """
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield _rows(csv.reader(file), str(path))
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"cannot be read: {reason}"
        raise ConfigError(msg, file=str(path)) from error


def _rows(rows: Iterator[list[str]], file: str) -> Iterator[tuple[int, list[str]]]:
    line = 1
    try:
        _check_header(next(rows, []), file)
        for line, row in enumerate(rows, 2):
            if len(row) == len(HEADER) and row[1] and row[2]:
                yield line, row
            elif row:
                _refuse(row, file, line)
    except csv.Error as error:
        msg = f"is not a table: {error}"
        raise ConfigError(msg, file=file, line=line) from error


def _check_header(cells: list[str], file: str) -> None:
    header = [cell.strip() for cell in cells]
    if header != HEADER:
        unknown = [cell for cell in header if cell not in HEADER]
        missing = [cell for cell in HEADER if cell not in header]
        wrong = [f"unknown column {c!r}" for c in unknown] + [f"missing column {c!r}" for c in missing]
        msg = f"the header must be {','.join(HEADER)}; {', '.join(wrong) or 'the order differs'}"
        raise ConfigError(msg, file=file, line=1)


def _refuse(row: list[str], file: str, line: int) -> NoReturn:
    if len(row) != len(HEADER):
        msg = f"{len(row)} columns instead of {len(HEADER)}"
    else:
        msg = f"column {'metric' if row[1] else 'patient'!r} is empty"
    raise ConfigError(msg, file=file, line=line)


def is_empty(cell: str) -> bool:
    """Whether a cell says that there is no value."""
    return cell.strip().lower() in EMPTY


def number_in(text: str, column: str, file: str, line: int) -> float:
    """The finite number in a cell. Raises ConfigError naming file, line and column."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        msg = f"column {column!r}: {text!r} is not a number"
        raise ConfigError(msg, file=file, line=line)
    return number
