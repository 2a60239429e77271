"""A request sent again because no answer came acts once, by its Idempotency-Key."""

from __future__ import annotations

import asyncio

import pytest

from dashboards.backend import DirectoryError
from dashboards.repeats import HEADER, KEPT_NS, MOST, Repeats
from hearthward.core.clock import SECOND, EventClock
from hearthward.trust.access import Role
from tests.unit.dashboards.webworld import world

WHO = ("main", "usr_1")


class Counter:
    def __init__(self, *fails: Exception) -> None:
        self.calls, self.fails = 0, list(fails)
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int:
        self.calls += 1
        await self.gate.wait()
        if self.fails:
            raise self.fails.pop(0)
        return self.calls


async def test_the_same_key_acts_once_and_gives_the_first_answer():
    repeats, do = Repeats(EventClock(1)), Counter()
    assert [await repeats.once(WHO, "k", ("accept",), do) for _ in range(3)] == [1, 1, 1]
    assert await repeats.once(("main", "usr_2"), "k", ("accept",), do) == 2
    assert await repeats.once(("other", "usr_1"), "k", ("accept",), do) == 3
    assert [await repeats.once(WHO, "", ("accept",), do) for _ in range(2)] == [4, 5]


async def test_a_repetition_waits_for_the_first_and_survives_its_end():
    repeats, do = Repeats(EventClock(1)), Counter()
    do.gate.clear()
    first = asyncio.create_task(repeats.once(WHO, "k", ("x",), do))
    await asyncio.sleep(0)
    first.cancel()  # the client went away
    second = asyncio.create_task(repeats.once(WHO, "k", ("x",), do))
    await asyncio.sleep(0)
    do.gate.set()
    assert await second == 1
    assert do.calls == 1


async def test_what_failed_may_be_tried_again():
    repeats, do = Repeats(EventClock(1)), Counter(ValueError("no"))
    with pytest.raises(ValueError, match="no"):
        await repeats.once(WHO, "k", ("x",), do)
    assert await repeats.once(WHO, "k", ("x",), do) == 2


async def test_a_key_means_one_thing():
    repeats, do = Repeats(EventClock(1)), Counter()
    await repeats.once(WHO, "k", ("accept", "alm_1"), do)
    with pytest.raises(DirectoryError) as refused:
        await repeats.once(WHO, "k", ("accept", "alm_2"), do)
    assert (refused.value.field, refused.value.code) == (HEADER, "taken")
    with pytest.raises(DirectoryError):
        await repeats.once(WHO, "k" * 200, ("x",), do)


async def test_keys_are_forgotten_by_age_and_number():
    clock, do = EventClock(1, frozen_monotonic=True), Counter()
    repeats = Repeats(clock)
    await repeats.once(WHO, "k", ("x",), do)
    clock.advance(KEPT_NS / SECOND + 1)
    assert await repeats.once(WHO, "k", ("x",), do) == 2
    for n in range(MOST + 5):
        await repeats.once(WHO, f"k{n}", ("x",), do)
    assert len(repeats._known) <= MOST


async def test_a_note_that_is_sent_again_is_kept_once():
    async with world() as made, made.client(made.principal(Role.NURSE)) as client:
        alarm = made.ids["main", "alarmA"]
        url, key = f"/api/v1/alarms/{alarm}/note", {HEADER: "retry-1"}

        async def send(note: str, **headers: str) -> int:
            return (await client.post(url, json={"note": note}, headers=headers)).status_code

        assert [await send("the cuff had slipped", **key) for _ in range(3)] == [200, 200, 200]
        assert await send("something else", **key) == 409
        shown = (await client.get(f"/api/v1/alarms/{alarm}")).json()
        assert [t["note"] for t in shown["transitions"] if t["kind"] == "note"] == ["the cuff had slipped"]
        audit = [a for a in made.backend._of("main").audit if a.detail.get("do") == "note"]
        assert len(audit) == 1
