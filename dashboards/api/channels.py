"""Channels: how each does, a test to oneself or to an endpoint, and a look whether one could be used."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from dashboards.access import Context, Guard
from dashboards.api.drafts import Draft
from dashboards.channel_models import ChannelTest, ChannelView, CheckResult, TestTarget
from dashboards.problems import ERROR_RESPONSES, MissingError
from hearthward.trust.access import Action

__all__ = ["KIND", "check_channel", "router", "targets_of", "test_channel"]

router = APIRouter(prefix="/api/v1/channels", tags=["channels"], responses=ERROR_RESPONSES)
KIND: Final = "channel"

See = Annotated[Context, Depends(Guard(Action.VIEW_CHANNELS, KIND))]
Try = Annotated[Context, Depends(Guard(Action.TEST_CHANNEL, KIND))]


class ChannelList(BaseModel):
    """Every channel that there could be, those in use first."""

    items: list[ChannelView]


class TargetList(BaseModel):
    """Where the caller may send a test."""

    items: list[TestTarget]


class TestBody(Draft):
    """Where to."""

    target: Annotated[str, Field(min_length=1, max_length=80, examples=["me", "@number-1"])]


@router.get("")
async def list_channels(context: See) -> ChannelList:
    """State, last hand-over and failure, counts and latencies of the last 24 h, and what waits."""
    return ChannelList(items=list(await context.backend.channels(context.scope)))


@router.get("/{channel}/targets")
async def list_targets(context: Try, channel: str) -> TargetList:
    """The caller's own number, address or browsers, and the endpoints of the settings."""
    return TargetList(items=await targets_of(context, channel))


@router.post("/{channel}/test")
async def post_test(context: Try, channel: str, body: TestBody) -> ChannelTest:
    """Send a message that says it is a test; the answer tells how that went, also when it failed."""
    return await test_channel(context, channel, body.target)


@router.post("/{channel}/check")
async def post_check(context: Try, channel: str) -> CheckResult:
    """Look whether the channel can be reached and takes the credentials; nobody is told anything."""
    return await check_channel(context, channel)


async def targets_of(context: Context, channel: str) -> list[TestTarget]:
    """Where the caller may send a test. Raises MissingError."""
    found = await context.backend.test_targets(context.who, channel)
    if found is None:
        raise MissingError(kind=KIND, key=channel)
    return list(found)


async def test_channel(context: Context, channel: str, target: str) -> ChannelTest:
    """Send a test for the caller, audited. Raises MissingError, DirectoryError."""
    done = await context.backend.test_channel(context.who, channel, target)
    if done is None:
        raise MissingError(kind=KIND, key=channel)
    detail = {"do": "test", "target": target, "result": done.outcome, "test": done.id}
    await context.audit(Action.TEST_CHANNEL, KIND, target=channel, detail=detail)
    return done


async def check_channel(context: Context, channel: str) -> CheckResult:
    """Check for the caller, audited. Raises MissingError."""
    done = await context.backend.check_channel(channel)
    if done is None:
        raise MissingError(kind=KIND, key=channel)
    detail = {"do": "check", "result": "well" if done.well else "failing"}
    await context.audit(Action.TEST_CHANNEL, KIND, target=channel, detail=detail)
    return done
