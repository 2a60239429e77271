"""A small cloud for tests: real records in a file, a store and a source in memory, frames by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import select

from cloud_ingest.feed import Event, Feed
from cloud_ingest.pipeline import Pipeline
from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from cloud_ingest.sources import Message
from cloud_ingest.stores import FOREVER, MemoryStore
from cloud_ingest.waves import MemoryWaves
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import UplinkError
from hearthward.core.ids import SeededIds, digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.ranges import RangeSet
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Block, Frame, Gap, Receipt, encode_block, topic
from hearthward.trust.access import Scope
from rules import Rule, RuleSet
from rules.conditions import Threshold

T0 = 1_767_225_600 * SECOND
TENANT = "main"
SCOPE = Scope.system(TENANT)


class HandClock(EventClock):
    """A clock of real time that the test steps: frames of real gateways, not of a recording."""

    event_driven = False


def live(*blocks: Block, at: float, gateway: str = "gw-1", **more: Any) -> Frame:
    """A frame that a real gateway sends when its synchronised clock shows ``at`` seconds after T0."""
    return frame(*blocks, gateway=gateway, at=at, **{"event_time": False, "synchronised": True, **more})


def rule(delay_s: float = 0.0) -> Rule:
    return Rule(
        id="spo2-low",
        version=1,
        title={"en": "Low oxygen saturation", "zh": "血氧饱和度过低"},
        kind="physiological",
        priority="high",
        audience=("nurse",),
        inputs={"spo2": 120.0},
        condition=Threshold("spo2", "below", 90.0, 1.0),
        delay_s=delay_s,
        max_lateness_s=3600.0,
        explanation={"en": "SpO2 {spo2} {limit}", "zh": "血氧 {spo2} {limit}"},
        cleared={"en": "SpO2 {spo2}", "zh": "血氧 {spo2}"},
        clinical_source="test",
    )


RULES = RuleSet((rule(),))


def reading(at: float, value: float | None = 97.0, device: str = "dev_1", **changes: Any) -> Reading:
    """A reading measured and received ``at`` seconds after T0."""
    moment = T0 + round(at * SECOND)
    metric = changes.pop("metric", "spo2")
    fields: dict[str, Any] = {
        "device": device,
        "metric": metric,
        "value": value,
        "code": None,
        "device_time": None,
        "received": moment,
        "corrected": moment,
        "digest": digest63(device.encode(), metric.encode(), repr((at, value)).encode()),
        "profile": "0123456789abcdef",
        **changes,
    }
    return Reading(**fields)


def block(first: int, *readings: Reading) -> Block:
    return Block(first, len(readings), encode_block(ReadingBatch.of(readings)))


def frame(*blocks: Block, gateway: str = "gw-1", boot: str = "boot-1", at: float = 0.0, **more: Any) -> Frame:
    fields: dict[str, Any] = {"mono": 1, "event_time": True, **more}
    return Frame(gateway, boot, blocks, wall=T0 + round(at * SECOND), **fields)


def message(made: Frame, on: str | None = None) -> Message:
    return Message(on or topic(TENANT, made.gateway, "frame"), made.encode())


def spans(receipt: Receipt) -> tuple[tuple[int, int], ...]:
    """The numbers that a receipt names, blocks and gaps, as ranges."""
    return tuple(RangeSet([*((b.first, b.last) for b in receipt.blocks), *receipt.gaps]))


def enrol(records: Records, gateway: str = "gw-1", devices: Sequence[str] = ("dev_1", "dev_2")) -> None:
    """A gateway whose device n is on patient n since an hour before T0."""

    def write(session: Any) -> None:
        directory = Directory(session, now=records.clock.now_ns(), ids=records.ids)
        directory.gateways.create(SCOPE, ident=gateway)
        for device in devices:
            patient = device.replace("dev", "pat")
            directory.devices.create(
                SCOPE, gateway=gateway, transport="ble", address=f"AA:{device}", ident=device
            )
            directory.patients.create(SCOPE, name=f"Name of {patient}", ident=patient)
            directory.associations.create(SCOPE, device=device, patient=patient, start=T0 - 3600 * SECOND)

    records.run_now(write)


@dataclass
class Ward:
    """Everything around a pipeline; ``pipeline`` can be replaced by ``restart``."""

    path: Path
    clock: EventClock = field(default_factory=lambda: EventClock(T0))
    telemetry: Telemetry = field(default_factory=Telemetry)
    store: MemoryStore = field(default_factory=MemoryStore)
    waves: MemoryWaves = field(default_factory=MemoryWaves)
    rules: RuleSet = RULES
    published: list[Message] = field(default_factory=list)
    cut: bool = False
    enrolled: bool = False
    """Whether the records have the patients and devices already."""

    def __post_init__(self) -> None:
        self.records = Records.open(
            self.path, clock=self.clock, wall=self.clock, ids=SeededIds(1), tenant=TENANT
        )
        if not self.enrolled:
            enrol(self.records)
        self.pipeline = self.build()

    def build(self) -> Pipeline:
        self.feed = Feed()
        self.heard = self.feed.subscribe()
        return Pipeline(
            TENANT,
            self.records,
            self.store,
            self.publish,
            feed=self.feed,
            clock=self.clock,
            telemetry=self.telemetry,
            waves=self.waves,
        )

    async def start(self) -> Ward:
        await self.pipeline.start(self.rules)
        return self

    async def restart(self, *, cleanly: bool = False) -> None:
        """As after a kill: only what is on the disk is left."""
        if cleanly:
            await self.pipeline.close()
        self.pipeline = self.build()
        await self.start()

    async def publish(self, on: str, payload: bytes) -> None:
        if self.cut:
            msg = "cut"
            raise UplinkError(msg)
        self.published.append(Message(on, payload))

    async def take(self, *frames: Frame | Message) -> None:
        """One batch through the pipeline."""
        for item in frames:
            self.pipeline.offer(message(item) if isinstance(item, Frame) else item)
        await self.pipeline.process_waiting()

    def snapshot_now(self) -> None:
        """The next commit takes a snapshot along, however short ago the last one was."""
        self.pipeline.turns._snapshot_at = -(10**18)

    def snapshot_later(self) -> None:
        """No snapshot for the next ten seconds."""
        self.pipeline.turns._snapshot_at = self.clock.monotonic_ns()

    def events(self) -> list[Event]:
        out = list(self.heard._events)
        self.heard._events.clear()
        return out

    def receipts(self) -> list[Receipt]:
        return [Receipt.decode(m.payload) for m in self.published if m.topic.endswith("/receipt")]

    async def rows(self, model: Any) -> list[Any]:
        return list(await self.records.read(lambda s: s.scalars(select(model)).all()))

    async def stored(self, *devices: str) -> list[Reading]:
        return list(await self.store.read(TENANT, devices or ("dev_1", "dev_2"), None, 0, FOREVER))

    async def close(self) -> None:
        self.feed.close()
        await self.records.close()


__all__ = [
    "RULES",
    "SCOPE",
    "T0",
    "TENANT",
    "Gap",
    "HandClock",
    "Ward",
    "block",
    "enrol",
    "frame",
    "live",
    "message",
    "reading",
    "rule",
    "spans",
]
