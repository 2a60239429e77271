"""What an HTTP status means for a delivery: later, or never; and how much later (RFC 9110, Retry-After)."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from hearthward.core.errors import DeliveryError, DeliveryPermanent, DeliveryTemporary

__all__ = ["after_s", "refusal"]

LONGEST_AFTER_S: Final = 3600.0
"""Nobody's wish to be left alone is heeded for longer."""
_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_CREDENTIALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


def refusal(
    channel: str,
    service: str,
    status: int,
    headers: Mapping[str, str],
    *,
    credentials: str,
    reason: str = "",
    code: int | None = None,
) -> DeliveryError:
    """The error for a status that is no success; 4xx is for good, but for those that mean ``later``.

    ``service`` and ``reason`` are words for people, ``credentials`` the settings to look at when refused.
    """
    details: dict[str, str | int | None] = {"channel": channel, "status": status, "code": code}
    if status in _CREDENTIALS:
        msg = f"{service} refuses the credentials ({status}): check {credentials}"
        return DeliveryPermanent(msg, **details)
    said = f"{status}: {reason}" if reason else f"{status}"
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _AGAIN:
        return DeliveryPermanent(f"{service} refuses the message ({said})", **details)
    return DeliveryTemporary(
        f"{service} cannot take the message now ({said})", **details, after_s=after_s(headers)
    )


def after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to leave a service alone by its ``Retry-After``; a date counts from its own ``Date``."""
    wanted = headers.get("Retry-After", "").strip()
    if wanted.isdecimal():
        return min(float(wanted), LONGEST_AFTER_S)
    try:
        wait = parsedate_to_datetime(wanted) - parsedate_to_datetime(headers.get("Date", ""))
    except (TypeError, ValueError):
        return None
    return min(max(wait.total_seconds(), 0.0), LONGEST_AFTER_S)
