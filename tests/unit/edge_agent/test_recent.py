from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.recent import Recent
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Block

ALL = 2**62


def block(first: int, count: int = 10) -> Block:
    return Block(first, count, b"%d" % first)


def found(recent: Recent, after: int, until: int = ALL) -> list[int] | None:
    blocks = recent.find(after, until, ALL, ALL)
    return None if blocks is None else [b.first for b in blocks]


def test_limits_hold_but_one_block_is_always_given():
    recent = Recent()
    recent.take_in([block(1), block(11), block(21)], 31, RangeSet())
    assert [b.first for b in recent.find(0, ALL, 20, ALL) or []] == [1, 11]
    assert [b.first for b in recent.find(0, ALL, ALL, 1) or []] == [1]
    assert found(recent, 10, 20) == [11]
    assert found(recent, 30) == []


def test_what_is_settled_is_forgotten_and_what_came_before_the_first_is_not_known():
    recent = Recent(2)
    recent.take_in([block(1), block(11), block(21)], 31, RangeSet())
    assert found(recent, 0) is None
    assert found(recent, 10) == [11, 21]
    recent.take_in([], 31, RangeSet([(11, 20)]))
    assert (found(recent, 10), found(recent, 20)) == (None, [21])
    recent.clear()
    assert found(recent, 20) is None


def test_numbers_that_were_given_out_unseen_leave_no_hole():
    recent = Recent()
    recent.take_in([block(1)], 11, RangeSet())
    recent.take_in([block(21)], 31, RangeSet())  # 11 to 20 were accepted too, nobody said so
    assert (found(recent, 0), found(recent, 10), found(recent, 20)) == (None, None, [21])
    recent.take_in([block(31)], 51, RangeSet())  # nor 41 to 50
    assert found(recent, 20) is None
    recent.take_in([block(51)], 61, RangeSet())
    assert (found(recent, 40), found(recent, 50)) == (None, [51])


@given(
    st.lists(
        st.tuples(st.lists(st.integers(1, 9), max_size=4), st.booleans(), st.sets(st.integers(0, 30))),
        max_size=20,
    ),
    st.integers(0, 100),
)
def test_it_gives_just_what_waits_or_nothing(steps: list[tuple[list[int], bool, set[int]]], after: int):
    recent, blocks, settled, following = Recent(5), list[Block](), RangeSet(), 1
    for counts, seen, gone in steps:
        new = []
        for count in counts:
            new.append(block(following, count))
            following += count
        blocks += new
        for i in gone & set(range(len(blocks))):
            settled.add(blocks[i].first, blocks[i].last)
        recent.take_in(new if seen else [], following, settled)
        waiting = [b for b in blocks if not settled.covers(b.first, b.last)]
        assert recent.find(after, ALL, ALL, ALL) in (None, [b for b in waiting if b.last > after])
