"""Looking after devices' health: where each stands every half minute; findings at start and every six hours.

Everything goes in batches, so that neither the loop nor the records' writer is held for long.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Final

from sqlalchemy.orm import Session

from cloud_ingest.around import AroundBoard
from cloud_ingest.device_health.battery import Battery
from cloud_ingest.device_health.drift import Place
from cloud_ingest.device_health.findings import Finding
from cloud_ingest.device_health.gathering import Fact, Gathering, Told, devices_in_use, steady
from cloud_ingest.device_health.judging import Known, Upkeep, judged
from cloud_ingest.device_health.life import life_finding
from cloud_ingest.device_health.links import LinkBook
from cloud_ingest.device_health.order_telling import OrderTelling
from cloud_ingest.device_health.ordering import RULES, OrderRules
from cloud_ingest.device_health.remaining_life import Learned
from cloud_ingest.device_health.span_sums import SpanBook
from cloud_ingest.device_health.standing import standing_of
from cloud_ingest.device_health.sums import DaySums, day_of
from cloud_ingest.gateways import GatewayBoard
from cloud_ingest.records import Records
from cloud_ingest.records import fleet_days as kept
from cloud_ingest.records import fleet_hours as used
from cloud_ingest.stores.base import TimeSeriesStore
from firmware_profiles import Catalog
from hearthward.core.clock import Clock
from hearthward.core.errors import StoreUnavailable
from hearthward.core.telemetry import Telemetry

__all__ = ["HealthRounds", "temperatures"]

log = logging.getLogger(__name__)

LOOK_S: Final = 30.0
LINKS_EVERY: Final = 10
"""Looks between two writings of links: five minutes."""
ROUND_EVERY: Final = 720
"""Looks between two whole rounds: six hours."""
FIRST_ROUND: Final = 4
"""The first comes two minutes after the start: gateways have told where their devices stand by then."""
BATCH: Final = 100
LOOKED_BACK: Final = 90
BACKFILL: Final = 35
"""Days that are looked at again: what drop-outs are compared with, and most of what a backlog brings."""
PAUSE_S: Final = 0.01
"""Between two batches others have the records' writer."""


@dataclass(slots=True)
class _Round:
    """What one round knows of all devices; ``changed`` is the first day of each whose sums are others now."""

    now: int
    facts: Sequence[Fact]
    settled: bool
    changed: dict[str, int] = field(default_factory=dict)
    told: dict[str, Told] = field(default_factory=dict)
    compared: dict[str, list[Finding]] = field(default_factory=dict)
    rates: Mapping[str, Sequence[tuple[int, int]]] = field(default_factory=dict)
    firmwares: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


