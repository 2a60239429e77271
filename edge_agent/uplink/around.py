"""What is around this gateway on its way to the cloud, and what the cloud asks it for."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from devices.consents import Consent, Consents
from edge_agent.trust_store import CloudTrust
from edge_agent.uplink.sending import Publishing
from hearthward.core.clock import Clock
from hearthward.core.device_states import Sighting
from hearthward.core.errors import DecodeError
from hearthward.core.sightings import Ask, Sightings
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import topic

__all__ = ["Around", "SightingTeller", "Watcher"]

log = logging.getLogger(__name__)

EVERY_S: Final = 10.0
"""Told no more often than this, however much is going on."""
STRANGERS_S: Final = 300.0
"""News only of what fits no profile may wait so long: passers-by are not worth a home's mobile line."""
_REFUSED: Final = 0x80


class Around(Protocol):
    """What the teller needs of ``devices.discovery.Discovery``."""

    on_change: Callable[[bool], None]
    trouble: str

    def sightings(self) -> Sequence[Sighting]:
        """All that was seen lately."""
        ...

    def ask(self, seconds: int) -> None:
        """Have the radio listen for so long now."""
        ...


class Watcher(Protocol):
    """What tells the frames of a device for a while; ``FrameTeller`` does."""

    def watch(self, device: str, seconds: int) -> None:
        """Tell of a device for so long from now on."""
        ...


class _Client(Publishing, Protocol):
    async def subscribe(self, topic: Any) -> Any: ...


class SightingTeller:
    """Publishes sightings after each connect and when there is news; does what the cloud asks, once.

    ``consents`` keep what the users of devices consented to (None: nobody keeps them). ``watcher`` tells of a
    device's frames; without one that is refused.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        around: Around,
        trust: CloudTrust,
        *,
        tenant: str,
        gateway: str,
        session: str,
        clock: Clock,
        telemetry: Telemetry,
        consents: Consents | None = None,
        watcher: Watcher | None = None,
        every_s: float = EVERY_S,
        strangers_s: float = STRANGERS_S,
    ) -> None:
        self.asked = topic(tenant, gateway, "ask")
        self._topic = topic(tenant, gateway, "sightings")
        self._around, self._trust, self._consents = around, trust, consents
        self._gateway, self._session = gateway, session
        self._clock, self._telemetry, self._watcher = clock, telemetry, watcher
        self._every_s, self._strangers_s = every_s, strangers_s
        self._any, self._urgent = asyncio.Event(), asyncio.Event()
        self._done = 0
        around.on_change = self._changed

    def _changed(self, urgent: bool) -> None:  # noqa: FBT001 - the callback's one argument
        self._any.set()
        if urgent:
            self._urgent.set()

    async def run(self, client: _Client) -> None:
        """Tell over one connection, until cancelled. Raises aiomqtt.MqttError."""
        await self._listen(client)
        while True:
            self._any.clear()
            self._urgent.clear()
            await client.publish(self._topic, self._told().encode(), qos=1)
            await asyncio.sleep(self._every_s)
            try:
                async with asyncio.timeout(self._strangers_s - self._every_s):
                    await self._urgent.wait()
            except TimeoutError:
                await self._any.wait()

    async def _listen(self, client: _Client) -> None:
        """Subscribe to what is asked; a broker whose permissions do not know of it costs only that."""
        granted = await client.subscribe([(self.asked, 1)])
        codes = [code if isinstance(code, int) else code.value for code in granted]
        if max(codes) >= _REFUSED:
            log.warning("the broker does not let this gateway be asked anything: %s", self.asked)

    def _told(self) -> Sightings:
        around, now = self._around, self._clock.now_ns()
        trouble = around.trouble
        seen = tuple(around.sightings())
        return Sightings(self._gateway, self._session, now, seen, hearing=not trouble, trouble=trouble)

    async def take(self, payload: bytes) -> None:
        """Do what is asked, unless nobody believes it; counts ``asks_refused_total`` by reason."""
        try:
            ask = Ask.decode(payload)
        except DecodeError as error:
            self._refuse(error.reason)
            return
        reason = "gateway" if ask.gateway != self._gateway else self._trust.check_ask(ask)
        if reason is None and ask.issued <= self._done:
            reason = "repeated"
        if reason is None and ask.kind == "watch" and self._watcher is None:
            reason = "unable"
        if reason is not None:
            self._refuse(reason)
            return
        self._done = ask.issued
        if ask.kind == "scan":
            log.info("asked to listen for devices for %d s", ask.seconds)
            self._around.ask(ask.seconds)
        elif ask.kind == "watch" and self._watcher is not None:
            self._watcher.watch(ask.device, ask.seconds)
        elif ask.consent is not None and not await self._keep(*ask.consent):
            return
        self._telemetry.count("asks_done_total", kind=ask.kind)

    async def _keep(self, address: str, user: int, code: int) -> bool:
        """Keep a consent; whether it is kept."""
        try:
            if self._consents is None:
                self._refuse("nobody keeps consents")
                return False
            await self._consents.keep(address, Consent(user, code))
        except OSError as error:
            log.error("the consent of a user of %s cannot be kept: %s", address, error)  # noqa: TRY400 - the disk's own words say it
            self._refuse("disk")
            return False
        log.info("the consent of a user of %s is kept", address)
        return True

    def _refuse(self, reason: str) -> None:
        self._telemetry.count("asks_refused_total", reason=reason)
        log.debug("what is asked of gateway %s is refused: %s", self._gateway, reason)
