"""Signs of life of the gateways, as the rules get them: at most one per gateway in ten seconds.

A frame or a live status is one. They come as one input for all gateways, dated by the cloud's own clock:
a gateway whose clock is wrong is alive all the same.
"""

from __future__ import annotations

from typing import Final

from hearthward.core.clock import SECOND
from rules.conditions import HEARTBEAT
from rules.model import Rows, subject_key

__all__ = ["Heartbeats"]

EVERY_NS: Final = 10 * SECOND
MAX_GATEWAYS: Final = 10_000
"""Gateways can be invented by anybody who may publish: beyond this no new ones are told of."""


class Heartbeats:
    """Who was heard of since the rules were last told."""

    def __init__(self) -> None:
        self._heard: dict[str, int] = {}
        self._known: set[str] = set()
        self._told = -EVERY_NS

    def heard(self, gateway: str, now: int) -> None:
        """A sign of life came at ``now`` (UTC ns)."""
        if gateway not in self._known:
            if len(self._known) >= MAX_GATEWAYS:
                return
            self._known.add(gateway)
        self._heard[gateway] = now

    def due(self, now: int) -> bool:
        """Whether the rules are to be told now."""
        return bool(self._heard) and now - self._told >= EVERY_NS

    def take(self, now: int) -> Rows:
        """All signs of life since the last time, as rows; if they are not committed, the next come soon."""
        rows = Rows()
        for gateway, at in sorted(self._heard.items()):
            rows.append(subject_key("gateway", gateway), gateway, HEARTBEAT, 1.0, min(at, now), min(at, now))
        self._heard.clear()
        self._told = now
        return rows