class HealthRounds:
    """Of one tenant. ``links`` gathers what gateways tell between two writings; ``spans`` adds up days.

    ``rules`` say which findings open a work order; ``service_hours`` after how many hours of use devices of a
    profile are to be serviced that have no interval of their own.
    """

    def __init__(  # noqa: PLR0913 - everything it looks at
        self,
        *,
        tenant: str,
        records: Records,
        store: TimeSeriesStore,
        gateways: GatewayBoard,
        around: AroundBoard,
        catalog: Catalog,
        orders: OrderTelling,
        clock: Clock,
        telemetry: Telemetry,
        lives: Mapping[str, Learned] | None = None,
        rules: OrderRules = RULES,
        service_hours: Mapping[str, int] | None = None,
    ) -> None:
        self._tenant, self._records, self._catalog = tenant, records, catalog
        self._gateways, self._around, self._orders = gateways, around, orders
        self._clock, self._telemetry = clock, telemetry
        self._lives, self.rules, self.service_hours = lives or {}, rules, service_hours or {}
        self._gathering = Gathering(tenant, records, store)
        self.links = LinkBook()
        self.spans = SpanBook(tenant, records)
        self._places: dict[str, str] = {}
        self._standings: dict[str, dict[str, Any]] = {}

    async def run(self) -> None:
        """Look again and again, until cancelled; what was gathered of links is written then."""
        looks = 0
        try:
            while True:
                await asyncio.sleep(LOOK_S)
                looks += 1
                try:
                    await self._turn(looks)
                except StoreUnavailable as error:
                    self._telemetry.count("device_health_failed_total")
                    log.warning("devices' health waits for the records or the store: %s", error)
                except Exception:
                    # nothing of this decides: readings must go on being stored and judged
                    self._telemetry.count("device_health_failed_total")
                    log.exception("looking after devices' health failed")
        finally:
            await self.rest()

    async def _turn(self, looks: int) -> None:
        await self.look()
        if looks % LINKS_EVERY == 0:
            await self.write_links()
        if looks % ROUND_EVERY == FIRST_ROUND:
            await self.round(settled=looks > FIRST_ROUND)
        await self._orders.look()

    async def rest(self) -> None:
        """Write what is not written yet; what cannot be is given up, and said."""
        try:
            await self.write_links()
        except StoreUnavailable as error:
            log.warning("losses of links of the last minutes are not written: %s", error)

    # --- every half minute ------------------------------------------------------------------------
    async def look(self) -> None:
        """Note where devices stand and what became of their links. Raises StoreUnavailable."""
        now = self._clock.now_ns()
        if not self._places:
            await self._know_places()
        changed: dict[str, dict[str, Any]] = {}
        for state in self._gateways.all():
            own = {d: word for d, word in state.devices.items() if self._places.get(d) == state.gateway}
            if state.online:
                self.links.words(own.items(), now)
            else:
                self.links.forget(own)
            for device, word in own.items():
                cause = word.cause.value if state.online else "gateway_offline"
                stands = {
                    "state": standing_of(online=state.online, state=word.state, cause=cause),
                    "cause": cause,
                    "since": word.since or None,
                    "backlog": state.backlog,
                }
                if self._standings.get(device) != stands:
                    changed[device] = stands
        for gateway, told in self._around.all().items():
            mine = (s for s in told.seen.sightings if self._places.get(s.device) == gateway)
            self.links.sightings(mine, now)
        for some in _batches(sorted(changed)):
            part = {device: changed[device] for device in some}
            await self._records.run(
                lambda s, part=part: kept.set_standings(s, self._tenant, part),  # type: ignore[misc]
                durable=False,
            )
            self._standings |= part

    async def _know_places(self) -> list[Fact]:
        facts = await self._records.read(lambda s: devices_in_use(s, self._tenant, self._catalog))
        self._places = {fact.id: fact.gateway for fact in facts}
        self._standings = {d: stands for d, stands in self._standings.items() if d in self._places}
        return facts

    async def write_links(self) -> None:
        """Add what was gathered to the days, and know the directory anew. Raises StoreUnavailable."""
        found = self.links.take()
        try:
            for some in _batches(sorted(found)):
                part = {key: found[key] for key in some}
                await self._records.run(
                    lambda s, part=part: kept.add_links(s, self._tenant, part)  # type: ignore[misc]
                )
                for key in some:
                    del found[key]
        except BaseException:
            self.links.give_back(found)
            raise
        await self._know_places()

    # --- a whole round ------------------------------------------------------------------------------
    async def round(self, *, settled: bool = True) -> int:
        """Sum up, judge, open work orders; how many were opened. Raises StoreUnavailable.

        Not ``settled``: gateways may have a backlog of our own absence, so nobody is newly called silent.
        """
        await self.write_links()
        now = self._clock.now_ns()
        made = _Round(now, await self._know_places(), settled)
        today = day_of(now)
        try:
            await self._sum_up(made, today)
        finally:
            self.spans.forget()
        await self._hear(made, today)
        async for found in self._gathering.comparisons(now):
            for device, some in found.items():
                made.compared.setdefault(device, []).extend(some)
            await asyncio.sleep(PAUSE_S)
        made.rates = await self._records.read(lambda s: kept.rates_of_week(s, self._tenant, today))
        opened = 0
        for batch in _by_place(made.facts):
            opened += await self._judge(made, batch)
            await asyncio.sleep(PAUSE_S)
        await self._records.run(lambda s: kept.end_findings(self._records.fleet(s), self._tenant))
        await self._records.run(lambda s: used.prune_days(s, self._tenant, now))
        self._telemetry.count("work_orders_by_rule_total", opened)
        return opened

    async def _sum_up(self, made: _Round, today: int) -> None:
        """The ledger's days that are not summed up as they are now: a backlog changes days long gone.

        Strangers' readings are counted there, too, and left out here.
        """
        often = steady(made.facts)
        for day in range(today - BACKFILL, today + 1):
            if await self._records.read(
                lambda s, day=day: kept.summed_up(s, self._tenant, day)  # type: ignore[misc]
            ):
                continue
            sums = [one for one in await self._gathering.sums(day, often) if one.device in self._places]
            for some in _batches(sums):
                for device in await self._records.run(
                    lambda s, some=some: kept.set_counts(s, self._tenant, some)  # type: ignore[misc]
                ):
                    made.changed.setdefault(device, day)
                await asyncio.sleep(PAUSE_S)

    async def _hear(self, made: _Round, today: int) -> None:
        """What devices tell of themselves, of each from its first changed day on."""
        by_first: defaultdict[int, list[str]] = defaultdict(list)
        for fact in made.facts:
            by_first[min(made.changed.get(fact.id, today), today - 1)].append(fact.id)
        for first, devices in by_first.items():
            for some in _batches(devices):
                told = await self._gathering.told(some, first, made.now)
                made.told |= told
                await self._keep_signals(told)
                await asyncio.sleep(PAUSE_S)
        for fact in made.facts:
            if fact.profile and made.told[fact.id].firmware:
                made.firmwares[fact.profile].append(made.told[fact.id].firmware)

    async def _keep_signals(self, told: Mapping[str, Told]) -> None:
        days = {
            (device, day): signals for device, one in told.items() for day, signals in one.signals.items()
        }
        if days:
            await self._records.run(lambda s: kept.set_signals(s, self._tenant, days))

    async def _judge(self, made: _Round, batch: Sequence[Fact]) -> int:
        devices = [fact.id for fact in batch]
        days, calibrations, services, hours = await self._records.read(
            lambda s: (
                kept.days_of(s, self._tenant, devices, day_of(made.now) - LOOKED_BACK),
                used.calibrations_of(s, self._tenant, devices),
                used.services_of(s, self._tenant, devices),
                used.hours_ever(s, self._tenant, devices),
            )
        )
        lives = await self._lives_of(made, batch)
        places = temperatures(batch, days)
        known = [
            replace(
                self._known(made, fact),
                calibrated=calibrations.get(fact.id),
                serviced=self._of_profile(services[fact.id], fact),
                place=places[fact.gateway],
                life=lives.get(fact.id),
            )
            for fact in batch
        ]
        results = await asyncio.to_thread(_judge_all, known, days, made.now)
        standings = {
            fact.id: _standing(made.told[fact.id], days[fact.id], results[fact.id][1], hours.get(fact.id, 0))
            for fact in batch
        }
        found = {device: findings for device, (findings, _) in results.items()}

        def write(session: Session) -> int:
            kept.set_standings(session, self._tenant, standings)
            fleet = self._records.fleet(session)
            opened = kept.keep_findings(fleet, self._tenant, found, settled=made.settled, rules=self.rules)
            return len(opened)

        return await self._records.run(write)

    async def _lives_of(self, made: _Round, batch: Sequence[Fact]) -> dict[str, Finding]:
        """What is found of the lives of those whose model's was learned, one at a time."""
        found = {}
        for fact in batch:
            learned = self._lives.get(fact.profile or "")
            if learned is not None:
                cycles = await self._gathering.cycles(fact.id, made.now)
                finding = await asyncio.to_thread(life_finding, learned, cycles, made.now)
                if finding is not None:
                    found[fact.id] = finding
        return found

    def _of_profile(self, service: Upkeep, fact: Fact) -> Upkeep:
        """With its profile's interval, where it has none of its own."""
        every = service.every_hours or self.service_hours.get(fact.profile or "")
        return replace(service, every_hours=every)

    def _known(self, made: _Round, fact: Fact) -> Known:
        told, profile = made.told[fact.id], fact.profile or ""
        return Known(
            device=fact.id,
            worn=fact.worn,
            last_seen=told.last_seen,
            interval_s=fact.interval_s,
            cause=self._standings.get(fact.id, {}).get("cause", "none"),
            firmware=told.firmware,
            peers=made.rates.get(profile, ()),
            firmwares=made.firmwares.get(profile, ()),
            compared=made.compared.get(fact.id, ()),
        )


