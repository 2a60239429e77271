"""Frames that get no receipt, and refusals in general: counted, told of, kept as dead letters."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from cloud_ingest.dead_letter_flood import Flood
from cloud_ingest.dead_letters import write_dead
from cloud_ingest.intake import CLONED, FUTURE, MAX_DETAIL, OTHER_TIME, Dead
from cloud_ingest.mishaps import INTERNAL_ERROR
from cloud_ingest.records import Records
from cloud_ingest.sources.base import Message
from cloud_ingest.turns import Turns
from hearthward.core.clock import SECOND, Clock
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame

__all__ = ["INTERNAL_ERROR", "OTHER_TIME", "Refusals"]

log = logging.getLogger(__name__)

AGAIN_NS: Final = 600 * SECOND
"""Of the frames of a gateway that get no receipt, and so come again, one a reason is kept in this time."""
MOST_LETTERS: Final = 4_096
"""So many of them in this time from all gateways; names of topics may be invented."""
MOST_BYTES: Final = 1 << 26
WRONG_CLOCK: Final = "gateway_clock"


class Refusals:
    """What is refused of frames, and who is told of it."""

    def __init__(
        self, tenant: str, records: Records, turns: Turns, clock: Clock, telemetry: Telemetry, flood: Flood
    ) -> None:
        self._tenant, self._records, self._turns = tenant, records, turns
        self._clock, self._telemetry = clock, telemetry
        self._flood = flood
        self._given_up: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()
        self._given_up_bytes = 0

    async def give_up(self, topic: str, payload: bytes, error: Exception, gateway: str | None = None) -> None:
        """Our own code failed. No receipt: the frame stays at the edge until this is repaired."""
        self._telemetry.count("frames_failed_total")
        self._turns.mishaps.noticed(INTERNAL_ERROR, gateway)
        if not self._first_in_a_while(topic, INTERNAL_ERROR, len(payload)):
            return
        detail = f"{type(error).__name__}: {error}"[:MAX_DETAIL]
        dead = Dead(topic, gateway, INTERNAL_ERROR, detail, payload)
        now = self._clock.now_ns()
        await self._turns.patience.until_done(
            lambda: self._records.run(lambda s: write_dead(s, self._tenant, [dead], now))
        )
        self.tell([dead])
        self._turns.technical(INTERNAL_ERROR, gateway, "a frame could not be processed; it got no receipt")

    def unreadable(self, dead: Sequence[Dead]) -> list[Dead]:
        """Messages that are no frame to be believed: returns those that are to be kept.

        No receipt: they come again and again. All of them count and are told of.
        """
        kept: list[Dead] = []
        for letter in dead:
            self._telemetry.count("frames_refused_total", reason=letter.reason)
            if self._first_in_a_while(letter.topic, letter.reason, len(letter.payload)):
                kept.append(letter)
            else:
                self._flood.add([letter])
                self._turns.mishaps.refused(letter)
        return kept

    def other_time(self, message: Message, frame: Frame) -> list[Dead]:
        """A played recording's readings would be taken for measured then, and real ones for future ones.

        No receipt: nothing is lost, the gateway has them until it meets a cloud that goes by its time.
        """
        self._telemetry.count("frames_refused_total", reason=OTHER_TIME)
        self._turns.mishaps.noticed(OTHER_TIME, frame.gateway)
        if not self._first_in_a_while(message.topic, OTHER_TIME, len(message.payload)):
            return []
        detail = (
            "plays a recording, but this cloud goes by real time: start it with --event-clock"
            if frame.event_time
            else "goes by real time, but this cloud plays a recording: use a cloud without --event-clock"
        )
        where = f"gateway {frame.gateway} {detail}; it keeps its readings"
        log.error("frames refused: %s", where)
        return [Dead(message.topic, frame.gateway, OTHER_TIME, where, message.payload)]

    def wrong_clock(self, frame: Frame, offset: int) -> None:
        """A gateway's clock is wrong: its readings are taken in with corrected times. Said seldom."""
        self._telemetry.count("frames_clock_corrected_total")
        if self._first_in_a_while(frame.gateway, WRONG_CLOCK):
            side = "ahead" if offset < 0 else "behind"
            detail = (
                f"its clock is {abs(offset) / SECOND:.0f} s {side}; the times of its readings are corrected"
            )
            log.warning("gateway %s: %s", frame.gateway, detail)
            self._turns.technical(WRONG_CLOCK, frame.gateway, detail)

    def tell(self, dead: Sequence[Dead]) -> None:
        """Count what is in the dead letters now, and tell of what points to something wrong in the house."""
        self._flood.add(dead)
        for letter in dead:
            self._turns.mishaps.refused(letter)
            self._telemetry.count("dead_letters_total", reason=letter.reason)
            self._telemetry.count("readings_rejected_total", letter.readings, reason=letter.reason)
            if letter.reason in {CLONED, FUTURE, OTHER_TIME}:
                self._turns.technical(letter.reason, letter.gateway, letter.detail)

    def _first_in_a_while(self, topic: str, reason: str, size: int = 0) -> bool:
        """Whether a frame without a receipt is to be kept as a dead letter: it comes again and again."""
        mono, known = self._clock.monotonic_ns(), self._given_up
        while known and mono - next(iter(known.values()))[0] >= AGAIN_NS:
            self._given_up_bytes -= known.popitem(last=False)[1][1]
        if (topic, reason) in known:
            return False
        if len(known) >= MOST_LETTERS or self._given_up_bytes + size > MOST_BYTES:
            self._telemetry.count("dead_letters_left_out_total", reason=reason)
            return False
        known[topic, reason] = mono, size
        self._given_up_bytes += size
        return True
