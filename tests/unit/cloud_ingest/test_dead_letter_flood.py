from __future__ import annotations

from pathlib import Path

from cloud_ingest.dead_letter_flood import DEAD_LETTERS, LETTERS, READINGS, Flood
from cloud_ingest.facts import FAILING, Facts
from cloud_ingest.intake import Dead
from hearthward.core.clock import EventClock
from tests.unit.cloud_ingest.ward import Ward, block, frame, reading


def dead(readings: int) -> Dead:
    return Dead("t", "gw-1", "implausible", "", b"", readings)


def test_a_thousand_readings_within_an_hour_are_a_flood_that_ends() -> None:
    clock, facts = EventClock(1, frozen_monotonic=True), Facts()
    flood = Flood(clock, facts)
    flood.add([dead(READINGS // 2)])
    assert list(facts) == []
    clock.advance(3599)
    flood.add([dead(READINGS // 2)])
    assert facts.get(DEAD_LETTERS, FAILING) == 1.0
    clock.advance(2)
    flood.look()
    assert facts.get(DEAD_LETTERS, FAILING) == 0.0


def test_a_hundred_letters_are_one_too() -> None:
    facts = Facts()
    flood = Flood(EventClock(1), facts)
    for _ in range(LETTERS - 1):
        flood.add([dead(0)])
    assert facts.get(DEAD_LETTERS, FAILING) is None
    flood.add([dead(0)])
    assert facts.get(DEAD_LETTERS, FAILING) == 1.0


async def test_a_restart_does_not_forget_the_last_hour(tmp_path: Path):
    ward = await Ward(tmp_path / "records.db").start()
    try:
        for n in range(1, LETTERS + 1):
            await ward.take(frame(block(n, reading(0, 101.0))))
        assert ward.pipeline._frames._facts.get(DEAD_LETTERS, FAILING) == 1.0
        await ward.restart()
        assert ward.pipeline._frames._facts.get(DEAD_LETTERS, FAILING) == 1.0
        ward.clock.advance(3601)
        await ward.restart()
        assert ward.pipeline._frames._facts.get(DEAD_LETTERS, FAILING) is None
    finally:
        await ward.close()
