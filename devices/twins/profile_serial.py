"""A twin of any serial profile: frames at the instrument's pace, answers to commands, a bad line."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devices.twins.base import OneFrame
from devices.twins.clocks import TwinClock
from devices.twins.encoder import Content, ProfileEncoder
from devices.twins.pty import PtyTwin
from devices.twins.streams import on_the_wire
from devices.twins.waveforms import pulse_samples
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError, LinkError
from hearthward.core.model import Quality

if TYPE_CHECKING:
    from firmware_profiles.profile import Profile

__all__ = ["PATIENCE_S", "ProfileSerialTwin"]

PATIENCE_S: Final = 5.0
"""An instrument that is to be kept alive stops so long after the last time it was."""
_INBOX: Final = 256
_NONIN: Final = re.compile(rb"\x02[\x70\x72]")
_SET_TIME: Final = 0x72
_ACK: Final = b"\x06"


class ProfileSerialTwin(OneFrame, PtyTwin):
    """Sends the frame of the profile's framing (a ``Twin``).

    Where the session sends commands it is silent until the last of them came, answers those that are
    waited for, and stops without its keep-alive, at a farewell, or when the port is closed. ``written`` is
    everything that came. ``wrong_baud``: what it sends arrives as garbage.
    """

    def __init__(
        self,
        id: str,  # noqa: A002
        profile: Profile,
        *,
        clock: Clock | None = None,
        device_clock: TwinClock | None = None,
        link_path: Path | None = None,
        patience_s: float = PATIENCE_S,
        wrong_baud: bool = False,
    ) -> None:
        framing, transport = profile.document.framing, profile.document.transport
        if framing is None or transport is None:
            msg = f"profile {profile.id!r} has no framing: it is not for a serial port"
            raise ConfigError(msg, profile=profile.id)
        self.profile = profile.id
        self.device_clock = device_clock or TwinClock(clock)
        self.wrong_baud = wrong_baud
        self.written = b""
        self._framing = framing
        self._encoder = ProfileEncoder(profile).frames[framing.source]
        self.metrics = self._encoder.metrics
        self._waves = [spec for spec in self._encoder.frame.fields if spec.wave]
        self._sampled = 0
        self._interval_s = profile.expected_interval_s or 1.0
        self._answers = _answers(profile)
        self._commands = [step.data for step in profile.session if step.kind == "send"]
        clocks = {step.characteristic for step in profile.session if step.kind == "set_time"}
        self._speaks_nonin = "nonin" in clocks
        self._alive = bytes.fromhex(transport.keepalive.hex) if transport.keepalive else b""
        self._farewell = bytes.fromhex(transport.farewell or "")
        self._patience_ns = round(patience_s * SECOND)
        self._told = 0
        self._last_alive = 0
        self._inbox = b""
        self._kept: list[bytes] = []
        self._streaming: asyncio.Task[None] | None = None
        super().__init__(id, clock=clock, link_path=link_path)

    # ------------------------------------------------------------------ what it measures

    async def send(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Send one payload, with the waveforms that belong to it. Raises ValueError, LinkError."""
        expressed = self._expressed(values)
        await self.send_raw(self.bytes_of(expressed, device_time))
        return expressed

    def keep(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        """Measure while nobody listens; what comes of it once the instrument is told to send, as expressed.

        Raises:
            ValueError: as ``send``, or an instrument whose frames say no time: it keeps nothing.
        """
        if not self._encoder.clock:
            msg = f"{self.id}: a {self.profile} keeps nothing"
            raise ValueError(msg)
        expressed = self._expressed(values)
        self._kept.append(self.bytes_of(expressed, device_time, Quality.FROM_STORE & self._encoder.grades))
        return expressed

    @property
    def kept(self) -> int:
        """How many payloads wait in its memory."""
        return len(self._kept)

    def bytes_of(
        self,
        values: Mapping[str, float],
        device_time: datetime | None = None,
        quality: Quality = Quality(0),  # noqa: B008 - a flag
    ) -> bytes:
        """What ``send`` would put on the line: to be cut, mixed with noise, sent twice. Raises ValueError."""
        at = device_time if device_time is not None else self.device_clock.now()
        beats = values.get("pulse_rate") or values.get("heart_rate") or 60.0
        waves, sampled = {}, 0
        for spec in self._waves:
            if spec.wave is not None:
                sampled = spec.wave.count or round(spec.wave.rate_hz * self._interval_s)
                waves[spec.wave.metric] = pulse_samples(spec, self._sampled, sampled, beats)
        payload = self._encoder.encode(Content(values, waves=waves, at=at, quality=quality))
        self._sampled += sampled
        return on_the_wire(self._framing, payload)

    async def send_raw(self, data: bytes) -> None:
        """Send any bytes. Raises LinkError when nobody reads, or it was not told to send; never waits."""
        if self.wrong_baud:
            data = bytes(byte ^ 0xFF if n % 3 else byte >> 1 for n, byte in enumerate(data))
        await super().send_raw(data)

    def stream(self, values: Mapping[str, float]) -> None:
        """Send these values at the instrument's own pace from now on, whenever somebody listens."""
        self.stop_streaming()
        self._streaming = asyncio.get_running_loop().create_task(
            self._stream(dict(values)), name=f"stream {self.id}"
        )

    def stop_streaming(self) -> None:
        """Send nothing by itself any more."""
        if self._streaming is not None:
            self._streaming.cancel()
            self._streaming = None

    @property
    def confirmations(self) -> int:
        """How many further payloads a framer waits for before it believes the first."""
        return max(0, -(-self._framing.lock // (self._framing.group or 1)) - 1)

    @property
    def pace_s(self) -> float:
        """Seconds from payload to payload."""
        for spec in self._waves:
            if spec.wave is not None and spec.wave.count:
                return spec.wave.count / spec.wave.rate_hz
        return self._interval_s

    async def _stream(self, values: Mapping[str, float]) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            if self.ready():
                with contextlib.suppress(LinkError):
                    await self.send(values)
            due = max(due + self.pace_s, loop.time())
            await asyncio.sleep(due - loop.time())

    # ------------------------------------------------------------------ what it is told

    def ready(self) -> bool:
        """Whether somebody reads the port and has told it to send."""
        if not super().ready() or self._told < len(self._commands):
            return False
        if self._alive and self._clock.monotonic_ns() - self._last_alive > self._patience_ns:
            self._told = 0
            return False
        return True

    def _hung_up(self) -> None:
        self._told = 0
        self._inbox = b""

    def _received(self, data: bytes) -> None:
        self.written += data
        self._inbox = (self._inbox + data)[-_INBOX:]
        self._last_alive = self._clock.monotonic_ns() if self._understood() else self._last_alive
        while self._kept and self._told == len(self._commands) and self._say(self._kept[0]):
            del self._kept[0]
        self._changed.set()

    def _understood(self) -> bool:
        """Take the commands out of what came; whether there was one."""
        found = False
        while (command := self._next_command()) is not None:
            found = True
            if command == self._farewell and command not in self._commands[self._told :]:
                self._told = 0
            elif self._told < len(self._commands) and command == self._commands[self._told]:
                self._told += 1
            if answer := self._answers.get(command):
                self._say(answer)
        return found

    def _next_command(self) -> bytes | None:
        """The first known command in the inbox, taken out with what stood before it."""
        known = {*self._commands, self._alive, self._farewell} - {b""}
        places = [(at, command) for command in known if (at := self._inbox.find(command)) >= 0]
        nonin = self._nonin_command()
        if nonin is not None and (not places or nonin[0] < min(places)[0]):
            self._obey(nonin[1])
            places = [nonin]
        if not places:
            return None
        at, command = min(places, key=lambda one: (one[0], -len(one[1])))
        self._inbox = self._inbox[at + len(command) :]
        return command

    def _nonin_command(self) -> tuple[int, bytes] | None:
        """Where the first whole Nonin command stands: 02, operation, length, data, 03."""
        found = _NONIN.search(self._inbox) if self._speaks_nonin else None
        if found is None:
            return None
        at = found.start()
        size = 4 + self._inbox[at + 2] if len(self._inbox) > at + 2 else 0
        command = self._inbox[at : at + size]
        return (at, command) if size and len(command) == size else None

    def _obey(self, command: bytes) -> None:
        """A command of the maker's own: the time is set, every one is answered with ACK."""
        data = command[3:-1]
        if command[1] == _SET_TIME and len(data) == 6:  # noqa: PLR2004 - year to second
            with contextlib.suppress(ValueError):
                self.device_clock.set(datetime(2000 + data[0], *data[1:]))  # noqa: DTZ001
        self._say(_ACK)

    async def close(self) -> None:
        """Unplug for good. Harmless more than once."""
        self.stop_streaming()
        await super().close()


def _answers(profile: Profile) -> dict[bytes, bytes]:
    """Command -> what the session waits for after it."""
    out: dict[bytes, bytes] = {}
    for step, after in pairwise(profile.session):
        if step.kind == "send" and after.kind == "expect":
            out[step.data] = after.data
    return out
