"""Reminders over the real records and store: once, to the right place, and not of what is done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution, Span
from cloud_ingest.channels.base import Message
from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.message_push import MessagePush
from cloud_ingest.records import Accounts, Records
from cloud_ingest.records.care import TaskDraft
from cloud_ingest.records.care_models import CareMessage
from cloud_ingest.reminders import Reminders
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import DeliveryTemporary, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Role, Scope
from hearthward.trust.passwords import Passwords
from rules.response.duty import Duty, Person

T0 = 1_767_225_600 * SECOND
HOUR = 3600 * SECOND
SCOPE = Scope.system("main")
PRESSURE = TaskDraft("measure", "nibp_systolic", "", ("08:00",), None, "Asia/Shanghai", 3600)
KEYS = {"p256dh": "BP" + "A" * 85, "auth": "A" * 22}


@dataclass
class Home:
    """A patient with a login and a telephone, one task at 08:00 in Shanghai (midnight UTC)."""

    records: Records
    store: SqliteStore
    clock: EventClock
    patient: str
    user: str
    push: FakeChannel = field(default_factory=lambda: FakeChannel("push"))
    sms: FakeChannel = field(default_factory=lambda: FakeChannel("sms"))
    telemetry: Telemetry = field(default_factory=Telemetry)

    async def plan(self, draft: TaskDraft = PRESSURE) -> str:
        row = await self.records.run(
            lambda s: self.records.care(s).add_task(SCOPE, self.patient, draft, by=self.user)
        )
        return row.id

    async def subscribe(self) -> None:
        address = "https://updates.push.services.mozilla.com/wpush/v2/x"
        await self.records.run(
            lambda s: self.records.push(s).add(SCOPE, self.user, endpoint=address, keys=KEYS)
        )

    def reminders(self, **more: Any) -> Reminders:
        """As after a restart."""
        worn = Attribution([Span("cuff", self.patient, 0)])
        return Reminders(
            "main",
            self.records,
            self.store,
            {"push": self.push, "sms": self.sms},
            attribution=lambda: worn,
            clock=self.clock,
            telemetry=self.telemetry,
            **more,
        )

    async def set(self, **fields: object) -> None:
        """Change the patient's record."""
        await self.records.run(
            lambda s: self.records.directory(s).patients.change(SCOPE, self.patient, **fields)  # type: ignore[arg-type]
        )

    async def set_own_number(self, phone: str | None) -> None:
        """Change the number of the patient's login, as an invitation does."""

        def write(session: Session) -> None:
            self.records.users(session).get(SCOPE, self.user).phone = phone

        await self.records.run(write)

    @property
    def sent(self) -> list[Message]:
        return [*self.push.taken, *self.sms.taken]


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[Home]:
    clock = EventClock(T0 - 2 * HOUR)
    records = Records.open(tmp_path / "records.db", clock=clock, ids=SeededIds(1))
    store = SqliteStore(tmp_path / "readings.db")
    fields = {"name": "Rosa", "phone": "+8613800138000", "language": "zh"}
    person = await records.run(lambda s: records.directory(s).patients.create(SCOPE, **fields))
    accounts = Accounts(records, Passwords.cheap())
    user = await accounts.add(
        SCOPE,
        login="rosa",
        name="Rosa",
        roles=[Role.PATIENT],
        patient=person.id,
        password="right horse battery",  # noqa: S106 - of the test's own person
    )
    yield Home(records, store, clock, person.id, user.id)
    await store.close()
    await records.close()


async def test_a_reminder_is_sent_once_by_push_or_else_by_sms(home: Home):
    await home.plan()
    assert await home.reminders().look() == 0
    home.clock.follow(T0)
    assert await home.reminders().look() == 1
    assert await home.reminders().look() == 0
    (message,) = home.sms.taken
    assert (message.target, message.language, message.link) == ("+8613800138000", "zh", None)
    assert "08:00" in message.text
    await home.subscribe()
    home.clock.follow(T0 + 24 * HOUR + 60 * SECOND)
    assert await home.reminders().look() == 1
    (message,) = home.push.taken
    assert (message.target, message.link) == (home.user, "/me")
    assert len(home.sms.taken) == 1


async def test_nobody_is_reminded_of_what_is_done_or_over(home: Home):
    task = await home.plan()
    home.clock.follow(T0)
    await home.records.run(
        lambda s: home.records.care(s).mark(SCOPE, task, T0, state="skipped", note="", by=home.user)
    )
    assert await home.reminders().look() == 0
    at = T0 + 23 * HOUR + HOUR // 2
    row = Reading("cuff", "nibp_systolic", 131.0, None, None, at, at)
    await home.store.append("main", ReadingBatch.of([row]), Origins("gw", "boot", [1]))
    home.clock.follow(T0 + 24 * HOUR)
    assert await home.reminders().look() == 0
    home.clock.follow(T0 + 49 * HOUR)  # an hour late: the window is over
    assert await home.reminders().look() == 0
    home.clock.follow(T0 + 72 * HOUR - 60 * SECOND)
    await home.records.run(lambda s: home.records.care(s).end_task(SCOPE, home.patient, task, by=home.user))
    home.clock.follow(T0 + 72 * HOUR)
    assert await home.reminders().look() == 0
    assert home.sent == []


