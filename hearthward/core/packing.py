"""How all messages between edge and cloud are packed: MessagePack, the version first."""

from __future__ import annotations

from typing import Any, Final, cast

import msgpack

from hearthward.core.errors import DecodeError

__all__ = ["MAX_MESSAGE_BYTES", "VERSION", "pack", "unpack", "unpack_any"]

VERSION: Final = 2
"""Of all messages; 2: sessions, signed receipts and documents, accounts (1 was the first release's)."""
MAX_MESSAGE_BYTES: Final = 1 << 20
"""A larger message is refused unread (nats-server's own default limit of a payload)."""


def pack(value: object) -> bytes:
    """Plain data -> bytes."""
    return cast("bytes", msgpack.packb(value))


def unpack(payload: bytes, what: str, version: int = VERSION) -> list[Any]:
    """The parts after the version, whatever they are: callers check. Raises DecodeError."""
    return unpack_any(payload, what, (version,))[1]


def unpack_any(payload: bytes, what: str, versions: tuple[int, ...]) -> tuple[int, list[Any]]:
    """The version, one of ``versions``, and the parts after it. Raises DecodeError."""
    if len(payload) > MAX_MESSAGE_BYTES:
        msg = f"{what} of {len(payload)} bytes exceeds {MAX_MESSAGE_BYTES}"
        raise DecodeError(msg, reason="oversized")
    try:
        parts: list[Any]
        found, *parts = msgpack.unpackb(payload, strict_map_key=True, raw=False)
    except Exception as error:
        msg = f"{what} is not msgpack: {type(error).__name__}"
        raise DecodeError(msg, reason="malformed") from error
    if type(found) is not int or found not in versions:
        known = " and ".join(map(str, versions))
        msg = f"{what} of version {found!r:.20}; this software reads {known}"
        raise DecodeError(msg, reason="version")
    return found, parts
