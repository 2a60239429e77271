"""How far gateways' clocks are off, by our own: what they sent with a wrong one is corrected backwards.

A frame says what its gateway's clocks showed when it was sent, the one of the wall and the one that only
grows. The latter tells how long a frame was on its way beyond the quickest of its session, so that a frame
that waited in a queue is not taken for one of a clock that is behind.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from hearthward.core.clock import SECOND, told_by_device
from hearthward.core.model import Quality, ReadingBatch
from hearthward.core.wire import Frame

__all__ = ["GatewayClocks", "Seen", "correct"]

STEADY_NS: Final = SECOND
"""Offsets that differ by less are one: the order of a session's readings is not shuffled by jitter."""
MAX_SESSIONS: Final = 10_000
OFFSETS_KEPT: Final = 8
"""Of one session: what it accepted before its clock was set is sent with that clock."""
DRIFT: Final = 1e-4
"""How much faster or slower than ours a gateway's clock may run."""


@dataclass(slots=True)
class _Session:
    """``ahead`` is our monotonic clock minus the gateway's, less the shortest way; as of ``heard``."""

    ahead: int
    heard: int
    offsets: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    """What a frame's clocks come to.

    ``offset`` is what to add to times of the gateway's clock (ns): 0 where it is right, or a recording's.
    ``sent`` is when it was sent, on our monotonic clock.
    """

    offset: int
    sent: int


class GatewayClocks:
    """Sessions of gateways that were heard, the last ones; ``skew`` is what a clock may be off (ns)."""

    def __init__(self, skew: int) -> None:
        self._skew = skew
        self._sessions: OrderedDict[tuple[str, str], _Session] = OrderedDict()

    def see(self, frame: Frame, now: int, mono: int) -> Seen:
        """Look at a frame that arrives at ``now``, when our monotonic clock shows ``mono``."""
        delay = self._delay(frame, mono)
        return Seen(0 if frame.event_time else self._offset(frame, now - delay), mono - delay)

    def _offset(self, frame: Frame, sent: int) -> int:
        off = sent - frame.wall
        if abs(off) <= (self._skew if frame.synchronised else STEADY_NS):
            return 0
        known = self._sessions[frame.gateway, frame.session].offsets
        for offset in known:
            if abs(offset - off) <= STEADY_NS:
                return offset
        known.append(off)
        del known[:-OFFSETS_KEPT]
        return off

    def _delay(self, frame: Frame, mono: int) -> int:
        """How long the frame was on its way beyond the quickest of its session."""
        key = frame.gateway, frame.session
        ahead = mono - frame.mono
        session = self._sessions.setdefault(key, _Session(ahead, mono))
        self._sessions.move_to_end(key)
        if len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        slack = int((mono - session.heard) * DRIFT)
        session.ahead, session.heard = min(ahead, session.ahead + slack), mono
        return ahead - session.ahead


def correct(batch: ReadingBatch, offset: int) -> None:
    """Move a batch's times of the gateway's clock by ``offset`` ns; receive times, parts of keys, stay.

    A time that the device itself has told stays, too.
    """
    for i, (dated, quality) in enumerate(zip(batch.device_time, batch.quality, strict=True)):
        if dated is None or quality & Quality.CLOCK_UNSET or not told_by_device(dated, batch.corrected[i]):
            batch.corrected[i] = max(0, batch.corrected[i] + offset)
