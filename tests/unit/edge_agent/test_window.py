from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge_agent.uplink.window import ASIDE_MOST, ASIDE_TRIES, Flight, Lane, Span, Window, common
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block


def block(first: int, count: int) -> Block:
    return Block(first, count, b"x")


def pick(
    window: Window,
    blocks: list[Block],
    accepted: int,
    now: int = 0,
    urgent: Iterable[tuple[int, int]] = (),
) -> Flight | None:
    """What the uplink does with an outbox of these blocks."""
    while (span := window.next_span(accepted, urgent)) is not None:
        found: list[Block] = []
        for b in blocks:
            if b.last >= span.first and b.first <= span.last:
                if found and sum(f.count for f in found) + b.count > span.readings:
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


def test_what_counts_as_sent_and_is_nowhere_is_found_and_sent():
    window = Window(4)
    flight = pick(window, [block(1, 10), block(21, 10)], 30)  # the outbox did not tell of 11 to 20
    assert flight is not None
    assert pick(window, [block(11, 10)], 30) is None
    assert list(window.astray(RangeSet())) == [(11, 20)]
    window.receipt(RangeSet([(1, 10)]), 0)
    assert list(window.astray(RangeSet([(1, 10)]))) == [(11, 20)]
    assert not window.astray(RangeSet([(1, 20)]))
    window.unsend(RangeSet([(11, 20)]))
    again = pick(window, [block(11, 10)], 30)
    assert again is not None
    assert [b.first for b in again.blocks] == [11]
    assert not window.astray(RangeSet([(1, 10)]))


def test_with_a_long_backlog_the_newest_goes_first_and_the_backlog_in_the_rest():
    window = Window(4)
    blocks = [block(1 + 100 * i, 100) for i in range(100)]
    flights = [pick(window, blocks, 10_000) for _ in range(4)]
    lanes = [(f.lane, f.blocks[0].first, f.blocks[-1].last) for f in flights if f]
    # the pace begins with 2,000 readings, two frames of which are under way
    assert lanes == [(Lane.LIVE, 9501, 10_000), (Lane.BACKLOG, 1, 1000), (Lane.BACKLOG, 1001, 2000)]
    # A new block takes the place that was kept for it.
    blocks.append(block(10_001, 1))
    live = pick(window, blocks, 10_001)
    assert live is not None
    assert [b.first for b in live.blocks] == [10_001]
    assert pick(window, blocks, 10_001) is None


def test_what_is_urgent_goes_before_everything_even_when_the_window_is_full():
    window = Window(2)
    blocks = [block(1 + 100 * i, 100) for i in range(100)]
    while pick(window, blocks, 10_000):
        pass
    urgent = [(3_001, 3_200), (9_901, 10_000)]
    first = pick(window, blocks, 10_000, urgent=urgent)
    second = pick(window, blocks, 10_000, urgent=urgent)
    assert first
    assert second is None or second.lane is Lane.URGENT
    sent = [b.first for f in (first, second) if f for b in f.blocks]
    assert sent[:2] == [3_001, 3_101]
    assert first.lane is Lane.URGENT
    window.receipt(RangeSet([(3_001, 3_200), (9_901, 10_000)]), 0)
    again = pick(window, blocks, 10_000, urgent=urgent)
    assert again is None or again.lane is not Lane.URGENT


def test_urgent_frames_are_limited_too():
    window = Window(2)
    blocks = [block(1 + 500 * i, 500) for i in range(10)]
    urgent = [(1, 5_000)]
    lanes = [f.lane for _ in range(9) if (f := pick(window, blocks, 5_000, urgent=urgent))]
    assert lanes.count(Lane.URGENT) == 2


def test_a_window_of_one_alternates():
    window = Window(1)
    blocks = [block(1 + 100 * i, 100) for i in range(30)]
    lanes = []
    for _ in range(4):
        flight = pick(window, blocks, blocks[-1].last)
        assert flight is not None
        lanes.append(flight.lane)
        window.receipt(RangeSet((b.first, b.last) for b in flight.blocks), 0)
        blocks.append(block(blocks[-1].last + 1, 100))
    assert lanes == [Lane.LIVE, Lane.BACKLOG, Lane.LIVE, Lane.BACKLOG]


def test_a_frame_leaves_the_window_with_its_last_block():
    window = Window(2)
    flight = window.take(Span(Lane.LIVE, 6, 25), [block(6, 10), block(16, 10)], [], 0)
    assert flight is not None
    window.receipt(RangeSet([(6, 20)]), 1)
    assert [b.first for b in flight.blocks] == [16]
    assert window.flights == [flight]
    window.receipt(RangeSet([(16, 25)]), 1)
    assert window.flights == []


