"""The wall of a large tenant: how long until /ward has come, its first content being in the page itself."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Final

from bench.figures import Outcome
from bench.processes import work_folder
from bench.ward import bench_settings, reader_of
from bench.web import get
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.app.cloud import cloud_running, open_records
from hearthward.app.seed import enter_plan
from hearthward.app.start import broker_running
from hearthward.app.tracker import percentiles
from hearthward.app.ward import TWINS, PlannedDevice, PlannedPatient, VitalSigns, WardPlan
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.ids import digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.settings import Settings
from hearthward.core.telemetry import Telemetry

__all__ = ["measure"]

PATIENTS: Final = 1000
LOADS: Final = 30
TREND_S: Final = 30
"""Seconds of readings that stand in the store before the cloud starts."""


def measure() -> Outcome:
    """Load the page again and again from another thread, over HTTP on loopback."""
    return asyncio.run(_measure())


def _plan() -> WardPlan:
    patients = tuple(
        PlannedPatient(
            f"p-{n:04}",
            f"Patient {n}",
            f"{n}",
            (
                PlannedDevice(
                    f"ox-{n:04}", "pulse-oximeter", 1.0, f"C0:00:00:00:{n // 256:02X}:{n % 256:02X}"
                ),
            ),
        )
        for n in range(PATIENTS)
    )
    return WardPlan("Large", "gw-1", patients)


async def _fill(folder: Path, plan: WardPlan, now: int) -> None:
    store = SqliteStore(folder / "series.db")
    try:
        rows = []
        for n, (patient, device) in enumerate(plan.devices()):
            signs = VitalSigns(patient.id)
            for second in range(TREND_S):
                at = now - (TREND_S - second) * SECOND + n
                for i, metric in enumerate(sorted(TWINS[device.kind][2])):
                    value = round(signs.at(second)[metric], 1)
                    mark = digest63(device.id.encode(), at.to_bytes(8, "little"))
                    rows.append(
                        Reading(
                            device.id, metric, value, None, None, at, at, digest=mark, ordinal=i, group=mark
                        )
                    )
        batch = ReadingBatch.of(rows)
        await store.append("main", batch, Origins("gw-1", "bench", range(1, len(batch) + 1)))
    finally:
        await store.close()


async def _measure() -> Outcome:
    plan, clock, telemetry = _plan(), SystemClock(), Telemetry()
    with work_folder() as folder:
        settings: Settings = bench_settings(folder)
        async with open_records(settings) as records, broker_running(settings, telemetry) as broker:
            await enter_plan(records, plan, clock.now_ns() - 3600 * SECOND)
            await _fill(settings.data / "cloud", plan, clock.now_ns())
            start = time.perf_counter()
            async with cloud_running(
                settings, records, broker_url=broker, clock=clock, telemetry=telemetry
            ) as cloud:
                up = time.perf_counter() - start
                token = reader_of(cloud, settings.cloud.tenant)
                pages = await asyncio.to_thread(_load, f"{cloud.url}/ward", token, "text/html")
                states = await asyncio.to_thread(_load, f"{cloud.url}/api/v1/wall", token, "application/json")
    outcome = Outcome("wall", f"{PATIENTS} patients with values, loaded {LOADS} times over HTTP on loopback")
    outcome.add("cloud up", up, "s", note="broker and directory already there")
    for name, (samples, size) in (("/ward", pages), ("/api/v1/wall", states)):
        figures = percentiles(samples)
        outcome.add(
            f"{name} first", samples[0], "ms", note="templates not yet compiled" if "ward" in name else ""
        )
        outcome.add(f"{name} p50", figures["p50"], "ms")
        outcome.add(f"{name} p99", figures["p99"], "ms", note=f"{size / 1000:.0f} kB" if size else "")
    return outcome


def _load(url: str, token: str, accept: str) -> tuple[list[float], int]:
    """Milliseconds of each load until the last byte, and the bytes of one."""
    samples, size = [], 0
    for _ in range(LOADS):
        start = time.perf_counter()
        answer = get(url, token, accept=accept)
        samples.append((time.perf_counter() - start) * 1e3)
        if isinstance(answer, bytes):
            size = len(answer)
            if answer.count(b'"id":"p-') < PATIENTS:
                msg = f"{url} does not show {PATIENTS} patients"
                raise RuntimeError(msg)
        elif len(answer["tiles"]) != PATIENTS:
            msg = f"{url} has {len(answer['tiles'])} tiles, not {PATIENTS}"
            raise RuntimeError(msg)
    return samples, size
