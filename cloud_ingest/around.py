"""What the gateways tell of what is around them, kept in memory; and asking one for something now."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from cloud_ingest.asks import Asks
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DecodeError
from hearthward.core.sightings import MOST_SCAN_S, Sightings
from hearthward.core.telemetry import Telemetry

__all__ = ["AroundBoard", "Told"]

log = logging.getLogger(__name__)

MAX_GATEWAYS: Final = 1_000
"""Unknown gateways can be invented by anybody who may publish: beyond this no new ones are kept."""


KEPT_S: Final = 3600
"""A gateway that tells no more is forgotten after that: names of people's phones are among what it saw."""


@dataclass(frozen=True, slots=True)
class Told:
    """A gateway's last word, and when it came (UTC ns, real time)."""

    at: int
    seen: Sightings


class AroundBoard:
    """Each gateway's newest sightings, in memory only and for ``KEPT_S``.

    ``wall`` is real time, also where a recording is played.
    """

    def __init__(self, asks: Asks, wall: Clock, telemetry: Telemetry) -> None:
        self._asks, self._wall, self._telemetry = asks, wall, telemetry
        self._told: dict[str, Told] = {}
        self._listening: dict[str, int] = {}

    def take(self, gateway: str, payload: bytes) -> None:
        """A message came on the gateway's topic; counts ``messages_rejected_total``."""
        try:
            seen = Sightings.decode(payload)
        except DecodeError as error:
            self._refuse(gateway, str(error))
            return
        if seen.gateway != gateway:
            self._refuse(gateway, "they name another gateway")
        elif gateway in self._told or len(self._told) < MAX_GATEWAYS:
            self._told[gateway] = Told(self._wall.now_ns(), seen)

    def _refuse(self, gateway: str, why: str) -> None:
        self._telemetry.count("messages_rejected_total", kind="sightings")
        log.warning("sightings of gateway %s refused: %s", gateway, why)

    def all(self) -> dict[str, Told]:
        """Gateway -> what it told last, unless that is long ago."""
        self.forget()
        return dict(self._told)

    def listening(self) -> dict[str, int]:
        """Gateway -> until when it listens (UTC ns), as it was asked to."""
        self.forget()
        return dict(self._listening)

    def forget(self) -> None:
        """Drop what is older than ``KEPT_S``; to be called now and then, also when nobody tells or looks."""
        now = self._wall.now_ns()
        self._told = {g: one for g, one in self._told.items() if now - one.at <= KEPT_S * SECOND}
        self._listening = {g: until for g, until in self._listening.items() if until > now}

    async def scan(self, gateway: str, seconds: int) -> None:
        """Ask a gateway to listen for 1..60 s. Raises UplinkError: there is no connection."""
        seconds = min(max(1, seconds), MOST_SCAN_S)
        await self._asks.send(gateway, "scan", seconds)
        self._listening[gateway] = self._wall.now_ns() + seconds * SECOND

    async def give_consent(self, gateway: str, address: str, user: int, code: int) -> None:
        """Have a gateway keep the consent of a device's user. Raises UplinkError: there is no connection."""
        await self._asks.send(gateway, "consent", consent=(address, user, code))