async def test_what_no_channel_takes_is_not_sent_again_and_again(home: Home):
    await home.plan()
    home.sms.fail(DeliveryTemporary("busy", channel="sms"))
    home.clock.follow(T0)
    assert await home.reminders().look() == 0
    assert await home.reminders().look() == 0
    assert len(home.sms.tried) == 1
    await home.plan(
        TaskDraft("medicine", None, "Secret pill", ("08:05",), None, "Asia/Shanghai", 3600, remind=False)
    )
    home.clock.follow(T0 + 300 * SECOND)
    assert await home.reminders().look() == 0


async def test_all_of_one_time_is_one_reminder_and_an_sms_leads_to_the_page(home: Home):
    await home.plan()
    await home.plan(TaskDraft("medicine", None, "Pill A", ("08:00",), None, "Asia/Shanghai", 3600))
    await home.plan(TaskDraft("other", None, "Walk", ("08:00", "08:10"), None, "Asia/Shanghai", 3600))
    home.clock.follow(T0)
    assert await home.reminders(public_url="https://ward.example/").look() == 1
    (message,) = home.sms.taken
    assert message.text.endswith("https://ward.example/me")
    assert "Pill" not in message.text
    home.clock.follow(T0 + 600 * SECOND)
    assert await home.reminders(public_url="https://ward.example/").look() == 1
    assert "08:10" in home.sms.taken[1].text


async def test_people_are_reminded_while_nobody_can_know_whether_it_is_done(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    await home.plan()
    home.clock.follow(T0)

    async def away(*_: object, **__: object) -> None:
        msg = "the store is away"
        raise StoreUnavailable(msg)

    with monkeypatch.context() as patch:
        patch.setattr(home.store, "read", away)
        assert await home.reminders().look() == 1
    assert await home.reminders().look() == 0, "once"


async def test_what_fails_keeps_nobody_else_from_looking(home: Home, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cloud_ingest.reminders.EVERY_S", 0.0)
    looked = asyncio.Event()
    seen: list[str] = []

    async def broken() -> int:
        seen.append("broken")
        raise ZeroDivisionError

    async def away() -> int:
        msg = "away"
        raise StoreUnavailable(msg)

    async def last() -> int:
        seen.append("last")
        looked.set()
        return 0

    reminders = home.reminders(others=(broken, away, last))
    monkeypatch.setattr(reminders, "look", away)
    running = asyncio.create_task(reminders.run())
    try:
        async with asyncio.timeout(10):
            await looked.wait()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert seen[:2] == ["broken", "last"]


async def test_the_number_is_that_of_the_invitation_before_that_of_the_record(home: Home):
    await home.plan()
    await home.set_own_number("+8613900139000")
    home.clock.follow(T0)
    assert await home.reminders().look() == 1
    await home.set(phone=None)
    home.clock.follow(T0 + 24 * HOUR)
    assert await home.reminders().look() == 1
    assert [m.target for m in home.sms.taken] == ["+8613900139000"] * 2


async def test_a_browser_that_takes_nothing_is_made_good_by_sms(home: Home):
    await home.plan()
    await home.subscribe()
    home.push.fail(DeliveryTemporary("gone", channel="push"))
    home.clock.follow(T0)
    assert await home.reminders().look() == 1
    assert len(home.push.tried) == 1
    assert [m.target for m in home.sms.taken] == ["+8613800138000"]


async def test_a_reminder_that_reaches_nobody_is_counted(home: Home):
    await home.plan()
    await home.set(phone=None)
    home.clock.follow(T0)
    assert await home.reminders().look() == 0
    assert home.telemetry.value("reminders_unreached_total") == 1


def told_by(home: Home, *channels: str, user: str = "usr_li", push: bool = True) -> MessagePush:
    """As after a restart, with one nurse who is reached by these channels."""
    people = {user: Person(user, "Li", ("nurse",), None, channels)}
    duty = Duty(people=people, patients={home.patient: "w"})
    ways = {"push": home.push} if push else {}
    return MessagePush("main", home.records, ways, duty=lambda: duty, clock=home.clock, telemetry=Telemetry())


async def written(home: Home) -> CareMessage:
    return await home.records.read(lambda s: home.records.care(s).messages(SCOPE, home.patient)[0])


async def write(home: Home) -> None:
    await home.records.run(
        lambda s: home.records.care(s).write(
            SCOPE, home.patient, author=home.user, from_care=False, text="Help", client="1", written=T0
        )
    )


async def test_a_nurse_on_duty_is_told_once_that_a_patient_has_written(home: Home):
    accounts = Accounts(home.records, Passwords.cheap())
    nurse = await accounts.add(
        SCOPE,
        login="li",
        name="Li",
        roles=[Role.NURSE],
        language="zh",
        password="right horse battery",  # noqa: S106 - of the test's own person
    )
    looking = told_by(home, "push", user=nurse.id)
    assert await looking.look() == 0
    await write(home)
    home.push.fail(DeliveryTemporary("busy", channel="push"))
    assert await looking.look() == 0
    assert (await written(home)).sent is None
    assert await looking.look() == 0  # tried once: the list has it
    again = told_by(home, "push", user=nurse.id)
    assert await again.look() == 1
    assert await again.look() == 0
    (told,) = home.push.taken
    assert (told.target, told.language, told.link) == (nurse.id, "zh", "/messages")
    assert "Rosa" not in told.text
    assert (await written(home)).sent == home.clock.now_ns()


async def test_nobody_who_cannot_be_reached_counts_as_told(home: Home):
    await write(home)
    assert await told_by(home).look() == 0
    assert await told_by(home, "in_app").look() == 0
    assert await told_by(home, "push", push=False).look() == 0
    assert home.push.tried == []
