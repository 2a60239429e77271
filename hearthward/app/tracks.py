"""Recordings as the rules take them: one track a patient, with what cannot be used counted."""

from __future__ import annotations

import csv
import difflib
import gzip
import math
import zlib
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hearthward.app.recording import is_empty, number_in, recording_rows
from hearthward.core.clock import SECOND
from hearthward.core.codes import METRICS, Metric
from hearthward.core.errors import ConfigError
from rules.replay import Track
from rules.tally import Event

__all__ = ["UNITS", "Gathered", "Timescale", "read_events", "read_tracks"]

DEVICE: Final = "recording"
BASE: Final = 946_684_800 * SECOND
"""Where a recording's zero is put on the rules' clock (2000-01-01)."""
_REACH: Final = 5_000_000_000 * SECOND
"""How far a recording may reach from its zero: about 158 years either way."""
UNITS: Final = {"s": 1.0, "ms": 1e-3, "min": 60.0, "h": 3600.0, "d": 86_400.0}
_EVENTS: Final = ["patient", "time", "label"]
OUT_OF_RANGE: Final = "out_of_range"
UNKNOWN_CODE: Final = "unknown_code"


@dataclass(frozen=True, slots=True)
class Timescale:
    """A recording's own unit of time and the rules' nanoseconds."""

    unit: str = "s"

    def ns(self, time: float) -> int | None:
        """The moment on the rules' clock, exact to the nanosecond; None: out of reach."""
        seconds = time * UNITS[self.unit]
        if not -_REACH < seconds * SECOND < _REACH:
            return None
        whole = math.floor(seconds)
        return BASE + whole * SECOND + round((seconds - whole) * SECOND)

    def parsed(self, text: str) -> int | None:
        """The moment that a cell means; None: none."""
        try:
            time = float(text)
        except ValueError:
            return None
        return self.ns(time) if math.isfinite(time) else None

    def time(self, ns: int) -> float | int:
        """The moment in the recording's own unit; a whole number as one."""
        number = round((ns - BASE) / SECOND / UNITS[self.unit], 9)
        return int(number) if number.is_integer() else number


@dataclass(slots=True)
class Gathered:
    """Tracks in order of patients' appearance; what is not in them, by metric, or by reason and metric."""

    tracks: dict[str, Track] = field(default_factory=dict)
    readings: int = 0
    without_value: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    rejected: dict[str, Counter[str]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    """Patients who were not asked for."""

    def reject(self, reason: str, metric: str) -> None:
        """Count a value that is not used."""
        self.rejected.setdefault(reason, Counter())[metric] += 1


def read_tracks(path: Path, scale: Timescale, patients: Collection[str] = ()) -> Gathered:
    """A recording in the long format, only of ``patients`` if any are named.

    A metric that is not in the vocabulary is counted, and so is a value that no instrument can mean. Coded
    metrics have their code as value. Raises ConfigError naming file and line (see ``read_recording``).
    """
    out, file = Gathered(), str(path)
    wanted = frozenset(patients)
    vocabulary: dict[str, Metric | None] = {}
    last_text, at = None, 0
    with recording_rows(path) as rows:
        for line, (time, patient, metric, text) in rows:
            if time != last_text:
                last_text, at = time, _moment(time, scale, file, line)
            if wanted and patient not in wanted:
                out.others.add(patient)
                continue
            out.readings += 1
            track = out.tracks.get(patient)
            if track is None:
                track = out.tracks[patient] = Track(patient)
            track.seen(at)
            try:
                row = vocabulary[metric]
            except KeyError:
                row = vocabulary[metric] = METRICS.get(metric)
            if row is None:
                _count_unknown(out, metric, text, file, line)
                continue
            try:
                value: float | None = float(text)
            except ValueError:
                value = None
            if value is not None and row.low <= value <= row.high and not row.codes:
                track.add(DEVICE, row.key, value, at)
            else:
                _unusual(out, track, row, (text, at), (file, line))
    _check(out, wanted, file)
    for track in out.tracks.values():
        track.sort()
    return out


def _moment(text: str, scale: Timescale, file: str, line: int) -> int:
    at = scale.ns(number_in(text, "time", file, line))
    if at is None:
        far = "more than 150 years from the start"
        msg = f"column 'time': {text!r} is {far}; is the unit {scale.unit!r} right?"
        raise ConfigError(msg, file=file, line=line)
    return at


def _count_unknown(out: Gathered, metric: str, text: str, file: str, line: int) -> None:
    if is_empty(text):
        out.without_value[metric] += 1
        return
    number_in(text, "value", file, line)
    out.unknown[metric] += 1


def _unusual(out: Gathered, track: Track, row: Metric, cell: tuple[str, int], where: tuple[str, int]) -> None:
    """A cell that is no plain number within its metric's range: empty, a code, implausible, or an error."""
    text, at = cell
    if is_empty(text):
        out.without_value[row.key] += 1
    elif row.kind == "coded":
        place = row.place(text.strip())
        if place is None:
            out.reject(UNKNOWN_CODE, row.key)
        else:
            track.add(DEVICE, row.key, place, at)
    else:
        number_in(text, "value", *where)
        out.reject(OUT_OF_RANGE, row.key)


def _check(out: Gathered, wanted: frozenset[str], file: str) -> None:
    """Raises ConfigError when there is nothing to look at."""
    for patient in sorted(wanted - out.tracks.keys()):
        near = difflib.get_close_matches(patient, [*out.others, *out.tracks], n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"holds no patient {patient!r}{hint}"
        raise ConfigError(msg, file=file)
    if not out.readings:
        msg = "holds no values"
        raise ConfigError(msg, file=file)


def read_events(path: Path, moment: Callable[[str], int | None], known: Gathered) -> list[Event]:
    """Labelled events (``patient,time,label``) of the patients whose tracks there are.

    ``moment`` is what a time means (UTC ns), None when it is none. Events of ``others`` are left out; a
    patient of whom nothing is known is an error.

    Raises ConfigError naming file and line.
    """
    file = str(path)
    out: list[Event] = []
    try:
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8-sig", newline="") as stream:
            rows = csv.reader(stream)
            header = [cell.strip() for cell in next(rows, [])]
            if header != _EVENTS:
                msg = f"the header must be {','.join(_EVENTS)}"
                raise ConfigError(msg, file=file, line=1)
            for line, row in enumerate(rows, 2):
                if row and (event := _event(row, moment, known, (file, line))) is not None:
                    out.append(event)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        msg = f"cannot be read: {reason}"
        raise ConfigError(msg, file=file) from error
    if not out:
        msg = "holds no events of the patients looked at"
        raise ConfigError(msg, file=file)
    return out


def _event(
    row: list[str], moment: Callable[[str], int | None], known: Gathered, where: tuple[str, int]
) -> Event | None:
    file, line = where
    if len(row) != len(_EVENTS):
        msg = f"{len(row)} columns instead of {len(_EVENTS)}"
        raise ConfigError(msg, file=file, line=line)
    patient, time, label = row
    if patient in known.others:
        return None
    if patient not in known.tracks:
        near = difflib.get_close_matches(patient, list(known.tracks), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"nothing was recorded of a patient {patient!r}{hint}"
        raise ConfigError(msg, file=file, line=line)
    at = moment(time)
    if at is None:
        msg = f"column 'time': {time!r} is no time of the recording's kind"
        raise ConfigError(msg, file=file, line=line)
    return Event(patient, at, label)
