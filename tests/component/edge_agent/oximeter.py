"""An oximeter with a pleth on a serial port, told what to say byte by byte."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from devices.twins.pty import PtyTwin

__all__ = ["PACKET", "Oximeter", "packets"]

PACKET: Final = 25
"""Samples in one packet of a Nonin's format 2."""


class Oximeter(PtyTwin):
    """A Nonin that says what the test wants: SpO2 97, a packet's samples, a pulse never twice the same."""

    profile = "nonin-df2"
    _pulse = 72

    def express(self, _metric: str, value: float) -> float:
        return value

    def _received(self, _data: bytes) -> None:
        self._say(b"\x06")

    async def send(self, samples: Iterable[int]) -> None:
        slots = {1: self._pulse, 2: 97}
        self._pulse = 145 - self._pulse
        out = b""
        for n, sample in enumerate(samples):
            frame = bytes([1, 0x81 if n == 0 else 0x80, sample, slots.get(n, 0)])
            out += frame + bytes([sum(frame) & 255])
        await self.send_raw(out)


def packets(first: int, count: int) -> list[list[int]]:
    """Packets whose samples count on, as far as a byte goes."""
    return [[(first + PACKET * p + n) % 256 for n in range(PACKET)] for p in range(count)]
