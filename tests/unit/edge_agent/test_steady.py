from __future__ import annotations

import pytest

from edge_agent.steady import FORMER_S, SteadyTime
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.model import Quality, ReadingBatch
from hearthward.core.steady_clock import JUMP_S
from tests.unit.edge_agent.decided import T0, HandClock, reading

DAY = 86_400


def seconds(at: int) -> float:
    return (at - T0) / SECOND


def test_a_clock_that_is_corrected_in_its_stride_was_not_set():
    clock = HandClock()
    steady = SteadyTime(clock)
    for _ in range(3):
        clock.advance(5)
        clock.jump(JUMP_S - 1)
        assert steady.look() == 0
        assert steady.now() == clock.now_ns()


@pytest.mark.parametrize("jump", [DAY, -DAY])
def test_it_follows_the_clock_of_its_stamps_at_once_and_puts_right_what_was_stamped_before(jump: int):
    clock = HandClock(10)
    steady = SteadyTime(clock)
    clock.jump(jump)
    assert steady.look() == jump * SECOND
    assert steady.look() == 0
    assert steady.now() == clock.now_ns()
    assert [seconds(t) - jump for t in steady.right([T0 + 9 * SECOND, clock.now_ns()])] == [9, 10]
    clock.jump(-jump)
    assert steady.look() == -jump * SECOND
    assert [seconds(t) for t in steady.right([T0 + 9 * SECOND, T0 + (jump + 8) * SECOND])] == [9, 8]


def test_a_clock_set_twice_is_put_right_twice():
    clock = HandClock(10)
    steady = SteadyTime(clock)
    for _ in range(2):
        clock.jump(3600)
        steady.look()
    assert [seconds(t) for t in steady.right([T0, T0 + 3600 * SECOND, T0 + 7200 * SECOND])] == [7200] * 3


def test_after_some_minutes_nothing_waits_any_more_of_what_was_stamped_before():
    clock = HandClock()
    steady = SteadyTime(clock)
    clock.jump(DAY)
    steady.look()
    clock.advance(FORMER_S)
    assert steady.right([T0]) == [T0]


def test_where_a_recording_is_played_it_is_the_players_time():
    clock = EventClock(T0)
    steady = SteadyTime(clock)
    steady.told(T0 + DAY * SECOND)
    clock.advance(DAY // 2)
    assert (steady.look(), steady.behind) == (0, 0)
    assert steady.now() == clock.now_ns()


def test_how_far_a_clock_is_known_to_be_behind():
    clock = HandClock()
    steady = SteadyTime(clock)
    assert steady.behind == 0
    steady.told(T0 + DAY * SECOND)
    clock.advance(60)
    assert steady.behind == DAY * SECOND
    clock.jump(3600)
    steady.look()
    assert steady.behind == (DAY - 3600) * SECOND
    clock.jump(DAY - 3600)
    steady.look()
    assert steady.behind == 0
    steady.told(T0)
    assert steady.behind == 0


def test_when_a_reading_came():
    clock = HandClock(100)
    steady = SteadyTime(clock)
    batch = ReadingBatch.of(
        [
            reading(99, 97),
            reading(50, 97, device_time=1, received=T0 + 98 * SECOND),
            reading(97, 97, device_time=1, received=T0 + DAY * SECOND),
            reading(96, 97, device_time=1, received=T0 + DAY * SECOND, quality=Quality.CLOCK_UNSET),
            reading(105, 97),
        ]
    )
    right, came = steady.righted(batch)
    assert [seconds(t) for t in came] == [99, 98, 100, 96, 100]
    assert [seconds(t) for t in right.received] == [99, 98, 100, 100, 100]
    assert seconds(batch.received[2]) == DAY, "what is in the outbox stays as it is"


def test_a_time_that_a_device_has_told_stays():
    clock = HandClock(100)
    steady = SteadyTime(clock)
    clock.jump(DAY)
    steady.look()
    stored = T0 + 60 * SECOND
    batch = ReadingBatch.of(
        [
            reading(60, 97, device_time=stored + 8 * 3600 * SECOND, received=T0 + 99 * SECOND),
            reading(99, 97, device_time=5, received=T0 + 99 * SECOND),
        ]
    )
    right, came = steady.righted(batch)
    assert [seconds(t) for t in right.corrected] == [60, DAY + 99]
    assert [seconds(t) for t in came] == [DAY + 99, DAY + 99]
