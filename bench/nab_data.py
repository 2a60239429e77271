"""The files of the Numenta Anomaly Benchmark as they lie in ``data/nab``: series and labelled windows."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.nab_scoring import Labelled

__all__ = ["Series", "read_series"]


@dataclass(frozen=True, slots=True)
class Series:
    """One file: its name (``folder/file.csv``), times in seconds, values, and its windows as rows."""

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    labelled: Labelled

    @property
    def folder(self) -> str:
        """The folder that it belongs to."""
        return self.name.partition("/")[0]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _rows(times: Sequence[float], window: Sequence[str]) -> tuple[int, int]:
    first, last = (_seconds(text) for text in window)
    inside = [n for n, time in enumerate(times) if first <= time <= last]
    return inside[0], inside[-1]


def read_series(folder: Path, only: Collection[str] | None = None) -> list[Series]:
    """All files that ``windows.json`` names, by name; or ``only`` these of them."""
    windows = json.loads((folder / "windows.json").read_text())
    out = []
    for name in sorted(windows if only is None else only):
        with (folder / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        times = tuple(_seconds(row["timestamp"]) for row in rows)
        values = tuple(float(row["value"]) for row in rows)
        labelled = Labelled(len(rows), tuple(_rows(times, window) for window in windows[name]))
        out.append(Series(name, times, values, labelled))
    return out
