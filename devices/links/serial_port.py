"""Opening a serial port on serialx, and what its errors mean to people."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Callable
from typing import Any, Final

import serialx

from firmware_profiles import SerialSettings
from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

__all__ = ["Wire", "nowhere", "open_port", "port_error"]

_GONE: Final = "is gone: the adapter or the instrument was unplugged: plug it in again"
_FORBIDDEN: Final = (
    "may not be opened: add the gateway's user to the group 'dialout', log in again and restart the gateway"
)
_ERRORS: Final[dict[int, tuple[Cause, str]]] = {
    errno.ENOENT: (Cause.PORT_MISSING, "is not there: is the instrument plugged in, and is this its port?"),
    errno.ENODEV: (Cause.PORT_MISSING, "is not there: the adapter was unplugged: plug it in again"),
    errno.ENXIO: (Cause.PORT_MISSING, "is not there: the adapter was unplugged: plug it in again"),
    errno.EIO: (Cause.LINK_LOST, _GONE),
    errno.EACCES: (Cause.PORT_FORBIDDEN, _FORBIDDEN),
    errno.EPERM: (Cause.PORT_FORBIDDEN, _FORBIDDEN),
    errno.EBUSY: (
        Cause.PORT_BUSY,
        "is in use by another program: close that program, or choose another port",
    ),
    errno.EISDIR: (Cause.MISCONFIGURED, "is a folder, not a serial port"),
    errno.ENOTTY: (Cause.MISCONFIGURED, "is not a serial port"),
}


class Wire(asyncio.Protocol):
    """Bytes as they come; reading is paused until the session wants them, so none is lost meanwhile."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.on_data: Callable[[bytes], None] = nowhere

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        if isinstance(transport, asyncio.ReadTransport):
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The port is closed, or gone."""
        if not self.lost.done():
            self.lost.set_result(exc)


def nowhere(_data: bytes) -> None:
    """Where bytes go while nobody listens: reading is paused then, so there are none."""


async def open_port(path: str, line: SerialSettings) -> tuple[Any, Wire]:
    """The port's transport, reading paused, and its wire; serialx gives its transports no common public type.

    Raises LinkError with the path, the cause and what to do.
    """
    wire = Wire()
    try:
        await asyncio.to_thread(os.stat, path)
        transport, _ = await serialx.create_serial_connection(
            asyncio.get_running_loop(),
            lambda: wire,
            path,
            baudrate=line.baudrate,
            byte_size=line.bytesize,
            parity=serialx.Parity(line.parity),
            stopbits=serialx.StopBits(line.stopbits),
        )
    except (OSError, termios.error, serialx.SerialException, ValueError) as error:
        raise port_error(path, error) from error
    return transport, wire


def port_error(path: str, error: Exception) -> LinkError:
    """What the operating system says of a port, in words."""
    number = error.args[0] if error.args else None  # termios.error has no errno
    known = _ERRORS.get(number) if isinstance(number, int) else None
    cause, text = known or (Cause.OTHER, f"cannot be used: {error}")
    return LinkError(f"serial port {path} {text}", path=path, cause=cause.value)
