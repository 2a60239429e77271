"""Frames that get no receipt, and refusals in general: counted, told of, kept as dead letters."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from cloud_ingest.dead_letter_flood import Flood
from cloud_ingest.dead_letters import write_dead
from cloud_ingest.intake import CLONED, FUTURE, MAX_DETAIL, Dead
from cloud_ingest.records import Records
from cloud_ingest.sources.base import Message
from cloud_ingest.turns import Turns
from hearthward.core.clock import SECOND, Clock
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Frame

__all__ = ["INTERNAL_ERROR", "OTHER_TIME", "Refusals"]

log = logging.getLogger(__name__)

AGAIN_NS: Final = 600 * SECOND
"""A gateway's frames that get no receipt though nothing is wrong with them are kept once in this time."""
INTERNAL_ERROR: Final = "internal_error"
WRONG_CLOCK: Final = "gateway_clock"
OTHER_TIME: Final = "other_time"
"""Why frames are refused that go by a recording's time where the cloud does not, or the other way round."""


class Refusals:
    """What is refused of frames, and who is told of it."""

    def __init__(
        self, tenant: str, records: Records, turns: Turns, clock: Clock, telemetry: Telemetry, flood: Flood
    ) -> None:
        self._tenant, self._records, self._turns = tenant, records, turns
        self._clock, self._telemetry = clock, telemetry
        self._flood = flood
        self._given_up: dict[str, int] = {}

    async def give_up(self, topic: str, payload: bytes, error: Exception) -> None:
        """Our own code failed. No receipt: the frame stays at the edge until this is repaired."""
        self._telemetry.count("frames_failed_total")
        if not self._first_in_a_while(topic):
            return
        detail = f"{type(error).__name__}: {error}"[:MAX_DETAIL]
        dead = Dead(topic, None, INTERNAL_ERROR, detail, payload)
        now = self._clock.now_ns()
        await self._turns.patience.until_done(
            lambda: self._records.run(lambda s: write_dead(s, self._tenant, [dead], now))
        )
        self.tell([dead])
        self._turns.technical(INTERNAL_ERROR, None, "a frame could not be processed; it got no receipt")

    def other_time(self, message: Message, frame: Frame) -> list[Dead]:
        """A played recording's readings would be taken for measured then, and real ones for future ones.

        No receipt: nothing is lost, the gateway has them until it meets a cloud that goes by its time.
        """
        self._telemetry.count("frames_refused_total", reason=OTHER_TIME)
        if not self._first_in_a_while(message.topic):
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
        if self._first_in_a_while(f"clock of {frame.gateway}"):
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
            self._telemetry.count("dead_letters_total", reason=letter.reason)
            self._telemetry.count("readings_rejected_total", letter.readings, reason=letter.reason)
            if letter.reason in {CLONED, FUTURE, OTHER_TIME}:
                self._turns.technical(letter.reason, letter.gateway, letter.detail)

    def _first_in_a_while(self, topic: str) -> bool:
        """Whether a frame without a receipt is to be kept as a dead letter: it comes again and again."""
        mono = self._clock.monotonic_ns()
        if mono - self._given_up.get(topic, -AGAIN_NS) < AGAIN_NS:
            return False
        self._given_up[topic] = mono
        return True
