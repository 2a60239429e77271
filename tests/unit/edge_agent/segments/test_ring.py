from __future__ import annotations

from edge_agent.segments.ring import drop_until, routine, to_clear, waste
from edge_agent.segments.segment import Segment
from edge_agent.segments.store import LARGEST, SMALLEST, Work, segment_size
from hearthward.core.ranges import RangeSet
from tests.unit.edge_agent.segments.conftest import Bench

SIZE = 1000


def segment(serial: int, numbers: tuple[int, int], live: list[tuple[int, int]], end: int = 1000) -> Segment:
    one = Segment(f"s{serial}", serial, SIZE, "boot", b"", end, data_bytes=end)
    one.numbers.add(*numbers)
    one.live = RangeSet(live)
    return one


def test_routine_is_what_waits_and_is_not_pinned():
    one = segment(1, (1, 100), [(1, 40), (60, 100)])
    assert list(routine(one, RangeSet([(10, 19), (90, 200)]))) == [(1, 9), (20, 40), (60, 89)]


def test_the_most_wasteful_segment_is_cleared_if_it_pays():
    full = segment(1, (1, 100), [(1, 100)])
    half = segment(2, (101, 200), [(101, 150)])
    early = segment(3, (201, 300), [(201, 300)], end=100)  # given up early, by a restart
    assert [waste(s) for s in (full, half, early)] == [0, 500, 775]
    assert to_clear([full, half], SIZE) is half
    assert to_clear([full, half, early], SIZE) is early
    assert to_clear([full], SIZE) is None
    assert to_clear([], SIZE) is None


def test_the_oldest_routine_goes_first_wherever_it_stands():
    old = segment(9, (1, 300), [(5, 9), (250, 300)])  # carried over into a later segment
    new = segment(2, (100, 200), [(100, 200)])
    assert drop_until([old, new], RangeSet()) == 200
    assert drop_until([old, new], RangeSet([(100, 200)])) == 300
    assert drop_until([old, new], RangeSet([(1, 999)])) is None


def test_pinned_blocks_outlive_everything_around_them(bench: Bench):
    store = bench.open()
    pinned = []
    for n in range(60):
        first = bench.append(store, 300, fat=True)
        if n % 20 == 0:
            store.commit(Work(blocks=[bench.decision()], rests_on=[(first, first)]))
            pinned += [first, store.state.following - 1]
    blocks = {b.first for b in store.read(0, 10**9, 10**12, 1 << 62)[0]}
    assert set(pinned) <= blocks
    assert store.state.gaps[0].first == 1 + 301
    store.close()
    again = bench.open()
    assert {b.first for b in again.read(0, 10**9, 10**12, 1 << 62)[0]} == blocks


def test_many_restarts_with_a_full_ring_cost_next_to_nothing(bench: Bench):
    store = bench.open()
    for _ in range(40):
        bench.append(store, 300, fat=True)
    before = len(store.read(0, 10**9, 10**12, 1 << 62)[0])
    for _ in range(30):
        store.close()
        store = bench.open()
        bench.append(store, 1)
    after = [b for b in store.read(0, 10**9, 10**12, 1 << 62)[0] if b.count > 1]
    assert before - len(after) <= 10  # one segment's worth, when the tail was nearly full
    assert set(bench.disk.sizes().values()) == {SMALLEST}


def test_segments_grow_with_the_outbox():
    assert segment_size(4 << 20) == SMALLEST
    assert segment_size(256 << 20) == 1 << 20
    assert segment_size(8 << 30) == LARGEST
