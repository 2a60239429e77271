"""Telling people: the sender that works the outbox off, and says of what it could not deliver.

``enqueue`` runs inside the pipeline's transaction, so an alarm and its notifications are committed
together or not at all. ``Notifier`` hands each to its channel at least once: a crash between sending and
recording sends it again with the same identity. What failed for good is told to escalation, which is safe
to repeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

from cloud_ingest.channels.base import ENDPOINT, Channel, Message
from cloud_ingest.emergency import Emergency
from cloud_ingest.records import Records
from cloud_ingest.records.outbox import (
    CLOSING,
    Claim,
    Lease,
    Result,
    Room,
    Sent,
    Undelivered,
    fail_orphans,
    next_due,
    record,
    release,
    reported,
    settle,
    unreported,
)
from cloud_ingest.records.outbox import claim as claim_due
from cloud_ingest.telling.enqueue import enqueue
from cloud_ingest.telling.joined import MOST, joined_body, joins_from
from cloud_ingest.telling.wording import Wording, reference
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary, RuleError, StoreUnavailable
from hearthward.core.ids import Ids
from hearthward.core.telemetry import Telemetry

__all__ = ["Notifier", "Undelivered", "Wording", "attempts_for", "backoff_s", "enqueue"]

log = logging.getLogger(__name__)

ATTEMPTS: Final = 8
"""After so many a notification is abandoned: about 11 minutes with the waits below."""
URGENT_ATTEMPTS: Final = {"high": 6, "medium": 7}
"""By then escalation has long gone on: two minutes for high, six for medium."""
USEFUL_S: Final = {"high": 180.0, "medium": 600.0, "low": 1800.0}
"""A channel that wants to be left alone for longer will not deliver in time: others are told instead."""
FIRST_WAIT_S: Final = 1.0
WAIT_FACTOR: Final = 3.0
LONGEST_WAIT_S: Final = 300.0
JITTER: Final = 0.2
"""A wait is shortened by up to this share, so that many do not come back at once."""
LEASE_S: Final = 45.0
"""How long a claimed notification is left alone; must exceed ``SEND_TIMEOUT_S``."""
SEND_TIMEOUT_S: Final = 30.0
AT_ONCE: Final = 16
"""Messages of one channel in flight."""
IN_APP_AT_ONCE: Final = 256
"""Our own pages take any number."""
IDLE_S: Final = 5.0
"""Look again after this long without being woken."""
STORE_WAIT_S: Final = 1.0
"""Before trying again when the records cannot be reached."""
REPORTED_AT_ONCE: Final = 100


@dataclass(slots=True)
class _Lane:
    """One channel: how many of its messages are in flight, and whether somebody waits for room.

    ``refused`` is the person's address that was refused last, with nothing taken since.
    """

    channel: Channel
    at_once: int
    flying: int = 0
    full: bool = False
    refused: str = field(default="", repr=False)

    @property
    def room(self) -> int:
        return self.at_once - self.flying


def attempts_for(priority: str, kind: str) -> int:
    """After how many attempts a notification is of no use any more; the end of an alarm can wait."""
    return ATTEMPTS if kind in CLOSING else URGENT_ATTEMPTS.get(priority, ATTEMPTS)


def backoff_s(attempt: int, uniform: float) -> float:
    """Seconds to wait after the ``attempt``-th failure in a row (from 1); ``uniform`` in [0, 1) jitters."""
    wait = min(LONGEST_WAIT_S, FIRST_WAIT_S * WAIT_FACTOR ** (attempt - 1))
    return wait * (1 - JITTER * uniform)


class Notifier:
    """Works the outbox off; each channel has room of its own, so that a slow one holds up no other.

    ``clock`` must be real time, also while a recording is played: waits and leases are transport's.
    ``undelivered`` is told of each notification that failed for good, at least once, also after a restart;
    RuleError from it means that there is nothing to escalate any more. ``hop`` is told how each attempt
    went (channel, success). ``link`` and ``answer`` make an alarm's address and a message's token.
    """

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        records: Records,
        channels: Collection[Channel],
        clock: Clock,
        ids: Ids,
        telemetry: Telemetry,
        *,
        undelivered: Callable[[Undelivered], Awaitable[None]] | None = None,
        hop: Callable[[str, bool], None] = lambda _channel, _success: None,
        link: Callable[[str], str] | None = None,
        answer: Callable[[str], str] | None = None,
        emergency: Emergency | None = None,
    ) -> None:
        self._records = records
        self._lanes = {c.name: _Lane(c, IN_APP_AT_ONCE if c.name == "in_app" else AT_ONCE) for c in channels}
        self._clock, self._ids, self._telemetry = clock, ids, telemetry
        self._undelivered, self._hop, self._link, self._answer = undelivered, hop, link, answer
        self._emergency = emergency
        self._wake, self._failed = asyncio.Event(), asyncio.Event()
        self._enqueued = False
        self._lease = Lease(int(LEASE_S * SECOND), ATTEMPTS)
        self._sent: list[tuple[Sequence[Sent], asyncio.Future[None]]] = []
        self._recording = False
        self._looped: int | None = None

    def wake(self) -> None:
        """Something was enqueued and committed: look now. Call from the event loop's thread."""
        self._enqueued = True
        self._wake.set()
        self._failed.set()

    def silent_s(self) -> float:
        """Seconds since the outbox was last looked at with success; infinite before the first time."""
        if self._looped is None:
            return float("inf")
        return (self._clock.monotonic_ns() - self._looped) / SECOND

    async def run(self) -> None:
        """Send until cancelled; then close the channels. Store outages are waited out."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._work(group), name="notifier")
                if self._undelivered is not None:
                    group.create_task(self._report(), name="notifier-undelivered")
                if self._emergency is not None:
                    group.create_task(self._emergency.run(self.silent_s), name="notifier-emergency")
        finally:
            for lane in self._lanes.values():
                await lane.channel.close()

    async def send_due(self) -> int:
        """Send all that is due now and there is room for, on all channels; how many rows were tried."""
        await self._fail_orphans()
        async with asyncio.TaskGroup() as group:
            return await self._claim(group)

    async def report(self) -> int:
        """Tell escalation of what was not delivered and is not told yet; returns how many were told.

        Raises StoreUnavailable.
        """
        if self._undelivered is None:
            return 0
        done: list[tuple[str, str]] = []
        try:
            for tenant, ident, what in await self._records.read(
                lambda session: unreported(session, REPORTED_AT_ONCE)
            ):
                try:
                    await self._undelivered(what)
                except RuleError as error:
                    log.debug("notification %s: nothing to escalate: %s", ident, error.details.get("code"))
                except StoreUnavailable:
                    raise
                except Exception:
                    log.exception("notification %s: escalation was not told; trying again", ident)
                    continue
                done.append((tenant, ident))
        finally:
            if done:
                await self._records.run(lambda session: reported(session, done))
        return len(done)

    async def confirmed(
        self, notification: str, state: Literal["confirmed", "failed"], detail: str = ""
    ) -> bool:
        """The channel says how it ended (a status callback); returns whether that changed anything.

        ``notification`` is the id that the message was sent under. Raises StoreUnavailable.
        """
        now = self._clock.now_ns()
        changed = await self._records.run(lambda s: settle(s, notification, state, detail, now))
        for channel in changed:
            self._count(channel, state)
        if state == "failed" and changed:
            self._failed.set()
        return bool(changed)

    # -- the loop

    async def _work(self, group: asyncio.TaskGroup) -> None:
        fresh = True
        while True:
            try:
                if fresh:
                    await self._fail_orphans()
                    await self._release()
                    fresh = False
                woken, self._enqueued = self._enqueued, False
                self._wake.clear()
                claimed = await self._claim(group) if woken else 0
                wait = await self._until_next()
                if wait <= 0 and not claimed:
                    await self._claim(group)
                self._looped = self._clock.monotonic_ns()
            except StoreUnavailable as error:
                log.warning("notifier: %s; trying again", error.message)
                wait = STORE_WAIT_S
            if wait > 0:
                await _either(self._wake, wait)

    async def _until_next(self) -> float:
        """Seconds until something is due on a channel with room."""
        free = [name for name, lane in self._lanes.items() if lane.room > 0]
        for lane in self._lanes.values():
            lane.full = lane.room <= 0
        due = await self._records.read(lambda session: next_due(session, free))
        if due is None:
            return IDLE_S
        return min(IDLE_S, (due - self._clock.now_ns()) / SECOND)

    async def _claim(self, group: asyncio.TaskGroup) -> int:
        """Claim what is due and start sending it; returns how many notifications, those given up too."""
        rooms = {
            name: Room(lane.room, joins_from(name), MOST, answered=name == "voice")
            for name, lane in self._lanes.items()
            if lane.room > 0
        }
        now = self._clock.now_ns()
        # a claim that a loss of power undoes is made again: the message is repeated at worst
        found = await self._records.run(
            lambda session: claim_due(session, rooms, now, self._lease), durable=False
        )
        for channel in found.abandoned:
            self._count(channel, "abandoned")
        for channel in found.superseded:
            self._count(channel, "superseded")
        if found.abandoned:
            self._failed.set()
        for claims in found.messages:
            for made in claims:
                if made.repeated:
                    self._count(made.channel, "interrupted")
            lane = self._lanes[claims[0].channel]
            lane.flying += 1
            group.create_task(self._deliver(lane, claims), name=f"deliver-{claims[0].message}")
        return sum(len(claims) for claims in found.messages) + len(found.abandoned) + len(found.superseded)

    async def _release(self) -> None:
        now = self._clock.now_ns()
        await self._records.run(lambda session: release(session, now))

    async def _fail_orphans(self) -> None:
        names, now = set(self._lanes), self._clock.now_ns()
        for channel, n in (await self._records.run(lambda s: fail_orphans(s, names, now))).items():
            log.error("%d notifications were queued for channel %s, which is not configured", n, channel)
            self._count(channel, "failed", n)
            self._failed.set()

    async def _report(self) -> None:
        while True:
            self._failed.clear()
            wait = IDLE_S
            try:
                if await self.report() >= REPORTED_AT_ONCE:
                    continue
            except StoreUnavailable as error:
                log.warning("notifier: escalation is not told of what failed: %s", error.message)
                wait = STORE_WAIT_S
            await _either(self._failed, wait)

    # -- one message

    async def _deliver(self, lane: _Lane, claims: Sequence[Claim]) -> None:
        try:
            sent = await self._send(lane.channel, claims)
        finally:
            lane.flying -= 1
            if lane.full:
                self._enqueued = True
                self._wake.set()
        self._went(lane, claims[0].target, sent[0].result)
        await self._record(sent)

    def _went(self, lane: _Lane, target: str, result: Result) -> None:
        """Tell how an attempt went, unless it says nothing of the channel.

        One person's wrong number, refused again and again, must not take the channel from everybody else.
        """
        if result == "handed_over":
            lane.refused = ""
        elif result == "failed" and not target.startswith(ENDPOINT):
            if lane.refused == target:
                return
            lane.refused = target
        self._hop(lane.channel.name, result == "handed_over")

    async def _send(self, channel: Channel, claims: Sequence[Claim]) -> list[Sent]:
        started = self._clock.monotonic_ns()
        outcome: Result = "handed_over"
        handed: str | None = None
        detail, after_s = "", 0.0
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                handed = (await channel.send(self._message(claims))).reference
        except (DeliveryTemporary, TimeoutError) as error:
            outcome, detail = "temporary", str(error) or "no answer in time"
            if isinstance(error, DeliveryTemporary):
                after_s = float(error.details.get("after_s") or 0.0)
        except DeliveryPermanent as error:
            outcome, detail = "failed", str(error) or "refused"
        except Exception as error:
            log.exception("channel %s broke its contract", channel.name)
            outcome, detail = "temporary", f"{type(error).__name__} in channel {channel.name}"
        latency_ms = (self._clock.monotonic_ns() - started) / 1e6
        wait = max(after_s, backoff_s(max(c.attempt for c in claims), self._ids.uniform()))
        next_at = self._clock.now_ns() + int(wait * SECOND)
        return [
            Sent(c, self._result(c, outcome, after_s), detail, handed, latency_ms, next_at) for c in claims
        ]

    @staticmethod
    def _result(made: Claim, outcome: Result, after_s: float) -> Result:
        """What an attempt comes to for one notification: a temporary failure may have been the last."""
        if outcome != "temporary":
            return outcome
        last = made.attempt >= attempts_for(made.priority, made.kind)
        too_late = made.kind not in CLOSING and after_s > USEFUL_S[made.priority]
        return "abandoned" if last or too_late else "temporary"

    def _message(self, claims: Sequence[Claim]) -> Message:
        """One claim's message, or all of them as one; the worst comes first."""
        worst = claims[0]
        text = worst.body if len(claims) == 1 else joined_body(claims, worst.channel, worst.language)
        head = text.partition(": ")[0].strip()
        return Message(
            id=worst.message,
            target=worst.target,
            text=text,
            language=worst.language,
            priority=worst.priority,
            alarm=worst.alarm,
            kind=worst.kind,
            subject=f"{head} #{reference(worst.alarm)}" if len(claims) == 1 else head,
            link=self._link(worst.alarm) if self._link is not None else None,
            answer=self._answer(worst.message) if self._answer is not None else None,
        )

    async def _record(self, sent: Sequence[Sent]) -> None:
        """Write results; those that come while others are being written go together, next."""
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sent.append((sent, written))
        if self._recording:
            await written
            return
        self._recording = True
        batch: list[tuple[Sequence[Sent], asyncio.Future[None]]] = []
        try:
            while self._sent:
                batch, self._sent = self._sent, []
                await self._write([one for results, _ in batch for one in results])
                for _, waiting in batch:
                    waiting.set_result(None)
                batch = []
        finally:
            self._recording = False
            for _, waiting in (*batch, *self._sent):
                waiting.cancel()
            self._sent = []

    async def _write(self, batch: Sequence[Sent]) -> None:
        now = self._clock.now_ns()
        try:
            await self._records.run(partial(record, sent=batch, now=now))
        except StoreUnavailable as error:
            # The leases stay: when they end, it is sent again with the same identity.
            log.error("%d results of sending were not recorded: %s", len(batch), error.message)  # noqa: TRY400
            for one in batch:
                self._count(one.claim.channel, "unrecorded")
            return
        for one in batch:
            self._count(one.claim.channel, one.result)
            if one.result in {"failed", "abandoned"}:
                log.error("notification %s by %s: %s", one.claim.id, one.claim.channel, one.result)
                self._failed.set()
        self._wake.set()  # what is to be tried again, or was held back behind these, may be due before long

    def _count(self, channel: str, outcome: str, n: int = 1) -> None:
        self._telemetry.count("deliveries_total", n, channel=channel, outcome=outcome)


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but no longer than this."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
