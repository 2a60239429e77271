"""What the web shows of why an alarm fired and why a rule did not."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from cloud_ingest.why import Why as Found
from cloud_ingest.why_not import WhyNot as FoundNot
from dashboards.models import Instant
from rules.explain import Explanation

__all__ = ["Predicate", "Why", "WhyNot"]

Text = dict[str, str]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Reading(_View):
    """A reading that a predicate was judged on."""

    metric: str
    device: str
    time: Instant = Field(description="when it was measured")
    received: Instant = Field(description="when the gateway received it")
    value: float


class Predicate(_View):
    """One node of the rule's condition: what it asks for, and what there was."""

    kind: str = Field(description="threshold, score, ... or all, any, not, repeat", examples=["threshold"])
    text: Text = Field(description="what is asked for", examples=[{"en": "SpO2 < 90 %"}])
    truth: bool | None = Field(description="null: not known")
    found: Text = Field(description="what there was", examples=[{"en": "SpO2 91 % is not below 90"}])
    code: str = Field(examples=["not_met"])
    blocks: bool = Field(description="whether it stood in the way")
    value: float | None = Field(description="what was compared with the limit")
    limit: float | None
    readings: list[Reading]
    parts: list[Predicate]


class Setting(_View):
    """One number of the rule that may be set for a patient, as it was."""

    name: str
    default: float = Field(description="the rule's own")
    value: float
    counts: bool = Field(description="false: it lay outside the rule's bounds")
    by: str | None = Field(description="who set it; null: the rule's own")
    start: Instant | None
    reason: str | None
    expires: Instant | None


class RuleThen(_View):
    """The rule as it was when it decided."""

    id: str
    version: int | None
    hash: str
    title: Text
    text: str = Field(description="the rule's file, or its content as JSON where the file is not known")
    words: list[Text] = Field(description="delay, smoothing, hysteresis, ages, lateness in words")
    limit: str
    clinical_source: str
    standing: Literal["same", "changed", "gone"] = Field(description="the rule in force now, compared")
    version_now: int | None
    released_by: Text | None


class Seen(_View):
    """A reading that decided."""

    metric: str
    name: Text
    value: Text
    device: str
    time: Instant
    received: Instant
    late: bool = Field(description="received over a minute after it was measured")


class Moment(_View):
    """One line of the alarm's life."""

    at: Instant
    kind: str
    text: Text
    recorded: Instant = Field(description="when it was decided")
    actor: str | None
    note: str


class Hop(_View):
    """One step from the measurement to a person."""

    name: str
    text: Text
    at: Instant
    delay_ms: float | None = Field(description="after the step before; null: timed by another clock")
    latency_ms: float | None = Field(description="how long the channel took to answer")


class Why(_View):
    """Why an alarm (or an entry of the worklist, or of a trial) is there."""

    id: str
    kind: Literal["alarm", "asked", "worklist", "trial"]
    patient: str | None
    priority: str
    state: str
    text: Text
    onset: Instant
    started: Instant
    ended: Instant | None
    accepted_by: str | None
    accepted_at: Instant | None
    late: bool
    values: dict[str, float]
    limit: str
    rule: RuleThen
    predicates: Predicate | None = Field(description="null: the rule's content was not kept")
    notes: list[Text]
    settings: list[Setting]
    seen: list[Seen]
    life: list[Moment]
    hops: list[Hop]

    @classmethod
    def of(cls, found: Found) -> Self:
        """From what was found."""
        return cls.model_validate(_Shown(found, found.explanation))


class Reason(_View):
    """One reason, the decisive one first."""

    code: str = Field(examples=["not_met"])
    text: Text
    at: Instant | None
    alarm: str | None


class RuleBrief(_View):
    """The rule in force then."""

    id: str
    version: int
    hash: str
    title: Text
    limit: str


class ContextThen(_View):
    """What the rules knew of the patient then."""

    setting: Literal["ward", "home"] | None
    adult: bool | None
    pregnant: bool
    spo2_scale: Literal[1, 2]


class WhyNot(_View):
    """Why a rule did not fire for a patient at a moment, or that it did."""

    patient: str
    rule: str
    at: Instant
    outcome: Literal["fired", "active", "pending", "asked", "trial", "blocked"]
    text: Text = Field(description="the decisive reason")
    alarm: str | None = Field(description="the alarm that there was")
    reasons: list[Reason]
    in_force: RuleBrief | None
    context: ContextThen
    predicates: Predicate | None
    looked_from: Instant = Field(description="the history was looked at from here on")

    @classmethod
    def of(cls, found: FoundNot) -> Self:
        """From what was found."""
        return cls.model_validate(_Shown(found, found.explanation))


class _Shown:
    """What was found, with the root of its condition as ``predicates``."""

    def __init__(self, found: Found | FoundNot, explanation: Explanation | None) -> None:
        self._found = found
        self.predicates = None if explanation is None else explanation.root

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)
