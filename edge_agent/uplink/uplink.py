"""Carries the outbox to the broker, and receipts and configuration back: the connection that is kept up.

Only a receipt of the ingestor deletes; a PUBACK merely says that the broker took the frame. What is sent
when is in ``sending``, what is believed of what arrives in ``receiving``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Final

import aiomqtt

from devices.consents import Consents
from edge_agent.outbox import Outbox
from edge_agent.trust_store import CloudTrust
from edge_agent.uplink.accounts import Bookkeeper
from edge_agent.uplink.around import Around, SightingTeller
from edge_agent.uplink.connection import BrokerAddress, Connection
from edge_agent.uplink.frame_teller import Frames, FrameTeller
from edge_agent.uplink.receiving import OnConfig, Receiver
from edge_agent.uplink.sending import Sender
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import UplinkError
from hearthward.core.ids import Ids, RandomIds, check_id
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Status

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
_REFUSED: Final = 0x80
_EXPECTED: Final = (aiomqtt.MqttError, UplinkError, OSError)


class UplinkState(Enum):
    """Where the connection stands."""

    IDLE = "idle"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    BACKOFF = "backoff"


class Uplink:
    """One gateway's connection to its broker; ``run`` keeps it up until cancelled.

    ``on_config`` gets each configuration document meant for this gateway, its digest verified; it raises
    a HearthwardError to refuse it. ``status`` is asked whenever a status message is due; ``trust`` says whose
    receipts and documents are believed. ``around`` is what is seen around this gateway (None: nothing is
    told of it, and nothing can be asked), ``consents`` where those of devices' users are kept, ``frames`` the
    last of each device (None: they are not told).
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
        trust: CloudTrust,
        around: Around | None = None,
        consents: Consents | None = None,
        frames: Frames | None = None,
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
        self._outbox = outbox
        self._clock = clock
        self._telemetry = telemetry
        self._status = status
        self._ids = ids or RandomIds()
        self.session = self._ids.new("ses")
        self._status_due = asyncio.Event()
        self._moved: float | None = None
        self._sender = Sender(
            outbox,
            tenant=tenant,
            gateway=gateway,
            session=self.session,
            clock=clock,
            telemetry=telemetry,
            in_flight=in_flight,
            resend_s=resend_s,
            config=lambda: self.config_hash,
        )
        self._receiver = Receiver(
            self._sender,
            trust,
            clock=clock,
            telemetry=telemetry,
            on_config=on_config,
            changed=self.status_changed,
        )
        self._books = Bookkeeper(outbox, tenant=tenant, gateway=gateway)
        self._watcher = (
            None
            if frames is None
            else FrameTeller(
                frames,
                tenant=tenant,
                gateway=gateway,
                session=self.session,
                clock=clock,
                telemetry=telemetry,
            )
        )
        self._teller = (
            None
            if around is None
            else SightingTeller(
                around,
                trust,
                tenant=tenant,
                gateway=gateway,
                session=self.session,
                clock=clock,
                telemetry=telemetry,
                consents=consents,
                watcher=self._watcher,
            )
        )

    @property
    def config_hash(self) -> str:
        """The digest of the document in force; empty before the first."""
        return self._receiver.config_hash

    @config_hash.setter
    def config_hash(self, digest: str) -> None:
        self._receiver.config_hash = digest

    @property
    def still_s(self) -> float:
        """Seconds since it last got on: tried to connect, or told its status; 0 while it does not run."""
        return 0.0 if self._moved is None else asyncio.get_running_loop().time() - self._moved

    def _moves(self) -> None:
        self._moved = asyncio.get_running_loop().time()

    def status_changed(self) -> None:
        """Have the status published soon."""
        self._status_due.set()

    async def run(self) -> None:
        """Connect, and connect again whenever the connection is lost; until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._sender.confirm(), name="uplink-confirm")
                tasks.create_task(self._receiver.configure(), name="uplink-configure")
                tasks.create_task(self._keep_connected(), name="uplink-connection")
        finally:
            self.state, self._moved = UplinkState.IDLE, None

    async def _keep_connected(self) -> None:
        pause, told = BACKOFF_FIRST_S, False
        while True:
            started = self._clock.monotonic_ns()
            self._moves()
            self.state = UplinkState.CONNECTING
            reason = await self._one_connection()
            was_up = self.state is UplinkState.CONNECTED
            self._set_state(UplinkState.BACKOFF)
            if was_up:
                self._telemetry.count("uplink_disconnects_total")
                log.warning("connection to the broker at %s lost: %s", self.address, reason)
                if self._clock.monotonic_ns() - started > STEADY_S * SECOND:
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
            will=aiomqtt.Will(self._sender.topic("status"), offline, qos=1, retain=True),
            pending=4 * self._sender.window.size + 8,
        )
        async with connection as client:
            try:
                await self._converse(client)
            except BaseException:
                # A clean disconnect makes the broker forget the last will.
                await self._say_goodbye(client)
                raise

    async def _converse(self, client: aiomqtt.Client) -> None:
        receipt, config = self._sender.topic("receipt"), self._sender.topic("config")
        granted = await client.subscribe([(receipt, 1), (config, 1)])
        codes = [code if isinstance(code, int) else code.value for code in granted]
        if max(codes) >= _REFUSED:
            msg = f"the broker at {self.address} refuses the subscriptions of gateway {self.gateway}"
            raise UplinkError(msg, gateway=self.gateway)
        self._status_due.set()  # it goes first, but readings do not wait for its PUBACK
        self._set_state(UplinkState.CONNECTED)
        log.info("connected to the broker at %s", self.address)
        self._sender.start_over()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._report(client), name="uplink-status")
            tasks.create_task(self._receive(client), name="uplink-receive")
            tasks.create_task(self._sender.run(client, tasks), name="uplink-send")
            tasks.create_task(self._books.run(client), name="uplink-accounts")
            if self._teller is not None:
                tasks.create_task(self._teller.run(client), name="uplink-sightings")
            if self._watcher is not None:
                tasks.create_task(self._watcher.run(client), name="uplink-raw-frames")

    async def _say_goodbye(self, client: aiomqtt.Client) -> None:
        payload = self._encoded_status(online=False)
        try:
            await client.publish(self._sender.topic("status"), payload, qos=1, retain=True, timeout=1.0)
        except aiomqtt.MqttError:
            log.debug("the broker at %s is gone; its last will speaks for us", self.address)

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
            self._moves()
            await asyncio.sleep(STATUS_LEAST_S)

    async def _publish_status(self, client: aiomqtt.Client) -> None:
        await client.publish(
            self._sender.topic("status"), self._encoded_status(online=True), qos=1, retain=True
        )
        if self.config_hash:
            await client.publish(self._sender.topic("applied"), self.config_hash.encode(), qos=1, retain=True)

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
            trouble=now.trouble | self._receiver.trouble(),
        ).encode()

    # --- receiving

    async def _receive(self, client: aiomqtt.Client) -> None:
        receipt, config = self._sender.topic("receipt"), self._sender.topic("config")
        async for message in client.messages:
            if message.topic.value == receipt:
                self._receiver.take_receipt(message.payload)
            elif message.topic.value == config:
                self._receiver.take_config(message.payload, retained=bool(message.retain))
            elif self._teller is not None and message.topic.value == self._teller.asked:
                await self._teller.take(message.payload)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
