"""The steps of a session on a serial line: send, wait for an answer, set the clock, keep alive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

from hearthward.core.device_states import Cause
from hearthward.core.errors import LinkError

if TYPE_CHECKING:
    from devices.links.base import StepAid
    from firmware_profiles import Step

__all__ = ["ANSWER_S", "Talk", "nonin_set_time"]

logger = logging.getLogger(__name__)

ANSWER_S: Final = 3.0
"""How long to wait for an answer where the profile does not say."""

ACK: Final = b"\x06"


def nonin_set_time(at: datetime) -> bytes:
    """Nonin's command 0x72: two digits of the year, month, day, hour, minute, second; answered by ACK (06).

    Source: what published hosts of a 9560 send; read it again in the maker's specification before relying
    on it with another model.
    """
    clock = (at.year % 100, at.month, at.day, at.hour, at.minute, at.second)
    return bytes((0x02, 0x72, len(clock), *clock, 0x03))


_CLOCKS: Final[dict[str, tuple[Callable[[datetime], bytes], bytes]]] = {"nonin": (nonin_set_time, ACK)}
"""Maker -> (the command, its answer)."""


class _Awaited:
    """Bytes that the line is to bring."""

    def __init__(self, pattern: bytes) -> None:
        self.pattern = pattern
        self.found: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.held = b""  # what may be the beginning of the pattern

    def begins(self, data: bytes) -> int:
        """Where in ``data`` the pattern stands, or may begin at its end; behind it all if nowhere."""
        at = data.find(self.pattern)
        if at >= 0:
            return at
        most = min(len(self.pattern) - 1, len(data))
        keep = next((n for n in range(most, 0, -1) if self.pattern.startswith(data[-n:])), 0)
        return len(data) - keep


class Talk:
    """Does the steps on one open line; ``write`` sends, ``feed`` gets every byte that is no answer.

    ``in_frame`` says whether the bytes fed last may begin a frame: an answer does not stand within one, so
    those bytes of a frame that look like it stay in it. An ``expect`` that is tried again sends again what
    the step before it sent.
    """

    def __init__(
        self,
        path: str,
        write: Callable[[bytes], None],
        feed: Callable[[bytes], None],
        in_frame: Callable[[], bool] = lambda: False,
    ) -> None:
        self._path = path
        self._write = write
        self._feed = feed
        self._in_frame = in_frame
        self._awaited: _Awaited | None = None

    def hear(self, data: bytes) -> None:
        """Bytes from the line."""
        awaited = self._awaited
        if awaited is not None and not awaited.found.done():
            data = self._unanswered(awaited, data)
        if data:
            self._feed(data)

    def _unanswered(self, awaited: _Awaited, data: bytes) -> bytes:
        """Feed what comes before the answer; returns what comes after it."""
        data, awaited.held = awaited.held + data, b""
        while data:
            at = awaited.begins(data)
            if at:
                self._feed(data[:at])
            data = data[at:]
            if not data:
                break
            if self._in_frame():
                self._feed(data[:1])
                data = data[1:]
            elif data.startswith(awaited.pattern):
                awaited.found.set_result(None)
                return data[len(awaited.pattern) :]
            else:
                awaited.held = data
                break
        return b""

    async def do(self, steps: Sequence[Step], aid: StepAid | None) -> None:
        """Do the steps in their order. Raises LinkError for an answer that does not come."""
        sent = b""
        i = 0
        while i < len(steps):
            step, i = steps[i], i + 1
            if step.kind == "delay":
                await asyncio.sleep(step.seconds or 0.0)
            elif step.kind == "send":
                sent = step.data
                if i < len(steps) and steps[i].kind == "expect":  # listen before it can answer
                    await self._ask(sent, steps[i])
                    i += 1
                else:
                    self._write(sent)
            elif step.kind == "expect":
                await self._ask(b"", step)
            elif step.kind == "set_time":
                await self._set_time(step, aid)
            else:
                msg = f"serial port {self._path} cannot do the profile's step {step.kind!r}"
                raise LinkError(msg, path=self._path, cause=Cause.MISCONFIGURED.value)

    async def keep_alive(self, steps: Sequence[Step]) -> None:
        """Send the bytes of the ``keepalive`` steps again and again, until cancelled."""
        loop = asyncio.get_running_loop()
        due = {step: loop.time() + (step.seconds or 0.0) for step in steps if step.seconds}
        while due:
            step = min(due, key=lambda one: due[one])
            await asyncio.sleep(max(0.0, due[step] - loop.time()))
            self._write(step.data)
            due[step] = loop.time() + (step.seconds or 0.0)

    async def _set_time(self, step: Step, aid: StepAid | None) -> None:
        time = None if aid is None else aid.local_time()
        if aid is None or time is None:
            logger.info(
                "serial port %s: the clock is not set, for the gateway's own time is not known", self._path
            )
            return
        command, answer = _CLOCKS[step.characteristic]
        if await self._ask(command(time.naive), step, answer):
            aid.clock_set()

    async def _ask(self, question: bytes, step: Step, answer: bytes = b"") -> bool:
        """Whether it was answered. Raises LinkError where it had to be."""
        within = step.seconds or ANSWER_S
        pattern = answer or step.data
        for _ in range(1 + step.retries):
            if await self._answered(question, pattern, within):
                return True
        if step.optional:
            return False
        asked = f" to {question.hex(' ')}" if question else ""
        msg = (
            f"serial port {self._path}: no answer {pattern.hex(' ')}{asked} within {within:g} s: is the "
            f"instrument on, and is the profile the right one for it?"
        )
        raise LinkError(msg, path=self._path, cause=Cause.SILENT.value)

    async def _answered(self, question: bytes, pattern: bytes, within: float) -> bool:
        awaited = self._awaited = _Awaited(pattern)
        try:
            if question:
                self._write(question)
            async with asyncio.timeout(within):
                await awaited.found
        except TimeoutError:
            return False
        finally:
            self._awaited = None
            if awaited.held:
                self._feed(awaited.held)
        return True
