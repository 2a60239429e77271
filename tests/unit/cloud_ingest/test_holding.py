from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.holding import AT_ONCE_BYTES, LAST_BACKOFF_S, Arrived, Holding
from hearthward.core.clock import EventClock
from hearthward.core.wire import Frame

FRAME = Frame("gw-1", "boot-1", (), wall=1, mono=1)


def arrived(size: int) -> Arrived:
    return Arrived("hw/1/main/gw-1/frame", FRAME, size)


def test_the_store_is_asked_ever_more_slowly() -> None:
    clock = EventClock(1, frozen_monotonic=True)
    holding = Holding(clock)
    assert (holding.away, holding.due, holding.wait_s) == (False, True, None)
    waits = []
    for n in range(10):
        assert holding.failed() is (n == 0)
        assert holding.keep(arrived(1))
        assert holding.away
        assert not holding.due
        assert holding.take() == []
        wait = holding.wait_s
        assert wait is not None
        waits.append(wait)
        clock.advance(wait)
        assert holding.due
        assert holding.wait_s == 0.0
        assert len(holding.take()) == 1
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0.1, LAST_BACKOFF_S)
    assert holding.works()
    assert not holding.works()
    assert (holding.away, holding.due, holding.wait_s) == (False, True, None)


@given(st.lists(st.integers(1, AT_ONCE_BYTES), max_size=40), st.integers(1, 8), st.integers(1, 4_000_000))
def test_what_is_kept_is_bounded_and_comes_out_in_order(sizes: list[int], frames: int, most: int) -> None:
    holding = Holding(EventClock(1), max_frames=frames, max_bytes=most)
    kept = [one for one in map(arrived, sizes) if holding.keep(one)]
    assert len(holding) == len(kept) <= frames
    assert sum(a.size for a in kept) <= most
    out: list[Arrived] = []
    while batch := holding.take():
        assert len(batch) == 1 or sum(a.size for a in batch) <= AT_ONCE_BYTES
        out += batch
    assert out == kept
    assert all(holding.keep(one) for one in kept)  # nothing of the room is lost
