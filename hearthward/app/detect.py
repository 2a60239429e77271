"""A CSV table with a score for each row: what a detector says of it that has seen the rows before."""

from __future__ import annotations

import csv
import io
import math
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hearthward.core.errors import ConfigError
from rules.detectors import RecordStack
from rules.detectors.record_stack import LARGEST

__all__ = ["SCORE", "Scored", "Table", "score_table", "seconds"]

SCORE: Final = "score"
_BOM: Final = "\ufeff"
_DELIMITERS: Final = ",;\t|"
_EPOCHS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3))
"""From what size on a number counts nano-, micro- or milliseconds, and how many make a second."""
_GZIP: Final = b"\x1f\x8b"
_MOST_BYTES: Final = 1 << 30
_LONGEST: Final = 40
"""So much of a text that cannot be read is shown."""


@dataclass(frozen=True, slots=True)
class Table:
    """A file's text; bytes that are no UTF-8 are kept as they are."""

    path: Path
    text: str

    @classmethod
    def read(cls, path: Path) -> Table:
        """Read a file, plain or gzip. Raises ConfigError naming it when it cannot be read or is no text."""
        try:
            data = path.read_bytes()
        except OSError as error:
            msg = f"cannot be read: {error.strerror}"
            raise ConfigError(msg, file=str(path)) from error
        if data.startswith(_GZIP):
            data = _unpacked(path, data)
        if b"\0" in data:
            msg = "is not a CSV file in UTF-8: it has zero bytes; save it as CSV UTF-8"
            raise ConfigError(msg, file=str(path))
        return cls(path, data.decode("utf-8", "surrogateescape"))

    @property
    def newline(self) -> str:
        """How its lines end."""
        first = self.text.partition("\n")[0]
        return "\r\n" if first.endswith("\r") else "\n"


@dataclass(frozen=True, slots=True)
class Scored:
    """The table with its scores, as bytes, and what to say about it."""

    data: bytes
    rows: int
    unreadable: int
    summary: str


def seconds(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 time or a count; one without a zone, or with the word UTC, is UTC's.

    Raises ValueError for anything else.
    """
    text = text.strip()
    try:
        count = float(text)
    except ValueError:
        at = datetime.fromisoformat(text.removesuffix("UTC").rstrip())
        return (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).timestamp()
    if not math.isfinite(count):
        msg = "not a time"
        raise ValueError(msg)
    return next((count / per for size, per in _EPOCHS if abs(count) >= size), count)


def score_table(table: Table, time_column: str, value_column: str) -> Scored:
    """The table with one more column, ``score``.

    Raises ConfigError saying what is wrong with the file and what to do: no header, no such column, a column
    of that name already, or not one row that can be read.
    """
    body = table.text.removeprefix(_BOM)
    delimiter, header = _header(table, body, (time_column, value_column))
    time_at, value_at = header.index(time_column), header.index(value_column)
    out = io.StringIO(newline="")
    out.write(_BOM if table.text.startswith(_BOM) else "")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=table.newline)
    stack, rows, refused, backwards, newest = RecordStack(), 0, [], 0, -math.inf
    reader = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter)
    writer.writerow([*next(reader), SCORE])
    try:
        for row in reader:
            if not row:
                writer.writerow(row)
                continue
            rows += 1
            score = ""
            try:
                time, value = _reading(row, len(header), time_at, value_at)
                score = str(stack.update(time, value))
                backwards += time < newest
                newest = time
            except ValueError as error:
                refused.append(f"row {reader.line_num}: {error}")
            writer.writerow([*row, *[""] * (len(header) - len(row)), score])
    except csv.Error as error:
        msg = f"cannot be read as CSV: {error}"
        raise ConfigError(msg, file=str(table.path), row=reader.line_num) from error
    if rows == len(refused):
        msg = f"has no row that can be read ({refused[0] if refused else 'it has a header only'})"
        raise ConfigError(msg, file=str(table.path))
    summary = f"{rows - len(refused):,} of {rows:,} rows scored"
    if refused:
        summary += f"; {len(refused):,} could not be read and have no score, the first is {refused[0]}"
    if backwards:
        summary += (
            f"; {backwards:,} are dated before the row above them: sort the table if it should be in order"
        )
    return Scored(out.getvalue().encode("utf-8", "surrogateescape"), rows, len(refused), summary)


def _unpacked(path: Path, data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        found = unpacker.decompress(data, _MOST_BYTES)
    except zlib.error as error:
        msg = f"is a gzip file that is damaged: {error}"
        raise ConfigError(msg, file=str(path)) from error
    if not unpacker.eof:
        msg = "is a gzip file that is cut off, or of more than 1 GiB"
        raise ConfigError(msg, file=str(path))
    return found


def _header(table: Table, body: str, wanted: tuple[str, str]) -> tuple[str, list[str]]:
    """(the delimiter, the names of the columns without the spaces round them)."""
    if not body.strip():
        msg = "is empty: a CSV file with a line of column names is needed"
        raise ConfigError(msg, file=str(table.path))
    names: list[str] = []
    for delimiter in _DELIMITERS:
        names = _names(body, delimiter)
        if set(wanted) <= set(names):
            break
    else:
        names = _names(body, ",")
        missing = next(name for name in wanted if name not in names)
        msg = f"has no column {missing!r}; its columns are {', '.join(names)}"
        raise ConfigError(msg, file=str(table.path))
    for name in wanted:
        if names.count(name) > 1:
            msg = f"has {names.count(name)} columns {name!r}: give them different names"
            raise ConfigError(msg, file=str(table.path))
    if SCORE in names:
        msg = f"has a column {SCORE!r} already: rename it, or take the file before it was scored"
        raise ConfigError(msg, file=str(table.path))
    return delimiter, names


def _names(body: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader(io.StringIO(body, newline=""), delimiter=delimiter))]


def _reading(row: list[str], columns: int, time_at: int, value_at: int) -> tuple[float, float]:
    """A row's time and value. Raises ValueError saying what is wrong with them."""
    if len(row) > columns:
        msg = f"it has {len(row)} fields where the header has {columns}"
        raise ValueError(msg)
    if len(row) <= max(time_at, value_at):
        msg = f"it has {len(row)} fields only"
        raise ValueError(msg)
    try:
        time = seconds(row[time_at])
    except (ValueError, OverflowError):
        msg = f"{row[time_at][:_LONGEST]!r} is no time (ISO 8601, or a count since 1970)"
        raise ValueError(msg) from None
    try:
        value = float(row[value_at])
    except ValueError:
        value = math.nan
    if not abs(value) <= LARGEST:
        msg = f"{row[value_at][:_LONGEST]!r} is no number that can be used"
        raise ValueError(msg)
    return time, value
