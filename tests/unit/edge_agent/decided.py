"""A decider on an outbox in memory, driven by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_agent import DecisionStore, EdgeDecider, FakeOutbox, FakeStateStore, Knowledge, knowledge_of
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, decode_decisions
from rules import Context, RuleSet
from rules.travelling import Travelling
from tests.unit.rules.made import make, threshold

GATEWAY = "gw-1"
T0 = 1_800_000_000 * SECOND


class HandClock(EventClock):
    """A gateway's own clock, stepped by the test."""

    event_driven = False

    def __init__(self, at: float = 0) -> None:
        super().__init__(T0 + round(at * SECOND), frozen_monotonic=True)

    def jump(self, seconds: float) -> None:
        """Somebody sets it."""
        self._now += round(seconds * SECOND)


RULES = RuleSet(
    (
        make("spo2-low", threshold("spo2", "below", 90, 2), max_lateness_s=3600),
        make("heart-rate-high", threshold("heart_rate", "above", 120, 5), delay_s=10.0),
    )
)


def document(
    rules: RuleSet = RULES,
    *,
    version: int = 1,
    contexts: Mapping[str, Context] | None = None,
    devices: Iterable[str] = ("dev_1", "dev_2"),
    **more: Any,
) -> ConfigDocument:
    """Device n is on patient n since an hour before T0."""
    known = {d.replace("dev", "pat"): Context() for d in devices} if contexts is None else contexts
    body = {
        "tenant": "main",
        "timezone": None,
        "devices": [{"id": d, "transport": "serial", "address": f"/dev/{d}"} for d in devices],
        "rules": [[r.content(), r.shadow] for r in rules],
        "rules_hash": rules.hash,
        "contexts": {name: context.content() for name, context in known.items()},
        "associations": [[d, d.replace("dev", "pat"), T0 - 3600 * SECOND, None] for d in devices],
        "places": {},
        "issued": T0,
    }
    return ConfigDocument(GATEWAY, version, body | more)


def knowledge(*args: Any, **options: Any) -> Knowledge:
    found = knowledge_of(document(*args, **options))
    assert found is not None
    return found


def reading(at: float, value: float, device: str = "dev_1", metric: str = "spo2", **more: Any) -> Reading:
    """A reading measured and received ``at`` seconds after T0."""
    moment = T0 + round(at * SECOND)
    fields: dict[str, Any] = {
        "code": None,
        "device_time": None,
        "received": moment,
        "corrected": moment,
        "profile": "0" * 16,
    }
    return Reading(device, metric, value, **(fields | more))


class Edge:
    """A gateway's decider; ``restart`` kills it, leaving what is in outbox and file."""

    def __init__(self, folder: Path | None, known: Knowledge | None = None) -> None:
        self.store = FakeStateStore() if folder is None else DecisionStore(folder / "decisions.snapshot")
        self.known = known or knowledge()
        self.outbox = FakeOutbox()
        self.clock = HandClock()
        self.telemetry = Telemetry()
        self.decider = self._made()

    def _made(self, **more: Any) -> EdgeDecider:
        return EdgeDecider(
            GATEWAY,
            self.outbox,
            self.store,
            clock=self.clock,
            telemetry=self.telemetry,
            **more,
        )

    async def start(self, *, configured: bool = True, **more: Any) -> Edge:
        self.decider = self._made(**more)
        if configured:
            self.decider.configure(self.known)
        await self.decider.begin()
        return self

    async def read(self, *readings: Reading, keep: bool = True) -> None:
        """These are accepted as one block and decided on at once."""
        self.clock.follow(max(r.corrected for r in readings))
        self.outbox.add(ReadingBatch.of(readings))
        await self.decider.decide()
        if keep:
            await self.decider.keep()

    async def wait(self, seconds: float, *, keep: bool = True) -> None:
        self.clock.advance(seconds)
        await self.decider.decide()
        if keep:
            await self.decider.keep()

    @property
    def sent(self) -> list[Travelling]:
        """All decisions that stand in the outbox."""
        return [
            Travelling.decode(payload)
            for block in self.outbox.blocks
            if block.decisions
            for payload in decode_decisions(block.payload)
        ]

    @property
    def kinds(self) -> list[tuple[str, str]]:
        return [(t.kind, t.rule) for t in self.sent]
