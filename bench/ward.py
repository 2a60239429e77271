"""The whole chain in one process, as ``hearthward run`` joins it, with observers on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hearthward.app.cloud import Cloud, cloud_running, open_records
from hearthward.app.edge import background, edge_running
from hearthward.app.listener import LiveListener
from hearthward.app.seed import enter_plan
from hearthward.app.start import broker_running
from hearthward.app.tracker import Tracker
from hearthward.app.twins import Ward, open_ward
from hearthward.app.ward import WardPlan
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.model import ReadingBatch
from hearthward.core.settings import Settings, load_settings
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Principal, Role
from rules import Transition

__all__ = ["RULE", "Chain", "bench_settings", "chain_running", "reader_of", "write_rule"]

RULE: Final = "bench-spo2"
_RULE_FILE: Final = f"""\
id: {RULE}
version: 1
title: {{en: Low oxygen saturation (bench), zh: 血氧饱和度过低 (测量)}}
kind: physiological
priority: high
audience: [nurse]
inputs: {{spo2: {{max_age_s: 120}}}}
condition: {{any: [{{metric: spo2, op: below, value: 90, hysteresis: 1}}]}}
delay_s: 0
max_lateness_s: 3600
explanation: {{en: "SpO2 {{spo2}} {{limit}}", zh: "血氧 {{spo2}} {{limit}}"}}
cleared: {{en: "SpO2 {{spo2}}, ended", zh: "血氧 {{spo2}} 已恢复"}}
clinical_source: none, only for measuring
examples:
  firing: [{{readings: [{{at: 0, values: {{spo2: 80}}}}], until: 0}}]
  silent: [{{readings: [{{at: 0, values: {{spo2: 97}}}}], until: 0}}]
"""


def write_rule(folder: Path) -> Path:
    """A folder of rules whose one rule alarms at once when SpO2 is below 90."""
    folder.mkdir()
    (folder / f"{RULE}.yaml").write_text(_RULE_FILE, encoding="utf-8")
    return folder


def bench_settings(folder: Path, **parts: dict[str, Any]) -> Settings:
    """Settings for a folder of its own and a free port."""
    return load_settings(None, data=folder / "data", web={"port": 0}, **parts)


def reader_of(cloud: Cloud, tenant: str) -> str:
    """A token for reading the wall."""
    token = cloud.token + "-reader"
    roles = frozenset({Role.NURSE, Role.ENGINEER})
    cloud.app.state.services[token] = Principal("bench", "bench", tenant, roles, kind="service")
    return token


@dataclass(frozen=True, slots=True)
class Chain:
    """The running parts, and what was observed on them."""

    ward: Ward
    cloud: Cloud
    tracker: Tracker
    telemetry: Telemetry


class _Wall(LiveListener):
    """A wall's stream that also tells when an alarm could first be seen."""

    def __init__(self, url: str, token: str, tracker: Tracker) -> None:
        super().__init__(url, token, tracker)
        self.tracker = tracker
        self.due: dict[str, tuple[str, int]] = {}

    def _take(self, kind: str, data: Any) -> None:
        super()._take(kind, data)
        if kind != "patch":
            return
        for tile in data["tiles"]:
            for alarm in tile["a"]:
                if (key := self.due.pop(alarm["id"], None)) is not None:
                    self.tracker.reached("alarm seen", [key])


@asynccontextmanager
async def chain_running(settings: Settings, plan: WardPlan) -> AsyncIterator[Chain]:
    """Twins, edge, broker child, cloud and one wall; every stage's delay goes into ``Chain.tracker``."""
    clock, telemetry = SystemClock(), Telemetry()
    tracker = Tracker(clock)
    async with AsyncExitStack() as stack:
        records = await stack.enter_async_context(open_records(settings))
        broker = await stack.enter_async_context(broker_running(settings, telemetry))
        ward = await stack.enter_async_context(open_ward(plan))
        await enter_plan(records, ward.plan, clock.now_ns() - SECOND)
        cloud = await stack.enter_async_context(
            cloud_running(settings, records, broker_url=broker, clock=clock, telemetry=telemetry)
        )
        wall = _Wall(cloud.url, reader_of(cloud, settings.cloud.tenant), tracker)
        cloud.service.hooks.on_stored = _stored(wall, tracker)
        cloud.service.hooks.on_transitions = _decided(wall, tracker)
        await stack.enter_async_context(background(wall.run, "wall"))
        await stack.enter_async_context(
            edge_running(
                settings,
                broker_url=broker,
                clock=clock,
                telemetry=telemetry,
                virtual=ward.world.virtual,
                on_accepted=lambda batch, _first, _last: _accepted(tracker, batch),
                on_refused=tracker.refused,
            )
        )
        yield Chain(ward, cloud, tracker, telemetry)


def _accepted(tracker: Tracker, batch: ReadingBatch) -> None:
    tracker.accepted(batch)


def _stored(wall: _Wall, tracker: Tracker) -> Callable[[ReadingBatch, list[str | None]], None]:
    def handle(batch: ReadingBatch, patients: list[str | None]) -> None:
        wall.stored(batch, patients)
        tracker.reached("stored", zip(batch.device, batch.received, strict=True))

    return handle


def _decided(wall: _Wall, tracker: Tracker) -> Callable[[Sequence[Transition]], None]:
    def handle(transitions: Sequence[Transition]) -> None:
        for transition in transitions:
            tracker.decided(transition, played=False)
            if transition.kind == "start" and transition.rule == RULE and transition.inputs:
                newest = max(transition.inputs, key=lambda r: r["received"])
                wall.due[transition.alarm] = newest["device"], newest["received"]

    return handle