def test_only_published_flights_fall_due_the_longest_overdue_first():
    window = Window(3)
    flights = [window.take(Span(Lane.LIVE, i, i), [block(i, 1)], (), 10 * i) for i in (1, 2, 3)]
    assert window.again(1000, 5) is None
    assert window.next_due(5) is None
    for flight in flights[1:]:
        assert flight is not None
        flight.publishing = False
    assert window.next_due(5) == 25
    assert window.again(24, 5) is None
    assert window.again(25, 5) is flights[1]
    assert flights[1] is not None
    assert (flights[1].sent, flights[1].tries, flights[1].publishing) == (25, 2, True)
    flights[1].publishing = False
    assert window.next_due(5) == 30
    window.hurry()
    assert [window.again(0, 5) for _ in range(3)] == [*flights[1:], None]
    window.drop(RangeSet([(2, 2)]))
    assert window.flights == [flights[0], flights[2]]


def test_who_does_not_answer_is_asked_less_and_less_often():
    window = Window(1)
    flight = window.take(Span(Lane.LIVE, 1, 1), [block(1, 1)], (), 0)
    assert flight is not None
    waits = []
    for _ in range(9):
        flight.publishing = False
        due = window.next_due(10)
        assert due is not None
        waits.append(due - flight.sent)
        assert window.again(due, 10) is flight
    assert waits == [10, 10, 10, 20, 40, 80, 120, 120, 120]
    window.hurry()
    flight.publishing = False
    assert window.again(0, 10) is flight
    assert window.next_due(10) is None
    flight.publishing = False
    assert window.next_due(10) == 10


def test_the_backlog_is_paced_by_its_receipts():
    window = Window(4)
    blocks = [block(1 + 100 * i, 100) for i in range(4_000)]

    def backlog() -> list[int]:
        while pick(window, blocks, 400_000):
            pass
        return [sum(b.count for b in f.blocks) for f in window.flights if f.lane is Lane.BACKLOG]

    assert backlog() == [1000, 1000]
    for _ in range(40):
        for flight in [f for f in window.flights if f.lane is Lane.BACKLOG]:
            window.receipt(RangeSet((b.first, b.last) for b in flight.blocks), flight.sent + 10)
        backlog()
    assert backlog() == [4000, 4000]
    slow = next(f for f in window.flights if f.lane is Lane.BACKLOG)
    limit = window.pace.limit
    window.receipt(RangeSet((b.first, b.last) for b in slow.blocks), slow.sent + 10**10)
    assert window.pace.limit == limit // 2


def unanswered(window: Window, flights: list[Flight]) -> None:
    """Send these again until nobody waits for them any more."""
    for flight in flights:
        flight.publishing = False
    for _ in range(ASIDE_TRIES * len(flights)):
        again = window.again(10**18, 1)
        assert again is not None
        again.publishing = False
        again.sent = min(f.sent for f in flights)  # the others are as due


def test_frames_that_the_cloud_fails_on_do_not_keep_the_backlog_for_ever():
    window = Window(4)
    blocks = [block(1 + 100 * i, 100) for i in range(300)]
    assert pick(window, blocks, 30_000)  # live
    bad = [f for _ in range(2) if (f := pick(window, blocks, 30_000))]
    assert [f.lane for f in bad] == [Lane.BACKLOG, Lane.BACKLOG]
    assert pick(window, blocks, 30_000) is None
    window.receipt(RangeSet((b.first, b.last) for b in window.flights[0].blocks), 1)
    unanswered(window, bad)
    assert all(f.aside for f in bad)
    pace = window.pace.limit
    sent = {f.blocks[0].first for f in bad}
    while flight := pick(window, blocks, 30_000):
        sent.update(b.first for b in flight.blocks)
        window.receipt(RangeSet((b.first, b.last) for b in flight.blocks), flight.sent + 1)
    assert window.flights == bad, "all others went, and these are still under way"
    assert window.pace.limit >= pace
    limit = window.pace.limit
    bad[0].publishing = False
    assert window.again(10**18, 1) is bad[0], "they are sent again all the same"
    assert window.pace.limit == limit, "which says nothing of the way"
    window.receipt(RangeSet((b.first, b.last) for f in bad for b in f.blocks), 10**18)
    assert window.flights == []


