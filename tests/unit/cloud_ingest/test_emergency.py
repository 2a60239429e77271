# ruff: noqa: RUF001 - Chinese has commas of its own
from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.channels import FakeChannel
from cloud_ingest.emergency import AFTER_S, REPEAT_S, Emergency
from cloud_ingest.notifier import Notifier
from cloud_ingest.records import Records
from cloud_ingest.records.models import User
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import DeliveryTemporary, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from rules.response.duty import NOBODY, Duty, Person, Shift

T0 = 1_800_000_000 * SECOND
DAY = 86_400 * SECOND


def person(user: str, *channels: str) -> Person:
    return Person(user, user, ("engineer",), None, channels)


DUTY = Duty(
    people={
        "usr_eve": person("usr_eve", "in_app", "sms", "email"),
        "usr_han": person("usr_han", "sms"),
    },
    shifts=(Shift("usr_eve", "engineer", "w1", T0, T0 + DAY),),
    scheduled=frozenset({"w1", None}),  # type: ignore[arg-type] - nobody counts as on duty elsewhere
    patients={"p1": "w1"},
    endpoints={"sms": ("number-1",), "pigeon": ("loft",)},
)


class World:
    def __init__(self, folder: Path, duty: Duty = DUTY) -> None:
        self.clock = EventClock(T0, frozen_monotonic=True)
        self.records = Records.open(folder / "r.db", clock=self.clock, wall=self.clock, ids=SeededIds())
        self.channels = {name: FakeChannel(name) for name in ("in_app", "sms", "email")}
        self.telemetry = Telemetry()
        self.silent = 0.0
        self.duty = duty
        self.emergency = Emergency(
            self.records,
            "main",
            list(self.channels.values()),
            duty=lambda: self.duty,
            ingest_silent_s=lambda: self.silent,
            clock=self.clock,
            ids=SeededIds(),
            telemetry=self.telemetry,
        )

        def furnish(session: Session) -> None:
            for user, phone, email, language in (
                ("usr_eve", "+15005550006", "eve@ward.example", "en"),
                ("usr_han", "+8613800138000", None, "zh"),
            ):
                session.add(
                    User(
                        tenant="main",
                        id=user,
                        login=user,
                        name=user,
                        roles=["engineer"],
                        phone=phone,
                        email=email,
                        language=language,
                        created=1,
                    )
                )

        self.records.run_now(furnish)

    async def after(self, seconds: float, *, ingest: float = 0.0, outbox: float = 0.0) -> bool:
        self.clock.advance(seconds)
        self.silent = ingest
        return await self.emergency.look(outbox)

    def told(self) -> list[tuple[str, str]]:
        return sorted((name, m.target) for name, c in self.channels.items() for m in c.taken)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.records.close_now()


async def test_while_all_is_well_nobody_is_called(world: World) -> None:
    assert not await world.after(60, ingest=AFTER_S, outbox=AFTER_S)
    assert world.told() == []


async def test_when_ingest_is_dead_the_engineers_on_duty_are_called_by_all_remote_channels(
    world: World,
) -> None:
    await world.after(60)
    assert await world.after(40, ingest=AFTER_S + 10)
    assert world.told() == [
        ("email", "eve@ward.example"),
        ("sms", "+15005550006"),
        ("sms", "@number-1"),
    ]
    message = world.channels["email"].taken[0]
    assert message.text.startswith("EMERGENCY: no alarm has been decided since 08:01 UTC.")
    assert (message.kind, message.priority) == ("emergency", "high")
    assert world.telemetry.value("emergencies_total", part="ingest") == 1
    assert world.telemetry.value("emergency_deliveries_total", channel="sms", outcome="handed_over") == 2


async def test_it_is_told_again_every_five_minutes_and_when_it_is_over(world: World) -> None:
    await world.after(60)
    await world.after(40, ingest=40)
    await world.after(REPEAT_S - 1, ingest=339)
    assert len(world.channels["email"].taken) == 1
    await world.after(1, ingest=340)
    assert len(world.channels["email"].taken) == 2
    assert not await world.after(5)
    assert world.channels["email"].taken[-1].text.startswith("OVER: ")
    assert not await world.after(5)
    assert len(world.channels["email"].taken) == 3


async def test_it_is_told_from_memory_when_the_records_cannot_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.after(60)

    async def read(_fn: Any) -> Any:
        message = "disk gone"
        raise StoreUnavailable(message)

    monkeypatch.setattr(world.records, "read", read)
    await world.after(70)
    assert await world.after(40, outbox=40)
    assert len(world.told()) == 3
    assert "no message of an alarm is sent" in world.channels["email"].taken[0].text


async def test_after_a_start_ingest_is_given_time(world: World) -> None:
    assert not await world.after(20, ingest=float("inf"), outbox=float("inf"))
    assert await world.after(20, ingest=float("inf"), outbox=float("inf"))


async def test_where_no_engineer_is_on_duty_all_are_called_in_their_language(world: World) -> None:
    await world.after(60)
    world.duty = Duty(people=DUTY.people, scheduled=DUTY.scheduled, patients=DUTY.patients)
    await world.after(40, ingest=40)
    assert ("sms", "+8613800138000") in world.told()
    chinese = next(m for m in world.channels["sms"].taken if m.language == "zh")
    assert chinese.text.startswith("紧急：")


async def test_a_channel_that_fails_keeps_no_other_from_being_used(world: World) -> None:
    world.channels["sms"].fail(DeliveryTemporary("away"), ZeroDivisionError("oops"))
    await world.after(60)
    await world.after(40, ingest=40)
    assert world.told() == [("email", "eve@ward.example")]
    assert world.telemetry.value("emergency_deliveries_total", channel="sms", outcome="failed") == 2


async def test_that_nobody_can_be_called_is_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.duty = NOBODY
    await world.after(60)
    await world.after(40, ingest=40)
    assert "no engineer and no endpoint" in caplog.text


async def test_the_notifier_watches_ingest_and_its_own_outbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.emergency.CHECK_S", 0.001)
    notifier = Notifier(
        world.records,
        list(world.channels.values()),
        world.clock,
        SeededIds(),
        world.telemetry,
        emergency=world.emergency,
    )
    await world.after(60)
    looked, real = asyncio.Event(), world.emergency.look

    async def look(outbox_silent_s: float) -> bool:
        looked.set()
        return await real(outbox_silent_s)

    monkeypatch.setattr(world.emergency, "look", look)
    task = asyncio.create_task(notifier.run())
    async with asyncio.timeout(30):
        await looked.wait()
        world.clock.advance(40)
        world.silent = 40.0
        await world.channels["email"].reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
