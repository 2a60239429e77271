"""What the rules are told of patients and gateways, and when: limits, signs of life, our own absence."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloud_ingest import maintenance
from cloud_ingest.feed import AlarmChanged
from cloud_ingest.heartbeats import Heartbeats
from cloud_ingest.records.models import Alarm, JournalRow, PatientLimit, RuleVersion
from hearthward.core.clock import SECOND
from hearthward.core.wire import Status, topic
from rules import RuleSet, load_rules
from rules.rule import Parameter
from tests.unit.cloud_ingest.test_service import Cloud, running
from tests.unit.cloud_ingest.ward import RULES, T0, HandClock, block, frame, live, reading, rule

SHIPPED = load_rules().by_id


async def alarms(cloud: Cloud) -> set[tuple[str, str]]:
    rows = await cloud.records.read(lambda s: s.scalars(select(Alarm)).all())
    return {(a.patient or "", a.rule) for a in rows if a.condition == "active"}


async def journaled(cloud: Cloud) -> list[str]:
    rows = await cloud.records.read(lambda s: s.scalars(select(JournalRow).order_by(JournalRow.seq)).all())
    return [r.kind for r in rows]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a timer of the service's own does it
            await asyncio.sleep(0.01)


async def quiet(cloud: Cloud) -> None:
    """All ticks that were due have been taken."""
    await asyncio.sleep(0.05)
    async with cloud.service.pipeline.turns.taken():
        pass


def limit(value: float) -> PatientLimit:
    return PatientLimit(
        tenant="main",
        id=f"lim_{value}",
        patient="pat_1",
        rule="spo2-low",
        parameter="limit",
        value=value,
        daily_from=None,
        daily_to=None,
        timezone="UTC",
        set_by="usr_1",
        set_by_name="Dr. Who",
        set_at=T0,
        reason="COPD",
        starts=T0,
        expires=T0 + 100 * SECOND,
        ended_at=None,
        ended_by=None,
        ended_by_name=None,
        ended_reason=None,
        superseded_by=None,
    )


def adjustable() -> RuleSet:
    base = rule()
    condition: Any = replace(base.condition, value="limit")
    return RuleSet((replace(base, condition=condition, parameters={"limit": Parameter(90, 80, 94)}),))


async def test_a_limit_holds_from_when_it_is_told_until_it_expires(tmp_path: Path):
    async with running(tmp_path / "r.db", adjustable()) as cloud:
        await cloud.records.run(lambda s: s.add(limit(85.0)))
        await cloud.service.limits_changed()
        cloud.send(frame(block(1, reading(0, 88), reading(0, 84, device="dev_2")), at=0))
        await cloud.until(AlarmChanged)
        assert await alarms(cloud) == {("pat_2", "spo2-low")}
        before = await journaled(cloud)
        await cloud.service.limits_changed()
        await cloud.service.directory_changed()
        assert await journaled(cloud) == before, "what is known already is no input"
        cloud.send(frame(block(2, reading(110, 88)), at=110))
        await cloud.until(AlarmChanged)
        assert await alarms(cloud) == {("pat_1", "spo2-low"), ("pat_2", "spo2-low")}


async def test_contexts_are_looked_at_again_by_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(maintenance, "MAINTENANCE_S", 0.01)
    async with running(tmp_path / "r.db", adjustable()) as cloud:
        await cloud.records.run(lambda s: s.add(limit(85.0)))
        await until(lambda: bool(cloud.service.pipeline.state.contexts["pat_1"].limits))
        cloud.clock.advance(200)
        await until(lambda: not cloud.service.pipeline.state.contexts["pat_1"].limits)


async def test_a_rule_s_content_is_kept_when_it_comes_into_force(tmp_path: Path):
    async with running(tmp_path / "r.db") as cloud:
        trial = replace(rule(delay_s=5), version=2, shadow=True)
        await cloud.service.rules_changed(RuleSet((rule(), trial)))
        kept = await cloud.records.read(lambda s: s.scalars(select(RuleVersion)).all())
        assert {k.hash for k in kept} == {rule().hash, trial.hash}


async def test_a_rule_in_shadow_is_decided_and_nobody_is_told(tmp_path: Path):
    stricter = replace(rule(), version=2, shadow=True)
    condition: Any = replace(stricter.condition, value=95.0)
    async with running(tmp_path / "r.db", RuleSet((rule(), replace(stricter, condition=condition)))) as cloud:
        told: list[str] = []
        cloud.service.hooks.on_transitions = lambda found: told.extend(t.kind for t in found)
        cloud.send(frame(block(1, reading(0, 92)), block(2, reading(0, 84, device="dev_2"))))
        event = await cloud.until(AlarmChanged)
        assert isinstance(event, AlarmChanged)
        assert (event.alarm.patient, event.alarm.shadow) == ("pat_2", False)
        rows = await cloud.records.read(lambda s: s.scalars(select(Alarm)).all())
        assert {(a.patient, a.rule, a.shadow) for a in rows} == {
            ("pat_1", "spo2-low", True),
            ("pat_2", "spo2-low", True),
            ("pat_2", "spo2-low", False),
        }
        assert told == ["start"]
        assert cloud.telemetry.value("shadow_transitions_total") == 2
        assert [a.patient for a in cloud.service.pipeline.state.active()] == ["pat_2"]


GATEWAY = RuleSet((SHIPPED["gateway-silent"],))


def status(at: float, **more: Any) -> bytes:
    return Status(online=True, boot="boot-1", wall=T0 + round(at * SECOND), **more).encode()


async def test_a_silent_gateway_is_an_alarm_and_a_status_is_a_sign_of_life(tmp_path: Path):
    clock = HandClock(T0)
    async with running(tmp_path / "r.db", GATEWAY, clock=clock) as cloud:
        heard = topic("main", "gw-1", "status")
        for at in range(0, 300, 20):
            clock.follow(T0 + at * SECOND)
            cloud.source.deliver(heard, status(at))
            await quiet(cloud)
        assert await alarms(cloud) == set()
        kinds = await journaled(cloud)
        assert kinds.count("readings") == 15
        clock.advance(200)
        await cloud.until(AlarmChanged)
        assert await alarms(cloud) == {("gateway:gw-1", "gateway-silent")}
        cloud.source.deliver(heard, status(280))
        cloud.source.deliver(heard, Status(online=False).encode())
        await quiet(cloud)
        assert await alarms(cloud) == {("gateway:gw-1", "gateway-silent")}, (
            "kept by the broker, or a last will"
        )
        cloud.source.deliver(heard, status(-9000))
        await cloud.until(AlarmChanged)
        assert await alarms(cloud) == set(), "its clock is wrong, but it is alive"


async def test_a_gateway_that_was_never_heard_is_an_alarm(tmp_path: Path):
    clock = HandClock(T0)
    async with running(tmp_path / "r.db", GATEWAY, clock=clock) as cloud:
        clock.advance(130)
        await cloud.until(AlarmChanged)
        assert await alarms(cloud) == {("gateway:gw-1", "gateway-silent")}


async def test_signs_of_life_come_together_and_not_often(tmp_path: Path):
    clock = HandClock(T0)
    async with running(tmp_path / "r.db", GATEWAY, clock=clock) as cloud:
        before = len(await journaled(cloud))
        for n in range(90):
            clock.advance(0.1)
            cloud.source.deliver(topic("main", f"gw-{n % 3}", "status"), status(n / 10))
            await asyncio.sleep(0.001)
            await cloud.service.pipeline.tick()
        assert len(await journaled(cloud)) == before + 1


async def test_a_played_recording_has_no_silent_gateways(tmp_path: Path):
    async with running(tmp_path / "r.db", GATEWAY) as cloud:
        cloud.send(frame(block(1, reading(0)), at=0))
        cloud.send(frame(block(2, reading(9000)), at=9000))
        await cloud.source.wait_published(2)
        await quiet(cloud)
        assert await alarms(cloud) == set()


def test_gateways_that_are_invented_are_not_listed_for_ever(monkeypatch: pytest.MonkeyPatch):
    from cloud_ingest import heartbeats

    monkeypatch.setattr(heartbeats, "MAX_GATEWAYS", 2)
    beats = Heartbeats()
    for n in range(5):
        beats.heard(f"gw-{n}", T0)
    assert beats.take(T0).patient == ["gateway:gw-0", "gateway:gw-1"]
    assert not beats.due(T0 + 60 * SECOND)


NO_DATA = RuleSet((SHIPPED["no-data"],))


async def worn(cloud: Cloud, profile: str) -> None:
    """What is expected of the patients' devices is known."""

    def write(session: Any) -> None:
        from cloud_ingest.records.models import Device

        for device in session.scalars(select(Device)):
            device.profile = profile

    await cloud.records.run(write)
    await cloud.service.directory_changed()


