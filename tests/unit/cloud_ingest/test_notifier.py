from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import (
    ATTEMPTS,
    FIRST_WAIT_S,
    LEASE_S,
    Notifier,
    attempts_for,
)
from cloud_ingest.records import Records
from hearthward.core.clock import EventClock, SystemClock
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from tests.unit.cloud_ingest.made import transition
from tests.unit.cloud_ingest.notified import BUSY, ENDPOINT, OWNED, commit, outcomes, rows, taken


async def test_due_notifications_are_handed_over_once(
    records: Records, notifier: Notifier, channel: FakeChannel, telemetry: Telemetry
) -> None:
    commit(records, transition())
    assert await notifier.send_due() == 1
    assert await notifier.send_due() == 0
    (row,) = rows(records)
    (message,) = channel.taken
    assert (message.id, message.target, message.text) == (row.id, ENDPOINT[1], row.body)
    assert (row.state, row.reference, row.attempts) == ("handed_over", "fake-1", 1)
    assert outcomes(records) == ["handed_over"]
    assert telemetry.value("deliveries_total", channel="fake", outcome="handed_over") == 1


async def test_an_end_is_not_told_before_its_start_but_an_escalation_is(
    records: Records, notifier: Notifier, channel: FakeChannel, clock: EventClock
) -> None:
    channel.fail(BUSY)
    commit(records, transition("start", seq=1))
    await notifier.send_due()
    commit(records, transition("escalate", seq=2))
    await notifier.send_due()
    assert [m.text.split()[0] for m in channel.taken] == ["WORSE,"]
    clock.advance(FIRST_WAIT_S)
    channel.gate.clear()
    channel.reached.clear()
    sending = asyncio.create_task(notifier.send_due())
    await channel.reached.wait()
    commit(records, transition("end", seq=3))
    assert await notifier.send_due() == 0, "the alarm is on its way"
    channel.gate.set()
    await sending
    await notifier.send_due()
    assert [m.text.split()[0] for m in channel.taken] == ["WORSE,", "ALARM", "ENDED:"]


async def test_the_end_of_what_was_never_told_goes_out_when_the_calls_are_settled(
    records: Records, notifier: Notifier, channel: FakeChannel
) -> None:
    channel.fail(BUSY)
    commit(records, transition("start", seq=1))
    await notifier.send_due()
    commit(records, transition("escalate", seq=2), transition("end", seq=2))
    await notifier.send_due()
    await notifier.send_due()
    assert [m.text.split()[0] for m in channel.taken] == ["WORSE,", "ENDED:"]


async def test_the_first_hand_over_takes_place_whoever_has_accepted(
    records: Records, notifier: Notifier, channel: FakeChannel
) -> None:
    commit(records, transition())
    commit(records, transition("accept", seq=2, actor="usr_1", detail=OWNED), told=())
    await notifier.send_due()
    assert [m.kind for m in channel.taken] == ["start"]


