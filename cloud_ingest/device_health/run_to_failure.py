"""Reading histories of instruments that ran until they failed (or until now), in the format of C-MAPSS."""

from __future__ import annotations

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from hearthward.core.errors import ConfigError

__all__ = ["SENSORS", "SETTINGS", "Run", "read_runs"]

SETTINGS: Final = 3
SENSORS: Final = 21
_COLUMNS: Final = 2 + SETTINGS + SENSORS
_DELIMITERS: Final = ",;"
_MOST_BYTES: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class Run:
    """One unit's life as far as it is known, a row a cycle, in order.

    ``settings`` (3 a row) say how it was operated, ``sensors`` (21 a row) what it measured.
    """

    unit: int
    settings: tuple[tuple[float, ...], ...]
    sensors: tuple[tuple[float, ...], ...]

    def __len__(self) -> int:
        return len(self.sensors)

    def until(self, cycles: int) -> Run:
        """Its first ``cycles`` cycles."""
        return Run(self.unit, self.settings[:cycles], self.sensors[:cycles])


def read_runs(path: Path) -> list[Run]:
    """All units of a file, plain or gzip: unit, cycle, 3 settings, 21 sensors a line, in this order.

    They are parted by spaces, as in the set itself, or by commas, semicolons or tabs; a first line of names
    is passed over. Source: Saxena and Goebel, "Turbofan Engine Degradation Simulation Data Set", NASA, 2008.
    Raises ConfigError naming file, line and what is wrong with it.
    """
    settings: dict[int, list[tuple[float, ...]]] = {}
    sensors: dict[int, list[tuple[float, ...]]] = {}
    last = 0
    for number, line in enumerate(_text(path).splitlines(), 1):
        parts = _parts(line)
        if not any(parts) or (number == 1 and _names(parts)):
            continue
        row = _numbers(path, number, parts)
        unit, cycle = int(row[0]), int(row[1])
        if (unit, cycle) != (row[0], row[1]) or unit < 1:
            _refuse(path, number, f"unit {row[0]:g} and cycle {row[1]:g} are to be whole numbers from 1 on")
        if unit != last and unit in sensors:
            _refuse(path, number, f"unit {unit} goes on after unit {last}: sort by unit, then by cycle")
        before = len(sensors.get(unit, ()))
        if cycle != before + 1:
            _refuse(
                path, number, f"unit {unit} has cycle {cycle} after cycle {before}: each from 1 on is needed"
            )
        last = unit
        settings.setdefault(unit, []).append(tuple(row[2 : 2 + SETTINGS]))
        sensors.setdefault(unit, []).append(tuple(row[2 + SETTINGS :]))
    if not sensors:
        msg = "there is no line in it; expected: unit, cycle, 3 settings and 21 sensors on each"
        raise ConfigError(msg, file=str(path))
    return [Run(unit, tuple(settings[unit]), tuple(rows)) for unit, rows in sensors.items()]


def _text(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            unpacker = zlib.decompressobj(wbits=31)
            raw = unpacker.decompress(raw, _MOST_BYTES)
            if not unpacker.eof:
                raise EOFError
    except OSError as error:
        msg = f"cannot be read: {error.strerror}"
        raise ConfigError(msg, file=str(path)) from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        msg = "is a gzip file that is damaged, or too large"
        raise ConfigError(msg, file=str(path)) from error
    return raw.removeprefix(b"\xef\xbb\xbf").decode("ascii", "replace")


def _parts(line: str) -> list[str]:
    """A line's fields; the last of the set's own lines is followed by two spaces."""
    delimiter = next((mark for mark in _DELIMITERS if mark in line), None)
    if delimiter is None:
        return line.split()
    return [part.strip().strip('"') for part in line.split(delimiter)]


def _names(parts: list[str]) -> bool:
    """Whether these are as many names as there are columns, and no number among them."""
    return len(parts) == _COLUMNS and not any(map(_is_number, parts))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text
    return True


def _numbers(path: Path, number: int, parts: list[str]) -> list[float]:
    if len(parts) != _COLUMNS:
        what = "unit, cycle, 3 settings, 21 sensors; parted by spaces or commas"
        _refuse(path, number, f"{len(parts)} columns instead of {_COLUMNS} ({what})")
    row = []
    for column, text in enumerate(parts, 1):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            _refuse(
                path,
                number,
                f"column {column} is no number: {text[:40]!r}; mend it, or leave unit {parts[0]} out",
            )
        row.append(value)
    return row


def _refuse(path: Path, number: int, what: str) -> NoReturn:
    raise ConfigError(what, file=str(path), line=number)
