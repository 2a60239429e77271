"""A notifier over records in a file and a channel that fails as told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import Notifier
from cloud_ingest.records import Records
from hearthward.core.clock import EventClock
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from tests.unit.cloud_ingest.notified import START, Escalation


@pytest.fixture
def clock() -> EventClock:
    return EventClock(START, frozen_monotonic=True)


@pytest.fixture
def records(tmp_path: Path, clock: EventClock) -> Iterator[Records]:
    opened = Records.open(tmp_path / "records.db", clock=clock, wall=clock, ids=SeededIds())
    yield opened
    opened.close_now()


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
def notifier(records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry) -> Notifier:
    return Notifier(records, [channel], clock, SeededIds(), telemetry)


@pytest.fixture
def escalation() -> Escalation:
    return Escalation()


@pytest.fixture
def reporting(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry, escalation: Escalation
) -> Notifier:
    return Notifier(records, [channel], clock, SeededIds(), telemetry, undelivered=escalation.undelivered)