async def test_what_may_never_have_been_sent_is_sent_whoever_has_accepted(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    commit(records, transition())
    channel.gate.clear()
    first = Notifier(records, [channel], clock, SeededIds(), telemetry)
    sending = asyncio.create_task(first.send_due())
    await channel.reached.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    channel.gate.set()
    commit(records, transition("accept", seq=2, actor="usr_1", detail=OWNED), told=())
    clock.advance(LEASE_S)
    await Notifier(records, [channel], clock, SeededIds(), telemetry).send_due()
    assert outcomes(records) == ["interrupted", "handed_over"]


async def test_the_most_urgent_goes_first(records: Records, notifier: Notifier, channel: FakeChannel) -> None:
    for n, priority in enumerate(["low", "medium", "high"]):
        commit(records, transition("start", f"alm_{priority}", seq=n + 1, priority=priority))
    await notifier.send_due()
    assert [m.priority for m in channel.tried] == ["high", "medium", "low"]


async def test_what_nobody_can_send_fails_visibly(
    records: Records, notifier: Notifier, telemetry: Telemetry
) -> None:
    commit(records, transition(), told=(("pigeon", "@loft"),))
    await notifier.send_due()
    assert rows(records)[0].state == "failed"
    assert outcomes(records) == ["failed"]
    assert telemetry.value("deliveries_total", channel="pigeon", outcome="failed") == 1


async def test_accepting_confirms_what_was_shown_in_app(
    records: Records, clock: EventClock, telemetry: Telemetry, channel: FakeChannel
) -> None:
    in_app = FakeChannel("in_app")
    commit(records, transition(), told=(ENDPOINT, ("in_app", "wall")))
    await Notifier(records, [channel, in_app], clock, SeededIds(), telemetry).send_due()
    commit(records, transition("accept", seq=2, actor="usr_1"), told=())
    assert {r.channel: r.state for r in rows(records)} == {"in_app": "confirmed", "fake": "handed_over"}


async def test_running_it_sends_when_woken_and_a_slow_channel_holds_up_no_other(
    records: Records, clock: EventClock, telemetry: Telemetry
) -> None:
    slow, quick = FakeChannel("slow"), FakeChannel("quick")
    slow.gate.clear()
    notifier = Notifier(records, [slow, quick], clock, SeededIds(), telemetry)
    told = (("slow", "@a"), ("quick", "@b"))
    task = asyncio.create_task(notifier.run())
    for n in range(3):
        commit(records, transition("start", f"alm_{n}", seq=n + 1), told=told)
        notifier.wake()
        async with asyncio.timeout(30):
            while len(quick.taken) <= n:
                quick.reached.clear()
                await quick.reached.wait()
    assert slow.taken == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_end_that_was_held_back_follows_at_once(
    records: Records, channel: FakeChannel, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.notifier.IDLE_S", 3600.0)
    channel.gate.clear()
    notifier = Notifier(records, [channel], SystemClock(), SeededIds(), telemetry)
    task = asyncio.create_task(notifier.run())
    commit(records, transition())
    notifier.wake()
    async with asyncio.timeout(30):
        await channel.reached.wait()
    commit(records, transition("end", seq=2))
    notifier.wake()
    channel.gate.set()
    await taken(channel, 2)
    assert [m.kind for m in channel.taken] == ["start", "end"]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_message_has_a_subject_a_link_and_a_token(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    notifier = Notifier(
        records,
        [channel],
        clock,
        SeededIds(),
        telemetry,
        link=lambda alarm: f"https://ward.example/alarms/{alarm}",
        answer=lambda message: f"{message}.mac",
    )
    commit(records, transition())
    await notifier.send_due()
    (message,) = channel.taken
    assert message.subject == "ALARM high #abcdef"
    assert message.link == "https://ward.example/alarms/alm_0001abcdef"
    assert message.answer == f"{message.id}.mac"
    assert (message.alarm, message.kind) == ("alm_0001abcdef", "start")


async def test_one_hung_message_holds_up_no_other_of_its_channel(
    records: Records, clock: EventClock, telemetry: Telemetry
) -> None:
    class Hanging(FakeChannel):
        async def send(self, message: Any) -> Any:
            if message.target == "@hung":
                self.tried.append(message)
                self.reached.set()
                await asyncio.Event().wait()
            return await super().send(message)

    channel = Hanging()
    notifier = Notifier(records, [channel], clock, SeededIds(), telemetry)
    task = asyncio.create_task(notifier.run())
    for n, who in enumerate(["@hung", "@well", "@well"]):
        commit(records, transition(alarm=f"alm_{n}", seq=n + 1), told=(("fake", who),))
        notifier.wake()
        async with asyncio.timeout(30):
            while len(channel.tried) <= n:
                channel.reached.clear()
                await channel.reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(channel.taken) == 2


def test_an_end_can_wait_longer_than_an_alarm() -> None:
    assert attempts_for("high", "tell") < attempts_for("medium", "tell") < attempts_for("low", "tell")
    assert attempts_for("high", "end") == ATTEMPTS


async def test_while_it_runs_a_retry_and_a_held_back_end_wait_for_no_other_event(
    records: Records,
    channel: FakeChannel,
    clock: EventClock,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cloud_ingest.notifier.IDLE_S", 3600.0)
    monkeypatch.setattr("cloud_ingest.notifier.FIRST_WAIT_S", 0.0)
    channel.fail(BUSY)
    commit(records, transition("start"), told=())
    commit(records, transition("continue", seq=2), transition("end", seq=2))
    task = asyncio.create_task(Notifier(records, [channel], clock, SeededIds(), telemetry).run())
    async with asyncio.timeout(30):
        while len(channel.taken) < 2:
            channel.reached.clear()
            await channel.reached.wait()
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [m.kind for m in channel.taken] == ["continue", "end"]
