"""One MQTT 3.1.1 connection that always closes what it opened."""

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

__all__ = ["BrokerAddress", "Connection"]

T = TypeVar("T")

OPERATION_S: Final = 8.0
"""How long the broker may take for a SUBACK or PUBACK before the connection counts as dead."""
CONNACK_S: Final = 4.0
"""... and for a CONNACK: nothing else is on the line then, and a broker that is starting may never answer."""
CONNECT_S: Final = 3.0
CLOSE_S: Final = 2.0
KEEPALIVE_S: Final = 4
"""A link that passes nothing any more is noticed within twice that: alarms wait for it (tests/faults).

Not less: what is in flight on a slow line (8 frames of 8 kB) must fit into that time.
"""
MAX_WAITING: Final = 256
"""Messages in the client's own queue; more are dropped.

What a lost receipt named is sent again; a document that is not in force is published again each minute.
"""
_PORTS: Final = {"mqtt": 1883, "mqtts": 8883}


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker listens and how to log in."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str, username: str | None = None, password: str | None = None) -> BrokerAddress:
        """``mqtt[s]://[user:password@]host[:port]`` -> address; arguments win. Raises ConfigError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
            msg = "the broker address must look like mqtt://host:1883 or mqtts://host:8883"
            raise ConfigError(msg)  # without the text itself: it may hold a password
        user = username if username is not None else parts.username and unquote(parts.username)
        secret = password if password is not None else parts.password and unquote(parts.password)
        return cls(
            parts.hostname,
            port or _PORTS[parts.scheme],
            parts.scheme == "mqtts",
            user or None,
            secret or None,
        )

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"


class Connection(aiomqtt.Client):
    """An ``aiomqtt.Client`` with TCP_NODELAY whose socket and tasks never outlive it.

    The library leaves both behind when it is cancelled or refused while connecting, or when the broker
    stops answering while it disconnects.
    """

    def __init__(
        self, address: BrokerAddress, *, identifier: str, will: aiomqtt.Will | None, pending: int
    ) -> None:
        super().__init__(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=identifier,
            protocol=aiomqtt.ProtocolVersion.V311,
            will=will,
            clean_session=True,
            timeout=OPERATION_S,
            keepalive=KEEPALIVE_S,
            max_inflight_messages=pending,
            max_queued_incoming_messages=MAX_WAITING,
            tls_context=ssl.create_default_context() if address.tls else None,
            # Without it a small frame waits for the acknowledgement of the one before: 40 ms.
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        self.pending_calls_threshold = pending
        self._client.connect_timeout = CONNECT_S

    async def __aenter__(self) -> Self:
        """Connect. Raises aiomqtt.MqttError."""
        connecting = asyncio.create_task(super().__aenter__(), name="mqtt-connect")
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # A thread may still be connecting: see it through (CONNECT_S at most), then undo it.
            if self._client.socket() is None:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait([connecting], timeout=CONNECT_S)
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
            async with asyncio.timeout(CLOSE_S):
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
        """As the library's, but never swallowing a cancellation that comes with the answer.

        ``asyncio.wait_for`` does before Python 3.12, and a task that goes on then keeps its group for ever.
        """
        limit = CONNACK_S if fut is self._connected else self.timeout if timeout is None else timeout
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
