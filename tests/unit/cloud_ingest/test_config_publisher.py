from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import pytest

from cloud_ingest.config_publisher import FIRST_AGAIN_S, LAST_AGAIN_S, ConfigPublisher
from cloud_ingest.feed import GatewayState
from cloud_ingest.records import Records
from cloud_ingest.sources import MemorySource
from firmware_profiles import load_catalog
from hearthward.core.clock import EventClock
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, topic
from tests.unit.cloud_ingest.ward import T0, enrol

CATALOG = load_catalog()


class Office:
    """A publisher of two gateways whose documents the broker has acknowledged, and a clock that stands."""

    def __init__(self, path: Path) -> None:
        self.clock = EventClock(T0, frozen_monotonic=True)
        self.source = MemorySource()
        self.source._connected.set()
        self.records = Records.open(path, clock=self.clock, wall=self.clock, ids=SeededIds(1))
        enrol(self.records, "gw-1")
        enrol(self.records, "gw-2", devices=())
        self.publisher = ConfigPublisher(
            "main", self.records, self.source, catalog=CATALOG, clock=self.clock, telemetry=Telemetry()
        )

    def document(self, gateway: str) -> ConfigDocument:
        found = self.publisher.document(gateway)
        assert found is not None
        return found

    async def look(self, *states: GatewayState, after: float = 0.0) -> list[str]:
        """To whom documents are published when the gateways say this ``after`` seconds."""
        self.clock.advance(after)
        before = len(self.source.published)
        await self.publisher.publish_again(states)
        return [m.topic for m in self.source.published[before:]]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    made = Office(tmp_path / "r.db")
    await made.publisher.refresh()
    yield made
    await made.records.close()


def says(gateway: str, config: str = "", *, online: bool = True) -> GatewayState:
    return GatewayState(gateway, online=online, config=config)


async def test_a_document_that_the_broker_forgot_is_published_again_soon_then_less_and_less(office: Office):
    states = says("gw-1", "old"), says("gw-2", office.document("gw-2").digest), says("gw-unknown", "x")
    assert await office.look(*states, after=FIRST_AGAIN_S - 0.5) == []
    office.source.retained.clear()
    assert await office.look(*states, after=0.5) == [topic("main", "gw-1", "config")]
    given = ConfigDocument.decode(office.source.retained[topic("main", "gw-1", "config")])
    assert given.digest == office.document("gw-1").digest
    assert given.signature
    given_at = [n for n in range(1, 601) if await office.look(*states, after=1)]
    assert given_at[:5] == [4, 12, 28, 60, 120]
    assert {b - a for a, b in pairwise(given_at[4:])} == {LAST_AGAIN_S}
    assert await office.look(says("gw-1", given.digest), after=60) == []
    assert await office.look(says("gw-1", "older"), after=1) == []
    assert await office.look(says("gw-1", "older"), after=1) == [topic("main", "gw-1", "config")]


async def test_who_is_away_is_given_nothing_and_a_cloud_without_a_broker_waits(office: Office):
    assert await office.look(says("gw-1", "old", online=False), after=600) == []
    assert await office.look(says("gw-1", "old")) == []
    office.source.cut()
    assert await office.look(says("gw-1", "old"), after=FIRST_AGAIN_S) == []
    office.source._connected.set()
    assert await office.look(says("gw-1", "old")) == [topic("main", "gw-1", "config")]
