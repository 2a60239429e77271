"""A trend as the web shows it: what was measured, the limits that held, and the alarms of that time."""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Instant, Priority
from hearthward.core.clock import SECOND

__all__ = ["MAX_POINTS", "Trend", "TrendAlarm", "TrendLimit", "TrendPoint", "step_for"]

MAX_POINTS: Final = 2000
STEPS_S: Final = (1, 2, 3, 5, 6, 10, 15, 20, 30, 60, 120, 180, 300, 600, 900, 1200, 1800)
"""Widths of buckets below an hour; wider ones are whole hours, which a store may have summed up already."""
HOUR: Final = 3600
HOURS: Final = (1, 2, 3, 4, 6, 8, 12)
BY_THE_HOUR_NS: Final = 2 * 86_400 * SECOND
"""A longer period is only shown by hours."""


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrendPoint(_View):
    """The values of one bucket of the trend's ``step``, which begins at ``time``."""

    time: Instant
    low: float
    high: float
    mean: float
    last: float
    count: int


class TrendLimit(_View):
    """A limit of a rule, and from when until when it held."""

    rule: str
    title: dict[str, str] = Field(default_factory=dict, description="language -> the rule's title")
    priority: Priority
    side: str = Field(description="`low`: values below it alarm, `high`: values above it")
    value: float
    start: Instant
    end: Instant
    own: bool = Field(description="set for this patient; false: the rule's own")


class TrendAlarm(_View):
    """An alarm on the metric, as far as it lies within the trend."""

    id: str
    rule: str
    priority: Priority
    start: Instant = Field(description="time of the first breaching reading")
    end: Instant | None = Field(
        None, description="null: it goes on; of a worklist's entry its start, if not known"
    )
    text: dict[str, str] = Field(default_factory=dict)
    limit: str = ""
    worklist: bool = Field(default=False, description="no alarm: it came too late to be signalled")


class Trend(_View):
    """One metric of one patient over a period."""

    metric: str
    unit: str | None = None
    start: Instant
    end: Instant
    step: int = Field(description="width of a bucket, in nanoseconds")
    points: list[TrendPoint]
    newest: Instant | None = Field(None, description="when the newest value in it was measured")
    limits: list[TrendLimit] = Field(default_factory=list)
    alarms: list[TrendAlarm] = Field(default_factory=list, description="by their time")


def step_for(start: int, end: int, points: int) -> int:
    """The narrowest bucket (ns) of a round width that gives at most about ``points`` of them."""
    wanted = max(1, end - start) / max(1, min(points, MAX_POINTS)) / SECOND
    if end - start <= BY_THE_HOUR_NS:
        for width in STEPS_S:
            if width >= wanted:
                return width * SECOND
    for hours in HOURS:
        if hours * HOUR >= wanted:
            return hours * HOUR * SECOND
    days = -(-wanted // (24 * HOUR))
    return int(days) * 24 * HOUR * SECOND
