"""Takes readings from a spool to the store behind it, and takes nothing for granted.

A shipment of readings is at first *waiting*, then *sent*. It has *arrived* when the store's acknowledgement
says that it is durable; or, where that says nothing, when the store is asked to take it again at least
``safety_s`` later and answers that it has every reading of it. What it has lost meanwhile it takes again. So
the store may be killed at any moment: the file has everything that was not there a minute later.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from cloud_ingest.stores.base import Origins, Outcome, Tell, TimeSeriesStore
from cloud_ingest.stores.spool_file import Shipment, SpoolFile
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import StoreRejected, StoreUnavailable
from hearthward.core.telemetry import Telemetry

__all__ = ["Shipper", "Shipping"]

log = logging.getLogger(__name__)

FIRST_BACKOFF_S: Final = 0.2
LAST_BACKOFF_S: Final = 10.0
LOOK_S: Final = 1.0
"""Sent shipments and the file's size are looked at this often."""
PRUNE_S: Final = 3600.0
"""First so long after the start: what a crash has left undone comes again before anything is forgotten."""
FAILING_S: Final = 10.0
"""A server that is away for less is not worth telling."""
SCARCE_S: Final = 30.0
"""Room is looked for this often when it is scarce."""
CONFIRMED_AT_ONCE: Final = 50
"""Shipments in one question."""
FULL: Final = 1.0
FILLING: Final = 0.8
"""From here on somebody is told, and readings that have arrived are not kept as long."""
VANISHED: Final = 5
"""So many times a store may take a shipment without keeping it: then it does not want it."""
NOT_KEPT: Final = "the server takes it but does not keep it: is it older than its retention?"
DAY_NS: Final = 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Shipping:
    """How it is done: readings at once, how long they stay here, the file's size, when something is safe."""

    batch: int = 5_000
    kept_ns: int = 7 * DAY_NS
    max_bytes: int = 4 << 30
    safety_s: float = 60.0
    prune_s: float = PRUNE_S


@dataclass(slots=True)
class _Sent:
    at: float
    times: int = 1


