"""What the port's two sides have in common: the text of a test, and which push services may be sent to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from cloud_ingest.channels.base import Message
from dashboards.backend import DirectoryError
from hearthward.core.clock import iso

__all__ = ["PUSH_SERVICES", "host_of", "test_message"]

PUSH_SERVICES: Final = (
    "fcm.googleapis.com",
    "push.services.mozilla.com",
    "notify.windows.com",
    "push.apple.com",
)
"""Domains of push services that a browser's subscription may name."""
_TEXT: Final = {
    "en": "TEST, no alarm: Hearthward can reach you here. Nothing is to be done. {when} UTC",
    "zh": "测试,不是报警:Hearthward 可以通过此方式联系您。无需任何操作。{when} UTC",
}


def test_message(ident: str, target: str, language: str, now: int) -> Message:
    """The message of a test; it says that it is one."""
    text = _TEXT["zh" if language.startswith("zh") else "en"].format(when=iso(now)[11:16])
    return Message(
        id=ident,
        target=target,
        text=text,
        language="zh" if language.startswith("zh") else "en",
        priority="low",
    )


def host_of(endpoint: str, services: tuple[str, ...] = PUSH_SERVICES) -> str:
    """The host of a subscription's push service. Raises DirectoryError: it is none of ``services``.

    The server posts to this address: one that anybody could choose would reach into the house.
    """
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError as error:
        raise DirectoryError(field="endpoint", code="invalid", value="endpoint") from error
    host = (parts.hostname or "").lower()
    known = any(host == s or host.endswith(f".{s}") for s in services)
    if parts.scheme != "https" or port not in {None, 443} or parts.username or not known:
        raise DirectoryError(field="endpoint", code="invalid", value=host or "endpoint")
    return host
