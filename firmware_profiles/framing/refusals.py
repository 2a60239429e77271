"""Refused bytes, told at a bounded rate: a wrong baud rate must not make thousands of errors a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from hearthward.core.errors import DecodeError

__all__ = ["BURST", "EVERY", "HEAD", "RUN", "Reason", "Refusals"]

Reason = Literal["integrity", "malformed", "oversized"]

HEAD: Final = 32
"""So many of the refused bytes are kept."""
RUN: Final = 256
"""A run of noise without an end is told in pieces of so many bytes."""
EVERY: Final = 4096
"""In the long run at most one error (of each reason) for so many bytes of the stream; no clock is needed."""
BURST: Final = 8
"""So many single faults are told one by one before they are put together."""


@dataclass(slots=True)
class _Tally:
    message: str
    head: bytes
    count: int = 0
    skipped: int = 0


class Refusals:
    """Refusals of one stream, put together when there are many; none is lost, ``end`` tells the rest."""

    __slots__ = ("_credit", "_last", "_source", "_tallies")

    def __init__(self, source: str) -> None:
        self._source = source
        self._tallies: dict[Reason, _Tally] = {}
        self._credit = BURST * EVERY
        self._last = 0

    def refuse(self, at: int, reason: Reason, message: str, head: bytes, skipped: int) -> list[DecodeError]:
        """Note one refusal ending at byte ``at`` of the stream; returns what may be told now."""
        tally = self._tallies.get(reason)
        if tally is None:
            tally = self._tallies[reason] = _Tally(message, head[:HEAD])
        tally.count += 1
        tally.skipped += skipped
        return self.due(at)

    def due(self, at: int) -> list[DecodeError]:
        """What may be told now that the stream has come to byte ``at``."""
        self._credit = min(BURST * EVERY, self._credit + at - self._last)
        self._last = at
        if not self._tallies or self._credit < EVERY:
            return []
        self._credit -= EVERY
        return self.end()

    def end(self) -> list[DecodeError]:
        """Everything that has not been told yet."""
        told = [self._error(reason, tally) for reason, tally in self._tallies.items()]
        self._tallies.clear()
        return told

    def _error(self, reason: Reason, tally: _Tally) -> DecodeError:
        more = f" ({tally.count} times, {tally.skipped} bytes in all)" if tally.count > 1 else ""
        return DecodeError(
            f"{self._source}: {tally.message}{more}",
            reason=reason,
            source=self._source,
            head=tally.head.hex(),
            count=tally.count,
            skipped=tally.skipped,
        )
