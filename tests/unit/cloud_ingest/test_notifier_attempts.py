"""What the notifier does when a message does not go out: again, later, or never; and after a crash."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cloud_ingest.channels import FakeChannel
from cloud_ingest.notifier import (
    ATTEMPTS,
    FIRST_WAIT_S,
    LEASE_S,
    LONGEST_WAIT_S,
    URGENT_ATTEMPTS,
    Notifier,
    backoff_s,
)
from cloud_ingest.records import Records
from cloud_ingest.records.models import DeliveryAttempt
from hearthward.core.clock import EventClock, SystemClock
from hearthward.core.errors import DeliveryPermanent, DeliveryTemporary, StoreUnavailable
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from tests.unit.cloud_ingest.made import axes, transition
from tests.unit.cloud_ingest.notified import BUSY, OWNED, Escalation, commit, outcomes, rows, taken


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