def _judge_all(
    known: Sequence[Known], days: Mapping[str, Sequence[DaySums]], now: int
) -> dict[str, tuple[list[Finding], Battery | None]]:
    return {one.device: judged(one, days[one.device], now) for one in known}


def _standing(told: Told, days: Sequence[DaySums], battery: Battery | None, hours: int) -> dict[str, Any]:
    heard = [s.signals["rssi"].mean for s in days[-2:] if "rssi" in s.signals]
    return {
        "last_seen": told.last_seen,
        "firmware": told.firmware,
        "clock_skew_s": told.clock_skew_s,
        "rssi": heard[-1] if heard else None,
        "battery": None if battery is None else battery.level,
        "days_left": None if battery is None else battery.left,
        "days_left_low": None if battery is None else battery.low,
        "days_left_high": None if battery is None else battery.high,
        "hours_of_use": hours,
    }


def _by_place(facts: Sequence[Fact]) -> Iterator[list[Fact]]:
    """Batches in which the devices of a gateway are together, as far as it has no more than a batch."""
    batch: list[Fact] = []
    for _, found in groupby(sorted(facts, key=lambda f: (f.gateway, f.id)), key=lambda f: f.gateway):
        own = list(found)
        if batch and len(batch) + len(own) > BATCH:
            yield batch
            batch = []
        batch += own
        while len(batch) > BATCH:
            yield batch[:BATCH]
            batch = batch[BATCH:]
    if batch:
        yield batch


def temperatures(batch: Sequence[Fact], days: Mapping[str, Sequence[DaySums]]) -> Mapping[str, Place]:
    """By gateway what the temperatures of its devices were."""
    found: dict[str, defaultdict[int, list[tuple[str, float]]]] = {}
    for fact in batch:
        place = found.setdefault(fact.gateway, defaultdict(list))
        for sums in days[fact.id]:
            if (told := sums.signals.get("temperature")) is not None:
                place[sums.day].append((fact.id, told.mean))
    return found


def _batches(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[i : i + BATCH] for i in range(0, len(items), BATCH)]
