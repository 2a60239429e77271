"""Waves in the uplink's window: beside the readings, never before them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.uplink.window import WAVES_WAITING, Flight, Lane, Window
from hearthward.core.ranges import RangeSet
from hearthward.core.wave_blocks import encode_waves
from hearthward.core.wire import Block
from tests.unit.edge_agent.waves import make_chunk

WAVES = encode_waves([make_chunk(0)])


def block(first: int, count: int, *, waves: bool = False) -> Block:
    return Block(first, count, WAVES if waves else b"x")


def pick(window: Window, blocks: list[Block], accepted: int) -> Flight | None:
    """What the sender does with an outbox of these blocks."""
    while (span := window.next_span(accepted)) is not None:
        if span.lane is Lane.WAVES:
            pieces = [p for p in window.waves() if p[0] <= span.last]
            found = [b for b in blocks if any(a <= b.first <= z for a, z in pieces)]
            for a, z in pieces:
                if not any(a <= b.first <= z for b in found):
                    window.no_waves(a, z)
        else:
            found = []
            for b in blocks:
                if b.last >= span.first and b.first <= span.last:
                    if found and sum(f.count for f in found) + b.count > span.readings:
                        break
                    found.append(b)
        if (flight := window.take(span, found, (), 0)) is not None:
            return flight
    return None


def sent(flight: Flight | None) -> tuple[Lane, list[int]] | None:
    return None if flight is None else (flight.lane, [b.first for b in flight.blocks])


def test_readings_go_first_and_waves_together_after_them():
    window = Window(4)
    blocks = [block(n, 1, waves=n % 2 == 0) for n in range(1, 9)]
    assert sent(pick(window, blocks, 8)) == (Lane.LIVE, [1, 3, 5, 7])
    assert sent(pick(window, blocks, 8)) == (Lane.WAVES, [2, 4, 6, 8])
    assert pick(window, blocks, 8) is None
    assert not window.astray(RangeSet())


def test_one_frame_of_waves_is_under_way_at_a_time_and_takes_no_place_of_readings():
    window = Window(2)
    blocks = [block(1, 1, waves=True)]
    assert sent(pick(window, blocks, 1)) == (Lane.WAVES, [1])
    blocks += [block(2, 1, waves=True), block(3, 1), block(4, 1, waves=True)]
    assert sent(pick(window, blocks, 4)) == (Lane.LIVE, [3])
    assert pick(window, blocks, 4) is None
    assert not window.astray(RangeSet())
    blocks.append(block(5, 1))
    assert sent(pick(window, blocks, 5)) == (Lane.LIVE, [5])
    blocks.append(block(6, 1))
    assert pick(window, blocks, 6) is None  # two flights of readings are under way
    window.receipt(RangeSet([(1, 1), (3, 3)]), 1)
    assert sent(pick(window, blocks, 6)) == (Lane.LIVE, [6])
    window.receipt(RangeSet([(5, 6)]), 1)
    assert sent(pick(window, blocks, 6)) == (Lane.WAVES, [2, 4])


def test_waves_that_nothing_carries_become_backlog_and_readings_go_on():
    window = Window(4)
    blocks = [block(1, 64, waves=True)]
    assert pick(window, blocks, 64)  # under way, and never receipted
    last = 64
    for _ in range(2 * WAVES_WAITING // 64):
        blocks += [block(last + 1, 64, waves=True), block(last + 65, 1)]
        last += 65
        flight = pick(window, blocks, last)
        assert flight is not None
        if flight.lane is Lane.LIVE:
            assert sent(flight) == (Lane.LIVE, [last])
            window.receipt(RangeSet([(last, last)]), 1)
    assert sum(b - a + 1 for a, b in window.waves()) <= WAVES_WAITING
    lanes = []
    while flight := pick(window, blocks, last):
        lanes.append(flight.lane)
        window.receipt(RangeSet((b.first, b.last) for b in flight.blocks), 1)
    assert set(lanes) == {Lane.BACKLOG}
    window.receipt(RangeSet([(1, 64)]), 1)
    assert sent(pick(window, blocks, last)) is not None


def test_what_is_gone_is_waited_for_no_longer():
    window = Window(4)
    blocks = [block(1, 1, waves=True)]
    assert pick(window, blocks, 1)
    blocks += [block(n, 1, waves=True) for n in (2, 4, 6)] + [block(n, 1) for n in (3, 5, 7)]
    blocks.sort(key=lambda b: b.first)
    assert sent(pick(window, blocks, 7)) == (Lane.LIVE, [3, 5, 7])
    window.drop(RangeSet([(2, 2)]))
    window.receipt(RangeSet([(1, 1), (4, 4)]), 1)
    assert window.waves() == [(6, 6)]
    assert pick(window, [], 7) is None
    assert window.waves() == []
    window.reset(RangeSet())
    assert sent(pick(window, blocks, 7)) == (Lane.LIVE, [3, 5, 7])


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 300), st.booleans()), max_size=40), st.integers(1, 6))
def test_all_is_sent_once_whatever_comes_and_however_late_receipts_are(
    steps: list[tuple[bool, int, bool]], size: int
):
    window, blocks, last = Window(size), list[Block](), 0
    first_sent: list[int] = []
    for waves, count, answered in steps:
        blocks.append(block(last + 1, min(count, 64) if waves else count, waves=waves))
        last = blocks[-1].last
        while flight := pick(window, blocks, last):
            first_sent += [b.first for b in flight.blocks]
        if answered:
            ranges = RangeSet((b.first, b.last) for f in window.flights for b in f.blocks)
            window.receipt(ranges, 1)
            blocks = [b for b in blocks if not ranges.covers(b.first, b.last)]
    while True:
        while flight := pick(window, blocks, last):
            first_sent += [b.first for b in flight.blocks]
        ranges = RangeSet((b.first, b.last) for f in window.flights for b in f.blocks)
        if not ranges:
            break
        window.receipt(ranges, 1)
        blocks = [b for b in blocks if not ranges.covers(b.first, b.last)]
    assert blocks == []
    assert len(first_sent) == len(set(first_sent)) == len(steps)
