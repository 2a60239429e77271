"""One row for each fault, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.faults.faults import FAULTS
from tests.faults.rounds import ACCOUNT, Round

__all__ = ["Row", "rows_of", "text_of", "to_json"]

COLUMNS: Final = (
    "fault", "rounds", "lost", "doubled", "silent", "worst time to the next alarm", "counted", "put aside",
    "died unaccepted",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """All rounds of one fault, in readings."""

    fault: str
    rounds: int
    lost: int
    doubled: int
    silent: int
    worst_s: float | None
    counted: int
    aside: int
    unaccepted: int
    complaints: tuple[str, ...]


def rows_of(rounds: Sequence[Round]) -> list[Row]:
    """In the order of the table of faults; the sessions' whole accounts last."""
    names = [*FAULTS, ACCOUNT]
    return [_row(name, mine) for name in names if (mine := [r for r in rounds if r.fault == name])]


def _row(name: str, rounds: Sequence[Round]) -> Row:
    return Row(
        name,
        len(rounds),
        sum(r.lost for r in rounds),
        sum(r.doubled for r in rounds),
        sum(r.silent for r in rounds),
        max((r.alarm_s for r in rounds if r.alarm_s is not None), default=None),
        sum(r.counted for r in rounds),
        sum(r.aside for r in rounds),
        sum(r.unaccepted for r in rounds),
        tuple(f"round {r.number}: {text}" for r in rounds for text in r.complaints),
    )


def text_of(rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    for row in rows:
        worst = "-" if row.worst_s is None else f"{row.worst_s:.1f} s"
        cells = (row.fault, row.rounds, row.lost, row.doubled, row.silent, worst, row.counted, row.aside)
        lines.append("| " + " | ".join(map(str, (*cells, row.unaccepted))) + " |")
    return "\n".join(lines)


def to_json(rows: Sequence[Row], rounds: Sequence[Round], **head: Any) -> str:
    """Everything, for machines."""
    return json.dumps(
        {**head, "faults": [asdict(row) for row in rows], "rounds": [asdict(r) for r in rounds]}, indent=2
    )
