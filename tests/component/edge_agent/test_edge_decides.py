"""A gateway without a broker decides and tells, goes on after a restart, and delivers it all to one later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from edge_agent import ConfigStore, DecisionStore, EdgeAgent, EdgeDecider, Outbox
from edge_agent.annunciation import FakeAnnunciator, LocalAlarms
from edge_agent.annunciation import local as local_module
from hearthward.app.bedside import AgentLink
from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, Frame, decode_decisions
from rules import Context, RuleSet
from rules.travelling import Travelling
from tests.component.edge_agent.brokers import (
    GATEWAY,
    TENANT,
    Broker,
    Consumer,
    eventually,
    free_port,
    receipt_for,
    signed_document,
)
from tests.component.edge_agent.test_agent import gateway
from tests.unit.rules.made import make, threshold

Opener = Callable[..., Awaitable[Outbox]]
RULES = RuleSet((make("spo2-low", threshold("spo2", "below", 90, 2)),))


class Cloud(Consumer):
    """Keeps decisions apart from readings."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.decided: list[Travelling] = []

    async def _take(self, frame: Frame) -> None:
        self.frames.append(frame)
        for block in frame.blocks:
            if block.decisions:
                self.decided += [Travelling.decode(d) for d in decode_decisions(block.payload)]
        await self._answer(receipt_for(frame).encode())


def document() -> ConfigDocument:
    body = {
        "tenant": TENANT,
        "timezone": None,
        "devices": [{"id": "ox", "transport": "serial", "address": "/dev/ox"}],
        "rules": [[r.content(), False] for r in RULES],
        "rules_hash": RULES.hash,
        "contexts": {"ada": Context().content()},
        "associations": [["ox", "ada", time.time_ns() - 3600 * SECOND, None]],
        "places": {"ada": "Ward 1 / 3"},
    }
    return signed_document(ConfigDocument(GATEWAY, 1, body))


def spo2(value: float) -> ReadingBatch:
    now = time.time_ns()
    return ReadingBatch.of([Reading("ox", "spo2", value, None, None, now, now, profile="0" * 16)])


def deciding(box: Outbox, folder: Path, telemetry: Telemetry, fake: FakeAnnunciator) -> Any:
    def build(agent: EdgeAgent) -> EdgeDecider:
        clock = SystemClock()
        local = LocalAlarms(
            "offline", AgentLink(agent, box, telemetry), [fake], clock=clock, telemetry=telemetry
        )
        store = DecisionStore(folder / "decisions.snapshot")
        return EdgeDecider(GATEWAY, box, store, clock=clock, telemetry=telemetry, signals=local)

    return build


async def test_offline_it_decides_and_tells_and_later_it_is_all_delivered_once(
    make_broker: Callable[..., Broker],
    open_outbox: Opener,
    tmp_path: Path,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(local_module, "AWAY_S", 0.1)
    store, port, box = ConfigStore(tmp_path / "config"), free_port(), await open_outbox()
    store.save(document())
    fake = FakeAnnunciator()
    options = {"decider": deciding(box, tmp_path, telemetry, fake)}
    async with gateway(box, store, port, telemetry, **options) as (agent, _):
        assert agent.decider is not None
        await eventually(lambda: bool(fake.shown) and not fake.shown[-1][1].reached)
        await agent.accept(spo2(84))
        await eventually(lambda: bool(fake.alarms))
        (told,) = fake.alarms
        assert (told.place, told.rule, told.values) == ("Ward 1 / 3", "spo2-low", {"spo2": 84.0})
        assert agent.status().alarms == 1
        assert agent.status().trouble == {}
    assert fake.closed
    assert box.urgent().covers(1, 2), "the decision and what it rests on go first"
    fake = FakeAnnunciator()
    options = {"decider": deciding(box, tmp_path, telemetry, fake)}
    async with gateway(box, store, port, telemetry, **options) as (agent, _):
        await eventually(lambda: [a.id for a in fake.alarms] == [told.id])
        async with make_broker(port), Cloud(port) as cloud:
            await agent.accept(spo2(97))
            async with asyncio.timeout(30):
                await eventually(lambda: len({t.kind for t in cloud.decided}) == 2)
                await box.drained()
            await eventually(lambda: fake.alarms == () and fake.shown[-1][1].reached)
            # The first may have been sent before anybody subscribed; then it comes again, after the second.
            once = {t.at: (t.kind, t.alarm, t.subject, t.told) for t in cloud.decided}
            assert [once[at] for at in sorted(once)] == [
                ("start", told.id, "ada", True),
                ("end", told.id, "ada", True),
            ]
            assert agent.document is not None
            assert {t.config for t in cloud.decided} == {agent.document.digest}
