"""The link to an instrument on a serial port, on serialx."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import serialx

from devices.links.base import OnPayload, StepAid
from devices.links.ports import port_facts
from devices.links.serial_listen import LISTEN_S, heard_on, settings_of
from devices.links.serial_noise import NOISE_OF_IDLE, NOISE_S, NoiseWatch
from devices.links.serial_port import Wire, nowhere, open_port, port_error
from devices.links.serial_pulse import Pulse
from devices.links.serial_talk import Talk
from firmware_profiles import DeviceFacts, Framer, Profile, Step
from firmware_profiles.framing.refusals import HEAD
from firmware_profiles.matching import matches
from hearthward.core.clock import SECOND
from hearthward.core.device_states import Cause
from hearthward.core.errors import DecodeError, LinkError

__all__ = ["OnNoise", "SerialLink"]

OnNoise = Callable[[bytes, DecodeError], None]
"""Called with (the refused bytes as far as they are kept, why) for what is no frame of the profile."""


def _nothing_to_do() -> None:
    """Nobody wants to know when listening begins."""


def _noise_limit(profile: Profile | None) -> float:
    """Before the session takes the line for silent: noise is to be told as noise."""
    idle = None if profile is None else profile.timings.idle_s
    return NOISE_S if idle is None else min(NOISE_S, NOISE_OF_IDLE * idle)


class SerialLink:
    """One opening of one port with the profile's line settings; frames are cut by the profile's framer.

    Without a profile ``connect`` tells what the port's adapter says of itself, for matching, and which of the
    ``known`` profiles' frames the instrument sends; it sends nothing itself.
    ``on_subscribed`` is called when the steps are done; ``aid`` gives the time for ``set_time``. From ``run``
    on every byte is read as it comes: most instruments tell no time, that of its coming is the measurement's.
    """

    def __init__(
        self,
        path: str,
        profile: Profile | None,
        *,
        on_noise: OnNoise | None = None,
        noise_s: float | None = None,
        known: Sequence[Profile] = (),
        listen_s: float = LISTEN_S,
    ) -> None:
        self._path = path
        self._profile = profile
        self._on_noise = on_noise
        self._noise_s = _noise_limit(profile) if noise_s is None else noise_s
        self._known = known
        self._listen_s = listen_s
        self._wire: Wire | None = None
        self._transport: Any = None  # serialx gives its transports no common public type
        self.aid: StepAid | None = None
        self.on_subscribed: Callable[[], None] = _nothing_to_do

    @property
    def connect_s(self) -> float:
        """How long connecting may take: a stranger is listened to at each of its settings."""
        return 0.0 if self._profile is not None else self._listen_s * len(settings_of(self._known))

    async def connect(self) -> DeviceFacts:
        """Open the port. Raises LinkError with the path, the cause and what to do."""
        if self._profile is None:
            return await self._stranger()
        line = self._profile.serial
        if line is None:
            msg = f"profile {self._profile.id!r} is not for a serial port, but {self._path} is one"
            raise LinkError(msg, path=self._path, cause=Cause.MISCONFIGURED.value)
        facts = await asyncio.to_thread(port_facts, self._path)
        self._transport, self._wire = await open_port(self._path, line)
        return facts

    async def _stranger(self) -> DeviceFacts:
        """What the adapter says of itself; where that tells nothing, what the instrument sends by itself."""
        if not await asyncio.to_thread(os.path.exists, self._path):
            raise port_error(self._path, FileNotFoundError(errno.ENOENT, "not there"))
        facts = await asyncio.to_thread(port_facts, self._path)
        if any(matches(one.document.match, "serial", facts) for one in self._known):
            return facts
        return replace(facts, hears=await heard_on(self._path, self._known, listen_s=self._listen_s))

    async def run(self, steps: Sequence[Step], on_payload: OnPayload) -> None:
        """Do the steps, then hand over frames until the port goes away. Raises LinkError."""
        wire, profile = self._wire, self._profile
        if wire is None or profile is None or self._transport is None:
            msg = f"serial port {self._path} is not open"
            raise LinkError(msg, path=self._path, cause=Cause.INTERNAL.value)
        framer = profile.framer()
        noise = NoiseWatch(self._path, self._noise_s)
        loop = asyncio.get_running_loop()
        pulse = Pulse(loop.time)
        untimed = profile.document.time is None

        def feed(data: bytes) -> None:
            if untimed and (stalled_s := pulse.stalled_s()):
                self._too_old(framer, data, stalled_s)
                return
            now = round(loop.time() * SECOND)
            framed = framer.feed(data, now)
            noise.heard(frames=any(not isinstance(item, DecodeError) for item in framed))
            for item in framed:
                if isinstance(item, DecodeError):
                    self._refused(item)
                else:
                    on_payload(item.source, item.payload, now - item.at)

        talk = Talk(self._path, self._write, feed, lambda: framer.in_frame)
        wire.on_data = talk.hear
        if not self._transport.is_closing():
            self._transport.resume_reading()
        beating = asyncio.create_task(pulse.run(), name=f"pulse of {self._path}")
        try:
            await self._unless_lost(wire, talk.do([s for s in steps if s.kind != "keepalive"], self.aid))
            self.on_subscribed()
            alive = [step for step in steps if step.kind == "keepalive"]
            await self._unless_lost(wire, self._stream(talk, alive, noise))
        finally:
            beating.cancel()
            self._pause_reading()
            wire.on_data = nowhere
            self._end(framer)

    async def _stream(self, talk: Talk, alive: Sequence[Step], noise: NoiseWatch) -> None:
        """Keep the instrument going, until there is only noise."""
        keeper = asyncio.create_task(talk.keep_alive(alive), name=f"keep {self._path} alive")
        try:
            raise await noise.only
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])

    async def _unless_lost(self, wire: Wire, work: Coroutine[Any, Any, None]) -> None:
        """Do ``work``; the port's going away ends it with LinkError."""
        task = asyncio.create_task(work, name=f"serial port {self._path}")
        either: list[asyncio.Future[Any]] = [task, wire.lost]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if wire.lost.done():
            if not task.cancelled():
                task.exception()  # the loss explains it
            raise port_error(self._path, wire.lost.result() or OSError(errno.EIO, "closed"))
        await task

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError, serialx.SerialException):  # the wire tells that it is lost
                self._transport.write(data)

    def _refused(self, error: DecodeError) -> None:
        if self._on_noise is not None:
            self._on_noise(bytes.fromhex(str(error.details.get("head") or "")), error)

    def _too_old(self, framer: Framer, data: bytes, stalled_s: float) -> None:
        """Bytes that waited while this process stood still: their measurements have no time but now."""
        self._end(framer)
        msg = f"{framer.source}: {len(data)} bytes may be {stalled_s:.0f} s old: the gateway stood still"
        self._refused(DecodeError(msg, reason="stale", head=data[:HEAD].hex(), skipped=len(data)))

    def _end(self, framer: Framer) -> None:
        """What the framer has not told yet."""
        for error in framer.end():
            self._refused(error)

    def _pause_reading(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    async def close(self) -> None:
        """Say farewell as the profile knows how, close the port and wait until it is closed."""
        transport, self._transport = self._transport, None
        wire, self._wire = self._wire, None
        if transport is None or wire is None:
            return
        if (farewell := self._farewell()) and not transport.is_closing():
            with contextlib.suppress(OSError, serialx.SerialException):
                transport.write(farewell)  # at once into the system's buffer, or never: nobody need take it
        transport.abort()
        await asyncio.shield(wire.lost)

    def _farewell(self) -> bytes:
        transport = None if self._profile is None else self._profile.document.transport
        return bytes.fromhex(transport.farewell or "") if transport is not None else b""
