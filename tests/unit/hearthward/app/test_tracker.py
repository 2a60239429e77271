"""Acknowledgements and delays."""

from __future__ import annotations

import asyncio

from hearthward.app.tracker import Acknowledgements, Tracker, percentiles
from hearthward.core.clock import EventClock
from hearthward.core.model import Reading, ReadingBatch


async def test_settled_waits_for_what_is_under_way():
    acks = Acknowledgements()
    acks.sent("a")
    acks.sent("b")
    assert not await acks.settled(["a"], 0.01)
    acks.taken("a")
    assert await acks.settled(["a"], 0.01)
    waiting = asyncio.ensure_future(acks.settled(["a", "b"], 5))
    await asyncio.sleep(0)
    acks.lose_outstanding()
    assert await waiting
    assert acks.lost == 1


def test_delays_follow_payloads_in_order():
    clock = EventClock(frozen_monotonic=True)
    tracker = Tracker(clock)
    tracker.sending("a")
    clock.advance(0.010)
    tracker.sending("a")
    clock.advance(0.010)
    batch = ReadingBatch.of(
        Reading("a", metric, 1.0, None, None, received, received)
        for received in (1, 2)
        for metric in ("spo2", "pulse_rate")
    )
    assert tracker.accepted(batch) == {"a": 2}
    clock.advance(0.005)
    tracker.reached("stored", [("a", 2), ("a", 2), ("b", 1)])
    assert list(tracker.samples["accepted"]) == [20.0, 10.0]
    assert list(tracker.samples["stored"]) == [15.0]


def test_percentiles():
    assert percentiles([]) == {"p50": None, "p99": None}
    assert percentiles(range(101)) == {"p50": 50, "p99": 99}
