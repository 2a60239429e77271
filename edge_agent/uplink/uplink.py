"""Carries the outbox to the broker, and receipts and configuration back.

Only a receipt of the ingestor deletes; a PUBACK merely says that the broker took the frame. Frames that
stay without a receipt are sent again after ``resend_s``, after every reconnect, and when the cloud says
that it is back (it publishes the configuration anew).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from enum import Enum
from typing import Final

import aiomqtt

from edge_agent.outbox import Outbox
from edge_agent.uplink.connection import BrokerAddress, Connection
from edge_agent.uplink.window import FRAME_READINGS, Flight, Window, common
from hearthward.core.clock import Clock
from hearthward.core.errors import DecodeError, HearthwardError, StoreError, UplinkError
from hearthward.core.ids import Ids, RandomIds, check_id
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, Frame, Gap, Receipt, Status, TopicKind, topic

__all__ = ["Uplink", "UplinkState"]

log = logging.getLogger(__name__)

BACKOFF_FIRST_S: Final = 0.05
BACKOFF_MAX_S: Final = 5.0
BACKOFF_FACTOR: Final = 2.0
STEADY_S: Final = 2.0
"""A connection that held so long starts the back-off anew."""
STATUS_S: Final = 10.0
STATUS_LEAST_S: Final = 0.2
"""Status goes out no more often than this however often it changes."""
GAP_REPEAT_S: Final = 60.0
"""A gap that no frame of readings can carry is reported alone, so often."""
STORE_RETRY_S: Final = 1.0
FRAME_BYTES: Final = 1 << 18
FRAME_GAPS: Final = 256
_REFUSED: Final = 0x80
_EXPECTED: Final = (aiomqtt.MqttError, UplinkError, OSError)
_SECOND: Final = 1_000_000_000

OnConfig = Callable[[ConfigDocument], Awaitable[None]]


class UplinkState(Enum):
    """Where the connection stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BACKOFF = "backoff"


