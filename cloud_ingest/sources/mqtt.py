"""Messages over any MQTT 3.1.1 broker, by aiomqtt: clean sessions, TCP_NODELAY, a quick way back."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

import aiomqtt

from cloud_ingest.sources.base import Message, OnConnected, OnMessage
from cloud_ingest.sources.connection import Broker, Connection
from hearthward.core.errors import UplinkError
from hearthward.core.ids import Ids
from hearthward.core.telemetry import Telemetry

__all__ = ["Broker", "MqttSource", "SourceState"]

log = logging.getLogger(__name__)

SUBSCRIPTIONS: Final = ("hw/1/+/+/frame", "hw/1/+/+/status", "hw/1/+/+/applied", "hw/1/+/+/account")
WELCOME: Final = {
    "hw/1/+/+/sightings": "what is around gateways is not told",
    "hw/1/+/+/raw": "the bytes of devices' frames cannot be looked at",
}
"""Subscribed to if the broker lets us: what is lost without it."""
FIRST_BACKOFF_S: Final = 0.05
LAST_BACKOFF_S: Final = 5.0
BACKOFF_FACTOR: Final = 2.0
PROBE_TIMEOUT_S: Final = 4.0
STEADY_S: Final = 2.0
"""A connection that held so long starts the back-off anew."""
_EXPECTED: Final = (aiomqtt.MqttError, UplinkError, OSError)


class SourceState(Enum):
    """Where the connection stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BACKOFF = "backoff"


class MqttSource:
    """Stays connected to a broker. ``locate`` is asked before each connect (a child may move its port)."""

    def __init__(
        self,
        broker: Broker | Callable[[], Broker],
        *,
        ids: Ids,
        telemetry: Telemetry,
        on_state: Callable[[SourceState], None] = lambda _state: None,
    ) -> None:
        self._locate = broker if callable(broker) else lambda: broker
        self._ids = ids
        self._telemetry = telemetry
        self._on_state = on_state
        self._client: aiomqtt.Client | None = None
        self._name = ids.new("hearthward-cloud").replace(".", "-")
        self._echo = f"hw/1/echo/{self._name}"
        self._echoes: dict[bytes, asyncio.Event] = {}
        self._ticket = 0
        self.state = SourceState.IDLE

    @property
    def connected(self) -> bool:
        """Whether messages can come and go now."""
        return self._client is not None

    async def run(self, on_message: OnMessage, on_connected: OnConnected) -> None:
        """Stay connected until cancelled; see FrameSource."""
        backoff, told, loop = FIRST_BACKOFF_S, False, asyncio.get_running_loop()
        try:
            while True:
                self._enter(SourceState.CONNECTING)
                started = loop.time()
                reason = await self._one_session(on_message, on_connected)
                was_up = self.state is SourceState.CONNECTED
                if was_up and loop.time() - started > STEADY_S:
                    backoff = FIRST_BACKOFF_S
                # every loss is told, but of the attempts that follow only the first
                log.log(
                    logging.WARNING if was_up or not told else logging.DEBUG,
                    "broker at %s %s (%s); trying on",
                    self._locate(),
                    "lost" if was_up else "cannot be reached",
                    reason,
                )
                told = True
                self._enter(SourceState.BACKOFF)
                await asyncio.sleep(backoff * (0.5 + self._ids.uniform() / 2))
                backoff = min(backoff * BACKOFF_FACTOR, LAST_BACKOFF_S)
        finally:
            self._enter(SourceState.IDLE)

    async def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send one message: receipts at QoS 0 (the edge asks again), retained ones at QoS 1."""
        client = self._client
        if client is None:
            msg = "not connected to the broker"
            raise UplinkError(msg, topic=topic)
        try:
            await client.publish(topic, payload, qos=1 if retain else 0, retain=retain)
        except (aiomqtt.MqttError, ValueError) as error:
            msg = f"the broker did not take the message: {error}"
            raise UplinkError(msg, topic=topic) from error

    async def probe(self) -> None:
        """Send ourselves a message; see FrameSource. Gives up after ``PROBE_TIMEOUT_S``."""
        self._ticket += 1
        ticket = str(self._ticket).encode()
        echo = self._echoes[ticket] = asyncio.Event()
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self.publish(self._echo, ticket)
                await echo.wait()
        except TimeoutError as error:
            msg = f"no round trip through the broker within {PROBE_TIMEOUT_S:g} s"
            raise UplinkError(msg) from error
        finally:
            del self._echoes[ticket]

    async def _one_session(self, on_message: OnMessage, on_connected: OnConnected) -> BaseException:
        """Run one connection to its end and return why it ended; raises what nobody expects.

        As a task of its own: when a group's task fails while the group is being cancelled, Python 3.11
        forgets the cancellation, and ``run`` would go on for ever.
        """
        session = asyncio.create_task(self._session(on_message, on_connected), name="source-session")
        try:
            await asyncio.wait([session])
        finally:
            session.cancel()
            await asyncio.wait([session])
            error = None if session.cancelled() else session.exception()
        reasons = list(_leaves(error or UplinkError("the connection was abandoned")))
        if error is not None and not all(isinstance(reason, _EXPECTED) for reason in reasons):
            raise error
        return reasons[0]

    async def _session(self, on_message: OnMessage, on_connected: OnConnected) -> None:
        """One connection, from connect to its loss. Raises MqttError, UplinkError (or groups of them)."""
        async with Connection(self._locate(), identifier=self._name) as client:
            for topic in (*SUBSCRIPTIONS, self._echo):
                granted = await client.subscribe(topic, qos=1)
                _check_granted(topic, granted)
            for topic, without in WELCOME.items():
                try:
                    _check_granted(topic, await client.subscribe(topic, qos=1))
                except UplinkError as error:
                    log.warning("%s; %s", error, without)
            self._client = client
            self._enter(SourceState.CONNECTED)
            self._telemetry.count("source_connects_total")
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_connected(on_connected), name="source-connected")
                    group.create_task(self._hand_over(client, on_message), name="source-messages")
            finally:
                self._client = None

    async def _hand_over(self, client: aiomqtt.Client, on_message: OnMessage) -> None:
        async for message in client.messages:
            payload = message.payload if isinstance(message.payload, bytes) else b""
            if message.topic.value != self._echo:
                on_message(Message(message.topic.value, payload))
            elif (echo := self._echoes.get(payload)) is not None:
                echo.set()

    def _enter(self, state: SourceState) -> None:
        if state is not self.state:
            self.state = state
            self._telemetry.gauge("source_connected", float(state is SourceState.CONNECTED))
            self._on_state(state)


async def _connected(on_connected: OnConnected) -> None:
    await on_connected()


def _check_granted(topic: str, granted: object) -> None:
    """A broker may refuse a subscription in its answer instead of failing."""
    refused = 0x80
    codes = granted if isinstance(granted, (tuple, list)) else ()
    if any(getattr(code, "value", code) == refused for code in codes):
        msg = f"the broker refuses the subscription to {topic}: check its permissions"
        raise UplinkError(msg, topic=topic)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
