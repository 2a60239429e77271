"""What the web shows of channels: how they do, tests of them, and browsers that take notifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from dashboards.models import Instant
from hearthward.trust.access import Principal

__all__ = ["Called", "ChannelTest", "ChannelView", "CheckResult", "PushDevice", "TestTarget"]

State = Literal["well", "failing", "never_used", "not_configured"]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ChannelTest(_View):
    """A test that somebody sent; it is no alarm, and nobody else was told."""

    id: str
    channel: str
    at: Instant
    by: str = Field(description="id of the user")
    by_name: str = ""
    target: str = Field(description="`me`, or `@name` of an endpoint in the settings")
    outcome: Literal["handed_over", "failed", "confirmed"]
    detail: str = Field("", description="why it failed")
    latency_ms: float = Field(description="how long the channel took to take it or to refuse it")


class ChannelView(_View):
    """One way to reach people, and how it does."""

    name: str = Field(examples=["sms"])
    state: State
    since: Instant | None = Field(None, description="failing since")
    needs: list[str] = Field(
        default_factory=list, description="settings that switch it on", examples=[["email.host"]]
    )
    answers: bool = Field(description="whether people can accept by it; other channels only tell")
    endpoints: list[str] = Field(default_factory=list, description="`@name` of each endpoint in the settings")
    last_handover: Instant | None = None
    last_failure: Instant | None = None
    failure: str = Field("", description="why it failed last")
    handed_over: int = Field(0, description="in the last 24 h")
    failed: int = Field(0, description="tries that failed in the last 24 h")
    reported: int = Field(
        0, description="handed over, and reported as not delivered later (a wrong number), in the last 24 h"
    )
    latency_p50_ms: float | None = Field(None, description="of what was handed over in the last 24 h")
    latency_p95_ms: float | None = None
    queued: int = Field(0, description="notifications that wait for it now")
    oldest_queued: Instant | None = None
    tests: list[ChannelTest] = Field(default_factory=list, description="the newest first")


class TestTarget(_View):
    """Where the caller may send a test."""

    __test__ = False
    key: str = Field(description="`me`, or `@name`", examples=["me"])
    label: str = Field("", description="the caller's own number or address")


class CheckResult(_View):
    """Whether a channel could be used now, as far as that can be known without telling anybody."""

    channel: str
    at: Instant
    well: bool
    detail: str = ""
    latency_ms: float


class PushDevice(_View):
    """A browser that takes notifications for the caller."""

    id: str
    service: str = Field(description="the host of its push service")
    endpoint: str
    created: Instant


@dataclass(frozen=True, slots=True)
class Called:
    """What a callback's token stands for: a notification to somebody, or a test.

    ``who`` is the person called (None: an endpoint, which belongs to nobody, or somebody who may not log
    in any more). ``answered``: a key has decided already; ``rejected``: they
    have rejected the alarm, however that was said. ``risen``: a graver stage began after what was said,
    ``rule`` the one that the alarm goes by when that is looked at.
    """

    id: str
    channel: str
    alarm: str
    who: Principal | None
    text: str
    language: str
    answered: bool = False
    rejected: bool = False
    test: bool = False
    risen: bool = False
    rule: str = ""
