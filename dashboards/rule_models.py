"""What the web shows of rules, of their release, and of what is set for one patient."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Instant, Priority

__all__ = ["Limit", "Order", "Release", "RuleDetail", "RuleParameter", "RuleTrial", "RuleVersion", "RuleView"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Limit(_View):
    """One parameter of one rule as set for one patient."""

    id: str
    patient: str
    rule: str
    parameter: str
    value: float
    daily_from: str | None = Field(None, description="HH:MM, null: all day", examples=["22:00"])
    daily_to: str | None = Field(None, examples=["06:00"])
    timezone: str = "UTC"
    set_by: str = Field(description="who")
    set_at: Instant
    reason: str = Field(description="why")
    expires: Instant | None = Field(None, description="until when; null: until changed")
    ended_at: Instant | None = None
    ended_by: str | None = None
    ended_reason: str | None = None
    superseded_by: str | None = Field(None, description="the limit that took its place")
    present: bool = Field(description="neither ended nor expired")
    holds: bool = Field(description="in force at this moment: present, and at these hours")
    counts: bool = Field(
        description="false: outside the bounds of the rule as it is now, so the rule's own value holds"
    )


class Order(_View):
    """What a doctor ordered for one patient."""

    id: str
    patient: str
    kind: Literal["spo2_scale_2"]
    given_by: str
    given_at: Instant
    reason: str
    expires: Instant | None = None
    ended_at: Instant | None = None
    ended_by: str | None = None
    ended_reason: str | None = None
    present: bool


class RuleParameter(_View):
    """A number of a rule that may be set for one patient within bounds."""

    name: str
    value: float = Field(description="the rule's own")
    low: float
    high: float
    unit: str = Field("", description="UCUM, where it is one of a measurement; s for seconds")


class Release(_View):
    """A site's own version of a rule on its way into force, and who brought it how far."""

    id: str
    rule: str
    version: int
    hash: str
    state: Literal["draft", "shadow", "approved", "active", "retired", "rolled_back", "withdrawn"]
    author: str
    author_id: str
    created: Instant
    shadowed_at: Instant | None = None
    approved_by: str | None = None
    approved_at: Instant | None = None
    activated_by: str | None = None
    activated_at: Instant | None = None
    ended_by: str | None = None
    ended_at: Instant | None = None
    replaces: str | None = Field(None, description="the release it took over from; null: the shipped rule")
    note: str = ""


class RuleTrial(_View):
    """A release on trial: decided beside the rule in force, never signalled."""

    release: Release
    limit: str
    since: Instant = Field(description="from when on the two are compared, at most 7 days back")
    episodes: int = Field(description="alarms that it would have signalled since then")
    alarms: int = Field(description="alarms of the rule in force since then")


class RuleView(_View):
    """A rule in force, or (``state`` shadow) only on trial so far."""

    id: str
    version: int
    hash: str
    state: Literal["shipped", "released", "shadow"]
    title: dict[str, str]
    kind: Literal["physiological", "technical"]
    priority: Priority
    limit: str
    delay_s: float
    setting: Literal["any", "ward", "home"]
    subject: Literal["patient", "device", "gateway", "component"]
    adults: bool
    audience: list[str]
    latching: bool
    raises: str = Field("", description="id of the rule whose open alarm it raises")
    escalation: str
    clinical_source: str
    parameters: list[RuleParameter]
    release: Release | None = None
    trial: RuleTrial | None = None


class RuleVersion(_View):
    """One content that the rule had."""

    hash: str
    version: int
    first_seen: Instant
    content: dict[str, Any]


class RuleDetail(_View):
    """A rule in full: its text, its releases and all contents it ever had, newest first."""

    id: str
    rule: RuleView | None = Field(None, description="null: neither in force nor on trial")
    text: str = Field("", description="the file's text, of the rule in force")
    releases: list[Release]
    texts: dict[str, str] = Field(default_factory=dict, description="release -> its file's text")
    versions: list[RuleVersion]