def test_a_cloud_that_answers_nothing_gets_no_more_than_so_many():
    window = Window(2)
    blocks = [block(1 + 500 * i, 500) for i in range(100)]
    for n in range(1, 60):
        while pick(window, blocks, 50_000, urgent=[(1, 20_000)]):
            pass
        for flight in window.flights:
            flight.publishing = False
        while again := window.again(n * 10**18, 1):
            assert again.publishing
    assert len(window.flights) <= ASIDE_MOST + 2 * window.size
    assert sum(f.aside for f in window.flights) == ASIDE_MOST
    assert sum(b.count for f in window.flights for b in f.blocks) <= window.most


def test_common_is_the_intersection():
    assert common(RangeSet([(1, 3), (7, 9)]), 2, 8) == [(2, 3), (7, 8)]
    assert common(RangeSet(), 1, 5) == []


class Uplinks(RuleBasedStateMachine):
    """Any blocks, urgency, losses, receipts and reconnects: nothing is skipped, nothing under way twice."""

    @initialize(size=st.integers(1, 8))
    def start(self, size: int) -> None:
        self.window = Window(size)
        self.blocks: list[Block] = []
        self.urgent = RangeSet()
        self.settled = RangeSet()
        self.top = self.now = 0

    @rule(count=st.integers(1, 499), urgent=st.booleans())
    def append(self, count: int, urgent: bool) -> None:  # noqa: FBT001 - hypothesis names them
        self.blocks.append(block(self.top + 1, count))
        self.top += count
        if urgent:
            self.urgent.add(self.blocks[-1].first, self.blocks[-1].last)

    @rule(passed=st.integers(0, 10**9))
    def send(self, passed: int) -> None:
        self.now += passed
        waiting = {b.first for f in self.window.flights for b in f.blocks}
        wanted = [p for r in self.urgent for p in self.settled.missing(*r)]
        unsent = [b for b in self.blocks if b.first in self.urgent and b.first not in waiting]
        room = sum(f.lane is Lane.URGENT and not f.aside for f in self.window.flights) < self.window.size
        flight = pick(self.window, self.blocks, self.top, self.now, urgent=wanted)
        if unsent and room:
            assert flight is not None
            assert flight.lane is Lane.URGENT
        if flight is not None:
            flight.publishing = False

    @precondition(lambda self: self.window.flights)
    @rule(data=st.data())
    def receipt(self, data: st.DataObject) -> None:
        flight = data.draw(st.sampled_from(self.window.flights))
        count = data.draw(st.integers(1, len(flight.blocks)))
        ranges = RangeSet((b.first, b.last) for b in flight.blocks[:count])
        self.window.receipt(ranges, self.now)
        self._settle(ranges)

    @rule(passed=st.integers(0, 10**10))
    def resend(self, passed: int) -> None:
        self.now += passed
        flight = self.window.again(self.now, 10**9)
        if flight is not None:
            assert flight in self.window.flights
            flight.publishing = False

    @rule()
    def reconnect(self) -> None:
        self.window.reset(self.settled)

    @rule()
    def hurry(self) -> None:
        self.window.hurry()

    @precondition(lambda self: self.blocks)
    @rule()
    def drop(self) -> None:
        gone = RangeSet([(self.blocks[0].first, self.blocks[0].last)])
        self.window.drop(gone)
        self._settle(gone)

    def _settle(self, ranges: RangeSet) -> None:
        self.settled = RangeSet([*self.settled, *ranges])
        self.blocks = [b for b in self.blocks if not ranges.covers(b.first, b.last)]

    @invariant()
    def the_window_holds(self) -> None:
        flights = self.window.flights
        under_way = [b.first for f in flights for b in f.blocks]
        assert len(under_way) == len(set(under_way))
        assert set(under_way) <= {b.first for b in self.blocks}
        assert sum(f.aside for f in flights) <= ASIDE_MOST
        lanes = Counter(f.lane for f in flights if not f.aside)
        assert lanes[Lane.URGENT] <= self.window.size
        assert lanes[Lane.LIVE] + lanes[Lane.BACKLOG] <= self.window.size
        assert lanes[Lane.BACKLOG] <= max(1, self.window.size // 2)

    def teardown(self) -> None:
        if not hasattr(self, "window"):
            return
        while self.blocks:
            while pick(self.window, self.blocks, self.top):
                pass
            assert self.window.flights
            ranges = RangeSet((b.first, b.last) for b in self.window.flights[0].blocks)
            self.window.receipt(ranges, self.now)
            self._settle(ranges)
        assert len(self.settled) == self.top


TestUplinks = Uplinks.TestCase
TestUplinks.settings = settings(max_examples=60, stateful_step_count=40)
