"""Compares what the instruments sent with what is stored and signalled; knows nothing of how it got there.

It reads the REST API's answers and, of the embedded stores, the SQLite files; it imports neither the
gateway's nor the ingestor's code.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from tests.faults.books import METRICS, Books, Line

__all__ = [
    "Numbers",
    "Stored",
    "Verdict",
    "alarm_account",
    "allowing",
    "compare",
    "dead_letters",
    "lines_in_export",
    "numbers_of",
]

COUNTER: Final = "perfusion_index"
CLOCK: Final = "clock_skew"
"""What a gateway says of an instrument's clock: no instrument has sent it."""


@dataclass(slots=True)
class Stored:
    """What the API showed: measurement -> metric -> values. Showing the same again changes nothing."""

    groups: dict[tuple[str, str], dict[str, Counter[float]]] = field(default_factory=dict)

    def take(self, items: Iterable[dict[str, Any]]) -> None:
        """Add one whole answer (all of its pages)."""
        fresh: defaultdict[tuple[str, str], dict[str, Counter[float]]] = defaultdict(dict)
        for item in items:
            if item["metric"] == CLOCK:
                continue
            values = fresh[item["device"], item["group"]].setdefault(item["metric"], Counter())
            values[item["value"]] += 1
        for key, metrics in fresh.items():
            known = self.groups.setdefault(key, {})
            for metric, values in metrics.items():
                known[metric] = known.get(metric, Counter()) | values

    def by_line(self) -> dict[tuple[str, int], list[dict[str, Counter[float]]]]:
        """Instrument and serial -> the measurements that claim it; serial -1: none that can be known."""
        found: defaultdict[tuple[str, int], list[dict[str, Counter[float]]]] = defaultdict(list)
        for (device, _), metrics in self.groups.items():
            counter = metrics.get(COUNTER)
            serial = -1 if not counter else round(next(iter(counter)) * 100)
            found[device, serial].append(metrics)
        return found


@dataclass(frozen=True, slots=True)
class Verdict:
    """Readings (not lines): ``lost``, ``doubled``, ``foreign`` (nobody sent them).

    ``aside`` stand in the dead letters with their reason, ``unaccepted`` died before they were accepted;
    ``counted`` are declared as gaps by the gateway, which was allowed to lose them, and no part of ``lost``;
    ``missing`` are the lines behind both.
    """

    lost: int = 0
    doubled: int = 0
    foreign: int = 0
    aside: int = 0
    unaccepted: int = 0
    counted: int = 0
    missing: tuple[Line, ...] = ()


def compare(
    books: Books, stored: Stored, lines: Iterable[Line], put_aside: AbstractSet[tuple[str, int]] = frozenset()
) -> Verdict:
    """Account for each of ``lines``; whatever is stored beyond the books is foreign."""
    lost = doubled = aside = unaccepted = 0
    missing = []
    found = stored.by_line()
    for line in lines:
        copies = found.get((line.device, line.serial), [])
        here = there = 0
        for metric, value in line.values.items():
            times = sum(copy.get(metric, Counter())[value] for copy in copies)
            here += times > 0
            there += max(0, times - 1)
        doubled += there
        short = len(METRICS) - here
        if not short:
            continue
        if (line.device, line.serial) in put_aside:
            aside += short
        elif here or books.accepted(line):  # a line is taken whole or not at all
            lost += short
            missing.append(line)
        else:
            unaccepted += short
    foreign = sum(
        sum(sum(values.values()) for copy in copies for values in copy.values())
        for key, copies in found.items()
        if key not in books.lines
    )
    return Verdict(lost, doubled, foreign, aside, unaccepted, missing=tuple(missing))


def allowing(verdict: Verdict, declared: int, most: int) -> Verdict:
    """Of what is lost, at most ``most`` readings count as ``counted``, if so many were declared."""
    counted = min(verdict.lost, declared, most)
    return replace(verdict, lost=verdict.lost - counted, counted=counted)


def alarm_account(breaches: Counter[str], alarms: Iterable[dict[str, Any]]) -> tuple[int, int]:
    """(silent, doubled): stored breaches by patient, against alarms and entries of the worklist."""
    told = Counter(str(a["patient"]) for a in {a["id"]: a for a in alarms}.values())
    silent = sum((breaches - told).values())
    return silent, sum((told - breaches).values())


def dead_letters(records: Path, after: int = 0) -> list[tuple[int, str, bytes]]:
    """What the ingestor refused since an id: (id, reason, content)."""
    with closing(sqlite3.connect(f"file:{records}?mode=ro", uri=True)) as db:
        rows = db.execute("SELECT id, reason, payload FROM dead_letter WHERE id > ? ORDER BY id", (after,))
        return [(int(n), str(reason), bytes(payload)) for n, reason, payload in rows]


def lines_in_export(export: str) -> Counter[tuple[str, int]]:
    """VictoriaMetrics' own export of the counters (JSON lines) -> how often each line stands there."""
    found: Counter[tuple[str, int]] = Counter()
    for text in export.splitlines():
        row = json.loads(text)
        found.update((row["metric"]["device"], round(value * 100)) for value in row["values"])
    return found


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbering of all boots: ``holes`` nobody accounts for, ``declared`` lost by the gateway itself."""

    holes: int
    declared: int
    boots: int


def numbers_of(records: Path, gateway: str = "gw-1") -> Numbers:
    """Read the ranges that were committed and the gaps that were declared (the cloud's ``records.db``)."""
    with closing(sqlite3.connect(f"file:{records}?mode=ro", uri=True)) as db:
        mine = "WHERE gateway = ?"
        frames = db.execute(f"SELECT boot, first, last FROM frames {mine}", (gateway,)).fetchall()  # noqa: S608
        gaps = db.execute(f"SELECT boot, first, last FROM gaps {mine}", (gateway,)).fetchall()  # noqa: S608
    ranges: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for boot, first, last in [*frames, *gaps]:
        ranges[boot].append((first, last))
    holes = 0
    for spans in ranges.values():
        end = 0
        for first, last in sorted(spans):
            holes += max(0, first - end - 1)
            end = max(end, last)
    return Numbers(holes, sum(last - first + 1 for _, first, last in gaps), len(ranges))
