from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloud_ingest import config_publisher as publisher_module
from cloud_ingest import gateway_trouble as trouble_module
from cloud_ingest import maintenance, timers
from cloud_ingest import outdated as outdated_module
from cloud_ingest.feed import AlarmChanged, DirectoryChanged, Event, GatewayChanged, ReadingsStored
from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from cloud_ingest.records.models import ConfigDocumentRow, Gateway, JournalRow, TransitionRow
from cloud_ingest.service import CloudService
from cloud_ingest.sources import MemorySource
from cloud_ingest.stores import MemoryStore
from edge_agent.config_store import check_document
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.codes import TROUBLES
from hearthward.core.device_states import DeviceWord
from hearthward.core.errors import ConfigError, RuleError, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.settings import CloudSettings
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, Frame, Receipt, Status, topic
from hearthward.trust.access import Scope
from rules import RuleSet
from tests.unit.cloud_ingest.ward import RULES, SCOPE, T0, block, enrol, frame, reading, rule, spans

WALL = T0 + 500_000 * SECOND
"""Real time, which is not the time that the frames tell of."""
V0 = WALL // SECOND


class Cloud:
    """A service in memory but for its records."""

    def __init__(
        self,
        path: Path,
        rules: RuleSet = RULES,
        wall: EventClock | None = None,
        clock: EventClock | None = None,
    ) -> None:
        self.clock = clock or EventClock(T0)
        self.wall = wall or EventClock(WALL)
        self.telemetry = Telemetry()
        self.source = MemorySource()
        self.records = Records.open(path, clock=self.clock, wall=self.wall, ids=SeededIds(1))
        self.service = CloudService(
            records=self.records,
            store=MemoryStore(),
            source=self.source,
            rules=rules,
            clock=self.clock,
            telemetry=self.telemetry,
            settings=CloudSettings(tick_s=0.01),
        )
        self.events = self.service.feed.subscribe()

    def send(self, made: Frame) -> None:
        self.source.deliver(topic("main", made.gateway, "frame"), made.encode())

    async def until(self, kind: type[Event]) -> Event:
        async with asyncio.timeout(10):
            async for event in self.events:
                if isinstance(event, kind):
                    return event
        raise AssertionError

    def config(self, gateway: str = "gw-1") -> ConfigDocument:
        return ConfigDocument.decode(self.source.retained[topic("main", gateway, "config")])


@asynccontextmanager
async def running(
    path: Path,
    rules: RuleSet = RULES,
    *,
    enrolled: bool = False,
    wall: EventClock | None = None,
    clock: EventClock | None = None,
) -> AsyncIterator[Cloud]:
    cloud = Cloud(path, rules, wall, clock)
    if not enrolled:
        enrol(cloud.records)
    task = asyncio.create_task(cloud.service.run())
    try:
        async with asyncio.timeout(10):
            await cloud.service.started.wait()
            await cloud.source.wait_connected()
        yield cloud
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await cloud.records.close()


async def test_from_frame_to_alarm_to_accepting(tmp_path: Path):
    async with running(tmp_path / "r.db") as cloud:
        cloud.send(frame(block(1, reading(0, 84))))
        started = await cloud.until(AlarmChanged)
        assert isinstance(started, AlarmChanged)
        (alarm,) = await cloud.service.alarms(SCOPE, active_only=True)
        assert alarm.id == started.alarm.id
        await cloud.service.act("accept", alarm=alarm.id, actor="usr_1")
        accepted = await cloud.until(AlarmChanged)
        assert isinstance(accepted, AlarmChanged)
        assert accepted.alarm.accepted_by == "usr_1"
        with pytest.raises(RuleError):
            await cloud.service.act("accept", alarm="alm_none", actor="usr_1")
        assert await cloud.service.alarms(Scope("other")) == []
        assert await cloud.service.alarms(Scope("main", frozenset({"ward_none"}))) == []
        (receipt,) = [m for m in cloud.source.published if m.topic.endswith("receipt")]
        assert spans(Receipt.decode(receipt.payload)) == ((1, 1),)


async def test_timers_end_without_any_message(tmp_path: Path):
    async with running(tmp_path / "r.db", RuleSet((rule(delay_s=5),))) as cloud:
        cloud.send(frame(block(1, reading(0, 84))))
        await cloud.source.wait_published(2)
        cloud.clock.advance(20)
        assert isinstance(await cloud.until(AlarmChanged), AlarmChanged)


