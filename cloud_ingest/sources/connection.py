"""One MQTT 3.1.1 connection of the ingestor that always closes what it opened, and never swallows a cancel.

The uplink has its twin (``edge_agent.uplink.connection``): the two halves share no code that knows a broker.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import unquote, urlsplit

import aiomqtt

from hearthward.core.errors import ConfigError

__all__ = ["Broker", "Connection"]

T = TypeVar("T")

OPERATION_TIMEOUT_S: Final = 10.0
"""How long the broker may take for a SUBACK or PUBACK before the connection counts as dead."""
CONNACK_TIMEOUT_S: Final = 4.0
"""... and for a CONNACK: nothing else is on the line then, and a broker that is starting may never answer."""
CONNECT_TIMEOUT_S: Final = 3.0
CLOSE_TIMEOUT_S: Final = 2.0
KEEPALIVE_S: Final = 3
"""A link that passes nothing any more is noticed within twice that: alarms wait for it (tests/faults)."""
MAX_WAITING: Final = 128
"""Messages in the client's own queue; more are dropped and come again, as no receipt was sent."""
_NODELAY: Final = (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to log in."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"

    @classmethod
    def of_url(cls, url: str, username: str | None = None, password: str | None = None) -> Broker:
        """``mqtt[s]://[user[:password]@]host[:port]`` -> broker. Raises ConfigError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            msg = "the broker's address must look like mqtt://host:1883 or mqtts://host:8883"
            raise ConfigError(msg, host=parts.hostname)  # without the text itself: it may hold a password
        return cls(
            host=parts.hostname,
            port=port or _PORTS[parts.scheme],
            username=username or (unquote(parts.username) if parts.username else None),
            password=password or (unquote(parts.password) if parts.password else None),
            tls=parts.scheme == "mqtts",
        )


class Connection(aiomqtt.Client):
    """An ``aiomqtt.Client`` with TCP_NODELAY whose socket and tasks never outlive it.

    The library leaves both behind when it is cancelled or refused while connecting, or when the broker
    stops answering while it disconnects.
    """

    def __init__(self, broker: Broker, *, identifier: str) -> None:
        super().__init__(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V311,
            clean_session=True,
            keepalive=KEEPALIVE_S,
            timeout=OPERATION_TIMEOUT_S,
            max_queued_incoming_messages=MAX_WAITING,
            tls_context=ssl.create_default_context() if broker.tls else None,
            socket_options=[_NODELAY],
        )
        self._client.connect_timeout = CONNECT_TIMEOUT_S

    async def __aenter__(self) -> Self:
        """Connect. Raises aiomqtt.MqttError."""
        connecting = asyncio.create_task(super().__aenter__(), name="mqtt-connect")
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # A thread may still be connecting: see it through (CONNECT_TIMEOUT_S at most), then undo it.
            if self._client.socket() is None:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([connecting], timeout=CONNECT_TIMEOUT_S)
            connecting.cancel()
            await asyncio.wait([connecting])
            await self._abandon()
            raise
        except BaseException:
            await self._abandon()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect, politely if the broker still answers."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await super().__aexit__(kind, error, trace)
        except (aiomqtt.MqttError, TimeoutError):
            return  # gone already, which is what was asked for
        finally:
            await self._abandon()

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:  # noqa: ARG002
        """As the library's, but a socket that was closed before the loop came to it is left alone."""

        def write() -> None:
            try:
                client.loop_write()
            except Exception as error:  # noqa: BLE001 - the link is gone, however that shows
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def watch() -> None:
            if sock.fileno() >= 0:
                self._loop.add_writer(sock.fileno(), write)

        self._loop.call_soon_threadsafe(watch)

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 - theirs
        """As the library's, but a cancellation that comes together with the broker's answer stays one.

        ``asyncio.wait_for`` forgets it before Python 3.12, and whoever is publishing would never stop.
        """
        limit = CONNACK_TIMEOUT_S if fut is self._connected else self.timeout if timeout is None else timeout
        try:
            async with asyncio.timeout(None if limit == math.inf else limit):
                return await fut
        except TimeoutError:
            msg = "Operation timed out"
            raise aiomqtt.MqttError(msg) from None

    def _on_disconnect(self, *details: Any) -> None:
        """As the library's, but a connection lost before the broker's answer has failed at once.

        The library waits for the answer all the same until its time is up: alarms would be late by that.
        """
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError("lost before the broker answered"))
            return
        super()._on_disconnect(*details)

    async def _abandon(self) -> None:
        """Close the socket and end the library's task, whatever state they are in."""
        self._client._sock_close()  # noqa: SLF001 - paho's only way to close without a word
        if self._misc_task is not None:
            self._misc_task.cancel()
            await asyncio.wait([self._misc_task])
        if self._disconnected.done() and not self._disconnected.cancelled():
            self._disconnected.exception()  # seen: it was raised already, or nobody listens any more
        if self._connected.done() and not self._connected.cancelled():
            self._connected.exception()  # likewise
