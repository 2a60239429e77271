"""Signs of life of gateways and devices, as the rules get them: now and then, however often they are heard.

Of a gateway a frame or a live status is one; of a device anything that it delivers. They come as one input
for all, dated by the cloud's own clock: a gateway whose clock is wrong is alive all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from hearthward.core.clock import SECOND
from rules.conditions import HEARTBEAT
from rules.model import Rows, subject_key

__all__ = ["Heartbeats"]

EVERY_NS: Final = 10 * SECOND
DEVICES_EVERY_NS: Final = 30 * SECOND
MAX_GATEWAYS: Final = 10_000
"""Gateways can be invented by anybody who may publish: beyond this no new ones are told of."""


class Heartbeats:
    """Who was heard of since the rules were last told."""

    def __init__(self) -> None:
        self._heard: dict[str, int] = {}
        self._known: set[str] = set()
        self._told = -EVERY_NS
        self._expected: frozenset[str] = frozenset()
        self._devices: dict[str, int] = {}
        self._devices_told: dict[str, int] = {}

    def expect(self, devices: Collection[str]) -> None:
        """Of these devices the rules are to be told, and of no others."""
        self._expected = frozenset(devices)
        for book in (self._devices, self._devices_told):
            for gone in book.keys() - self._expected:
                del book[gone]

    def heard(self, gateway: str, now: int) -> None:
        """A sign of life came at ``now`` (UTC ns)."""
        if gateway not in self._known:
            if len(self._known) >= MAX_GATEWAYS:
                return
            self._known.add(gateway)
        self._heard[gateway] = now

    def delivered(self, times: Mapping[str, int]) -> None:
        """Devices delivered something, and when the last of it was received (by our clock, UTC ns)."""
        for device in self._expected & times.keys():
            self._devices[device] = max(times[device], self._devices.get(device, 0))

    def due(self, now: int) -> bool:
        """Whether the rules are to be told now."""
        return bool(self._heard or self._new_devices(now)) and now - self._told >= EVERY_NS

    def _new_devices(self, now: int) -> list[str]:
        told = self._devices_told
        return [
            device
            for device, at in self._devices.items()
            if min(at, now) >= told.get(device, -DEVICES_EVERY_NS) + DEVICES_EVERY_NS
        ]

    def take(self, now: int) -> Rows:
        """All signs of life since the last time, as rows; if they are not committed, the next come soon."""
        rows = Rows()
        for gateway, at in sorted(self._heard.items()):
            rows.append(subject_key("gateway", gateway), gateway, HEARTBEAT, 1.0, min(at, now), min(at, now))
        for device in sorted(self._new_devices(now)):
            at = self._devices_told[device] = min(self._devices[device], now)
            rows.append(subject_key("device", device), device, HEARTBEAT, 1.0, at, at)
        self._heard.clear()
        self._told = now
        return rows
