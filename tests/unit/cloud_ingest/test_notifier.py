from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import (
    ATTEMPTS,
    FIRST_WAIT_S,
    LEASE_S,
    LONGEST_WAIT_S,
    Notifier,
    Target,
    backoff_s,
    enqueue,
    message_text,
)
from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import DeliveryAttempt, Notification
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from rules import Transition
from tests.unit.cloud_ingest.made import transition

SYSTEM = Scope.system("main")
START = 1_800_000_020 * SECOND
SMS = Target("fake", "+15005550006")
BUSY = DeliveryTemporary("try later")


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


def commit(records: Records, *transitions: Transition, targets: tuple[Target, ...] = (SMS,)) -> int:
    """What the pipeline does with one input's transitions."""

    def within(session: Session) -> int:
        apply_transitions(session, "main", transitions, START)
        return len(enqueue(session, "main", transitions, START, targets))

    return records.run_now(within)


def rows(records: Records) -> list[Notification]:
    return records.read_now(
        lambda s: list(s.query(Notification).order_by(Notification.seq, Notification.ordinal))
    )


def outcomes(records: Records) -> list[str]:
    return records.read_now(
        lambda s: [a.outcome for a in s.query(DeliveryAttempt).order_by(DeliveryAttempt.id)]
    )


def furnish(records: Records) -> None:
    def within(session: Session) -> None:
        d = records.directory(session)
        d.wards.create(SYSTEM, name="Ward 3", ident="w1")
        d.beds.create(SYSTEM, ward="w1", label="07", ident="b1")
        d.patients.create(SYSTEM, name="Ada Lovelace", mrn="4711", birth_date="1948-03-27", ident="p1")
        d.patients.create(SYSTEM, name="Ben", ident="p2xyz")
        d.encounters.create(SYSTEM, patient="p1", kind="ward", bed="b1")
        d.encounters.create(SYSTEM, patient="p2xyz", kind="home")

    records.run_now(within)


def test_each_channel_and_target_gets_one_row_however_often(records: Records) -> None:
    targets = (SMS, Target("fake", "+15005550007", "zh"), Target("in_app", "wall"))
    step = [transition("start"), transition("update"), transition("escalate"), transition("end")]
    assert commit(records, *step, targets=targets) == 9
    assert commit(records, *step, targets=targets) == 0
    found = rows(records)
    assert len(found) == 9
    assert {r.kind for r in found} == {"start", "escalate", "end"}
    assert {r.state for r in found} == {"queued"}


def test_an_alarm_and_its_notifications_are_one_commit(records: Records) -> None:
    def half(session: Session) -> None:
        apply_transitions(session, "main", [transition()], START)
        enqueue(session, "main", [transition()], START, [SMS])
        message = "power cut"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError):
        records.run_now(half)
    assert rows(records) == []


def test_messages_say_what_where_when_and_nothing_of_the_person(records: Records) -> None:
    furnish(records)
    commit(records, transition(), targets=(SMS, Target("fake", "x", "zh")))
    commit(records, transition("end", "alm_home", seq=2, patient="p2xyz", text={"en": "SpO2 96", "zh": "96"}))
    english, chinese, home = (r.body for r in sorted(rows(records), key=lambda r: (r.seq, r.language)))
    assert english == "ALARM high: SpO2 84 < 90 · Ward 3, bed 07 · 08:00 UTC · #abcdef"
    assert chinese == "报警 高: 血氧 84 < 90 · Ward 3 07床 · 08:00 UTC · #abcdef"
    assert home == "ENDED: SpO2 96 · at home, patient …2xyz · 08:00 UTC · #m_home"
    for body in (english, chinese, home):
        assert len(body) <= 70
        assert not any(secret in body for secret in ("Ada", "Lovelace", "4711", "1948", "Ben"))


def test_a_late_alarm_says_when_it_was_measured() -> None:
    place = {"en": "Ward 3, bed 07", "zh": ""}
    late = transition(late=True, onset=transition().at - 3600 * SECOND)
    assert "07:00 UTC" in message_text(late, place, "en")


ALL = (SMS, Target("in_app", "wall"))


def told(records: Records) -> list[tuple[str, str]]:
    return [(r.kind, r.channel) for r in sorted(rows(records), key=lambda r: (r.seq, r.ordinal, r.channel))]


def test_nobody_is_told_of_what_a_rule_on_trial_decides(records: Records) -> None:
    shadow = [transition(kind, "shd_1", shadow=True) for kind in ("start", "escalate", "accept", "end")]
    assert commit(records, *shadow, targets=ALL) == 0


def test_a_second_measurement_is_asked_for_in_the_app_only(records: Records) -> None:
    commit(records, transition("ask", seq=1, condition="asked"), targets=ALL)
    assert told(records) == [("ask", "in_app")]
    assert rows(records)[0].body.startswith("MEASURE AGAIN: SpO2 84 < 90")
    commit(records, transition("start", seq=2), targets=ALL)
    commit(records, transition("end", seq=3), targets=ALL)
    assert told(records)[1:] == [("start", "fake"), ("start", "in_app"), ("end", "fake"), ("end", "in_app")]


