"""The player against a twin that records what it is told to send."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from devices.twins.base import Twin
from hearthward.app.player import EPOCH_NS, Player, route
from hearthward.app.recording import Recording
from hearthward.app.tracker import Acknowledgements, Tracker
from hearthward.core.clock import SECOND, EventClock, SystemClock
from hearthward.core.errors import LinkError


class Belt:
    """A twin that carries whole heart rates up to 255, and fails when told to."""

    profile = "sig-heart-rate"
    transport: Literal["ble"] = "ble"
    address = "00:00:00:00:00:01"
    metrics = frozenset({"heart_rate"})

    def __init__(self, acks: Acknowledgements, clock: EventClock, *, failures: int = 0) -> None:
        self.id = "belt"
        self.sent: list[tuple[int, float]] = []
        self.listening = asyncio.Event()
        self.listening.set()
        self._acks = acks
        self._clock = clock
        self._failures = failures

    def express(self, metric: str, value: float) -> float:
        if metric not in self.metrics or value > 255:
            raise ValueError(metric)
        return float(round(value))

    async def send(
        self, values: Mapping[str, float], *, device_time: datetime | None = None
    ) -> Mapping[str, float]:
        del device_time
        if self._failures:
            self._failures -= 1
            msg = "gone"
            raise LinkError(msg)
        self.sent.append((self._clock.now_ns(), values["heart_rate"]))
        asyncio.get_running_loop().call_later(0.001, self._acks.taken, self.id)
        return values

    def ready(self) -> bool:
        return self.listening.is_set()

    async def wait_ready(self) -> None:
        await self.listening.wait()


def recording(*rows: tuple[float, str, str, float]) -> Recording:
    time, patient, metric, value = zip(*rows, strict=True)
    return Recording(array("d", time), list(patient), list(metric), array("d", value))


def make(rows: Recording, *, failures: int = 0, speed: float = 1e9) -> tuple[Player, Belt, EventClock]:
    clock, acks = EventClock(EPOCH_NS), Acknowledgements()
    belt = Belt(acks, clock, failures=failures)
    twins: dict[str, dict[str, Twin]] = {"a": route([belt])}
    tracker = Tracker(SystemClock())
    return Player(rows, twins, clock=clock, speed=speed, acks=acks, tracker=tracker), belt, clock


async def test_each_value_leaves_at_its_own_time_and_is_booked_as_expressed():
    player, belt, clock = make(
        recording((0, "a", "heart_rate", 61.6), (60, "a", "heart_rate", 300), (60, "a", "gcs", 15))
    )
    await player.play(None)
    assert belt.sent == [(EPOCH_NS, 62.0)]
    assert player.books.sent() == {"a": {"heart_rate": {"count": 1, "sum": 62.0}}}
    assert player.books.skipped == {"gcs": 1}
    assert player.books.rejected == {"inexpressible": 1}
    assert player.complete
    assert clock.now_ns() == EPOCH_NS + 60 * SECOND


async def test_two_values_of_one_moment_are_two_payloads_in_order():
    player, belt, _ = make(recording((0, "a", "heart_rate", 60), (0, "a", "heart_rate", 61)))
    await player.play(None)
    assert [value for _, value in belt.sent] == [60.0, 61.0]


async def test_a_lost_link_holds_the_value_until_somebody_listens():
    player, belt, _ = make(recording((0, "a", "heart_rate", 60)), failures=2)
    belt.listening.clear()
    playing = asyncio.ensure_future(player.play(None))
    await asyncio.sleep(0.01)
    assert not playing.done()
    belt.listening.set()
    await playing
    assert [value for _, value in belt.sent] == [60.0]


async def test_the_clock_stands_until_the_edge_has_taken_the_row():
    player, belt, clock = make(recording((0, "a", "heart_rate", 60), (5, "a", "heart_rate", 61)))
    taken = belt._acks.taken
    belt._acks.taken = lambda *_: None  # type: ignore[method-assign]
    playing = asyncio.ensure_future(player.play(None))
    await asyncio.sleep(0.02)
    assert clock.now_ns() == EPOCH_NS
    belt._acks.taken = taken  # type: ignore[method-assign]
    belt._acks.lose_outstanding()
    await playing
    assert clock.now_ns() == EPOCH_NS + 5 * SECOND


async def test_it_stops_after_the_given_real_time_and_says_so():
    player, belt, _ = make(recording((0, "a", "heart_rate", 60), (3600, "a", "heart_rate", 61)), speed=1.0)
    await player.play(0.05)
    assert len(belt.sent) == 1
    assert not player.complete


async def test_an_implausible_value_is_counted_and_its_neighbours_still_go():
    rows = recording((0, "a", "heart_rate", -1), (0, "a", "heart_rate", 61))
    rows.without_value["heart_rate"] = 2
    player, belt, _ = make(rows)
    await player.play(None)
    assert [value for _, value in belt.sent] == [61.0]
    assert player.books.rejected == {"out_of_range": 1, "no_value": 2}


async def test_a_bounded_play_does_not_wait_for_ever_for_a_subscriber():
    player, belt, _ = make(recording((0, "a", "heart_rate", 60), (1, "a", "heart_rate", 61)))
    belt.listening.clear()
    await player.play(0.05)
    assert belt.sent == []
    assert not player.complete
    assert player.books.sent() == {}
