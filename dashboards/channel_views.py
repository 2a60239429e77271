"""What the port's two sides have in common: the text of a test, and which push services may be sent to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from cloud_ingest.channel_health import NEEDS, Health
from cloud_ingest.channels.base import Message
from cloud_ingest.telling.wording import clock_at
from dashboards.backend import DirectoryError
from dashboards.channel_models import ChannelTest, ChannelView

__all__ = ["PUSH_SERVICES", "host_of", "message_of_test", "unused_view", "used_view"]

PUSH_SERVICES: Final = (
    "fcm.googleapis.com",
    "push.services.mozilla.com",
    "notify.windows.com",
    "push.apple.com",
)
"""Domains of push services that a browser's subscription may name."""
_TEXT: Final = {
    "en": "TEST, no alarm: Hearthward can reach you here. Nothing is to be done. {when}",
    "zh": "测试,不是报警:Hearthward 可以通过此方式联系您。无需任何操作。{when}",
}


_SUBJECT: Final = {"en": "TEST of Hearthward, no alarm", "zh": "Hearthward 测试,不是报警"}


def unused_view(name: str, *, answers: bool) -> ChannelView:
    """A channel that is not in use, with what it needs."""
    return ChannelView(name=name, state="not_configured", needs=list(NEEDS[name]), answers=answers)


def used_view(
    name: str,
    found: Health,
    *,
    answers: bool,
    endpoints: Iterable[str],
    queued: int,
    oldest: int | None,
    tests: Iterable[ChannelTest],
) -> ChannelView:
    """A channel that is in use, and how it does."""
    return ChannelView(
        name=name,
        state=found.state,
        since=found.since,
        needs=list(NEEDS.get(name, ())),
        answers=answers,
        endpoints=[f"@{end}" for end in endpoints],
        last_handover=found.last_handover,
        last_failure=found.last_failure,
        failure=found.failure,
        handed_over=found.handed_over,
        failed=found.failed,
        reported=found.reported,
        latency_p50_ms=found.latency_p50_ms,
        latency_p95_ms=found.latency_p95_ms,
        queued=queued,
        oldest_queued=oldest,
        tests=list(tests),
    )


def message_of_test(
    ident: str, target: str, language: str, now: int, *, zone: str | None = None, answer: str | None = None
) -> Message:
    """The message of a test; it says that it is one. ``answer``: the token under which a key comes back."""
    tongue = "zh" if language.startswith("zh") else "en"
    return Message(
        id=ident,
        target=target,
        text=_TEXT[tongue].format(when=clock_at(now, zone)),
        language=tongue,
        priority="low",
        kind="test",
        subject=_SUBJECT[tongue],
        answer=answer,
    )


def host_of(endpoint: str, services: tuple[str, ...] = PUSH_SERVICES) -> str:
    """The host of a subscription's push service. Raises DirectoryError: it is none of ``services``.

    The server posts to this address: one that anybody could choose would reach into the house. Without
    ``services`` it is only read.
    """
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise DirectoryError(field="endpoint", code="invalid", value="endpoint") from error
    host = (parts.hostname or "").lower()
    known = any(host == s or host.endswith(f".{s}") for s in services)
    if services and (parts.scheme != "https" or port not in {None, 443} or parts.username or not known):
        raise DirectoryError(field="endpoint", code="invalid", value="endpoint")
    return host