async def test_documents_are_versioned_by_content_and_published_at_every_connect(tmp_path: Path):
    async with running(tmp_path / "r.db") as cloud:
        await cloud.source.wait_published(1)
        first = cloud.config()
        assert first.version == V0
        assert first.body["rules"] == [[rule.content(), False] for rule in RULES]
        assert first.body["rules_hash"] == RULES.hash
        assert first.body["devices"][0] == {
            "id": "dev_1",
            "transport": "ble",
            "address": "AA:DEV_1",
            "profile": None,
            "timezone": None,
            "interval_s": None,
            "patient": "pat_1",
        }
        cloud.clock.advance(100)
        await cloud.service.directory_changed()
        assert cloud.config() == first
        cloud.source.cut()
        cloud.source.retained.clear()
        cloud.source.deliver("hw/1/main/gw-1/status", b"")
        cloud.source.mend()
        await cloud.source.wait_published(2)
        assert cloud.config() == first
        await cloud.records.run(
            lambda s: Directory(s, now=cloud.clock.now_ns(), ids=cloud.records.ids).gateways.change(
                SCOPE, "gw-1", timezone="Asia/Shanghai"
            )
        )
        await cloud.service.directory_changed()
        assert (cloud.config().version, cloud.config().body["timezone"]) == (V0 + 1, "Asia/Shanghai")
        assert isinstance(await cloud.until(DirectoryChanged), DirectoryChanged)
    async with running(tmp_path / "r.db", enrolled=True) as cloud:
        await cloud.source.wait_published(1)
        assert cloud.config().version == V0 + 1
        rows = await cloud.records.read(lambda s: s.scalars(select(ConfigDocumentRow)).all())
        assert {r.version: r.digest for r in rows} == {V0: first.digest, V0 + 1: cloud.config().digest}
        await cloud.service.rules_changed(RuleSet())
        assert cloud.config().version == V0 + 2


async def test_versions_grow_with_real_time_whatever_the_records_know(tmp_path: Path):
    """A cloud made anew is never taken for an older one by a gateway that kept a document of before."""
    async with running(tmp_path / "first.db") as cloud:
        cloud.wall.advance(10)
        await cloud.service.rules_changed(RuleSet())
        kept = cloud.config()
        assert kept.version == V0 + 10
    later = EventClock(WALL + 60 * SECOND)
    async with running(tmp_path / "anew.db", wall=later) as cloud:
        assert cloud.config().version == V0 + 60
        check_document(cloud.config(), gateway="gw-1", tenant="main", current=kept)
    async with running(tmp_path / "behind.db", wall=EventClock(WALL - 60 * SECOND)) as cloud:
        with pytest.raises(ConfigError, match="older"):
            check_document(cloud.config(), gateway="gw-1", tenant="main", current=kept)


