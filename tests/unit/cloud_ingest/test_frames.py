"""A store that is away: readings wait, everything else goes on, and then all of it comes once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest import holding as holding_module
from cloud_ingest.facts import Facts
from cloud_ingest.feed import TechnicalEvent
from cloud_ingest.frames import STORE
from cloud_ingest.records.models import Alarm, DeadLetter, GapRow, TransitionRow
from hearthward.core.wire import Block, encode_decisions
from rules.model import Command
from tests.unit.cloud_ingest.ward import Gap, Ward, block, frame, message, reading, spans


@pytest.fixture
async def ward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ward]:
    monkeypatch.setattr(holding_module, "FIRST_BACKOFF_S", 0.001)
    monkeypatch.setattr(holding_module, "LAST_BACKOFF_S", 0.01)
    made = await Ward(tmp_path / "records.db").start()
    yield made
    await made.close()


def facts(ward: Ward) -> Facts:
    return ward.pipeline._frames._facts


async def until_back(ward: Ward) -> None:
    """The store works again; let what waits be tried."""
    ward.store.failing = 0
    while (wait := ward.pipeline._frames.wait_s) is not None:
        await asyncio.sleep(wait)
        await ward.pipeline.process_waiting()


async def test_readings_wait_without_a_receipt_and_come_once(ward: Ward):
    ward.store.failing = 100
    sent = frame(block(1, reading(0, 84)), gaps=(Gap(7, 9, "full"),))
    await ward.take(sent)
    assert await ward.stored() == []
    assert await ward.rows(Alarm) == []
    (receipt,) = ward.receipts()
    assert (receipt.blocks, receipt.gaps) == ((), ((7, 9),))
    assert [(g.first, g.last) for g in await ward.rows(GapRow)] == [(7, 9)]
    assert facts(ward).get(STORE, "part_failing") == 1.0
    assert ward.pipeline.stuck
    assert [e.kind for e in ward.events() if isinstance(e, TechnicalEvent)] == ["store_unavailable"]
    await ward.take(sent)  # the edge has no receipt and sends again
    await until_back(ward)
    assert [r.value for r in await ward.stored()] == [84]
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]
    assert {s for r in ward.receipts() for s in spans(r)} == {(1, 1), (7, 9)}
    assert len(await ward.rows(GapRow)) == 1
    assert facts(ward).get(STORE, "part_failing") == 0.0
    assert not ward.pipeline.stuck


async def test_acts_and_timers_do_not_wait_for_the_store(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    await ward.take(frame(block(1, reading(0, 84))))
    (alarm,) = await ward.rows(Alarm)
    hangs, real = asyncio.Event(), ward.store.append_many

    async def hanging(tenant: str, deliveries: Any) -> Any:
        hangs.set()
        await asyncio.Event().wait()
        return await real(tenant, deliveries)

    monkeypatch.setattr(ward.store, "append_many", hanging)
    stuck = asyncio.create_task(ward.take(frame(block(2, reading(1, 83)), at=1)))
    await hangs.wait()
    async with asyncio.timeout(10):
        await ward.pipeline.act(Command(0, 0, "accept", alarm.id, "usr_1"))
        await ward.pipeline.tick()
    (accepted,) = await ward.rows(Alarm)
    assert accepted.accepted_by == "usr_1"
    stuck.cancel()
    with suppress(asyncio.CancelledError):
        await stuck


async def test_what_edges_decided_is_taken_in_while_the_store_is_away(ward: Ward):
    ward.store.failing = 100
    decided = encode_decisions([b"whatever"])
    await ward.take(frame(block(1, reading(0, 84)), Block(2, 1, decided)))
    (receipt,) = ward.receipts()
    assert spans(receipt) == ((2, 2),)


async def test_dead_letters_of_a_block_that_waits_are_written_once(ward: Ward):
    ward.store.failing = 100
    await ward.take(frame(block(1, reading(0, 97), reading(1, 101.0))))
    assert await ward.rows(DeadLetter) == []
    await until_back(ward)
    assert [d.reason for d in await ward.rows(DeadLetter)] == ["implausible"]
    assert [r.value for r in await ward.stored()] == [97]


async def test_more_than_there_is_room_for_is_let_go_and_comes_again(ward: Ward):
    ward.store.failing = 10**9
    ward.pipeline._frames._holding._max_frames = 2
    frames = [frame(block(n, reading(n, 97.0)), at=n) for n in range(1, 6)]
    for one in frames:
        await ward.take(one)
    assert ward.telemetry.value("frames_dropped_total", reason="store_away") == 3
    await until_back(ward)
    assert len(await ward.stored()) == 2
    await ward.take(*frames)
    assert len(await ward.stored()) == 5
    assert {n for r in ward.receipts() for s in spans(r) for n in range(s[0], s[1] + 1)} == {1, 2, 3, 4, 5}


async def test_a_clone_is_a_dead_letter_though_the_store_failed_in_between(ward: Ward):
    await ward.take(frame(block(1, reading(0, 97))))
    ward.store.failing = 100
    await ward.take(frame(block(1, reading(0, 42.0)), block(2, reading(1, 96))))
    assert [d.reason for d in await ward.rows(DeadLetter)] == ["cloned_gateway"]
    await until_back(ward)
    assert [d.reason for d in await ward.rows(DeadLetter)] == ["cloned_gateway"]
    assert [r.value for r in await ward.stored()] == [97, 96]


async def test_a_restart_while_the_store_is_away_loses_nothing(ward: Ward):
    ward.store.failing = 10**9
    sent = frame(block(1, reading(0, 84)))
    await ward.take(sent)
    await ward.restart()
    ward.store.failing = 0
    await ward.take(sent)
    assert [r.value for r in await ward.stored()] == [84]
    assert [t.kind for t in await ward.rows(TransitionRow)] == ["start"]


async def test_the_run_loop_tries_again_by_itself(ward: Ward, monkeypatch: pytest.MonkeyPatch):
    ward.store.failing = 5
    receipted = asyncio.Event()
    sender = ward.pipeline._frames._receipts
    real = sender.send

    async def send(answers: Any) -> None:
        await real(answers)
        if answers:
            receipted.set()

    monkeypatch.setattr(sender, "send", send)
    running = asyncio.create_task(ward.pipeline.run())
    ward.pipeline.offer(message(frame(block(1, reading(0, 84)))))
    async with asyncio.timeout(10):
        await receipted.wait()
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert [r.value for r in await ward.stored()] == [84]
    assert ward.telemetry.value("store_retries_total") == 5
