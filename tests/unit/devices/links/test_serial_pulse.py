"""Whether a process came by in time, with a clock that is stepped."""

from __future__ import annotations

import asyncio

import pytest

from devices.links import serial_pulse
from devices.links.serial_pulse import BEAT_S, STALL_S, Pulse


class Steps:
    """A clock."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_what_is_read_after_a_stall_is_as_old_until_a_beat_came_in_time():
    clock = Steps()
    pulse = Pulse(clock)
    for _ in range(3):
        clock.now += BEAT_S
        assert pulse.stalled_s() == 0
        pulse.beat()
    clock.now += 60
    assert pulse.stalled_s() == 60  # the readers are called before the beat
    pulse.beat()
    clock.now += BEAT_S / 2
    assert pulse.stalled_s() == 60  # and some after it
    clock.now += BEAT_S / 2
    pulse.beat()
    assert pulse.stalled_s() == 0


def test_a_busy_process_is_not_one_that_stood_still():
    clock = Steps()
    pulse = Pulse(clock)
    clock.now += STALL_S
    assert pulse.stalled_s() == 0


async def test_it_beats_while_the_loop_runs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(serial_pulse, "BEAT_S", 0.001)
    clock = Steps()
    pulse = Pulse(clock)
    task = asyncio.create_task(pulse.run())
    clock.now += 2 * STALL_S
    for _ in range(1000):
        if not pulse.stalled_s():
            break
        await asyncio.sleep(0.005)
    assert not pulse.stalled_s()
    task.cancel()
    await asyncio.wait([task])
