"""Sums of floating-point numbers that are the same on every Python."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["added"]


def added(values: Iterable[float]) -> float:
    """The sum, one after the other: ``sum`` rounds otherwise from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total
