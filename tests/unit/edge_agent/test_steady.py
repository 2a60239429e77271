from __future__ import annotations

from edge_agent.steady import BELIEVE_S, JUMP_S, SteadyTime
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.model import Quality, ReadingBatch
from tests.unit.edge_agent.decided import T0, HandClock, reading

DAY = 86_400


def seconds(at: int) -> float:
    return (at - T0) / SECOND


def test_it_follows_a_clock_that_is_corrected_in_its_stride():
    clock = HandClock()
    steady = SteadyTime(clock)
    clock.advance(5)
    clock.jump(JUMP_S - 1)
    assert steady.look() == 0
    assert steady.now() == clock.now_ns()


def test_a_jump_is_not_believed_at_once_and_stamps_of_the_clock_that_jumped_are_put_right():
    for jump in (DAY, -DAY):
        clock = HandClock()
        steady = SteadyTime(clock)
        clock.advance(10)
        clock.jump(jump)
        assert steady.look() == 0
        assert seconds(steady.now()) == 10
        assert [seconds(t) for t in steady.right([clock.now_ns(), T0 + 9 * SECOND])] == [10, 9]
        clock.jump(-jump)
        assert steady.look() == 0
        assert steady.right([T0]) == [T0]


def test_a_jump_that_stands_is_believed():
    clock = HandClock()
    steady = SteadyTime(clock)
    clock.jump(-DAY)
    assert steady.look() == 0
    clock.advance(BELIEVE_S - 1)
    assert steady.look() == 0
    clock.advance(1)
    assert steady.look() == -DAY * SECOND
    assert steady.now() == clock.now_ns()
    assert steady.look() == 0


def test_another_jump_is_another_matter():
    clock = HandClock()
    steady = SteadyTime(clock)
    clock.jump(DAY)
    steady.look()
    clock.advance(BELIEVE_S - 1)
    clock.jump(DAY)
    assert steady.look() == 0
    clock.advance(2)
    assert steady.look() == 0


def test_a_clock_that_did_not_know_the_time_is_believed_when_it_does():
    clock = HandClock()
    clock.jump(-clock.now_ns() / SECOND)
    clock.synchronised = lambda: clock.now_ns() > SECOND * 1000  # type: ignore[method-assign]
    steady = SteadyTime(clock)
    clock.jump(T0 / SECOND)
    assert steady.look() == T0
    assert steady.now() == T0


def test_where_a_recording_is_played_it_is_the_players_time():
    clock = EventClock(T0)
    steady = SteadyTime(clock)
    clock.advance(DAY)
    assert steady.look() == 0
    assert steady.now() == clock.now_ns()


def test_when_a_reading_came():
    clock = HandClock(100)
    steady = SteadyTime(clock)
    batch = ReadingBatch.of(
        [
            reading(99, 97),
            reading(50, 97, device_time=1, received=T0 + 98 * SECOND),
            reading(97, 97, device_time=1, received=T0 + DAY * SECOND),
            reading(96, 97, device_time=1, received=T0 + DAY * SECOND, quality=Quality.CLOCK_UNSET),
        ]
    )
    right, came = steady.righted(batch)
    assert [seconds(t) for t in came] == [99, 98, 100, 96]
    assert [seconds(t) for t in right.received] == [99, 98, 100, 100]
    assert seconds(batch.received[2]) == DAY, "what is in the outbox stays as it is"
