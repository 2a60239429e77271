"""From the outbox into frames, and out of it what receipts name.

Frames that stay without a receipt are sent again after ``resend_s``, after every reconnect, and when the
cloud says that it is back (it publishes the configuration anew).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from edge_agent.outbox import Outbox
from edge_agent.uplink.eras import ClockEras
from edge_agent.uplink.sent import SentBook, Verdict
from edge_agent.uplink.window import Flight, Lane, Span, Window, common
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import StoreError
from hearthward.core.messages import Receipt, StoredBlock
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, Frame, Gap, TopicKind, topic

__all__ = ["Publishing", "Sender"]

log = logging.getLogger(__name__)

GAP_REPEAT_S: Final = 60.0
"""A gap that no frame of readings can carry is reported alone, so often."""
RECOUNT_S: Final = 10.0
"""So often it is looked what waits though it counts as sent; what did the last time, too, goes again."""
STORE_RETRY_S: Final = 1.0
FRAME_BYTES: Final = 1 << 18
"""Of a live frame."""
BACKLOG_BYTES: Final = 1 << 19
WAVES_BYTES: Final = 1 << 15
"""Of a frame of waves: a quarter of a second of a slow line that a breach may have to wait."""
FRAME_GAPS: Final = 256


class Publishing(Protocol):
    """What sending needs of an MQTT client."""

    async def publish(self, topic: str, payload: bytes, qos: int = 0, retain: bool = False) -> None:  # noqa: FBT001, FBT002 - theirs
        """Publish; returns when the broker has it. Raises aiomqtt.MqttError."""
        ...


class Sender:
    """One process's sending: the window of frames under way, and the book of what was sent.

    ``config`` gives the hash of the document in force, which frames carry.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        outbox: Outbox,
        *,
        tenant: str,
        gateway: str,
        session: str,
        clock: Clock,
        telemetry: Telemetry,
        in_flight: int,
        resend_s: float,
        config: Callable[[], str],
    ) -> None:
        self.tenant, self.gateway, self.session = tenant, gateway, session
        self.window = Window(in_flight)
        self._outbox, self._clock, self._telemetry = outbox, clock, telemetry
        self._resend_ns = int(resend_s * SECOND)
        self._config = config
        self._boot = outbox.boot
        self._book = SentBook(self.window.most)
        self._stored: dict[StoredBlock, None] = {}
        self._told: list[Gap] = []
        self._gaps_alone: tuple[Gap, ...] = ()
        self._gaps_sent = -(2**62)
        self._astray = RangeSet()
        self._recounted = clock.monotonic_ns()
        self._eras = ClockEras(clock.now_ns(), clock.monotonic_ns(), outbox.accepted)
        self._wake = asyncio.Event()
        self._confirm_due = asyncio.Event()
        outbox.on_commit(self._committed)

    @property
    def boot(self) -> str:
        """The boot whose numbers are being sent: the outbox's, a moment later when that changes."""
        return self._boot

    def _committed(self) -> None:
        self._look_at_clock()
        self._wake.set()

    def _look_at_clock(self) -> None:
        """Where a recording is played its clock jumps as it likes: it is right by definition."""
        if not self._clock.event_driven:
            self._eras.look(self._clock.now_ns(), self._clock.monotonic_ns(), self._outbox.accepted)

    def topic(self, kind: TopicKind) -> str:
        """This gateway's topic of one kind."""
        return topic(self.tenant, self.gateway, kind)

    def hurry(self) -> None:
        """Send all again that is under way: the receiver was away, or was not believed yet."""
        self.window.hurry()
        self._wake.set()

    def start_over(self) -> None:
        """Nothing counts as sent on a new connection but what is stored."""
        if self._boot != self._outbox.boot:
            self._boot = self._outbox.boot
            self._book, self._stored, self._told = SentBook(self.window.most), {}, []
            self._eras.restart()
        settled = self._outbox.settled()
        for block in self._stored:
            settled.add(block.first, block.last)
        self.window.reset(settled)
        self._astray = RangeSet()
        self._wake.set()

    async def run(self, client: Publishing, tasks: asyncio.TaskGroup) -> None:
        """Send what may be sent, then sleep until something changes or falls due."""
        while True:
            self._wake.clear()
            if self._boot != self._outbox.boot:
                self.start_over()
            gone = RangeSet((g.first, g.last) for g in self._outbox.gaps)
            self.window.drop(gone)
            self._book.drop(gone)
            self._recount()
            try:
                while (flight := await self._next_flight()) is not None:
                    tasks.create_task(self._publish_flight(client, flight), name="uplink-publish")
            except StoreError as error:
                log.warning("the outbox cannot be read yet: %s", error)
                await asyncio.sleep(STORE_RETRY_S)
                continue
            await self._report_gaps(client)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()

    def _pause(self) -> float | None:
        """Seconds until something falls due by itself; None: never."""
        due = self.window.next_due(self._resend_ns)
        if self._outbox.backlog():
            count = self._recounted + int(RECOUNT_S * SECOND)
            due = count if due is None else min(due, count)
        if due is not None:
            return max(0.0, (due - self._clock.monotonic_ns()) / SECOND)
        if self.window.flights:
            return None  # their publishing wakes us
        return GAP_REPEAT_S if self._open_gaps() else None

    def _recount(self) -> None:
        """Send again what waits, counts as sent and is in no flight: deleted later, or overlooked."""
        now = self._clock.monotonic_ns()
        if now - self._recounted < RECOUNT_S * SECOND:
            return
        self._recounted = now
        known = self._outbox.settled()
        for block in self._stored:
            known.add(block.first, block.last)
        before, self._astray = self._astray, self.window.astray(known)
        if again := RangeSet(part for first, last in self._astray for part in before.common(first, last)):
            self._telemetry.count("uplink_recounts_total")
            log.warning("%d readings wait though all were sent; sending them again", len(again))
            self.window.unsend(again)

    async def _next_flight(self) -> Flight | None:
        now = self._clock.monotonic_ns()
        if (late := self.window.again(now, self._resend_ns)) is not None:
            late.gaps = self._open_gaps()
            self._telemetry.count("uplink_frames_resent_total")
            return late
        while (span := self.window.next_span(self._outbox.accepted, self._outbox.urgent())) is not None:
            limit = BACKLOG_BYTES if span.lane is Lane.BACKLOG else FRAME_BYTES
            if (end := self._eras.last(span.first)) is not None and end < span.last:
                span = replace(span, last=end)
            if span.lane is Lane.WAVES:
                blocks = await self._waves(span)
            else:
                blocks = await self._outbox.pending(span.first - 1, span.readings, limit, until=span.last)
            flight = self.window.take(span, blocks, self._open_gaps(), now)
            if flight is not None:
                return flight
        return None

    async def _waves(self, span: Span) -> list[Block]:
        """The waves that were put off, as many as fit a frame and belong to one clock (``span``)."""
        found: list[Block] = []
        chunks, size = span.readings, WAVES_BYTES
        for first, last in self.window.waves():
            if first > span.last or chunks <= 0 or size <= 0:
                break
            until = min(last, span.last)
            blocks = await self._outbox.pending(first - 1, chunks, size, until=until)
            if not blocks:
                self.window.no_waves(first, until)
            found += blocks
            chunks -= sum(block.count for block in blocks)
            size -= sum(len(block.payload) for block in blocks)
        return found

    async def _publish_flight(self, client: Publishing, flight: Flight) -> None:
        if not flight.blocks:
            return  # receipted or dropped since it was chosen
        self._book.note(b.stored() for b in flight.blocks)
        await self._publish_frame(client, self._frame(flight))
        flight.publishing = False
        self._wake.set()

    async def _publish_frame(self, client: Publishing, frame: Frame) -> None:
        for gap in frame.gaps:
            self._book.note_gap(gap.first, gap.last)
        await client.publish(self.topic("frame"), frame.encode(), qos=1)
        self._telemetry.count("uplink_frames_sent_total")
        self._telemetry.count("uplink_readings_sent_total", sum(b.count for b in frame.blocks))

    def _frame(self, flight: Flight | None) -> Frame:
        self._look_at_clock()
        mono = self._clock.monotonic_ns()
        former = self._eras.wall(flight.blocks[0].first, mono) if flight else None
        return Frame(
            gateway=self.gateway,
            boot=self._boot,
            blocks=flight.blocks if flight else (),
            wall=self._clock.now_ns() if former is None else former,
            mono=mono,
            synchronised=former is None and self._clock.synchronised(),
            event_time=self._clock.event_driven,
            config=self._config(),
            gaps=flight.gaps if flight else self._open_gaps(),
            session=self.session,
        )

    async def _report_gaps(self, client: Publishing) -> None:
        """Send a frame of gaps alone when there is no reading to carry them."""
        gaps = self._open_gaps()
        if not gaps or self.window.flights:
            return
        now = self._clock.monotonic_ns()
        if gaps != self._gaps_alone or self._gaps_sent + GAP_REPEAT_S * SECOND <= now:
            self._gaps_alone, self._gaps_sent = gaps, now
            await self._publish_frame(client, self._frame(None))

    def _open_gaps(self) -> tuple[Gap, ...]:
        """The gaps that the next frame has to report."""
        return tuple(gap for gap in self._outbox.gaps if gap not in self._told)[:FRAME_GAPS]

    # --- receipts

    def take_receipt(self, receipt: Receipt) -> dict[Verdict, int]:
        """Have deleted what a believed receipt names and was sent; returns what its blocks came to."""
        found: dict[Verdict, int] = {}
        news, ranges = [], RangeSet()
        for block in receipt.blocks:
            verdict = self._book.judge(block)
            found[verdict] = found.get(verdict, 0) + 1
            if verdict is Verdict.NEWS:
                news.append(block)
                ranges.add(block.first, block.last)
                self._book.done(block)
        told = RangeSet(gap for gap in receipt.gaps if self._book.declared(*gap))
        if strange := sum(not self._book.declared(*gap) for gap in receipt.gaps):
            found[Verdict.NEVER] = found.get(Verdict.NEVER, 0) + strange
        self.window.receipt(ranges, self._clock.monotonic_ns())
        self._told += [
            Gap(a, b, g.reason) for g in self._outbox.gaps for a, b in common(told, g.first, g.last)
        ]
        self._stored |= dict.fromkeys(news)
        if news or told:
            self._confirm_due.set()
            self._wake.set()
        return found

    async def confirm(self) -> None:
        """Delete from the outbox what is stored, until cancelled; many receipts share a transaction."""
        while True:
            await self._confirm_due.wait()
            self._confirm_due.clear()
            blocks, gaps = list(self._stored), list(self._told)
            try:
                deleted = await self._outbox.confirm(blocks, gaps)
            except StoreError as error:
                log.warning("receipted readings cannot be deleted yet: %s", error)
                await asyncio.sleep(STORE_RETRY_S)
                self._confirm_due.set()
                continue
            self._telemetry.count("uplink_readings_receipted_total", deleted)
            for block in blocks:
                self._stored.pop(block, None)
            self._told = [gap for gap in self._told if gap not in gaps]
