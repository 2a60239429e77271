from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import (
    ATTEMPTS,
    FIRST_WAIT_S,
    LEASE_S,
    LONGEST_WAIT_S,
    URGENT_ATTEMPTS,
    Notifier,
    Undelivered,
    attempts_for,
    backoff_s,
    enqueue,
)
from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import DeliveryAttempt, Notification
from hearthward.core.clock import SECOND, EventClock, SystemClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary, RuleError, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from rules import Transition
from tests.unit.cloud_ingest.made import axes, transition

START = 1_800_000_020 * SECOND
ENDPOINT = ("fake", "@number-1")
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


def commit(
    records: Records, *transitions: Transition, told: tuple[tuple[str, str], ...] = (ENDPOINT,)
) -> int:
    """What the pipeline does with one input's transitions, all of which tell the same."""
    for t in transitions:
        t.detail["told"] = [list(hop) for hop in told]

    def within(session: Session) -> int:
        apply_transitions(session, "main", transitions, START)
        return len(enqueue(session, "main", transitions, START))

    return records.run_now(within)


def rows(records: Records) -> list[Notification]:
    return records.read_now(
        lambda s: list(s.query(Notification).order_by(Notification.seq, Notification.ordinal))
    )


def outcomes(records: Records) -> list[str]:
    return records.read_now(
        lambda s: [a.outcome for a in s.query(DeliveryAttempt).order_by(DeliveryAttempt.id)]
    )


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


@pytest.mark.parametrize(("priority", "tries"), [("high", URGENT_ATTEMPTS["high"]), ("low", ATTEMPTS)])
async def test_it_gives_up_after_the_last_attempt_and_says_so(
    records: Records,
    notifier: Notifier,
    channel: FakeChannel,
    clock: EventClock,
    telemetry: Telemetry,
    priority: str,
    tries: int,
) -> None:
    channel.fail(*[BUSY] * (ATTEMPTS + 1))
    commit(records, transition(priority=priority))
    for _ in range(ATTEMPTS + 3):
        await notifier.send_due()
        clock.advance(LONGEST_WAIT_S)
    assert len(channel.tried) == tries
    assert rows(records)[0].state == "abandoned"
    assert outcomes(records) == ["temporary"] * (tries - 1) + ["abandoned"]
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


OWNED = {"axes": {**axes()["axes"], "owner": "usr_1", "owned_at": START}}


@pytest.mark.parametrize("kind", ["start", "escalate", "tell", "redirect"])
@pytest.mark.parametrize("answer", ["accept", "take_over", "end"])
async def test_a_call_that_failed_is_not_made_again_when_somebody_comes_or_it_is_over(
    records: Records,
    reporting: Notifier,
    channel: FakeChannel,
    telemetry: Telemetry,
    escalation: Escalation,
    kind: str,
    answer: str,
) -> None:
    channel.fail(BUSY)
    commit(records, transition("start"), told=())
    commit(records, transition(kind, seq=2))
    await reporting.send_due()
    commit(
        records, transition(answer, seq=3, actor="usr_1", detail=OWNED if answer != "end" else {}), told=()
    )
    assert await reporting.send_due() == 1, "settled at once"
    assert await reporting.report() == 0
    assert escalation.told == []
    assert channel.taken == []
    (row,) = rows(records)
    assert (row.state, row.unreported) == ("abandoned", None)
    last = records.read_now(lambda s: s.query(DeliveryAttempt).order_by(DeliveryAttempt.id.desc()).first())
    assert last is not None
    why = "ended meanwhile" if answer == "end" else "accepted meanwhile"
    assert (last.outcome, last.detail) == ("superseded", f"superseded: {why}")
    assert telemetry.value("deliveries_total", channel="fake", outcome="superseded") == 1


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


@pytest.mark.parametrize("case", ["worse after it", "given back", "in_app", "reminder"])
async def test_what_is_still_needed_is_tried_again(
    records: Records, clock: EventClock, telemetry: Telemetry, case: str
) -> None:
    name = "in_app" if case == "in_app" else "fake"
    channel = FakeChannel(name)
    notifier = Notifier(records, [channel], clock, SeededIds(), telemetry)
    channel.fail(BUSY)
    commit(records, transition(), told=())
    accept = transition("accept", seq=3, actor="usr_1", detail=dict(OWNED))
    if case == "worse after it":
        commit(records, accept, told=())
    kind = "continue" if case == "reminder" else "escalate"
    worse = transition(kind, seq=4 if case == "worse after it" else 2)
    worse.detail["axes"] = OWNED["axes"]
    commit(records, worse, told=((name, "@x"),))
    await notifier.send_due()
    if case != "worse after it":
        commit(records, accept, told=())
    if case == "given back":
        commit(records, transition("release", seq=5, actor="usr_1", detail=axes()), told=())
    clock.advance(FIRST_WAIT_S)
    await notifier.send_due()
    assert len(channel.taken) == 1


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


async def test_it_tries_again_when_the_wait_is_over_and_not_only_when_it_looks_next(
    records: Records, channel: FakeChannel, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud_ingest.notifier.IDLE_S", 3600.0)
    monkeypatch.setattr("cloud_ingest.notifier.FIRST_WAIT_S", 0.01)
    channel.fail(BUSY)
    task = asyncio.create_task(Notifier(records, [channel], SystemClock(), SeededIds(), telemetry).run())
    commit(records, transition())
    await taken(channel, 1)
    assert outcomes(records)[0] == "temporary"
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


async def taken(channel: FakeChannel, n: int) -> None:
    """Return when a channel has taken so many."""
    async with asyncio.timeout(30):
        while len(channel.taken) < n:
            channel.reached.clear()
            await channel.reached.wait()


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

    async def run(fn: Any, **how: Any) -> Any:
        if failures:
            raise failures.pop()
        return await real(fn, **how)

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

    async def run(fn: Any, **how: Any) -> Any:
        if channel.taken:
            message = "disk full"
            raise StoreUnavailable(message)
        return await real(fn, **how)

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


class Escalation:
    """Takes what was not delivered, as ``CloudService.act`` does."""

    def __init__(self) -> None:
        self.told: list[Undelivered] = []
        self.refuses: list[Exception] = []
        self.called = asyncio.Event()

    async def undelivered(self, what: Undelivered) -> None:
        self.told.append(what)
        self.called.set()
        if self.refuses:
            raise self.refuses.pop()


@pytest.fixture
def escalation() -> Escalation:
    return Escalation()


@pytest.fixture
def reporting(
    records: Records, channel: FakeChannel, clock: EventClock, telemetry: Telemetry, escalation: Escalation
) -> Notifier:
    return Notifier(records, [channel], clock, SeededIds(), telemetry, undelivered=escalation.undelivered)


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


async def test_what_wants_to_be_left_alone_is_left_alone(
    records: Records, notifier: Notifier, channel: FakeChannel, clock: EventClock
) -> None:
    channel.fail(DeliveryTemporary("too many requests", after_s=60.0))
    commit(records, transition())
    await notifier.send_due()
    clock.advance(59)
    assert await notifier.send_due() == 0
    clock.advance(1)
    assert await notifier.send_due() == 1
    assert rows(records)[0].state == "handed_over"


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
