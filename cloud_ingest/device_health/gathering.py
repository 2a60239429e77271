"""Reading what devices' health is judged by: the ledger's counts, the store's values, pairs of devices."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.device_health.bias import COUNTERPARTS, Compared, bias_findings, bias_of, paired
from cloud_ingest.device_health.findings import Finding
from cloud_ingest.device_health.life import LIFE_METRICS, MOST_CYCLES, Cycle, cycles_of
from cloud_ingest.device_health.sums import DAY_NS, DOUBTS, DaySums, SignalDay, SignalName, day_of, span_of
from cloud_ingest.records import Records
from cloud_ingest.records.fleet_days import counts_of_hour
from cloud_ingest.records.models import Association, Device
from cloud_ingest.stores.base import TimeSeriesStore
from firmware_profiles import Catalog
from hearthward.core.errors import ConfigError
from hearthward.core.model import Quality

__all__ = ["Fact", "Gathering", "Told", "devices_in_use", "steady"]

HOURS: Final = 24
STEADY_S: Final = 3600.0
"""Of a device that should measure at least so often every hour within its use should have a reading."""
MOST_COMPARED: Final = 10_000
"""Readings of a device in the last day: nearly three hours of one a second."""
MOST_WORN: Final = 6
SIGNAL_METRICS: Final[Mapping[SignalName, Sequence[str]]] = {
    "battery": ("battery_level",),
    "temperature": ("device_temperature",),
    "voltage": ("device_supply_voltage", "battery_voltage"),
}
"""Of several the first that the device tells: a supply should stay, a cell's voltage follows its charge."""
_COMPARED: Final = int(Quality.SUSPECT | Quality.DISAGREES)
"""That two devices disagree is what is looked for."""
_NOT_REAL: Final = int(Quality.DEMO | Quality.TEST)
FIRMWARE: Final = "device_firmware"
SKEW: Final = "clock_skew"


@dataclass(frozen=True, slots=True)
class Fact:
    """A device in use as the directory has it; ``worn`` is since when somebody has it on (None: nobody)."""

    id: str
    gateway: str
    profile: str | None
    interval_s: float | None
    worn: int | None


@dataclass(slots=True)
class Told:
    """What a device last told of itself; ``signals`` by day."""

    last_seen: int | None = None
    firmware: str = ""
    clock_skew_s: float | None = None
    signals: dict[int, dict[SignalName, SignalDay]] = field(default_factory=dict)


def devices_in_use(session: Session, tenant: str, catalog: Catalog) -> list[Fact]:
    """All of them, by id; an interval that is not set is the profile's."""
    on = (Association.tenant == Device.tenant) & (Association.device == Device.id)
    now_on = on & Association.superseded_at.is_(None) & Association.end.is_(None)
    query = (
        select(Device.id, Device.gateway, Device.profile, Device.interval_s, Association.start)
        .outerjoin(Association, now_on)
        .where(Device.tenant == tenant, Device.ended.is_(None))
    )
    usual: dict[str, float | None] = {}
    found = []
    for key, gateway, profile, interval_s, worn in session.execute(query.order_by(Device.id)):
        if profile is not None and profile not in usual:
            usual[profile] = _usual(catalog, profile)
        found.append(Fact(key, gateway, profile, interval_s or usual.get(profile or ""), worn))
    return found


def _usual(catalog: Catalog, profile: str) -> float | None:
    try:
        return catalog.get(profile).expected_interval_s
    except ConfigError:  # a site's own, which is not here any more
        return None