async def test_our_own_absence_is_nobody_s_silence(tmp_path: Path):
    """An hour without the cloud: the readings wait at the gateways, and no patient has lost a signal."""
    clock = HandClock(T0)
    async with running(tmp_path / "r.db", NO_DATA, clock=clock) as cloud:
        await worn(cloud, "sig-pulse-oximeter")
        for at in (0, 60):
            clock.follow(T0 + at * SECOND)
            cloud.send(live(block(1 + at, reading(at), reading(at, device="dev_2")), at=at))
            await cloud.source.wait_published(1)
        await quiet(cloud)
        assert await alarms(cloud) == set()
    clock = HandClock(T0 + 3600 * SECOND)
    async with running(tmp_path / "r.db", NO_DATA, enrolled=True, clock=clock) as cloud:
        await quiet(cloud)
        cloud.send(live(block(100, reading(3600)), at=3600))
        await cloud.source.wait_published(1)
        await quiet(cloud)
        assert await alarms(cloud) == set()
        rows = await cloud.records.read(lambda s: s.scalars(select(Alarm)).all())
        assert rows == []
        clock.advance(310)
        await cloud.until(AlarmChanged)
        assert await alarms(cloud) >= {("pat_2", "no-data")}, "who is still silent is told of"


async def test_silence_that_was_told_before_we_stopped_goes_on(tmp_path: Path):
    clock = HandClock(T0)
    async with running(tmp_path / "r.db", NO_DATA, clock=clock) as cloud:
        await worn(cloud, "sig-pulse-oximeter")
        clock.advance(400)
        await cloud.until(AlarmChanged)
        await quiet(cloud)
        assert await alarms(cloud) == {("pat_1", "no-data"), ("pat_2", "no-data")}
    clock = HandClock(T0 + 3600 * SECOND)
    async with running(tmp_path / "r.db", NO_DATA, enrolled=True, clock=clock) as cloud:
        await quiet(cloud)
        assert await alarms(cloud) == {("pat_1", "no-data"), ("pat_2", "no-data")}
        kinds = [
            a.last_transition for a in await cloud.records.read(lambda s: s.scalars(select(Alarm)).all())
        ]
        assert kinds == ["start", "start"]


async def test_rules_that_fail_in_a_timer_stop_no_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with running(tmp_path / "r.db", RULES) as cloud:
        real = cloud.service.pipeline.tick
        failures = [KeyError("a bug")]

        async def tick() -> None:
            if failures:
                raise failures.pop()
            await real()

        monkeypatch.setattr(cloud.service.pipeline, "tick", tick)
        await until(lambda: not failures)
        cloud.send(frame(block(1, reading(0, 84))))
        await cloud.until(AlarmChanged)
        assert cloud.telemetry.value("ticks_failed_total") == 1
