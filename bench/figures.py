"""A measured figure beside its target, as a table for people and as JSON."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Figure", "Outcome", "machine", "table", "to_json"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure; ``target`` is the most (or with ``at_least`` the least) that it should be, if any."""

    name: str
    value: float | None
    unit: str
    target: float | None = None
    at_least: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is held; None without a target. What was not measured holds nothing."""
        if self.target is None:
            return None
        if self.value is None:
            return False
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def verdict(self) -> str:
        """What stands in the table's last column."""
        return {None: "", True: "ok", False: "MISSED"}[self.met]

    @property
    def aim(self) -> str:
        """The target in words."""
        if self.target is None:
            return "-"
        return f"{'>=' if self.at_least else '<='} {self.target:g} {self.unit}"


@dataclass(slots=True)
class Outcome:
    """What one measurement found: its figures, and under which conditions."""

    name: str
    about: str
    figures: list[Figure] = field(default_factory=list)

    def add(self, name: str, value: float | None, unit: str, **more: Any) -> None:
        """Add a figure."""
        self.figures.append(Figure(name, value, unit, **more))


def machine() -> str:
    """The machine in one line."""
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        model = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model
        )
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} x {model}, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, load {load:.1f}"
    )


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"


def table(outcome: Outcome) -> str:
    """The outcome as lines of text."""
    rows = [("", "figure", "target", "")]
    rows += [(f.name, f"{_number(f.value)} {f.unit}", f.aim, f.verdict) for f in outcome.figures]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{outcome.name}: {outcome.about}"]
    for n, (name, value, aim, verdict) in enumerate(rows):
        note = f"  {outcome.figures[n - 1].note}" if n and outcome.figures[n - 1].note else ""
        text = f"  {name:<{widths[0]}}  {value:>{widths[1]}}  {aim:<{widths[2]}}  {verdict}{note}"
        lines.append(text.rstrip())
    return "\n".join(lines)


def to_json(outcomes: Iterable[Outcome], at: str) -> str:
    """Everything as JSON."""
    data = {
        "machine": machine(),
        "command": sys.argv,
        "at": at,
        "outcomes": {
            o.name: {"about": o.about, "figures": [{**asdict(f), "met": f.met} for f in o.figures]}
            for o in outcomes
        },
    }
    return json.dumps(data, indent=1, ensure_ascii=False)