class Gathering:
    """Of one tenant; every read is bounded."""

    def __init__(self, tenant: str, records: Records, store: TimeSeriesStore) -> None:
        self._tenant, self._records, self._store = tenant, records, store

    async def sums(self, day: int, steady: Collection[str]) -> list[DaySums]:
        """A day of all devices that the ledger has counts of, read hour by hour.

        ``steady`` devices should have a reading in every hour from the first to the last.
        """
        hours: defaultdict[str, int] = defaultdict(int)
        counts: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (4 + len(DOUBTS)))
        for hour in range(HOURS):
            at = day * HOURS + hour
            for device, some in await self._records.read(
                lambda s, at=at: counts_of_hour(s, self._tenant, at)  # type: ignore[misc]
            ):
                counts[device] = [a + b for a, b in zip(counts[device], some, strict=True)]
                if some[0]:
                    hours[device] |= 1 << hour
        return [
            _day(device, day, hours[device], counts[device], steady=device in steady)
            for device in sorted(counts)
        ]

    async def told(self, devices: Sequence[str], first: int, now: int) -> dict[str, Told]:
        """What some devices last told of themselves, and their signals from the day ``first`` on."""
        found = {device: Told() for device in devices}
        latest = await self._store.latest(self._tenant, devices)
        tells: defaultdict[str, set[str]] = defaultdict(set)
        for reading in latest:
            one = found.get(reading.device)
            if one is None:
                continue
            one.last_seen = max(reading.received, one.last_seen or 0)
            if reading.metric == FIRMWARE:
                one.firmware = (reading.code or "").strip()[:64]
            elif reading.metric == SKEW:
                one.clock_skew_s = reading.value
            tells[reading.device].add(reading.metric)
        for device, metrics in tells.items():
            for name, candidates in SIGNAL_METRICS.items():
                metric = next((m for m in candidates if m in metrics), None)
                if metric is not None:
                    await self._hear(found[device], device, name, metric, (first * DAY_NS, now + 1))
        return found

    async def _hear(
        self, told: Told, device: str, name: SignalName, metric: str, span: tuple[int, int]
    ) -> None:
        """A signal's days within a span of time."""
        for one in await self._store.summaries(self._tenant, device, metric, *span, DAY_NS):
            signal = SignalDay(one.count, one.mean, one.low, one.high, one.last)
            told.signals.setdefault(day_of(one.time), {})[name] = signal

    async def cycles(self, device: str, now: int) -> list[Cycle]:
        """What an instrument told of its cycles since its last overhaul, the newest so many."""
        batch = await self._store.read(
            self._tenant,
            [device],
            LIFE_METRICS,
            0,
            now + 1,
            limit=MOST_CYCLES * len(LIFE_METRICS),
            newest=True,
        )
        rows = zip(batch.corrected, batch.metric, batch.value, batch.quality, strict=True)
        return cycles_of(
            (at, metric, value) for at, metric, value, q in rows if value is not None and not q & _NOT_REAL
        )

    async def comparisons(self, now: int) -> AsyncIterator[dict[str, list[Finding]]]:
        """Patient by patient: what comparing the devices on one came to, by device."""
        for worn in await self._records.read(lambda s: _together(s, self._tenant)):
            yield await self._compared(worn, now)

    async def _compared(self, worn: Mapping[str, int], now: int) -> dict[str, list[Finding]]:
        series: dict[str, dict[str, list[tuple[int, float]]]] = {}
        for device in sorted(worn):
            batch = await self._store.read(
                self._tenant,
                [device],
                sorted(COUNTERPARTS),
                max(now - DAY_NS, worn[device]),
                now + 1,
                limit=MOST_COMPARED,
                newest=True,
            )
            series[device] = {}
            for reading in batch:
                if reading.value is not None and not reading.quality & ~_COMPARED:
                    values = series[device].setdefault(reading.metric, [])
                    values.append((reading.corrected, reading.value))
        return bias_findings(
            [
                Compared(own, metric, *twin, bias_of(paired(series[own][metric], series[twin[0]][twin[1]])))
                for one, other in combinations(sorted(worn), 2)
                for own, metric, twin in _both(series, one, other)
            ],
            day_of(now),
        )


def _day(device: str, day: int, hours: int, counts: Sequence[int], *, steady: bool) -> DaySums:
    stored, rejected, repeated, late, *said = counts
    span = span_of(hours) if steady else 0
    doubts = {name: n for name, n in zip(DOUBTS, said, strict=True) if n}
    return DaySums(device, day, hours, span, stored, rejected, repeated, late, doubts=doubts)


def _both(
    series: Mapping[str, Mapping[str, Any]], one: str, other: str
) -> Iterable[tuple[str, str, tuple[str, str]]]:
    """Each way round: a device, its metric, the other device and the metric there that is the same."""
    for own, twin in ((one, other), (other, one)):
        for metric in series[own]:
            same = sorted(COUNTERPARTS[metric][0] & series[twin].keys(), key=lambda m: (m != metric, m))
            if same:
                yield own, metric, (twin, same[0])


def _together(session: Session, tenant: str) -> list[dict[str, int]]:
    """Of each patient who wears several devices now: device -> since when."""
    query = select(Association.patient, Association.device, Association.start).where(
        Association.tenant == tenant, Association.superseded_at.is_(None), Association.end.is_(None)
    )
    worn: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for patient, device, start in session.execute(query.order_by(Association.patient, Association.device)):
        if len(worn[patient]) < MOST_WORN:
            worn[patient][device] = start
    return [some for some in worn.values() if len(some) > 1]


def steady(facts: Iterable[Fact]) -> frozenset[str]:
    """Devices that should measure at least once an hour while in use."""
    return frozenset(f.id for f in facts if f.interval_s is not None and f.interval_s <= STEADY_S)
