"""Messages over any MQTT 3.1.1 broker, by aiomqtt: clean sessions, TCP_NODELAY, a quick way back."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote, urlsplit

import aiomqtt

from cloud_ingest.sources.base import Message, OnConnected, OnMessage
from hearthward.core.errors import ConfigError, UplinkError
from hearthward.core.ids import Ids
from hearthward.core.telemetry import Telemetry

__all__ = ["Broker", "MqttSource", "SourceState"]

log = logging.getLogger(__name__)

SUBSCRIPTIONS: Final = ("hw/1/+/+/frame", "hw/1/+/+/status", "hw/1/+/+/applied")
FIRST_BACKOFF_S: Final = 0.05
LAST_BACKOFF_S: Final = 5.0
BACKOFF_FACTOR: Final = 2.0
OPERATION_TIMEOUT_S: Final = 10.0
KEEPALIVE_S: Final = 15
MAX_WAITING: Final = 1_000
"""Messages in the client's own queue; more are dropped and come again, as no receipt was sent."""
_NODELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


class SourceState(Enum):
    """Where the connection stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BACKOFF = "backoff"


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to log in."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: bool = False

    @classmethod
    def of_url(cls, url: str, username: str | None = None, password: str | None = None) -> Broker:
        """``mqtt[s]://[user[:password]@]host[:port]`` -> broker. Raises ConfigError."""
        parts = urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in _PORTS or not parts.hostname or port == -1:
            msg = "the broker's address must look like mqtt://host:1883 or mqtts://host:8883"
            raise ConfigError(msg, host=parts.hostname)
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            username=username or (unquote(parts.username) if parts.username else None),
            password=password or (unquote(parts.password) if parts.password else None),
            tls=parts.scheme == "mqtts",
        )


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
        self.state = SourceState.IDLE

    @property
    def connected(self) -> bool:
        """Whether messages can come and go now."""
        return self._client is not None

    async def run(self, on_message: OnMessage, on_connected: OnConnected) -> None:
        """Stay connected until cancelled; see FrameSource."""
        backoff = FIRST_BACKOFF_S
        try:
            while True:
                self._enter(SourceState.CONNECTING)
                try:
                    await self._session(on_message, on_connected)
                except (aiomqtt.MqttError, UplinkError, OSError) as error:
                    if self.state is SourceState.CONNECTED:
                        backoff = FIRST_BACKOFF_S
                    log.log(
                        logging.WARNING if backoff <= FIRST_BACKOFF_S else logging.DEBUG,
                        "broker: %s; trying again",
                        error,
                    )
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

    async def _session(self, on_message: OnMessage, on_connected: OnConnected) -> None:
        broker = self._locate()
        client = aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=self._name,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=KEEPALIVE_S,
            timeout=OPERATION_TIMEOUT_S,
            max_queued_incoming_messages=MAX_WAITING,
            tls_context=ssl.create_default_context() if broker.tls else None,
            socket_options=[_NODELAY],
        )
        async with client:
            for topic in SUBSCRIPTIONS:
                granted = await client.subscribe(topic, qos=1)
                _check_granted(topic, granted)
            self._client = client
            self._enter(SourceState.CONNECTED)
            self._telemetry.count("source_connects_total")
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_connected(on_connected), name="source-connected")
                    group.create_task(_hand_over(client, on_message), name="source-messages")
            except ExceptionGroup as errors:
                if errors.split((aiomqtt.MqttError, UplinkError, OSError))[1] is not None:
                    raise
                raise UplinkError(str(errors.exceptions[0])) from errors
            finally:
                self._client = None

    def _enter(self, state: SourceState) -> None:
        if state is not self.state:
            self.state = state
            self._telemetry.gauge("source_connected", float(state is SourceState.CONNECTED))
            self._on_state(state)


async def _connected(on_connected: OnConnected) -> None:
    await on_connected()


async def _hand_over(client: aiomqtt.Client, on_message: OnMessage) -> None:
    async for message in client.messages:
        payload = message.payload
        on_message(Message(message.topic.value, payload if isinstance(payload, bytes) else b""))


def _check_granted(topic: str, granted: object) -> None:
    """A broker may refuse a subscription in its answer instead of failing."""
    refused = 0x80
    codes = granted if isinstance(granted, (tuple, list)) else ()
    if any(getattr(code, "value", code) == refused for code in codes):
        msg = f"the broker refuses the subscription to {topic}: check its permissions"
        raise UplinkError(msg, topic=topic)
