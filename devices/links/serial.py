"""The link to an instrument on a serial port, on serialx."""

from __future__ import annotations

import asyncio
import errno
import os
import termios
from collections.abc import Callable, Sequence
from typing import Any, Final

import serialx

from devices.links.base import OnPayload
from devices.links.ports import port_facts
from firmware_profiles import DeviceFacts, Profile, Step
from hearthward.core.errors import DecodeError, LinkError

__all__ = ["OnNoise", "SerialLink"]

OnNoise = Callable[[bytes, DecodeError], None]
"""Called with (the refused bytes as far as they are kept, why) for what is no frame of the profile."""

_CAUSES: Final[dict[int, str]] = {
    errno.ENOENT: "is not there: is the instrument plugged in, and is this its port?",
    errno.ENODEV: "is not there: the adapter was unplugged",
    errno.ENXIO: "is not there: the adapter was unplugged",
    errno.EIO: "is gone: the adapter or the instrument was unplugged",
    errno.EACCES: "may not be opened: add the gateway's user to the group 'dialout' and log in again",
    errno.EPERM: "may not be opened: add the gateway's user to the group 'dialout' and log in again",
    errno.EBUSY: "is in use by another program",
    errno.EISDIR: "is a folder, not a serial port",
    errno.ENOTTY: "is not a serial port",
}


class _Wire(asyncio.Protocol):
    """Bytes as they come; reading is paused until the session wants them, so none is lost meanwhile."""

    def __init__(self) -> None:
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.on_data: Callable[[bytes], None] = _nowhere

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.ReadTransport):
            transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.on_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(exc)


def _nothing_to_do() -> None:
    """Nobody wants to know when listening begins."""


def _nowhere(_data: bytes) -> None:
    """Where bytes go while nobody listens: reading is paused then, so there are none."""


class SerialLink:
    """One opening of one port with the profile's line settings; frames are cut by the profile's framer.

    Without a profile ``connect`` only tells what the port's adapter says of itself, for matching.
    ``on_subscribed`` is called when listening begins; ``pause`` and ``resume`` push back on the
    instrument's bytes (they wait in the operating system).
    """

    def __init__(self, path: str, profile: Profile | None, *, on_noise: OnNoise | None = None) -> None:
        self._path = path
        self._profile = profile
        self._on_noise = on_noise
        self._wire: _Wire | None = None
        self._transport: Any = None  # serialx gives its transports no common public type
        self._listening = False
        self._held = False
        self.on_subscribed: Callable[[], None] = _nothing_to_do

    async def connect(self) -> DeviceFacts:
        """Open the port. Raises LinkError with the path, the cause and what to do."""
        try:
            await asyncio.to_thread(os.stat, self._path)
        except OSError as error:
            raise self._failed(error) from error
        facts = await asyncio.to_thread(port_facts, self._path)
        if self._profile is None:
            return facts
        line = self._profile.serial
        if line is None:
            msg = f"profile {self._profile.id!r} is not for a serial port, but {self._path} is one"
            raise LinkError(msg, path=self._path)
        wire = _Wire()
        try:
            self._transport, _ = await serialx.create_serial_connection(
                asyncio.get_running_loop(),
                lambda: wire,
                self._path,
                baudrate=line.baudrate,
                byte_size=line.bytesize,
                parity=serialx.Parity(line.parity),
                stopbits=serialx.StopBits(line.stopbits),
            )
        except (OSError, termios.error, serialx.SerialException, ValueError) as error:
            raise self._failed(error) from error
        self._wire = wire
        return facts

    async def run(self, steps: Sequence[Step], on_payload: OnPayload) -> None:
        """Hand over frames until the port goes away. Raises LinkError."""
        wire = self._wire
        if wire is None or self._profile is None or self._transport is None:
            msg = f"serial port {self._path} is not open"
            raise LinkError(msg, path=self._path)
        for step in steps:
            msg = f"profile {self._profile.id!r} has a step that a serial port cannot do: {step}"
            raise LinkError(msg, path=self._path)
        framer = self._profile.framer()

        def on_data(data: bytes) -> None:
            for item in framer.feed(data):
                if not isinstance(item, DecodeError):
                    on_payload(item.source, item.payload)
                elif self._on_noise is not None:
                    self._on_noise(bytes.fromhex(str(item.details.get("head") or "")), item)

        wire.on_data = on_data
        self._listening = True
        if not self._held:
            self.resume()
        self.on_subscribed()
        try:
            error = await asyncio.shield(wire.lost)
        finally:
            self._listening = False
            self._pause_reading()
            wire.on_data = _nowhere
        raise self._failed(error or OSError(errno.EIO, "closed"))

    def pause(self) -> None:
        """Stop reading; the instrument's bytes wait in the operating system's buffer."""
        self._held = True
        self._pause_reading()

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        self._held = False
        if self._listening and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    async def close(self) -> None:
        """Close the port and wait until it is closed."""
        transport, self._transport = self._transport, None
        wire, self._wire = self._wire, None
        if transport is None or wire is None:
            return
        transport.abort()
        await asyncio.shield(wire.lost)

    def _failed(self, error: Exception) -> LinkError:
        number = error.args[0] if error.args else None  # termios.error has no errno
        cause = _CAUSES.get(number) if isinstance(number, int) else None
        msg = f"serial port {self._path} {cause or f'cannot be used: {error}'}"
        return LinkError(msg, path=self._path)
