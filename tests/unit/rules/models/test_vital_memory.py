"""One vital sign's memory: the same for a monitor and a nurse, and over a restart."""

from __future__ import annotations

from math import exp, isnan

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.models.vital_memory import SHAPES, VitalMemory

HOUR = 3600.0


def filled(*values: tuple[float, float]) -> VitalMemory:
    memory = VitalMemory()
    for time, value in values:
        memory.push(time, value)
    return memory


def shape(memory: VitalMemory, now: float) -> dict[str, float]:
    return dict(zip(SHAPES, memory.shape(now), strict=True))


def test_nothing_is_known_before_the_first_value():
    assert all(map(isnan, VitalMemory().shape(5.0)))


def test_one_value_is_all_that_is_known():
    found = shape(filled((0.0, 80.0)), HOUR)
    assert {found[n] for n in ("last", "mean_2h", "mean_8h", "mean_24h", "low", "high")} == {80.0}
    assert (found["age"], found["trend"], found["spread"]) == (1.0, 0.0, 0.0)
    assert found["often"] == pytest.approx(exp(-1 / 24))


def test_a_mean_forgets_in_time():
    found = shape(filled((0.0, 60.0), (10 * HOUR, 90.0)), 10 * HOUR)
    for name, tau in (("mean_2h", 2.0), ("mean_8h", 8.0), ("mean_24h", 24.0)):
        old = exp(-10 / tau)
        assert found[name] == pytest.approx((60 * old + 90) / (old + 1))
    assert found["trend"] == pytest.approx(found["mean_2h"] - found["mean_24h"])


def test_extremes_come_back_to_the_mean():
    memory = filled((0.0, 60.0), (HOUR, 120.0), *((h * HOUR, 60.0) for h in range(2, 200)))
    found = shape(memory, 199 * HOUR)
    assert found["high"] == pytest.approx(60.0, abs=0.1)


def test_a_monitor_and_a_nurse_leave_the_same_mark():
    hours = [(h, 70.0 + 3 * h) for h in range(12)]
    nurse = filled(*((h * HOUR, v) for h, v in hours))
    monitor = filled(*((h * HOUR + 30.0 * i, v) for h, v in hours for i in range(110)))
    one, other = shape(nurse, 12 * HOUR), shape(monitor, 12 * HOUR)
    for name in set(SHAPES) - {"age", "often"}:
        assert one[name] == pytest.approx(other[name])
    assert other["often"] == pytest.approx(one["often"], rel=0.05)


def test_an_older_value_is_left_out():
    memory = filled((HOUR, 80.0))
    assert not memory.push(0.0, 20.0)
    assert memory.shape(HOUR) == filled((HOUR, 80.0)).shape(HOUR)


@settings(max_examples=20)
@given(
    steps=st.lists(st.tuples(st.floats(0, 5 * HOUR), st.floats(30, 200)), min_size=1, max_size=30),
    cut=st.integers(0, 30),
)
def test_a_restart_changes_nothing(steps: list[tuple[float, float]], cut: int):
    memory, again, time = VitalMemory(), VitalMemory(), 0.0
    for n, (gap, value) in enumerate(steps):
        if n == cut:
            again = VitalMemory.unpacked(msgpack.unpackb(msgpack.packb(again.pack())))
        time += gap
        memory.push(time, value)
        again.push(time, value)
    assert memory.shape(time) == again.shape(time)
    assert len(msgpack.packb(memory.pack())) <= 200


def test_what_is_no_memory_is_refused():
    with pytest.raises(ValueError, match="3 numbers"):
        VitalMemory.unpacked([1, 2, 3])


def test_moved_in_time_it_says_the_same():
    memory, moved = filled((0.0, 80.0), (5 * HOUR, 90.0)), filled((0.0, 80.0), (5 * HOUR, 90.0))
    moved.shift(7200.0)
    moved.push(8 * HOUR, 85.0)
    memory.push(6 * HOUR, 85.0)
    assert moved.shape(9 * HOUR) == pytest.approx(memory.shape(7 * HOUR))
