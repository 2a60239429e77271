"""What the web shows of a changed rule tried on the stored history."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Instant, Priority
from rules.whatif import SHORT_S, Side, Told

__all__ = ["NumberView", "OfOneView", "SideView", "ToldView", "TryView"]

PLACES = 3


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NumberView(_View):
    """A number of the rule's file that can be moved."""

    path: str = Field(examples=["parameters/limit/value"])
    name: str = Field(examples=["limit"])
    parameter: bool = Field(description="may be set for single patients, within low..high")
    signal: str = Field(description="the metric or score that it stands beside", examples=["spo2"])
    op: str = ""
    unit: str = Field("", description="UCUM")
    value: float
    moved: float | None = Field(None, description="what it was moved to")
    low: float | None = None
    high: float | None = None


class SideView(_View):
    """The alarms of one version of the rule."""

    alarms: int
    per_bed_day: float | None
    short: int = Field(description=f"over within {SHORT_S:g} s: likely to have been false")
    asked: int = Field(description="second measurements asked for")
    late: int = Field(description="came too late to signal")
    active_share: float | None = Field(description="of the time, an alarm was on")
    by_day: dict[str, int] = Field(description="ISO date -> alarms told")

    @classmethod
    def of(cls, side: Side, days: float) -> Self:
        """From what was counted over so many patient-days."""
        return cls(
            alarms=side.alarms,
            per_bed_day=round(side.alarms / days, PLACES) if days else None,
            short=side.short,
            asked=side.asked,
            late=side.late,
            active_share=round(side.active_days / days, PLACES + 1) if days else None,
            by_day=side.by_day,
        )


class ToldView(_View):
    """An alarm that only one of the versions tells; ``alarm``: the one that people truly got, if any."""

    patient: str
    onset: Instant
    started: Instant
    ended: Instant | None
    lasted_s: float | None
    priority: Priority
    text: dict[str, str]
    peak: float | None = Field(description="the worst value of what the limit is compared with")
    of: str = Field(description="what that is: a metric, or a score")
    peak_at: Instant | None
    alarm: str | None = None

    @classmethod
    def of_told(cls, told: Told, alarm: str | None) -> Self:
        """From what the engine told."""
        return cls(
            patient=told.patient,
            onset=told.onset,
            started=told.started,
            ended=told.ended,
            lasted_s=None if told.ended is None else (told.ended - told.started) / 1e9,
            priority=told.priority,
            text=told.text,
            peak=None if told.peak is None else round(told.peak, PLACES),
            of=told.of,
            peak_at=told.peak_at,
            alarm=alarm,
        )


class OfOneView(_View):
    """What came of one patient."""

    patient: str
    days: float = Field(description="watched")
    readings: int
    since: Instant | None = Field(description="later than asked for: there were too many readings")
    limits: bool = Field(
        description="the patient's own limits took the place of what was moved, at some time"
    )
    before: SideView
    after: SideView


class TryView(_View):
    """A trial: how far it has got, and what came of it."""

    id: str
    rule: str
    state: Literal["waiting", "running", "done", "failed", "cancelled"]
    done: int = Field(description="patients looked at")
    of: int
    error: str = ""
    retry: bool = Field(False, description="it failed for now: the same may succeed later")
    start: Instant
    end: Instant
    zone: str
    limits: tuple[str, str] = Field(description="the rule's limit before and after")
    numbers: list[NumberView]
    days: float = 0.0
    readings: int = 0
    before: SideView | None = None
    after: SideView | None = None
    patients: list[OfOneView] = Field(default_factory=list)
    lost: list[ToldView] = Field(default_factory=list, description="told before, no more afterwards")
    lost_count: int = 0
    gained: list[ToldView] = Field(default_factory=list)
    gained_count: int = 0
    later: int = Field(0, description="alarms that stay, but are told later")
    latest_s: float = 0.0
    left: list[str] = Field(
        default_factory=list, description="patients not looked at: there were too many readings"
    )