class Uplink:
    """One gateway's connection to its broker; ``run`` keeps it up until cancelled.

    ``on_config`` gets each configuration document meant for this gateway, its digest verified; it raises
    a HearthwardError to refuse it. ``status`` is asked whenever a status message is due.
    """

    def __init__(  # noqa: PLR0913 - the one object that joins all of these
        self,
        outbox: Outbox,
        url: str,
        *,
        tenant: str,
        gateway: str,
        clock: Clock,
        telemetry: Telemetry,
        on_config: OnConfig,
        status: Callable[[], Status],
        ids: Ids | None = None,
        username: str | None = None,
        password: str | None = None,
        in_flight: int = 8,
        resend_s: float = 5.0,
    ) -> None:
        self.address = BrokerAddress.parse(url, username, password)
        self.tenant = check_id(tenant, "tenant")
        self.gateway = check_id(gateway, "gateway")
        self.state = UplinkState.IDLE
        self.config_hash = ""
        self._outbox = outbox
        self._clock = clock
        self._telemetry = telemetry
        self._on_config = on_config
        self._status = status
        self._ids = ids or RandomIds()
        self._resend_ns = int(resend_s * _SECOND)
        self._window = Window(in_flight)
        self.session = self._ids.new("ses")
        self._boot = outbox.boot
        # What an earlier process may have sent can be receipted now; what never left cannot.
        self._sent = RangeSet([(1, outbox.accepted)] if outbox.accepted else [])
        self._stored = RangeSet()
        self._told: list[Gap] = []
        self._gaps_alone: tuple[Gap, ...] = ()
        self._gaps_sent = -(2**62)
        self._documents: asyncio.Queue[ConfigDocument] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._status_due = asyncio.Event()
        self._confirm_due = asyncio.Event()
        outbox.on_commit(self._wake.set)

    def status_changed(self) -> None:
        """Have the status published soon."""
        self._status_due.set()

    async def run(self) -> None:
        """Connect, and connect again whenever the connection is lost; until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._confirm(), name="uplink-confirm")
                tasks.create_task(self._configure(), name="uplink-configure")
                tasks.create_task(self._keep_connected(), name="uplink-connection")
        finally:
            self.state = UplinkState.IDLE

    async def _keep_connected(self) -> None:
        pause, told = BACKOFF_FIRST_S, False
        while True:
            started = self._clock.monotonic_ns()
            self.state = UplinkState.CONNECTING
            reason = await self._one_connection()
            was_up = self.state is UplinkState.CONNECTED
            self._set_state(UplinkState.BACKOFF)
            if was_up:
                self._telemetry.count("uplink_disconnects_total")
                log.warning("connection to the broker at %s lost: %s", self.address, reason)
                if self._clock.monotonic_ns() - started > STEADY_S * _SECOND:
                    pause = BACKOFF_FIRST_S
            else:
                self._telemetry.count("uplink_connect_failures_total")
                if not told:
                    log.warning("broker at %s cannot be reached (%s); trying on", self.address, reason)
            told = True
            await asyncio.sleep(pause * (0.5 + 0.5 * self._ids.uniform()))
            pause = min(BACKOFF_MAX_S, pause * BACKOFF_FACTOR)

    async def _one_connection(self) -> BaseException:
        """Run one connection to its end and return why it ended.

        As a task of its own: when a group's task fails while the group is being cancelled, Python 3.11
        forgets the cancellation, and this gateway would never stop.
        """
        session = asyncio.create_task(self._connection(), name="uplink-session")
        try:
            await asyncio.wait([session])
        finally:
            session.cancel()
            await asyncio.wait([session])
            error = None if session.cancelled() else session.exception()
        reasons = list(_leaves(error or UplinkError("it was abandoned")))
        if error is not None and not all(isinstance(r, _EXPECTED) for r in reasons):
            raise error
        return reasons[0]

    def _set_state(self, state: UplinkState) -> None:
        self.state = state
        self._telemetry.gauge("uplink_connected", float(state is UplinkState.CONNECTED))

    async def _connection(self) -> None:
        """One connection, from connect to its loss. Raises MqttError, UplinkError (or groups of them)."""
        offline = self._encoded_status(online=False)
        connection = Connection(
            self.address,
            identifier=f"hearthward-edge-{self.tenant}-{self.gateway}",
            will=aiomqtt.Will(self._topic("status"), offline, qos=1, retain=True),
            pending=2 * self._window.size + 8,
        )
        async with connection as client:
            try:
                await self._converse(client)
            except BaseException:
                # A clean disconnect makes the broker forget the last will.
                await self._say_goodbye(client)
                raise

    async def _converse(self, client: aiomqtt.Client) -> None:
        granted = await client.subscribe([(self._topic("receipt"), 1), (self._topic("config"), 1)])
        codes = [code if isinstance(code, int) else code.value for code in granted]
        if max(codes) >= _REFUSED:
            msg = f"the broker at {self.address} refuses the subscriptions of gateway {self.gateway}"
            raise UplinkError(msg, gateway=self.gateway)
        await self._publish_status(client)
        self._set_state(UplinkState.CONNECTED)
        log.info("connected to the broker at %s", self.address)
        self._start_over()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._receive(client), name="uplink-receive")
            tasks.create_task(self._report(client), name="uplink-status")
            tasks.create_task(self._send(client, tasks), name="uplink-send")

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        payload = self._encoded_status(online=False)
        try:
            await client.publish(self._topic("status"), payload, qos=1, retain=True, timeout=1.0)
        except aiomqtt.MqttError:
            log.debug("the broker at %s is gone; its last will speaks for us", self.address)

    def _topic(self, kind: TopicKind) -> str:
        return topic(self.tenant, self.gateway, kind)

    # --- sending

    def _start_over(self) -> None:
        """Nothing counts as sent on a new connection but what is stored."""
        self._boot = self._outbox.boot
        settled = self._outbox.settled()
        for first, last in self._stored:
            settled.add(first, last)
        self._window.reset(settled)
        self._wake.set()

    async def _send(self, client: aiomqtt.Client, tasks: asyncio.TaskGroup) -> None:
        """Send what may be sent, then sleep until something changes or falls due."""
        while True:
            self._wake.clear()
            if self._boot != self._outbox.boot:
                self._sent, self._stored, self._told = RangeSet(), RangeSet(), []
                self._start_over()
            self._window.drop(self._outbox.gaps)
            try:
                while (flight := await self._next_flight()) is not None:
                    tasks.create_task(self._publish_flight(client, flight), name="uplink-publish")
            except StoreError as error:
                log.warning("the outbox cannot be read yet: %s", error)
                await asyncio.sleep(STORE_RETRY_S)
                continue
            await self._report_gaps(client)
            try:
                async with asyncio.timeout(self._pause()):
                    await self._wake.wait()
            except TimeoutError:
                self._recount()

    def _pause(self) -> float | None:
        """Seconds until something falls due by itself; None: never."""
        due = self._window.next_due(self._resend_ns)
        if due is not None:
            return max(0.0, (due - self._clock.monotonic_ns()) / _SECOND)
        if self._window.flights:
            return None  # their publishing wakes us
        if self._outbox.backlog():
            return self._resend_ns / _SECOND
        return GAP_REPEAT_S if self._open_gaps() else None

    def _recount(self) -> None:
        """Start over if readings wait though all count as sent: a safety net, never seen to be needed."""
        idle = not self._window.flights and not self._stored
        if idle and self._outbox.backlog() and self._window.next_span(self._outbox.accepted) is None:
            self._telemetry.count("uplink_recounts_total")
            log.error("%d readings wait though all were sent; sending them again", self._outbox.backlog())
            self._start_over()

    async def _next_flight(self) -> Flight | None:
        now = self._clock.monotonic_ns()
        if (late := self._window.due(now, self._resend_ns)) is not None:
            late.sent, late.publishing = now, True
            late.gaps = self._open_gaps()
            self._telemetry.count("uplink_frames_resent_total")
            return late
        while (span := self._window.next_span(self._outbox.accepted)) is not None:
            blocks = await self._outbox.pending(span.first - 1, FRAME_READINGS, FRAME_BYTES, until=span.last)
            flight = self._window.take(span, blocks, self._open_gaps(), now)
            if flight is not None:
                return flight
        return None

    async def _publish_flight(self, client: aiomqtt.Client, flight: Flight) -> None:
        if not flight.blocks:
            return  # receipted or dropped since it was chosen
        for block in flight.blocks:
            self._sent.add(block.first, block.last)
        await self._publish_frame(client, self._frame(flight))
        flight.publishing = False
        self._wake.set()

    async def _publish_frame(self, client: aiomqtt.Client, frame: Frame) -> None:
        for gap in frame.gaps:
            self._sent.add(gap.first, gap.last)
        await client.publish(self._topic("frame"), frame.encode(), qos=1)
        self._telemetry.count("uplink_frames_sent_total")
        self._telemetry.count("uplink_readings_sent_total", sum(b.count for b in frame.blocks))

    def _frame(self, flight: Flight | None) -> Frame:
        return Frame(
            gateway=self.gateway,
            boot=self._boot,
            blocks=flight.blocks if flight else (),
            wall=self._clock.now_ns(),
            mono=self._clock.monotonic_ns(),
            synchronised=self._clock.synchronised(),
            event_time=self._clock.event_driven,
            config=self.config_hash,
            gaps=flight.gaps if flight else self._open_gaps(),
            session=self.session,
        )

    async def _report_gaps(self, client: aiomqtt.Client) -> None:
        """Send a frame of gaps alone when there is no reading to carry them."""
        gaps = self._open_gaps()
        if not gaps or self._window.flights:
            return
        now = self._clock.monotonic_ns()
        if gaps != self._gaps_alone or self._gaps_sent + GAP_REPEAT_S * _SECOND <= now:
            self._gaps_alone, self._gaps_sent = gaps, now
            await self._publish_frame(client, self._frame(None))

    def _open_gaps(self) -> tuple[Gap, ...]:
        """The gaps that the next frame has to report."""
        return tuple(gap for gap in self._outbox.gaps if gap not in self._told)[:FRAME_GAPS]

    # --- status

    async def _report(self, client: aiomqtt.Client) -> None:
        while True:
            try:
                async with asyncio.timeout(STATUS_S):
                    await self._status_due.wait()
            except TimeoutError:
                pass  # nothing changed: the regular one
            self._status_due.clear()
            await self._publish_status(client)
            await asyncio.sleep(STATUS_LEAST_S)

    async def _publish_status(self, client: aiomqtt.Client) -> None:
        await client.publish(self._topic("status"), self._encoded_status(online=True), qos=1, retain=True)
        if self.config_hash:
            await client.publish(self._topic("applied"), self.config_hash.encode(), qos=1, retain=True)

    def _encoded_status(self, *, online: bool) -> bytes:
        now = self._status()
        return Status(
            online=online,
            boot=self._outbox.boot,
            version=now.version,
            config=self.config_hash,
            wall=self._clock.now_ns(),
            backlog=self._outbox.backlog(),
            devices=now.devices,
            rejected=now.rejected,
            session=self.session,
            alarms=now.alarms,
        ).encode()

    # --- receiving

    async def _receive(self, client: aiomqtt.Client) -> None:
        receipt, config = self._topic("receipt"), self._topic("config")
        async for message in client.messages:
            if message.topic.value == receipt:
                self._take_receipt(message.payload)
            elif message.topic.value == config:
                self._take_config(message.payload, retained=bool(message.retain))

    def _take_receipt(self, payload: bytes) -> None:
        try:
            receipt = Receipt.decode(payload)
        except DecodeError as error:
            self._refuse_receipt("malformed", str(error))
            return
        if receipt.gateway != self.gateway:
            self._refuse_receipt("gateway", f"it names gateway {receipt.gateway}")
            return
        if receipt.boot != self._outbox.boot or receipt.boot != self._boot:
            self._refuse_receipt("boot", f"it names boot {receipt.boot}")
            return
        ranges = RangeSet()
        for first, last in [*((b.first, b.last) for b in receipt.blocks), *receipt.gaps]:
            if self._sent.covers(first, last):
                ranges.add(first, last)
            else:
                self._refuse_receipt("never-sent", f"{first}..{last} was never sent")
        told = self._window.receipt(ranges)
        told += [Gap(a, b, g.reason) for g in self._outbox.gaps for a, b in common(ranges, g.first, g.last)]
        for first, last in ranges:
            self._stored.add(first, last)
        self._told.extend(told)
        self._confirm_due.set()
        self._wake.set()

    def _refuse_receipt(self, reason: str, why: str) -> None:
        self._telemetry.count("receipts_refused_total", reason=reason)
        log.warning("a receipt for gateway %s is refused: %s", self.gateway, why)

    async def _confirm(self) -> None:
        """Delete from the outbox what is stored; many receipts share a transaction."""
        while True:
            await self._confirm_due.wait()
            self._confirm_due.clear()
            ranges, gaps = list(self._stored), list(self._told)
            try:
                deleted = await self._outbox.confirm(ranges, gaps)
            except StoreError as error:
                log.warning("receipted readings cannot be deleted yet: %s", error)
                await asyncio.sleep(STORE_RETRY_S)
                self._confirm_due.set()
                continue
            self._telemetry.count("uplink_readings_receipted_total", deleted)
            self._stored = _less(self._stored, ranges)
            self._told = [gap for gap in self._told if gap not in gaps]

    def _take_config(self, payload: bytes, *, retained: bool) -> None:
        try:
            document = ConfigDocument.decode(payload)
        except DecodeError as error:
            self._refuse_config(error.reason, str(error))
            return
        if document.gateway != self.gateway:
            self._refuse_config("gateway", f"it is for gateway {document.gateway}")
            return
        if not retained:  # the cloud has just connected, and missed what was sent before
            self._window.hurry()
            self._wake.set()
        if document.digest == self.config_hash:
            self._status_due.set()
            return
        self._documents.put_nowait(document)

    def _refuse_config(self, reason: str, why: str) -> None:
        self._telemetry.count("config_refused_total", reason=reason)
        log.warning("a configuration document for gateway %s is refused: %s", self.gateway, why)

    async def _configure(self) -> None:
        """Hand documents over one at a time; the hash is reported only once one is in force."""
        while True:
            document = await self._documents.get()
            try:
                await self._on_config(document)
            except HearthwardError as error:
                self._refuse_config(str(error.details.get("reason") or "apply"), str(error))
                continue
            self.config_hash = document.digest
            self._telemetry.count("config_applied_total")
            log.info("configuration %d (%s) is in force", document.version, document.digest)
            self._status_due.set()


def _less(ranges: RangeSet, gone: list[tuple[int, int]]) -> RangeSet:
    without = RangeSet(gone)
    return RangeSet(piece for first, last in ranges for piece in without.missing(first, last))


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
