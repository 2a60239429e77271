"""Accounts of boots are bounded in memory, and what is not there is as if it were: names can be invented."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_ingest.receipts import Ledger, load_account, load_ledger
from cloud_ingest.records.models import DeadLetter, FrameRow
from hearthward.core.wire import Block, Frame, Gap
from tests.unit.cloud_ingest.test_books import Desk
from tests.unit.cloud_ingest.ward import T0, TENANT, HandClock, Ward, block, live, reading

BOOTS = 6


@pytest.fixture
async def ward(tmp_path: Path) -> AsyncIterator[Ward]:
    """Six boots of one gateway have spoken, of which two are remembered."""
    made = await Ward(tmp_path / "records.db", clock=HandClock(T0, frozen_monotonic=True)).start()
    made.pipeline.ledger._most = 2
    for n in range(BOOTS):
        await made.take(spoken(n))
    yield made
    await made.close()


def spoken(n: int, value: float = 97.0) -> Frame:
    """Readings 1 to 3, and 4 and 5 declared lost."""
    rows: Block = block(1, *(reading(10 * n + i, value) for i in range(3)))
    return live(rows, at=10 * n + 3, boot=f"boot-{n}", session=f"s{n}", gaps=(Gap(4, 5, "full"),))


def source(n: int) -> tuple[str, str]:
    return "gw-1", f"boot-{n}"


def test_the_boots_used_last_are_remembered_and_those_in_use():
    ledger = Ledger(2)
    for n in (0, 1, 2, 0):
        ledger.of(*source(n)).gaps.add(1, 1)
    assert ledger.whole
    ledger.trim(keep=[source(1)])
    assert len(ledger) == 3
    ledger.trim()
    assert [ledger.known(source(n)) is None for n in range(3)] == [False, True, False]
    assert not ledger.whole


async def test_what_was_forgotten_came_all_the_same(ward: Ward):
    await ward.pipeline._frames.recall([])
    assert len(ward.pipeline.ledger) == 2
    frames, stored = len(await ward.rows(FrameRow)), len(await ward.stored())
    for n in range(BOOTS):
        ward.published.clear()
        await ward.take(spoken(n))
        assert ward.receipts()[0].blocks[0].first == 1
        assert len(ward.pipeline.ledger) <= 3
    assert len(await ward.rows(FrameRow)) == frames
    assert len(await ward.stored()) == stored
    assert await ward.rows(DeadLetter) == []
    assert ward.telemetry.value("readings_duplicate_total") == 3 * BOOTS


async def test_a_clone_of_a_boot_that_was_forgotten_is_found(ward: Ward):
    await ward.take(spoken(0, 60.0))
    (letter,) = await ward.rows(DeadLetter)
    assert letter.reason == "cloned_gateway"


async def test_a_boot_that_was_forgotten_goes_on(ward: Ward):
    more = replace(spoken(0), blocks=(block(6, reading(100)),), gaps=(Gap(4, 5, "full"), Gap(7, 7, "full")))
    await ward.take(more)
    account = await ward.records.read(lambda s: load_account(s, TENANT, source(0)))
    assert list(account.blocks) == [(1, 3), (6, 6)]
    assert list(account.gaps) == [(4, 5), (7, 7)]
    assert account == ward.pipeline.ledger.known(source(0))


async def test_a_start_with_too_many_boots_remembers_some_of_them_whole(ward: Ward):
    found = await ward.records.read(lambda s: load_ledger(s, TENANT, 2))
    assert not found.whole
    assert len(found) == 2
    for n in (4, 5):
        assert found.known(source(n)) == await ward.records.read(
            lambda s, n=n: load_account(s, TENANT, source(n))
        )
    everything = await ward.records.read(lambda s: load_ledger(s, TENANT))
    assert everything.whole
    assert len(everything) == BOOTS


async def test_the_books_of_boots_that_were_forgotten_balance(ward: Ward):
    desk = Desk(ward)
    for n in range(BOOTS):
        await desk.tell(5 + (n == 1), 0, boot=f"boot-{n}")
    assert ward.pipeline.ledger.known(source(0)) is None
    await desk.pass_(125)
    assert desk.said() == 1, "a single number of one of them is nowhere"
