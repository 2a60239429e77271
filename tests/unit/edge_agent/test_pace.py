from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.uplink.pace import FIRST, FRAME_LEAST, FRAME_MOST, LEAST, MOST, TARGET_NS, Pace


def test_quick_answers_make_larger_frames_and_slow_ones_smaller():
    pace = Pace()
    for _ in range(100):
        pace.answered(TARGET_NS)
    assert (pace.limit, pace.frame) == (MOST, FRAME_MOST)
    pace.answered(2 * TARGET_NS)
    assert pace.limit == MOST // 2
    for _ in range(20):
        pace.unanswered()
    assert (pace.limit, pace.frame) == (LEAST, FRAME_LEAST)


@given(rate=st.integers(2_000, 200_000), overhead_ms=st.integers(1, 40))
def test_it_finds_what_the_other_end_takes_in_time(rate: int, overhead_ms: int):
    """Whatever the ingestor's speed: after a while answers come about in time, and most of it is used."""
    pace = Pace()
    took = []
    for _ in range(200):
        took.append(int(overhead_ms * 1e6 + 1e9 * 2 * pace.frame / rate))
        pace.answered(took[-1])
    usable = (TARGET_NS / 1e9 - overhead_ms / 1e3) * rate
    assert max(took[100:]) <= max(1.2 * TARGET_NS, overhead_ms * 1e6 + 1e9 * 2 * FRAME_LEAST / rate)
    assert 2 * pace.frame >= min(0.4 * usable, 2 * FRAME_MOST)
    assert FIRST > LEAST
