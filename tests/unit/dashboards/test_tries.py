"""The owner of trials: what it forgets, and that nothing goes on when it ends."""

from __future__ import annotations

import asyncio

from cloud_ingest.trying import Progress, TryAsked
from dashboards.tries import KEPT, KEPT_NS, Tries
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Principal, Role
from rules.loader import load_rules
from rules.whatif import Trial

WHO = Principal("usr_1", "Li", "main", frozenset({Role.DOCTOR}))
RULE = load_rules().by_id["spo2-low"]
ASKED = TryAsked(RULE, RULE, ("pat",), 0, SECOND)


async def at_once(_: Progress) -> Trial:
    return Trial(0, SECOND)


async def never(_: Progress) -> Trial:
    await asyncio.Event().wait()
    raise AssertionError


def made() -> tuple[Tries, EventClock]:
    clock = EventClock(0, frozen_monotonic=True)
    return Tries(clock, SeededIds(1)), clock


async def test_what_came_of_it_is_kept_for_a_while_and_for_its_owner():
    tries, clock = made()
    async with tries.running():
        job = tries.start(WHO, "spo2-low", ASKED, at_once, text="", numbers=[])
        assert job.task is not None
        await job.task
        assert job.state == "done"
        assert tries.get(WHO, "spo2-low", job.id) is job
        clock.advance(KEPT_NS / SECOND + 1)
        assert tries.get(WHO, "spo2-low", job.id) is None


async def test_no_more_than_so_many_are_kept():
    tries, _ = made()
    async with tries.running():
        jobs = []
        for _ in range(KEPT + 3):
            jobs.append(tries.start(WHO, "spo2-low", ASKED, at_once, text="", numbers=[]))
            await asyncio.gather(*(j.task for j in jobs if j.task), return_exceptions=True)
        kept = [j for j in jobs if tries.get(WHO, "spo2-low", j.id) is not None]
        assert KEPT <= len(kept) <= KEPT + 1
        assert kept[-1] is jobs[-1]


async def test_the_end_gives_everything_up():
    tries, _ = made()
    async with tries.running():
        running = tries.start(WHO, "spo2-low", ASKED, never, text="", numbers=[])
        await asyncio.sleep(0)
        assert running.state == "running"
    assert running.state == "cancelled"
    assert running.task is not None
    assert running.task.done()