async def test_a_gateway_with_a_document_that_these_records_never_made_gets_a_newer_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Records restored from an old copy: the gateway would refuse what it had before as older."""
    monkeypatch.setattr(maintenance, "MAINTENANCE_S", 0.01)
    async with running(tmp_path / "r.db") as cloud:
        await cloud.source.wait_published(1)
        first = cloud.config()
        cloud.wall.advance(3600)
        lost = ConfigDocument("gw-1", V0 + 1800, {"tenant": "main"})
        cloud.source.deliver(topic("main", "gw-1", "applied"), first.digest.encode())
        cloud.source.deliver(topic("main", "gw-1", "applied"), lost.digest.encode())
        await cloud.source.wait_published(2)
        newer = cloud.config()
        assert newer.version == V0 + 3600
        assert {**newer.body, "issued": 0} == {**first.body, "issued": 0}
        check_document(newer, gateway="gw-1", tenant="main", current=lost)
        cloud.source.deliver(topic("main", "gw-1", "applied"), first.digest.encode())
        assert await cloud.service.publisher.refresh() == []
        for strange in (lost.digest, first.digest, newer.digest, "", lost.digest):
            await cloud.service.publisher.runs("gw-1", strange)
        await cloud.service.publisher.runs("gw-unknown", lost.digest)
        assert cloud.config() == newer
        assert cloud.telemetry.value("config_strange_total") == 1


async def test_a_gateway_that_goes_on_with_an_old_configuration_is_a_fact_until_it_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(maintenance, "MAINTENANCE_S", 0.01)
    monkeypatch.setattr(outdated_module, "OUTDATED_S", 0.0)

    async with running(tmp_path / "r.db") as cloud:

        async def becomes(value: float) -> None:
            async with asyncio.timeout(10):
                while True:
                    if cloud.service.facts.get("gateway:gw-1", "config_outdated") == value:
                        return
                    await asyncio.sleep(0.01)

        await cloud.source.wait_published(1)
        status = topic("main", "gw-1", "status")
        cloud.source.deliver(status, Status(online=True, config=cloud.config().digest).encode())
        await becomes(0.0)
        await cloud.service.rules_changed(RuleSet())
        monkeypatch.setattr(publisher_module, "FIRST_AGAIN_S", 0.0)
        monkeypatch.setattr(timers, "OFFER_EVERY_S", 0.01)
        cloud.source.retained.clear()  # the broker forgets what it has acknowledged
        await becomes(1.0)
        await cloud.source.wait_published(3)
        cloud.source.deliver(status, Status(online=True, config=cloud.config().digest).encode())
        await becomes(0.0)


async def test_what_a_gateway_cannot_do_is_a_fact_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(maintenance, "MAINTENANCE_S", 0.01)
    monkeypatch.setattr(trouble_module, "STANDS_S", 0.0)
    async with running(tmp_path / "r.db") as cloud:
        await cloud.source.wait_published(1)
        for trouble, code in (({"rules": "failed"}, "rules_failed"), ({}, "none")):
            status = Status(online=True, trouble=trouble)
            cloud.source.deliver(topic("main", "gw-1", "status"), status.encode())
            async with asyncio.timeout(10):
                while cloud.service.facts.get("gateway:gw-1", "gateway_trouble") != TROUBLES.index(code):  # noqa: ASYNC110 - nobody tells of it
                    await asyncio.sleep(0.01)


async def test_what_a_gateway_tells_of_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maintenance, "MAINTENANCE_S", 0.01)
    async with running(tmp_path / "r.db") as cloud:
        await cloud.source.wait_published(1)
        streams = DeviceWord("streaming", since=T0)
        status = Status(online=True, boot="boot-1", version="0.1", backlog=3, devices={"dev_1": streams})
        cloud.source.deliver(topic("main", "gw-1", "status"), status.encode())
        event = await cloud.until(GatewayChanged)
        assert isinstance(event, GatewayChanged)
        assert (event.state.online, event.state.backlog, event.state.devices) == (
            True,
            3,
            {"dev_1": streams},
        )
        digest = cloud.config().digest
        cloud.source.deliver(topic("main", "gw-1", "applied"), digest.encode())
        await cloud.until(GatewayChanged)
        assert cloud.service.gateways.applied("gw-1") == (V0, T0)
        async with asyncio.timeout(10):
            while True:
                row = await cloud.records.read(lambda s: s.get(Gateway, ("main", "gw-1")))
                if row is not None and row.config_version_applied == V0:
                    break
                await asyncio.sleep(0.01)
        assert row.last_seen == T0
        cloud.source.deliver(topic("main", "gw-1", "status"), Status(online=False).encode())
        event = await cloud.until(GatewayChanged)
        assert isinstance(event, GatewayChanged)
        assert (event.state.online, event.state.config) == (False, digest)
        cloud.send(frame(block(1, reading(0)), at=3))
        event = await cloud.until(GatewayChanged)
        assert isinstance(event, GatewayChanged)
        assert (event.state.online, event.state.last_seen) == (True, T0 + 3 * SECOND)


async def test_frames_refused_at_the_edge_are_known_and_measured(tmp_path: Path):
    async with running(tmp_path / "r.db") as cloud:
        await cloud.source.wait_published(1)

        async def tell(**fields: Any) -> dict[str, dict[str, int]]:
            cloud.source.deliver(topic("main", "gw-1", "status"), Status(**fields).encode())
            event = await cloud.until(GatewayChanged)
            assert isinstance(event, GatewayChanged)
            return event.state.rejected

        def measured(reason: str) -> float:
            return cloud.telemetry.value("edge_frames_rejected", gateway="gw-1", reason=reason)

        told = {"cuff": {"truncated": 2, "made up": 5}, "line": {"truncated": 1, "integrity": 4}}
        assert await tell(online=True, rejected=told) == told
        assert await tell(online=False) == told, "a last will says nothing new of them"
        assert [measured(r) for r in ("truncated", "integrity", "other", "made up")] == [3, 4, 5, 0]
        started_again = {"cuff": {"truncated": 1}}
        assert await tell(online=True, rejected=started_again) == started_again
        assert [measured(r) for r in ("truncated", "integrity", "other")] == [1, 0, 0]


async def test_bad_status_and_foreign_messages_are_counted(tmp_path: Path):
    async with running(tmp_path / "r.db") as cloud:
        cloud.source.deliver("hw/1/main/gw-1/status", b"\xff")
        cloud.source.deliver("hw/1/other/gw-1/status", Status(online=True).encode())
        cloud.source.deliver("strange", b"?")
        cloud.send(frame(block(1, reading(0))))
        await cloud.source.wait_published(2)
        assert cloud.telemetry.value("messages_rejected_total", kind="status") == 1
        assert cloud.telemetry.value("messages_ignored_total", kind="status") == 1
        assert cloud.telemetry.value("dead_letters_total", reason="topic") == 1


async def test_an_association_counts_from_its_own_time_on(tmp_path: Path):
    async with running(tmp_path / "r.db") as cloud:
        cloud.clock.advance(30)

        def swap(session: object) -> None:
            directory = Directory(session, now=cloud.clock.now_ns(), ids=cloud.records.ids)  # type: ignore[arg-type]
            (worn,) = directory.associations.list(SCOPE, device="dev_1")
            directory.associations.end(SCOPE, worn.id, at=T0 + 10 * SECOND)
            directory.associations.create(SCOPE, device="dev_1", patient="pat_2", start=T0 + 20 * SECOND)

        await cloud.records.run(swap)
        await cloud.service.directory_changed()
        assert cloud.config().body["devices"][0]["patient"] == "pat_2"
        cloud.send(frame(block(1, reading(5, 84), reading(15, 84), reading(25, 84)), at=30))
        await cloud.until(AlarmChanged)
        alarms = await cloud.service.alarms(SCOPE)
        assert {(a.patient, a.onset) for a in alarms} == {
            ("pat_1", T0 + 5 * SECOND),
            ("pat_2", T0 + 25 * SECOND),
        }


async def test_the_alarms_of_a_patient_who_left_are_closed(tmp_path: Path):
    async with running(tmp_path / "r.db") as cloud:

        def admit(session: object) -> str:
            directory = Directory(session, now=cloud.clock.now_ns(), ids=cloud.records.ids)  # type: ignore[arg-type]
            ward = directory.wards.create(SCOPE, name="Team")
            return directory.encounters.create(SCOPE, patient="pat_1", kind="home", ward=ward.id).id

        stay = await cloud.records.run(admit)
        await cloud.service.directory_changed()
        cloud.send(frame(block(1, reading(0, 84)), block(2, reading(0, 84, device="dev_2")), at=5))
        await cloud.until(AlarmChanged)
        await cloud.records.run(
            lambda s: Directory(s, now=cloud.clock.now_ns(), ids=cloud.records.ids).encounters.end(
                SCOPE, stay
            )
        )
        await cloud.service.directory_changed()
        assert {a.patient for a in await cloud.service.alarms(SCOPE, active_only=True)} == {"pat_2"}
        rows = await cloud.records.read(lambda s: s.scalars(select(TransitionRow)).all())
        assert sorted(t.kind for t in rows) == ["reset", "start", "start"]
        journaled = await cloud.records.read(lambda s: len(s.scalars(select(JournalRow)).all()))
        await cloud.service.directory_changed()
        assert await cloud.records.read(lambda s: len(s.scalars(select(JournalRow)).all())) == journaled


@asynccontextmanager
async def long_ago(
    path: Path, monkeypatch: pytest.MonkeyPatch, refuse: Callable[[], Awaitable[None]]
) -> AsyncIterator[Cloud]:
    """A service with a timer that is due; its records ask ``refuse`` first, for two minutes already."""
    async with running(path, RuleSet((rule(delay_s=5),))) as cloud:
        real = cloud.records.run
        cloud.send(frame(block(1, reading(0, 84))))
        await cloud.until(ReadingsStored)

        async def run(fn: Any, **how: Any) -> Any:
            await refuse()
            return await real(fn, **how)

        monkeypatch.setattr(cloud.records, "run", run)
        pipeline = cloud.service.pipeline
        pipeline.ticked = pipeline.tried = pipeline.ticked - 120 * SECOND
        cloud.clock.advance(120)
        yield cloud


async def test_a_full_disk_silences_the_rules_but_nothing_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(timers, "RECORDS_WAIT_S", 0.001)
    full, tries = True, asyncio.Semaphore(0)

    async def refuse() -> None:
        tries.release()
        if full:
            msg = "database or disk is full"
            raise StoreUnavailable(msg)

    async with long_ago(tmp_path / "r.db", monkeypatch, refuse) as cloud:
        async with asyncio.timeout(10):
            for _ in range(3):
                await tries.acquire()
        # the engineers are called, and systemd does not kill what no restart would mend
        assert cloud.service.ingest_silent_s > 60
        assert cloud.service.hangs_s < 60
        assert not cloud.service.well
        assert "cannot be written now" in cloud.service.trouble()["ingest"]
        full = False
        await cloud.until(AlarmChanged)
        async with asyncio.timeout(10):
            while cloud.service.ingest_silent_s > 60:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.001)
        assert cloud.service.trouble() == {}


async def test_timers_that_do_not_come_back_hang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def refuse() -> None:
        asked.set()
        await go_on.wait()

    async with long_ago(tmp_path / "r.db", monkeypatch, refuse) as cloud:
        try:
            async with asyncio.timeout(10):
                await asked.wait()
            assert cloud.service.hangs_s > 60
        finally:
            go_on.set()
        await cloud.until(AlarmChanged)