def test_nobody_is_called_out_for_the_end_of_what_never_was_an_alarm(records: Records) -> None:
    commit(records, transition("ask", seq=1, condition="asked"), targets=ALL)
    commit(records, transition("end", seq=2), targets=ALL)
    assert told(records) == [("ask", "in_app"), ("end", "in_app")]


def test_an_ask_and_its_start_in_one_input_are_told_each_in_its_way(records: Records) -> None:
    commit(records, transition("ask", condition="asked"), transition("start"), targets=ALL)
    assert told(records) == [("ask", "in_app"), ("start", "fake"), ("start", "in_app")]


def test_what_is_no_patient_is_named(records: Records) -> None:
    commit(records, transition(patient="gateway:gw-1"), targets=(SMS, Target("fake", "+1", "zh")))
    english, chinese = sorted((r.body for r in rows(records)), key=lambda b: "网关" in b)
    assert "· gateway gw-1 ·" in english
    assert "· 网关 gw-1 ·" in chinese


async def test_due_notifications_are_handed_over_once(
    records: Records, notifier: Notifier, channel: FakeChannel, telemetry: Telemetry
) -> None:
    commit(records, transition())
    assert await notifier.send_due() == 1
    assert await notifier.send_due() == 0
    (row,) = rows(records)
    (message,) = channel.taken
    assert (message.id, message.target, message.text) == (row.id, SMS.target, row.body)
    assert (row.state, row.reference, row.attempts) == ("handed_over", "fake-1", 1)
    assert outcomes(records) == ["handed_over"]
    assert telemetry.value("deliveries_total", channel="fake", outcome="handed_over") == 1


