"""How a channel does: worked out from the record of every try to hand something over."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from hearthward.core.clock import SECOND

__all__ = ["CHANNELS", "DAY", "FAILED", "NEEDS", "REPORTED", "TAKEN", "Health", "Try", "health"]

DAY: Final = 86_400 * SECOND
TAKEN: Final = "handed_over"
REPORTED: Final = "reported"
"""Handed over, and reported later as not delivered: a wrong number, not a channel that fails."""
FAILED: Final = ("temporary", "failed", "abandoned", "interrupted")
_NUMBERS: Final = ("sms.account_sid", "sms.auth_token")
NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "in_app": (),
    "sms": (*_NUMBERS, "sms.from_number"),
    "voice": (*_NUMBERS, "voice.from_number", "web.public_url"),
    "email": ("email.host", "email.from_address"),
    "push": ("push.contact",),
    "webhook": ("webhooks.NAME.url", "webhooks.NAME.secret"),
    "apprise": ("apprise.NAME",),
}
"""The settings that switch each channel on."""
CHANNELS: Final = tuple(NEEDS)


@dataclass(frozen=True, slots=True)
class Try:
    """One try to hand something over: when it ended (UTC ns), and how; ``ident`` tells it from others."""

    at: int
    outcome: str
    detail: str = ""
    latency_ms: float = 0.0
    ident: int | str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of a channel that is in use."""

    state: Literal["well", "failing", "never_used"]
    since: int | None
    last_handover: int | None
    last_failure: int | None
    failure: str
    handed_over: int
    failed: int
    reported: int
    latency_p50_ms: float | None
    latency_p95_ms: float | None


def health(tries: Iterable[Try], now: int) -> Health:
    """How a channel does at ``now`` by its ``tries``.

    Needed are all of the last 24 hours, the last that was taken, the last that failed, and the first that
    failed after that; any others may be there, and any may be there twice.
    """
    known = sorted(set(tries), key=lambda t: t.at)
    taken = [t for t in known if t.outcome == TAKEN]
    failed = [t for t in known if t.outcome in FAILED]
    since = next((t.at for t in failed if not taken or t.at > taken[-1].at), None)
    latencies = sorted(t.latency_ms for t in taken if t.at > now - DAY)
    return Health(
        state="failing" if since is not None else "well" if taken else "never_used",
        since=since,
        last_handover=taken[-1].at if taken else None,
        last_failure=failed[-1].at if failed else None,
        failure=failed[-1].detail if failed else "",
        handed_over=len(latencies),
        failed=sum(t.at > now - DAY for t in failed),
        reported=sum(t.at > now - DAY for t in known if t.outcome == REPORTED),
        latency_p50_ms=_rank(latencies, 0.5),
        latency_p95_ms=_rank(latencies, 0.95),
    )


def _rank(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile."""
    return ordered[math.ceil(share * len(ordered)) - 1] if ordered else None
