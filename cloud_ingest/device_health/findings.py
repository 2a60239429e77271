"""A finding: what is wrong with a device or soon will be, what that rests on, how sure, by when to act."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cloud_ingest.device_health.asking import FindingKind
from cloud_ingest.device_health.sums import DAY_NS

__all__ = ["SUREST", "Evidence", "Finding", "date_of", "rounded", "sure"]

Evidence = Mapping[str, float | int | str]
SUREST: Final = 0.99
"""Nothing that is estimated is called surer than this; what a calendar says is 1."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``about`` tells several of one kind apart; ``proposed`` is UTC ns or None; ``text`` by language."""

    kind: FindingKind
    evidence: Evidence
    confidence: float
    text: Mapping[str, str]
    proposed: int | None = None
    about: str = ""


def date_of(day: int) -> str:
    """A day (whole days since 1970) as 2026-11-23."""
    return datetime.fromtimestamp(day * (DAY_NS // 1_000_000_000), UTC).date().isoformat()


def rounded(value: float) -> float:
    """Four significant digits: what is shown is not surer than what was measured."""
    return float(f"{value:.4g}")


def sure(p: float) -> float:
    """The confidence of something that chance alone would show with probability ``p``."""
    return min(SUREST, max(0.0, 1.0 - p))
