"""What the notifier tells of its messages: to escalation, to the records, to who watches the channels."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import update

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import (
    ATTEMPTS,
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    Notifier,
    Undelivered,
)
from cloud_ingest.records import Records
from cloud_ingest.records.models import DeliveryAttempt, Notification
from hearthward.core.clock import EventClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary, RuleError, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from tests.unit.cloud_ingest.made import transition
from tests.unit.cloud_ingest.notified import BUSY, ENDPOINT, Escalation, commit, outcomes, rows


async def test_escalation_is_told_once_of_what_failed_for_good(
    records: Records, reporting: Notifier, channel: FakeChannel, escalation: Escalation
) -> None:
    channel.fail(DeliveryPermanent("no such number"))
    commit(records, transition())
    await reporting.send_due()
    assert await reporting.report() == 1
    assert await reporting.report() == 0
    assert escalation.told == [Undelivered("alm_0001abcdef", "fake", "@number-1", "no such number")]
    assert rows(records)[0].unreported is None


async def test_a_failure_is_told_after_a_crash_between_its_record_and_the_telling(
    records: Records, notifier: Notifier, reporting: Notifier, channel: FakeChannel, escalation: Escalation
) -> None:
    channel.fail(DeliveryPermanent("no such number"))
    commit(records, transition())
    await notifier.send_due()  # and dies
    escalation.refuses = [StoreUnavailable("disk full")]
    with pytest.raises(StoreUnavailable):
        await reporting.report()
    assert await reporting.report() == 1
    assert len(escalation.told) == 2, "it is safe to repeat"


@pytest.mark.parametrize("error", [RuleError("no active alarm", code="no_alarm"), None])
async def test_an_alarm_that_is_over_needs_no_escalation(
    records: Records,
    reporting: Notifier,
    channel: FakeChannel,
    escalation: Escalation,
    error: Exception | None,
) -> None:
    channel.fail(DeliveryPermanent("no such number"))
    commit(records, transition())
    await reporting.send_due()
    escalation.refuses = [error] if error is not None else []
    assert await reporting.report() == 1
    assert await reporting.report() == 0


async def test_one_that_cannot_be_told_does_not_hold_up_the_others(
    records: Records, reporting: Notifier, channel: FakeChannel, escalation: Escalation
) -> None:
    channel.fail(*[DeliveryPermanent("no such number")] * 2)
    for n in range(2):
        commit(records, transition(alarm=f"alm_{n}", seq=n + 1))
    await reporting.send_due()
    escalation.refuses = [ZeroDivisionError("oops")]
    assert await reporting.report() == 1
    assert await reporting.report() == 1
    assert sorted(u.alarm for u in escalation.told) == ["alm_0", "alm_0", "alm_1"]


async def test_abandoned_and_orphaned_ones_are_told_too(
    records: Records, reporting: Notifier, channel: FakeChannel, clock: EventClock, escalation: Escalation
) -> None:
    channel.fail(*[BUSY] * ATTEMPTS)
    commit(records, transition(), told=(ENDPOINT, ("pigeon", "@loft")))
    for _ in range(ATTEMPTS):
        await reporting.send_due()
        clock.advance(LONGEST_WAIT_S)
    await reporting.report()
    assert {(u.channel, u.reason) for u in escalation.told} == {
        ("fake", "try later"),
        ("pigeon", "channel pigeon is not configured"),
    }


async def test_it_reports_by_itself_while_it_runs(
    records: Records, reporting: Notifier, channel: FakeChannel, escalation: Escalation
) -> None:
    channel.fail(DeliveryPermanent("no such number"))
    task = asyncio.create_task(reporting.run())
    commit(records, transition())
    reporting.wake()
    async with asyncio.timeout(30):
        await escalation.called.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert reporting.silent_s() == 0.0


async def test_a_wait_that_is_longer_than_the_alarm_can_wait_is_no_delivery(
    records: Records, reporting: Notifier, channel: FakeChannel, escalation: Escalation
) -> None:
    channel.fail(DeliveryTemporary("too many requests", after_s=3600.0))
    commit(records, transition())
    await reporting.send_due()
    await reporting.report()
    assert rows(records)[0].state == "abandoned"
    assert [u.reason for u in escalation.told] == ["too many requests"]


async def test_what_comes_later_of_a_message_is_recorded(
    records: Records, reporting: Notifier, escalation: Escalation
) -> None:
    commit(records, transition(alarm="alm_a"))
    commit(records, transition(alarm="alm_b", seq=2))
    await reporting.send_due()
    first, second = rows(records)
    assert await reporting.confirmed(first.id, "confirmed")
    assert not await reporting.confirmed(first.id, "failed"), "what is final stays"
    assert await reporting.confirmed(second.id, "failed", "not delivered, error 30008")
    assert not await reporting.confirmed("ntf_unknown", "confirmed")
    assert [r.state for r in rows(records)] == ["confirmed", "failed"]
    assert outcomes(records) == ["handed_over", "handed_over", "confirmed", "failed"]
    await reporting.report()
    assert [(u.alarm, u.reason) for u in escalation.told] == [("alm_b", "not delivered, error 30008")]


async def test_a_report_that_comes_before_the_answer_counts(
    records: Records, notifier: Notifier, channel: FakeChannel
) -> None:
    commit(records, transition())
    channel.gate.clear()
    sending = asyncio.create_task(notifier.send_due())
    await channel.reached.wait()
    assert await notifier.confirmed(rows(records)[0].id, "confirmed")
    channel.gate.set()
    await sending
    (row,) = rows(records)
    assert (row.state, row.reference) == ("confirmed", "fake-1")


async def test_attempts_say_how_long_it_took_since_the_transition(
    records: Records, notifier: Notifier, channel: FakeChannel, clock: EventClock
) -> None:
    commit(records, transition())
    clock.advance(2)
    channel.gate.clear()
    sending = asyncio.create_task(notifier.send_due())
    await channel.reached.wait()
    clock.advance(0.5)
    channel.gate.set()
    await sending
    attempt = records.read_now(lambda s: s.query(DeliveryAttempt).one())
    assert (attempt.latency_ms, attempt.after_ms) == (500.0, 2500.0)


async def test_each_hop_is_told_to_who_watches_the_channels(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    hops: list[tuple[str, bool]] = []
    notifier = Notifier(
        records, [channel], clock, SeededIds(), telemetry, hop=lambda name, ok: hops.append((name, ok))
    )
    channel.fail(BUSY)
    commit(records, transition())
    await notifier.send_due()
    clock.advance(FIRST_WAIT_S)
    await notifier.send_due()
    assert hops == [("fake", False), ("fake", True)]


async def test_one_persons_wrong_number_says_once_that_the_channel_fails(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    hops: list[bool] = []
    notifier = Notifier(
        records, [channel], clock, SeededIds(), telemetry, hop=lambda _name, ok: hops.append(ok)
    )

    async def sent(seq: int, target: str, *errors: Exception) -> None:
        channel.fail(*errors)
        commit(records, transition(alarm=f"alm_{seq}", seq=seq))
        records.run_now(
            lambda s: s.execute(
                update(Notification).where(Notification.alarm == f"alm_{seq}").values(target=target)
            )
        )
        await notifier.send_due()

    wrong = DeliveryPermanent("not a valid number")
    for seq in (1, 2, 3):
        await sent(seq, "+4930123456", wrong)
    assert hops == [False], "it says nothing more of the channel"
    await sent(4, "+4930123457", wrong)
    assert hops == [False, False]
    await sent(5, "+4930123458")
    await sent(6, "+4930123457", wrong)
    assert hops == [False, False, True, False]
    for seq in (7, 8):
        await sent(seq, "@number-1", wrong)
    assert hops[4:] == [False, False], "an endpoint of the settings is the channel's"
