"""What people call the entries of the directory, and what an entry names: for rows and views alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from dashboards.models import Kind

__all__ = ["called", "keys_of"]

REFERENCES: Final[tuple[Kind, ...]] = ("ward", "bed", "patient", "gateway", "device")


def called(kind: Kind, row: Any, wards: Mapping[str, str]) -> str:
    """An entry in a list; ``wards`` are the names of wards by id."""
    if kind in {"ward", "patient"}:
        return str(row.name)
    if kind == "bed":
        return f"{wards.get(row.ward, row.ward)} {row.label}"
    if kind in {"gateway", "device"}:
        return f"{row.label} ({row.id})" if row.label and row.label != row.id else str(row.id)
    return str(row.id)


def keys_of(kind: Kind, rows: Iterable[Any]) -> dict[Kind, set[str]]:
    """The ids that rows of a kind name, by kind."""
    keys: dict[Kind, set[str]] = {}
    for row in rows:
        for other in REFERENCES:
            value = getattr(row, other, None) if other != kind else row.id
            if value is not None:
                keys.setdefault(other, set()).add(value)
    return keys
