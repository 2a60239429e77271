"""Closed hours of the embedded store, summed up once: months of readings are then a few hundred rows.

An hour of a series (one device and metric) is closed when the series has a reading in a later one. Its sum
stands in the table ``hours``; a reading that comes for it later takes it out again, in the same transaction,
and it is made anew. What has no row is added up from the readings themselves, so the answer never depends on
what is there. Blocking; which thread may call what is said at each function.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cloud_ingest.stores.summaries import NOT_SHOWN, Summary, joined, whole
from hearthward.core.clock import SECOND

__all__ = ["HOUR_NS", "SCHEMA", "Claim", "Hours", "added_up", "summaries_of"]

HOUR_NS: Final = 3600 * SECOND
AT_ONCE: Final = 24
"""So many hours of a series are summed up in one go."""
LOOKED_AT_ONCE: Final = 200
"""So many series are looked through in one go."""
SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS hours (
  series INTEGER NOT NULL REFERENCES series, hour INTEGER NOT NULL, low REAL NOT NULL, high REAL NOT NULL,
  mean REAL NOT NULL, last REAL NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (series, hour)
) STRICT, WITHOUT ROWID;
"""
_SHOWN: Final = f"value IS NOT NULL AND quality & {NOT_SHOWN} = 0"
_NEXT: Final = "SELECT min(corrected) FROM readings WHERE series = ? AND corrected >= ? AND corrected < ?"
_SUM: Final = (
    "SELECT count(*), min(value), max(value), sum(value), max(corrected) FROM readings"  # noqa: S608 - constants
    f" WHERE series = ? AND corrected >= ? AND corrected < ? AND {_SHOWN}"
)
_LAST: Final = (
    "SELECT value FROM readings INDEXED BY readings_by_time"  # noqa: S608 - constants
    f" WHERE series = ? AND corrected = ? AND {_SHOWN}"
    " ORDER BY key_time + received DESC, ordinal DESC LIMIT 1"
)
_KEPT: Final = (
    "SELECT hour, low, high, mean, last, count FROM hours WHERE series = ? AND hour >= ? AND hour < ?"
    " ORDER BY hour"
)
_THERE: Final = "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE name = 'hours')"


