"""What the web shows of the burden of alarms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest.burden import Burden, By, Figures
from dashboards.models import Instant

__all__ = ["BurdenView", "FiguresView", "RowView", "SourceView"]

PLACES = 4


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FiguresView(_View):
    """The burden of some alarms; shares are of all of them, times in seconds."""

    alarms: int
    bed_days: float = Field(description="24 hours of one patient's stay each")
    per_bed_day: float | None
    high: int
    medium: int
    low: int
    physiological: int
    technical: int
    acted: int = Field(description="somebody accepted, rejected, acknowledged or noted something")
    acted_share: float | None
    accepted: int
    response_median_s: float | None = Field(description="from the first signal to the first acceptance")
    response_p90_s: float | None
    ended: int
    duration_median_s: float | None
    duration_p90_s: float | None
    escalated: int = Field(description="went beyond the first step of escalation")
    escalated_share: float | None
    doctor: int = Field(description="a doctor was told")
    doctor_share: float | None
    again: int = Field(description="same rule and subject within 5 min of the end of the one before")
    audio_pauses: int
    undelivered: int = Field(description="hops that failed for good")
    rises: int = Field(0, description="times that a graver stage raised an open alarm: told anew each time")

    @classmethod
    def of(cls, found: Figures) -> Self:
        """From what was worked out."""

        def share(n: int) -> float | None:
            return round(n / found.alarms, PLACES) if found.alarms else None

        per_bed_day = found.per_bed_day
        return cls(
            alarms=found.alarms,
            bed_days=round(found.bed_days, PLACES),
            per_bed_day=None if per_bed_day is None else round(per_bed_day, PLACES),
            **{name: found.priorities.get(name, 0) for name in ("high", "medium", "low")},
            **{name: found.kinds.get(name, 0) for name in ("physiological", "technical")},
            acted=found.acted,
            acted_share=share(found.acted),
            accepted=found.accepted,
            response_median_s=found.response_median_s,
            response_p90_s=found.response_p90_s,
            ended=found.ended,
            duration_median_s=found.duration_median_s,
            duration_p90_s=found.duration_p90_s,
            escalated=found.escalated,
            escalated_share=share(found.escalated),
            doctor=found.doctor,
            doctor_share=share(found.doctor),
            again=found.again,
            audio_pauses=found.audio_pauses,
            undelivered=found.undelivered,
            rises=found.rises,
        )


class RowView(_View):
    """The figures of one ward, rule, subject, day or hour of the day."""

    key: str = Field(
        description="id, ISO date, or hour from 00 to 23; empty: what has none, or is not the caller's to see"
    )
    name: dict[str, str] = Field(description="by language")
    figures: FiguresView


class SourceView(_View):
    """A rule that alarmed for one subject."""

    rule: str
    title: dict[str, str]
    subject: str = Field(description="empty: not the caller's to see")
    name: str
    alarms: int
    share: float


class BurdenView(_View):
    """The burden of the alarms that began in a period."""

    start: Instant
    end: Instant
    by: By
    zone: str = Field(description="whose days", examples=["Asia/Shanghai"])
    ward: str | None
    rule: str | None
    total: FiguresView
    rows: list[RowView]
    sources: list[SourceView] = Field(description="the ten that alarmed most")
    days: dict[str, dict[str, int]] = Field(description="ISO date -> priority -> alarms that began then")

    @classmethod
    def of(cls, found: Burden, names: Names) -> Self:
        """From what was worked out; ``names`` says what things are called and what may be seen."""
        asked = found.asked
        return cls(
            start=asked.start,
            end=asked.end,
            by=asked.by,
            zone=asked.zone,
            ward=asked.ward,
            rule=asked.rule,
            total=FiguresView.of(found.total),
            rows=[
                RowView(key=r.key, name=names.of(asked.by, r.key), figures=FiguresView.of(r.figures))
                for r in found.rows
            ],
            sources=[
                SourceView(
                    rule=s.rule,
                    title=names.of("rule", s.rule),
                    subject=s.subject,
                    name=names.of("patient", s.subject).get("en", ""),
                    alarms=s.alarms,
                    share=round(s.share, PLACES),
                )
                for s in found.sources
            ],
            days={day: dict(counts) for day, counts in found.days.items()},
        )


class Names:
    """What wards, rules and subjects are called."""

    def __init__(
        self, wards: Mapping[str, str], rules: Mapping[str, Mapping[str, str]], subjects: Mapping[str, str]
    ) -> None:
        self._wards = wards
        self._rules = rules
        self._subjects = subjects

    def of(self, by: By, key: str) -> dict[str, str]:
        """The name by language; empty for an empty key."""
        if not key:
            return {}
        if by == "rule":
            return dict(self._rules.get(key, {"en": key}))
        if by in {"day", "hour"}:
            return {"en": key}
        return {"en": (self._wards if by == "ward" else self._subjects).get(key, key)}
