from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.clocks import MAX_SESSIONS, GatewayClocks, correct
from hearthward.core.clock import SECOND
from hearthward.core.model import Quality, ReadingBatch
from hearthward.core.wire import Frame
from tests.unit.cloud_ingest.ward import T0, frame, reading

SKEW = 60 * SECOND
DAY = 86_400 * SECOND


def sent(wall: float, mono: float, *, session: str = "s", **more: object) -> Frame:
    """A frame sent when its gateway's clocks showed ``T0 + wall`` and ``mono`` seconds."""
    fields = {"event_time": False, "synchronised": True, **more}
    return frame(at=wall, mono=round(mono * SECOND), session=session, **fields)


def at(seconds: float) -> tuple[int, int]:
    """Our own clocks, whose monotonic one began 1,000 s before T0."""
    return T0 + round(seconds * SECOND), round((1_000 + seconds) * SECOND)


def test_a_right_clock_is_left_alone():
    clocks = GatewayClocks(SKEW)
    assert clocks.see(sent(0, 0), *at(0.1)).offset == 0
    assert clocks.see(sent(10, 10), *at(59)).offset == 0
    assert clocks.see(sent(-59, 20), *at(0)).offset == 0


def test_one_that_is_off_is_corrected_by_the_same_offset_in_spite_of_jitter():
    clocks = GatewayClocks(SKEW)
    first = clocks.see(sent(86_400, 0), *at(0.2)).offset
    assert first == -DAY + SECOND // 5
    later = [clocks.see(sent(86_400 + n, n), *at(n + 0.2 + (n % 3) / 10)).offset for n in range(1, 50)]
    assert set(later) == {first}


def test_one_that_is_not_synchronised_is_corrected_however_little():
    clocks = GatewayClocks(SKEW)
    assert clocks.see(sent(-5, 0, synchronised=False), *at(0)).offset == 5 * SECOND
    assert clocks.see(sent(0.5, 1, synchronised=False, session="t"), *at(1)).offset == 0


def test_a_frame_that_waited_in_a_queue_is_not_of_a_clock_that_is_behind():
    clocks = GatewayClocks(SKEW)
    assert clocks.see(sent(0, 0), *at(0)).offset == 0
    # ours was stopped for an hour: what was sent meanwhile arrives now
    for n in range(1, 3600, 100):
        assert clocks.see(sent(n, n), *at(3600)).offset == 0


def test_a_clock_that_is_set_right_in_mid_session_has_two_offsets():
    """What was accepted before is sent with the clock that it was accepted by."""
    clocks = GatewayClocks(SKEW)
    before = clocks.see(sent(-86_400, 0), *at(0)).offset
    assert before == DAY
    assert clocks.see(sent(10, 10), *at(10)).offset == 0
    assert clocks.see(sent(-86_400 + 11, 11), *at(11.1)).offset == before


def test_our_own_clock_may_jump_too():
    """A gateway's offset is to our clock as it is, and how long a frame was on its way does not change."""
    clocks = GatewayClocks(SKEW)
    assert clocks.see(sent(0, 0), *at(0)).offset == 0
    now, mono = at(1)
    assert clocks.see(sent(1, 1), now + DAY, mono).offset == DAY
    assert clocks.see(sent(2, 2), *at(2)).offset == 0


def test_a_recording_s_time_is_never_corrected():
    clocks = GatewayClocks(SKEW)
    assert clocks.see(sent(-999_999, 0, event_time=True), *at(0)).offset == 0


def test_only_the_last_sessions_are_remembered():
    clocks = GatewayClocks(SKEW)
    for n in range(MAX_SESSIONS + 5):
        clocks.see(sent(0, 0, session=str(n)), *at(0))
    assert len(clocks._sessions) == MAX_SESSIONS


@given(
    off=st.integers(-400 * 86_400, 400 * 86_400),
    steps=st.lists(st.tuples(st.floats(0, 50), st.floats(0, 5_000)), min_size=1, max_size=30),
    drift=st.floats(-5e-5, 5e-5),
)
def test_times_are_right_to_the_quickest_way_whatever_waits(
    off: int, steps: list[tuple[float, float]], drift: float
):
    """Once a session was heard without delay, what it sends is dated right, however long it is on its way."""
    clocks = GatewayClocks(SKEW)
    clocks.see(sent(off, 0), *at(0))
    true, heard = 0.0, 0.0
    for step, delay in steps:
        true += step
        heard = max(heard, true + delay)
        wall = true * (1 + drift) + off
        offset = clocks.see(sent(wall, true * (1 + drift)), *at(heard)).offset
        error = abs(wall + offset / SECOND - true)
        assert error <= (60 if abs(off) <= 60 else 1) + heard * 2e-4 + 1e-3


def test_only_times_of_the_gateway_s_clock_are_moved():
    by_receipt = reading(100)
    unset = reading(100, device_time=5, quality=int(Quality.CLOCK_UNSET))
    unbelieved = reading(100, device_time=T0 + DAY)
    believed = reading(100, device_time=T0 + SECOND, corrected=T0 + SECOND)
    early = reading(0, received=10, corrected=10)
    batch = ReadingBatch.of([by_receipt, unset, unbelieved, believed, early])
    correct(batch, -50 * SECOND)
    moved = T0 + 50 * SECOND
    assert batch.corrected == [moved, moved, moved, T0 + SECOND, 0]
    assert batch.received == [r.received for r in (by_receipt, unset, unbelieved, believed, early)]


def test_a_time_that_was_estimated_by_the_gateway_s_clock_moves_with_it():
    """Three minutes ahead, as that clock had it; an hour ahead is a zone, and the device's own minutes."""
    estimated = reading(0, device_time=T0 + 180 * SECOND, corrected=T0 + 2 * SECOND, error=4 * SECOND)
    zoned = reading(0, device_time=T0 + 3600 * SECOND, corrected=T0, error=4 * SECOND)
    batch = ReadingBatch.of([estimated, zoned])
    correct(batch, DAY)
    assert batch.corrected == [T0 + 2 * SECOND + DAY, T0]


def test_a_clock_that_was_put_back_makes_no_time_the_device_s_own():
    zoned = reading(0, device_time=T0 + 8 * 3600 * SECOND, corrected=T0)
    put_back = reading(0, device_time=T0, received=T0 + 1, corrected=T0 - DAY + 1_000_001)
    batch = ReadingBatch.of([zoned, put_back])
    correct(batch, DAY)
    assert batch.corrected == [T0, T0 + 1_000_001]