def summaries_of(db: sqlite3.Connection, series: int, start: int, end: int, step: int) -> list[Summary]:
    """What SqliteStore answers, as of one moment. In a reading thread, outside of a transaction."""
    db.execute("BEGIN")
    try:
        first, stop = whole(start, end, HOUR_NS)
        if step % HOUR_NS or first >= stop or not db.execute(_THERE).fetchone()[0]:
            return added_up(db, series, start, end, step)
        parts, at = list[Summary](), start
        for hour, low, high, mean, last, count in db.execute(
            _KEPT, (series, first // HOUR_NS, stop // HOUR_NS)
        ).fetchall():
            begin = hour * HOUR_NS
            if at < begin:
                parts += added_up(db, series, at, begin, step)
            parts.append(Summary(begin // step * step, low, high, mean, last, count))
            at = begin + HOUR_NS
        return joined([*parts, *added_up(db, series, at, end, step)])
    finally:
        db.execute("COMMIT")


def added_up(db: sqlite3.Connection, series: int, start: int, end: int, step: int) -> list[Summary]:
    """From the readings themselves; one question a bucket, so that nothing has to be sorted."""
    found, at = list[Summary](), start
    while at < end:
        begin = db.execute(_NEXT, (series, at, end)).fetchone()[0]
        if begin is None:
            break
        bucket = begin // step * step
        at = min(end, bucket + step)
        count, low, high, total, newest = db.execute(_SUM, (series, begin, at)).fetchone()
        if count:
            last = db.execute(_LAST, (series, newest)).fetchone()[0]
            found.append(Summary(bucket, low, high, total / count, last, count))
    return found


@dataclass(frozen=True, slots=True)
class Claim:
    """Hours ``first`` to before ``stop`` of a series that are to be summed up."""

    series: int
    first: int
    stop: int


@dataclass(slots=True)
class Hours:
    """What is known of the sums without looking; changed by the writing thread only."""

    newest: dict[int, int] = field(default_factory=dict)
    """Series -> at least the newest of its hours that is summed up, or is about to be; -1: none is."""
    holes: set[tuple[int, int]] = field(default_factory=set)
    """(series, hour) not after that one for which a reading has come since."""

    def touched(self, db: sqlite3.Connection, rows: Iterable[tuple[int, int]]) -> None:
        """Readings (series, corrected) were written in this transaction. In the writing thread."""
        late = {
            (series, hour)
            for series, hour in {(series, at // HOUR_NS) for series, at in rows}
            if hour <= self._newest(db, series)
        }
        if late:
            db.executemany("DELETE FROM hours WHERE series = ? AND hour = ?", sorted(late))
            self.holes |= late

    def claim(self, db: sqlite3.Connection, claim: Claim) -> None:
        """From here on a reading that comes for these hours is noticed. In the writing thread."""
        self.newest[claim.series] = max(self._newest(db, claim.series), claim.stop - 1)
        self.holes -= {(claim.series, hour) for hour in range(claim.first, claim.stop)}

    def keep(self, db: sqlite3.Connection, claim: Claim, sums: Sequence[Summary]) -> None:
        """Write what was added up since the claim, but for what it lacks by now. In the writing thread."""
        db.executemany(
            "INSERT OR REPLACE INTO hours VALUES (?,?,?,?,?,?,?)",
            [
                (claim.series, hour, s.low, s.high, s.mean, s.last, s.count)
                for s in sums
                if (claim.series, hour := s.time // HOUR_NS) not in self.holes
            ],
        )

    def give_back(self, claim: Claim) -> None:
        """It was not summed up. In the writing thread."""
        self.holes |= {(claim.series, hour) for hour in range(claim.first, claim.stop)}

    def _newest(self, db: sqlite3.Connection, series: int) -> int:
        known = self.newest.get(series)
        if known is None:
            found = db.execute("SELECT max(hour) FROM hours WHERE series = ?", (series,)).fetchone()[0]
            known = self.newest[series] = -1 if found is None else int(found)
        return known

    def next_claim(self, db: sqlite3.Connection, after: int) -> tuple[Claim | None, int]:
        """What to sum up next, and the series to go on after (-1: that was the last). In a reading thread.

        A round begins with holes of one series, so that who always comes late keeps nobody waiting.
        """
        if after < 0 and (holes := sorted(self.holes)):
            series, first = holes[0]
            last = max(hour for s, hour in holes if s == series and hour < first + AT_ONCE)
            return Claim(series, first, last + 1), 0
        ids = [
            row[0]
            for row in db.execute(
                "SELECT id FROM series WHERE id > ? ORDER BY id LIMIT ?", (after, LOOKED_AT_ONCE)
            )
        ]
        for series in ids:
            if (claim := self._open(db, series)) is not None:
                return claim, series - 1
        return None, ids[-1] if len(ids) == LOOKED_AT_ONCE else -1

    def _open(self, db: sqlite3.Connection, series: int) -> Claim | None:
        """The first closed hours of a series that are not summed up yet."""
        newest = db.execute("SELECT max(corrected) FROM readings WHERE series = ?", (series,)).fetchone()[0]
        if newest is None:
            return None
        closed, known = newest // HOUR_NS, self.newest.get(series)
        if known is None:
            found = db.execute("SELECT max(hour) FROM hours WHERE series = ?", (series,)).fetchone()[0]
            known = -1 if found is None else found
        begin = db.execute(_NEXT, (series, (known + 1) * HOUR_NS, closed * HOUR_NS)).fetchone()[0]
        if begin is None:
            return None
        first = begin // HOUR_NS
        return Claim(series, first, min(first + AT_ONCE, closed))
