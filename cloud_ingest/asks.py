"""Asking gateways to do something now: signed, numbered by the time, sent once."""

from __future__ import annotations

from cloud_ingest.sources.base import FrameSource
from hearthward.core.clock import Clock
from hearthward.core.sightings import Ask
from hearthward.core.wire import topic
from hearthward.trust.keys import SigningKey

__all__ = ["Asks"]


class Asks:
    """Of one tenant. ``wall`` is real time, also where a recording is played."""

    def __init__(self, tenant: str, source: FrameSource, key: SigningKey, wall: Clock) -> None:
        self._tenant, self._source, self._key, self._wall = tenant, source, key, wall
        self._issued = 0

    async def send(
        self,
        gateway: str,
        kind: str,
        seconds: int = 0,
        *,
        device: str = "",
        consent: tuple[str, int, int] | None = None,
    ) -> None:
        """Ask a gateway; see ``core.sightings.Ask``. Raises UplinkError: there is no connection."""
        self._issued = max(self._wall.now_ns(), self._issued + 1)
        ask = Ask(gateway, kind, seconds, self._issued, device=device, consent=consent)
        signed = ask.signed(self._key.sign(ask.signed_part()))
        await self._source.publish(topic(self._tenant, gateway, "ask"), signed.encode())