async def test_a_temporary_failure_is_tried_again_with_the_same_identity(
    records: Records, notifier: Notifier, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    channel.fail(BUSY, after_taking=True)
    commit(records, transition())
    await notifier.send_due()
    assert await notifier.send_due() == 0, "not before the wait is over"
    clock.advance(FIRST_WAIT_S)
    await notifier.send_due()
    assert [m.id for m in channel.taken] == [rows(records)[0].id] * 2
    assert len({m.text for m in channel.taken}) == 1
    assert outcomes(records) == ["temporary", "handed_over"]
    assert telemetry.value("deliveries_total", channel="fake", outcome="temporary") == 1


async def test_a_permanent_failure_is_visible_and_final(
    records: Records, notifier: Notifier, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    channel.fail(DeliveryPermanent("no such number"))
    commit(records, transition())
    await notifier.send_due()
    clock.advance(86_400)
    assert await notifier.send_due() == 0
    assert rows(records)[0].state == "failed"
    attempt = records.read_now(lambda s: s.query(DeliveryAttempt).one())
    assert (attempt.outcome, attempt.detail) == ("failed", "no such number")
    assert telemetry.value("deliveries_total", channel="fake", outcome="failed") == 1


async def test_it_gives_up_after_the_last_attempt_and_says_so(
    records: Records, notifier: Notifier, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    channel.fail(*[BUSY] * (ATTEMPTS + 1))
    commit(records, transition())
    for _ in range(ATTEMPTS + 3):
        await notifier.send_due()
        clock.advance(LONGEST_WAIT_S)
    assert len(channel.tried) == ATTEMPTS
    assert rows(records)[0].state == "abandoned"
    assert outcomes(records) == ["temporary"] * (ATTEMPTS - 1) + ["abandoned"]
    assert telemetry.value("deliveries_total", channel="fake", outcome="abandoned") == 1


async def test_a_channel_that_breaks_its_contract_is_a_failed_attempt(
    records: Records, notifier: Notifier, channel: FakeChannel
) -> None:
    channel.fail(ZeroDivisionError("oops"))
    commit(records, transition())
    await notifier.send_due()
    assert rows(records)[0].state == "queued"
    assert outcomes(records) == ["temporary"]


async def test_after_a_crash_in_mid_sending_it_is_sent_again(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    commit(records, transition())
    first = Notifier(records, [channel], clock, SeededIds(), telemetry)
    channel.gate.clear()
    sending = asyncio.create_task(first.send_due())
    await channel.reached.wait()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    channel.gate.set()
    second = Notifier(records, [channel], clock, SeededIds(), telemetry)
    assert await second.send_due() == 0, "the lease still stands"
    clock.advance(LEASE_S)
    assert await second.send_due() == 1
    assert {m.id for m in channel.tried} == {rows(records)[0].id}
    assert outcomes(records) == ["interrupted", "handed_over"]
    assert rows(records)[0].attempts == 2


async def test_a_restarted_notifier_does_not_wait_for_its_own_old_lease(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    commit(records, transition())
    channel.gate.clear()
    first = asyncio.create_task(Notifier(records, [channel], clock, SeededIds(), telemetry).run())
    await channel.reached.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    again = FakeChannel()
    second = asyncio.create_task(Notifier(records, [again], clock, SeededIds(), telemetry).run())
    await again.reached.wait()
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert again.tried[0].id == channel.tried[0].id
    assert channel.closed
    assert again.closed


async def test_a_crash_loop_is_bounded(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry
) -> None:
    commit(records, transition())
    channel.gate.clear()
    for _ in range(ATTEMPTS):
        channel.reached.clear()
        doomed = asyncio.create_task(Notifier(records, [channel], clock, SeededIds(), telemetry).send_due())
        await channel.reached.wait()
        doomed.cancel()
        await asyncio.gather(doomed, return_exceptions=True)
        clock.advance(LEASE_S)
    await Notifier(records, [channel], clock, SeededIds(), telemetry).send_due()
    assert rows(records)[0].state == "abandoned"
    assert telemetry.value("deliveries_total", channel="fake", outcome="abandoned") == 1


async def test_an_end_is_not_told_before_its_start_but_an_escalation_is(
    records: Records, notifier: Notifier, channel: FakeChannel, clock: EventClock
) -> None:
    channel.fail(BUSY)
    commit(records, transition("start", seq=1))
    await notifier.send_due()
    commit(records, transition("escalate", seq=2), transition("end", seq=2))
    await notifier.send_due()
    assert [m.text.split()[0] for m in channel.taken] == ["ESCALATED"]
    clock.advance(FIRST_WAIT_S)
    await notifier.send_due()
    await notifier.send_due()
    assert [m.text.split()[0] for m in channel.taken] == ["ESCALATED", "ALARM", "ENDED:"]


async def test_the_most_urgent_goes_first(records: Records, notifier: Notifier, channel: FakeChannel) -> None:
    for n, priority in enumerate(["low", "medium", "high"]):
        commit(records, transition("start", f"alm_{priority}", seq=n + 1, priority=priority))
    await notifier.send_due()
    assert [m.priority for m in channel.tried] == ["high", "medium", "low"]


async def test_what_nobody_can_send_fails_visibly(
    records: Records, notifier: Notifier, telemetry: Telemetry
) -> None:
    commit(records, transition(), targets=(Target("pigeon", "loft"),))
    await notifier.send_due()
    assert rows(records)[0].state == "failed"
    assert outcomes(records) == ["failed"]
    assert telemetry.value("deliveries_total", channel="pigeon", outcome="failed") == 1


async def test_accepting_confirms_what_was_shown_in_app(
    records: Records, clock: EventClock, telemetry: Telemetry, channel: FakeChannel
) -> None:
    in_app = FakeChannel("in_app")
    commit(records, transition(), targets=(SMS, Target("in_app", "wall")))
    await Notifier(records, [channel, in_app], clock, SeededIds(), telemetry).send_due()
    commit(records, transition("accept", seq=2, actor="usr_1"))
    assert {r.channel: r.state for r in rows(records)} == {"in_app": "confirmed", "fake": "handed_over"}


async def test_running_it_sends_when_woken_and_a_slow_channel_holds_up_no_other(
    records: Records, clock: EventClock, telemetry: Telemetry
) -> None:
    slow, quick = FakeChannel("slow"), FakeChannel("quick")
    slow.gate.clear()
    notifier = Notifier(records, [slow, quick], clock, SeededIds(), telemetry)
    targets = (Target("slow", "a"), Target("quick", "b"))
    task = asyncio.create_task(notifier.run())
    for n in range(3):
        commit(records, transition("start", f"alm_{n}", seq=n + 1), targets=targets)
        notifier.wake()
        async with asyncio.timeout(30):
            while len(quick.taken) <= n:
                quick.reached.clear()
                await quick.reached.wait()
    assert slow.taken == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_store_outage_is_waited_out(
    records: Records,
    channel: FakeChannel,
    clock: EventClock,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cloud_ingest.notifier.STORE_WAIT_S", 0.0)
    commit(records, transition())
    real, failures = records.run, [StoreUnavailable("disk full")] * 3

    async def run(fn: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(fn)

    monkeypatch.setattr(records, "run", run)
    task = asyncio.create_task(Notifier(records, [channel], clock, SeededIds(), telemetry).run())
    async with asyncio.timeout(30):
        await channel.reached.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert failures == []


async def test_a_result_that_cannot_be_recorded_is_sent_again(
    records: Records,
    notifier: Notifier,
    channel: FakeChannel,
    clock: EventClock,
    telemetry: Telemetry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    commit(records, transition())
    real = records.run

    async def run(fn: Any) -> Any:
        if channel.taken:
            message = "disk full"
            raise StoreUnavailable(message)
        return await real(fn)

    with monkeypatch.context() as patched:
        patched.setattr(records, "run", run)
        await notifier.send_due()
    assert telemetry.value("deliveries_total", channel="fake", outcome="unrecorded") == 1
    clock.advance(LEASE_S)
    await notifier.send_due()
    assert [m.id for m in channel.taken] == [rows(records)[0].id] * 2
    assert rows(records)[0].state == "handed_over"


def test_waits_grow_to_a_limit_and_jitter_only_shortens_them() -> None:
    waits = [backoff_s(n, 0.0) for n in range(1, ATTEMPTS)]
    assert waits[0] == FIRST_WAIT_S
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_WAIT_S
    assert all(0.8 * w <= backoff_s(n, 0.999) <= w for n, w in enumerate(waits, 1))
