"""A clock that jumps, and what becomes of it."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.clock import SECOND, SystemClock
from hearthward.core.steady_clock import BELIEVE_S, JUMP_S, SteadyClock

T0 = 1_780_000_000 * SECOND
DAY_S = 86_400.0


class Machine:
    """A machine whose wall clock is ``off`` seconds from true."""

    event_driven = False

    def __init__(self) -> None:
        self.true = 0.0
        self.off = 0.0
        self.is_set = True

    def now_ns(self) -> int:
        return T0 + round((self.true + self.off) * SECOND)

    def monotonic_ns(self) -> int:
        return round(self.true * SECOND)

    def synchronised(self) -> bool:
        return self.is_set


def off_by(clock: SteadyClock, machine: Machine) -> float:
    return (clock.now_ns() - T0) / SECOND - machine.true


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.mark.parametrize("jump", [-DAY_S, DAY_S, 3600.0, -JUMP_S - 1])
def test_a_jump_and_back_is_not_noticed(machine: Machine, jump: float):
    clock = SteadyClock(machine)
    machine.true, machine.off = 5, jump
    for machine.true in (5.0, 20.0, BELIEVE_S - 1):
        assert off_by(clock, machine) == 0
    machine.off = 0
    assert off_by(clock, machine) == 0


def test_what_stands_is_believed(machine: Machine):
    clock = SteadyClock(machine)
    machine.true, machine.off = 5, 3600
    assert off_by(clock, machine) == 0
    machine.true += BELIEVE_S
    assert off_by(clock, machine) == 3600


def test_a_second_jump_stands_anew(machine: Machine):
    clock = SteadyClock(machine)
    machine.off = 3600
    assert off_by(clock, machine) == 0
    machine.true, machine.off = BELIEVE_S - 1, 7200
    assert off_by(clock, machine) == 0
    machine.true += 2
    assert off_by(clock, machine) == 0


def test_small_steps_and_drift_are_followed(machine: Machine):
    clock = SteadyClock(machine)
    for _ in range(10):
        machine.true += 60
        machine.off += JUMP_S - 1
        assert off_by(clock, machine) == pytest.approx(machine.off)


def test_a_clock_that_was_never_set_is_believed_when_it_is(machine: Machine):
    machine.is_set, machine.off = False, -20 * 365 * DAY_S
    clock = SteadyClock(machine)
    assert off_by(clock, machine) == machine.off
    machine.is_set, machine.off = True, 0
    assert off_by(clock, machine) == 0
    machine.off = DAY_S
    assert off_by(clock, machine) == 0


def test_while_it_is_open_what_is_true_it_is_not_taken_for_right(machine: Machine):
    clock = SteadyClock(machine)
    assert clock.synchronised()
    machine.off = 3 * DAY_S  # a machine without a battery clock woke, and a time server told it
    assert not clock.synchronised()
    machine.true += BELIEVE_S + 1
    assert clock.synchronised()
    assert off_by(clock, machine) == machine.off
    machine.off = 4 * DAY_S
    assert not clock.synchronised()
    machine.off = 3 * DAY_S  # set back at once
    assert clock.synchronised()


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(-DAY_S, DAY_S)), max_size=30))
def test_time_never_goes_back_by_more_than_a_small_step(steps: list[tuple[float, float]]):
    machine = Machine()
    clock = SteadyClock(machine)
    last = clock.now_ns()
    for wait, off in steps:
        machine.true += wait
        machine.off = off
        now = clock.now_ns()
        assert now >= last - JUMP_S * SECOND or machine.true >= BELIEVE_S
        last = now


def test_the_machine_s_own():
    clock, system = SteadyClock(), SystemClock()
    assert abs(clock.now_ns() - time.time_ns()) < SECOND
    assert abs(clock.monotonic_ns() - system.monotonic_ns()) < SECOND
    assert clock.synchronised() is system.synchronised()
    assert not clock.event_driven
