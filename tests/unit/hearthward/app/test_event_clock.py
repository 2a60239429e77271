"""The cloud of a played recording, killed in mid-play: its clock and state come back from its own journal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_ingest.feed import ClockMoved
from cloud_ingest.records.models import JournalRow, Notification, TransitionRow
from hearthward.app.cloud import event_clock_of
from hearthward.app.player import EPOCH_NS
from hearthward.core.clock import SECOND
from hearthward.core.wire import Frame
from rules import RuleSet
from tests.unit.cloud_ingest.ward import T0, Ward, block, frame, reading, rule

DELAYED = RuleSet((rule(delay_s=3),))


async def killed(ward: Ward) -> None:
    """Nothing of the process is left, its clock included."""
    ward.clock = await event_clock_of(ward.records)
    ward.records.clock = ward.clock
    await ward.restart()


def recording(values: list[int]) -> list[Frame]:
    return [
        frame(block(2 * i + 1, reading(i, float(v)), reading(i, 60.0, metric="heart_rate")), at=float(i))
        for i, v in enumerate(values)
    ]


async def play(ward: Ward, frames: list[Frame], after: Callable[[int], bool]) -> bytes:
    for i, sent in enumerate(frames):
        if i % 3 == 0:
            ward.snapshot_now()
        await ward.take(sent)
        await ward.pipeline.tick()
        if after(i):
            before = ward.pipeline.state.to_bytes()
            notifications = len(await ward.rows(Notification))
            await killed(ward)
            assert ward.pipeline.state.to_bytes() == before
            assert ward.events() == []
            assert len(await ward.rows(Notification)) == notifications
            assert ward.clock.now_ns() == sent.wall
            await ward.take(sent)  # its receipt was lost with the process
    return ward.pipeline.state.to_bytes()


@settings(max_examples=20)
@given(st.lists(st.integers(80, 100), min_size=1, max_size=10), st.sets(st.integers(0, 9)))
def test_a_cloud_killed_while_it_plays_agrees_with_one_that_was_not(
    tmp_path_factory: pytest.TempPathFactory, values: list[int], kills: set[int]
):
    async def compare() -> None:
        folder = tmp_path_factory.mktemp("played")
        steady = await Ward(folder / "steady.db", rules=DELAYED).start()
        other = await Ward(folder / "killed.db", rules=DELAYED).start()
        try:
            expected = await play(steady, recording(values), lambda _: False)
            assert await play(other, recording(values), kills.__contains__) == expected
            told = [(t.alarm, t.kind, t.at, t.seq) for t in await steady.rows(TransitionRow)]
            assert [(t.alarm, t.kind, t.at, t.seq) for t in await other.rows(TransitionRow)] == told
            assert len(await other.rows(JournalRow)) == len(await steady.rows(JournalRow))
        finally:
            await steady.close()
            await other.close()

    asyncio.run(compare())


async def test_the_clock_of_empty_records_is_a_recordings_beginning(tmp_path: Path):
    ward = Ward(tmp_path / "records.db")
    assert (await event_clock_of(ward.records)).now_ns() == EPOCH_NS
    await ward.close()


async def test_what_was_sent_before_the_kill_and_comes_after_it_does_not_turn_the_clock_back(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    await ward.take(frame(block(2, reading(9, 84)), at=9))
    await killed(ward)
    await ward.take(frame(block(1, reading(2, 95)), at=2))
    assert ward.clock.now_ns() == T0 + 9 * SECOND
    assert not [e for e in ward.events() if isinstance(e, ClockMoved)]
    assert [r.value for r in await ward.stored()] == [95, 84]
    assert [a.patient for a in ward.pipeline.state.active()] == ["pat_1"], "the older reading ends nothing"
    await ward.close()