class Shipper:
    """Owns the order of things between a spool's file and the store behind it."""

    def __init__(
        self,
        file: SpoolFile,
        inner: TimeSeriesStore,
        shipping: Shipping,
        *,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._file, self._inner, self._shipping = file, inner, shipping
        self._clock, self._telemetry = clock, telemetry
        self._work = asyncio.Event()
        self._sent: dict[int, _Sent] = {}
        self._after = 0
        self._adopting = True
        self._failing_since: float | None = None
        self._fill = 0.0
        self._told: str | None = ""
        self._tell: Tell = lambda _: None
        self._pruned_at = self._now()
        self._looked_at: float | None = None

    def wake(self) -> None:
        """There is something to ship."""
        self._work.set()

    async def make_room(self) -> None:
        """Look at the file's size now and then. Raises StoreUnavailable when it is full."""
        if self._looked_at is None or self._now() - self._looked_at >= LOOK_S:
            await self._look()
        if self._fill >= FULL:
            msg = "the spool before the time-series server is full; readings wait where they come from"
            raise StoreUnavailable(msg)

    async def run(self, tell: Tell) -> None:
        """Ship until cancelled."""
        self._tell, self._told = tell, ""
        self._sent, self._after, self._adopting = {}, 0, True
        self._pruned_at = self._now()
        backoff = FIRST_BACKOFF_S
        while True:
            self._work.clear()
            try:
                more = await self.step()
            except StoreUnavailable as error:
                self._fails(error.message)
                await asyncio.sleep(backoff)
                backoff = min(2 * backoff, LAST_BACKOFF_S)
                continue
            self._works()
            backoff = FIRST_BACKOFF_S
            if not more:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await self._work.wait()

    async def step(self) -> bool:
        """Do what is due; whether there is more to do at once. Raises StoreUnavailable."""
        await self._look()
        sent = await self._send()
        await self._confirm()
        adopted = self._adopting and not sent and await self._adopt()
        since = self._now() - self._pruned_at
        if since >= self._shipping.prune_s or (self._fill >= FILLING and since >= SCARCE_S):
            self._pruned_at = self._now()
            await self._prune()
        return sent or adopted

    # -- waiting -> sent -> arrived

    async def _send(self) -> bool:
        shipments = await self._file.waiting(self._after, self._shipping.batch)
        if not shipments:
            return False
        await self._take(shipments)
        self._after = shipments[-1].id
        return True

    async def _take(self, shipments: Sequence[Shipment]) -> None:
        """Have the store take some, and note what that means."""
        try:
            await self._append(shipments)
        except StoreRejected:
            for shipment in shipments:
                await self._take_one(shipment)
        else:
            await self._note(shipments)

    async def _append(self, shipments: Sequence[Shipment]) -> list[list[Outcome]]:
        """One outcome a reading, whatever tenants there are."""
        outcomes: dict[int, list[Outcome]] = {}
        for tenant in sorted({s.tenant for s in shipments}):
            part = [s for s in shipments if s.tenant == tenant]
            found = await self._inner.append_many(tenant, [s.delivery for s in part])
            outcomes |= {s.id: o for s, o in zip(part, found, strict=True)}
        return [outcomes[s.id] for s in shipments]

    async def _take_one(self, shipment: Shipment) -> None:
        """Find the readings that the store refuses; they stay here."""
        try:
            await self._append([shipment])
        except StoreRejected as error:
            reason, bad = error.message, []
            batch, origins = shipment.delivery.batch, shipment.delivery.origins
            for i, seq in enumerate(origins.seqs):
                one = Origins(origins.gateway, origins.boot, [seq])
                try:
                    await self._inner.append(shipment.tenant, batch.take([i]), one)
                except StoreRejected as refused:
                    bad.append(i)
                    reason = refused.message
            await self._refuse(shipment, bad, reason)
        else:
            await self._note([shipment])

    async def _note(self, shipments: Sequence[Shipment]) -> None:
        if self._inner.durable_ack:
            await self._arrived(shipments)
            return
        now = self._now()
        for shipment in shipments:
            known = self._sent.setdefault(shipment.id, _Sent(now, 0))
            known.at, known.times = now, known.times + 1

    async def _confirm(self) -> None:
        """Ask for what was sent long enough ago."""
        due = [n for n, sent in self._sent.items() if self._now() - sent.at >= self._shipping.safety_s]
        while due:
            shipments = await self._file.load(due[:CONFIRMED_AT_ONCE])
            due = due[CONFIRMED_AT_ONCE:]
            try:
                outcomes = await self._append(shipments)
            except StoreRejected:
                for shipment in shipments:
                    await self._take_one(shipment)
                continue
            safe = [s for s, found in zip(shipments, outcomes, strict=True) if Outcome.NEW not in found]
            lost = sum(outcome is Outcome.NEW for found in outcomes for outcome in found)
            if lost:
                self._telemetry.count("store_server_lost_total", lost)
                log.warning("the time-series server had lost %d readings; they were sent again", lost)
            await self._arrived(safe)
            kept = {s.id for s in safe}
            for shipment, found in zip(shipments, outcomes, strict=True):
                if shipment.id not in kept:
                    await self._again(shipment, found)

    async def _again(self, shipment: Shipment, found: Sequence[Outcome]) -> None:
        """It was lost, at least in part, and has just been taken again."""
        sent = self._sent[shipment.id]
        sent.at, sent.times = self._now(), sent.times + 1
        if sent.times > VANISHED:
            await self._refuse(shipment, [i for i, o in enumerate(found) if o is Outcome.NEW], NOT_KEPT)

    async def _arrived(self, shipments: Sequence[Shipment]) -> None:
        if not shipments:
            return
        await self._file.arrived(shipments)
        self._telemetry.count("store_server_readings_total", sum(map(len, shipments)))
        for shipment in shipments:
            self._sent.pop(shipment.id, None)

    async def _refuse(self, shipment: Shipment, bad: Sequence[int], reason: str) -> None:
        self._sent.pop(shipment.id, None)
        if not bad:
            await self._note([shipment])
            return
        self._telemetry.count("store_server_refused_total", len(bad))
        log.error("the time-series server refuses %d readings, which stay here: %s", len(bad), reason)
        await self._file.refuse(shipment, bad, reason)

    # -- the file

    async def _adopt(self) -> bool:
        self._adopting = await self._file.adopt()
        return self._adopting

    async def _look(self) -> None:
        fill = await self._file.fill()
        self._looked_at = self._now()
        self._fill = fill.used / self._shipping.max_bytes
        gauge = self._telemetry.gauge
        gauge("store_spool_fill", self._fill)
        gauge("store_spool_waiting", fill.waiting)
        gauge("store_spool_refused", fill.refused)

    async def _prune(self) -> None:
        """Delete what is old; when room gets scarce, what is less old, too."""
        kept = self._shipping.kept_ns
        while True:
            gone = await self._file.prune(self._clock.now_ns() - kept)
            if gone:
                log.info("%d readings are with the server only now", gone)
                await self._look()
            kept //= 2
            if self._fill < FILLING or kept < self._shipping.safety_s * SECOND:
                return

    # -- telling

    def _fails(self, reason: str) -> None:
        if self._failing_since is None:
            self._failing_since = self._now()
            log.warning("readings wait for the time-series server: %s", reason)
        self._telemetry.count("store_server_failures_total")
        if self._now() - self._failing_since >= FAILING_S:
            self._say(reason)

    def _works(self) -> None:
        if self._failing_since is not None:
            log.info("the time-series server takes readings again")
            self._failing_since = None
        scarce = f"the spool before the time-series server is {self._fill:.0%} full"
        self._say(scarce if self._fill >= FILLING else None)

    def _say(self, reason: str | None) -> None:
        if reason != self._told:
            self._told = reason
            self._tell(reason)

    def _now(self) -> float:
        return self._clock.monotonic_ns() / SECOND
