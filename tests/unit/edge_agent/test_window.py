from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.uplink.window import FRAME_READINGS, Flight, Lane, Span, Window, common
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block, Gap


def block(first: int, count: int) -> Block:
    return Block(first, count, b"x")


def pick(window: Window, blocks: list[Block], accepted: int, now: int = 0) -> Flight | None:
    """What the uplink does with an outbox of these blocks."""
    while (span := window.next_span(accepted)) is not None:
        found: list[Block] = []
        for b in blocks:
            if span.first <= b.first <= span.last:
                if found and sum(f.count for f in found) + b.count > FRAME_READINGS:
                    break
                found.append(b)
        if (flight := window.take(span, found, (), now)) is not None:
            return flight
    return None


def test_a_short_backlog_goes_in_order():
    window = Window(4)
    blocks = [block(1 + 100 * i, 100) for i in range(8)]
    sent = []
    while flight := pick(window, blocks, 800):
        sent += [b.first for b in flight.blocks]
    assert sent == [b.first for b in blocks]


def test_with_a_long_backlog_the_newest_goes_first_and_the_backlog_in_its_half():
    window = Window(4)
    blocks = [block(1 + 100 * i, 100) for i in range(100)]
    flights = [pick(window, blocks, 10_000) for _ in range(4)]
    lanes = [(f.lane, f.blocks[0].first) for f in flights if f]
    assert lanes == [(Lane.LIVE, 9501), (Lane.BACKLOG, 1), (Lane.BACKLOG, 501)]
    # A new block takes the place that was kept for it.
    blocks.append(block(10_001, 1))
    live = pick(window, blocks, 10_001)
    assert live is not None
    assert [b.first for b in live.blocks] == [10_001]
    assert pick(window, blocks, 10_001) is None


def test_a_window_of_one_alternates():
    window = Window(1)
    blocks = [block(1 + 100 * i, 100) for i in range(30)]
    lanes = []
    for _ in range(4):
        flight = pick(window, blocks, blocks[-1].last)
        assert flight is not None
        lanes.append(flight.lane)
        window.receipt(RangeSet((b.first, b.last) for b in flight.blocks))
        blocks.append(block(blocks[-1].last + 1, 100))
    assert lanes == [Lane.LIVE, Lane.BACKLOG, Lane.LIVE, Lane.BACKLOG]


def test_receipts_shrink_flights_and_bring_back_their_gaps():
    window = Window(2)
    gap = Gap(1, 5, "full")
    span = Span(Lane.LIVE, 6, 25)
    flight = window.take(span, [block(6, 10), block(16, 10)], [gap], 0)
    assert flight is not None
    assert window.receipt(RangeSet([(6, 20)])) == []
    assert [b.first for b in flight.blocks] == [16]
    assert window.receipt(RangeSet([(16, 25)])) == [gap]
    assert window.flights == []


def test_only_published_flights_fall_due_oldest_first():
    window = Window(3)
    flights = [window.take(Span(Lane.LIVE, i, i), [block(i, 1)], (), 10 * i) for i in (1, 2, 3)]
    assert window.due(1000, 5) is None
    assert window.next_due(5) is None
    for flight in flights[1:]:
        assert flight is not None
        flight.publishing = False
    assert window.next_due(5) == 25
    assert window.due(24, 5) is None
    assert window.due(1000, 5) is flights[1]
    window.hurry()
    assert window.due(0, 5) is flights[1]
    window.drop([Gap(2, 2, "full")])
    assert window.due(1000, 5) is flights[2]


def test_common_is_the_intersection():
    assert common(RangeSet([(1, 3), (7, 9)]), 2, 8) == [(2, 3), (7, 8)]
    assert common(RangeSet(), 1, 5) == []


@given(data=st.data(), size=st.integers(1, 8))
def test_everything_is_sent_and_the_window_holds(data: st.DataObject, size: int):
    """Any blocks, losses, receipts and reconnects: nothing is skipped, nothing is under way twice."""
    window = Window(size)
    blocks: list[Block] = []
    settled, top = RangeSet(), 0
    for _ in range(data.draw(st.integers(1, 40))):
        match data.draw(st.sampled_from(["append", "send", "send", "receipt", "reconnect", "drop"])):
            case "append":
                count = data.draw(st.integers(1, 499))
                blocks.append(block(top + 1, count))
                top += count
            case "send":
                pick(window, blocks, top)
            case "receipt" if window.flights:
                flight = data.draw(st.sampled_from(window.flights))
                ranges = RangeSet((b.first, b.last) for b in flight.blocks)
                window.receipt(ranges)
                settled, blocks = settle(settled, blocks, ranges)
            case "reconnect":
                window.reset(settled)
            case "drop" if blocks:
                gone = RangeSet([(blocks[0].first, blocks[0].last)])
                window.drop([Gap(blocks[0].first, blocks[0].last, "full")])
                settled, blocks = settle(settled, blocks, gone)
        under_way = [b.first for f in window.flights for b in f.blocks]
        assert len(under_way) == len(set(under_way))
        assert len(window.flights) <= size
        assert set(under_way) <= {b.first for b in blocks}
    while blocks:
        while pick(window, blocks, top):
            pass
        assert window.flights
        ranges = RangeSet((b.first, b.last) for b in window.flights[0].blocks)
        window.receipt(ranges)
        settled, blocks = settle(settled, blocks, ranges)
    assert len(settled) == top


def settle(settled: RangeSet, blocks: list[Block], ranges: RangeSet) -> tuple[RangeSet, list[Block]]:
    return RangeSet([*settled, *ranges]), [b for b in blocks if not ranges.covers(b.first, b.last)]
