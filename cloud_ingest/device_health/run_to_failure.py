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
    """All units of a file, plain or gzip: unit, cycle, 3 settings, 21 sensors a line, parted by spaces.

    Source: Saxena and Goebel, "Turbofan Engine Degradation Simulation Data Set", NASA, 2008. Raises
    ConfigError naming file, line and what is wrong with it.
    """
    settings: dict[int, list[tuple[float, ...]]] = {}
    sensors: dict[int, list[tuple[float, ...]]] = {}
    last = 0
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip():
            continue
        row = _numbers(path, number, line)
        unit, cycle = int(row[0]), int(row[1])
        if (unit, cycle) != (row[0], row[1]) or unit < 1:
            _refuse(path, number, f"unit {row[0]:g} and cycle {row[1]:g} are to be whole numbers from 1 on")
        if unit != last and unit in sensors:
            _refuse(path, number, f"unit {unit} goes on after unit {last}: sort by unit, then by cycle")
        if cycle != len(sensors.get(unit, ())) + 1:
            _refuse(path, number, f"unit {unit} has cycle {cycle} after cycle {len(sensors.get(unit, ()))}")
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
    return raw.decode("ascii", "replace")


def _numbers(path: Path, number: int, line: str) -> list[float]:
    parts = line.split()
    if len(parts) != _COLUMNS:
        _refuse(
            path, number, f"{len(parts)} columns instead of {_COLUMNS} (unit, cycle, 3 settings, 21 sensors)"
        )
    row = []
    for column, text in enumerate(parts, 1):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            _refuse(path, number, f"column {column} is no number: {text[:40]!r}")
        row.append(value)
    return row


def _refuse(path: Path, number: int, what: str) -> NoReturn:
    raise ConfigError(what, file=str(path), line=number)
