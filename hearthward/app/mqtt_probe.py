"""One MQTT round trip, the only health check of a broker that means anything.

An open port says little: a nats-server with a garbled store opens it at once and never answers a session.
So the probe connects (clean session), subscribes, publishes with QoS 1 and waits for both the PUBACK and its
own message. Written against MQTT 3.1.1 (OASIS) with asyncio streams alone, so that it can be cancelled at
any point and leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
from typing import Final

from hearthward.core.errors import UplinkError
from hearthward.core.ids import Ids

__all__ = ["round_trip"]

_CONNACK, _PUBLISH, _PUBACK, _SUBACK = 2, 3, 4, 9
_MAX_PACKET: Final = 1 << 16
_KEEPALIVE_S: Final = 30
_REASONS: Final = {
    1: "protocol version refused",
    2: "client id refused",
    3: "not available",
    4: "wrong user name or password",
    5: "not authorised",
}


async def round_trip(
    host: str,
    port: int,
    *,
    ids: Ids,
    timeout_s: float = 5.0,
    username: str | None = None,
    password: str | None = None,
    tls: bool = False,
) -> None:
    """Return once a message has gone through the broker and come back. Raises UplinkError saying why not."""
    where = f"broker at {host}:{port}"
    try:
        async with asyncio.timeout(timeout_s):
            context = ssl.create_default_context() if tls else None
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            try:
                await _converse(reader, writer, ids.new("probe"), username, password)
            finally:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except TimeoutError as error:
        msg = f"{where} did not carry a message within {timeout_s:g} s"
        raise UplinkError(msg, host=host, port=port) from error
    except asyncio.IncompleteReadError as error:
        msg = f"{where} closed the connection"
        raise UplinkError(msg, host=host, port=port) from error
    except OSError as error:
        msg = f"{where} cannot be reached: {error.strerror or error}"
        raise UplinkError(msg, host=host, port=port) from error


async def _converse(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    probe: str,
    username: str | None,
    password: str | None,
) -> None:
    writer.write(_connect(probe, username, password))
    answer = await _expect(reader, _CONNACK)
    if answer[1]:
        msg = f"broker refuses the connection: {_REASONS.get(answer[1], f'code {answer[1]}')}"
        raise UplinkError(msg, code=answer[1])
    topic = _text(f"hw/1/probe/{probe}")
    writer.write(_packet(0x82, struct.pack(">H", 1) + topic + b"\x00"))
    answer = await _expect(reader, _SUBACK)
    if answer[2] > 1:
        msg = "broker refuses the probe's subscription"
        raise UplinkError(msg)
    writer.write(_packet(0x32, topic + struct.pack(">H", 2) + probe.encode()))
    waiting = {_PUBLISH, _PUBACK}
    while waiting:
        kind, body = await _read(reader)
        if kind == _PUBLISH and not body.endswith(probe.encode()):
            continue
        waiting.discard(kind)
    writer.write(b"\xe0\x00")


def _text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def _packet(kind: int, body: bytes) -> bytes:
    length, n = bytearray(), len(body)
    while True:
        n, digit = divmod(n, 128)[0], n % 128
        length.append(digit | (0x80 if n else 0))
        if not n:
            return bytes([kind]) + bytes(length) + body


def _connect(client: str, username: str | None, password: str | None) -> bytes:
    flags, tail = 0x02, _text(client)
    if username is not None:
        flags |= 0x80
        tail += _text(username)
        if password is not None:
            flags |= 0x40
            tail += _text(password)
    return _packet(0x10, _text("MQTT") + bytes([4, flags]) + struct.pack(">H", _KEEPALIVE_S) + tail)


async def _expect(reader: asyncio.StreamReader, kind: int) -> bytes:
    _, body = await _read(reader, kind)
    if len(body) < (3 if kind == _SUBACK else 2):
        msg = "broker's answer is too short for MQTT 3.1.1"
        raise UplinkError(msg)
    return body


async def _read(reader: asyncio.StreamReader, wanted: int | None = None) -> tuple[int, bytes]:
    (head,) = await reader.readexactly(1)
    if wanted is not None and head >> 4 != wanted:
        msg = f"broker answers with packet type {head >> 4} instead of {wanted}: not MQTT 3.1.1?"
        raise UplinkError(msg)
    length = shift = 0
    while True:
        (digit,) = await reader.readexactly(1)
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            break
        if shift > 21:  # noqa: PLR2004 - at most four digits of seven bits
            msg = "broker's answer is not MQTT"
            raise UplinkError(msg)
    if length > _MAX_PACKET:
        msg = f"broker's answer of {length} bytes is not MQTT"
        raise UplinkError(msg)
    return head >> 4, await reader.readexactly(length)
