"""A control point of memory: the fake of the ``ControlPoint`` port, over a store that answers by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from devices.links.base import OnPayload
from hearthward.core.errors import LinkError

__all__ = ["FakeControlPoint", "Tell"]


Tell = Callable[[bytes], tuple[Sequence[tuple[str, bytes]], bytes]]
"""A request -> the payloads (source, bytes) that it brings, and the indication after them."""


class FakeControlPoint:
    """Answers each request in a task of its own, payload by payload.

    Set ``refusals`` to attribute errors for the next writes, ``mute`` to answer nothing, ``early`` to
    indicate before the last payload, ``twice`` to tell each answer again after the next request; call ``cut``
    after so many further payloads. ``requests`` is what was written.
    """

    def __init__(self, tell: Tell, on_payload: OnPayload) -> None:
        self._tell = tell
        self._on_payload = on_payload
        self._answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._telling: asyncio.Task[None] | None = None
        self._left: int | None = None
        self._lost = False
        self.refusals: list[int] = []
        self.mute = self.early = self.twice = False
        self._former = b""
        self.requests: list[bytes] = []
        self.subscriptions = 0

    def cut(self, after: int) -> None:
        """Lose the connection after so many further payloads."""
        self._left = after

    async def subscribe(self) -> None:
        """See the port."""
        self._check()
        self.subscriptions += 1

    async def write(self, request: bytes) -> None:
        """See the port."""
        await asyncio.sleep(0)
        self._check()
        self.requests.append(request)
        if self.refusals:
            msg = "the fake device refuses"
            raise LinkError(msg, att=self.refusals.pop(0))
        if self._telling is not None and request[:1] == b"\x03":
            self._telling.cancel()
        while not self._answers.empty():
            self._answers.get_nowait()
        payloads, answer = self._tell(request)
        if self.twice and self._former:
            self._answers.put_nowait(self._former)
        self._former = answer
        self._telling = asyncio.create_task(self._answer(payloads, answer), name="fake store")

    def _check(self) -> None:
        if self._lost or self._left == 0:
            self._lose()
            msg = "the fake device went away"
            raise LinkError(msg)

    def _lose(self) -> None:
        self._lost = True
        self._answers.put_nowait(None)

    async def _answer(self, payloads: Sequence[tuple[str, bytes]], answer: bytes) -> None:
        for _ in range(10 * self.twice):  # the record after it takes its time on the air
            await asyncio.sleep(0)
        for n, (source, payload) in enumerate(payloads):
            await asyncio.sleep(0)
            if self._left == 0:
                self._lose()
                return
            if self._left is not None:
                self._left -= 1
            if self.early and n == len(payloads) - 1:
                self._answers.put_nowait(answer)
            self._on_payload(source, payload)
        if not self.mute and not (self.early and payloads):
            self._answers.put_nowait(answer)

    async def answer(self, within_s: float) -> bytes:
        """See the port; raises LinkError when the connection was cut."""
        async with asyncio.timeout(within_s):
            answer = await self._answers.get()
        if answer is None:
            self._lose()
            self._check()
            raise AssertionError
        return answer

    async def close(self) -> None:
        """Stop telling."""
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.wait({self._telling})
