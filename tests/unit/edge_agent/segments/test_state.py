from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.segments.state import Change, State, merged
from hearthward.core.ranges import RangeSet
from hearthward.core.wire import Gap

PAIRS = st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda p: (p[0], p[0] + p[1]))
RANGES = st.lists(PAIRS, max_size=4).map(tuple)
GAPS = st.lists(
    st.builds(lambda p, r: Gap(*p, r), PAIRS, st.sampled_from(["full", "corrupt"])), max_size=3
).map(tuple)
COUNTS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", ""]), st.integers(0, 5), st.sampled_from(["read", "x"]), st.integers(1, 9)
    ),
    max_size=4,
).map(tuple)
CHANGES = st.lists(
    st.builds(
        Change,
        serial=st.integers(0, 99),
        following=st.integers(1, 99),
        done=RANGES,
        gaps=GAPS,
        pins=RANGES,
        counts=COUNTS,
        moved=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 9)), max_size=2).map(tuple),
    ),
    max_size=6,
)


@given(CHANGES)
def test_changes_and_books_come_back_from_bytes(changes: list[Change]):
    state = State("boot-1", ended={3: 4096})
    for change in changes:
        assert Change.decode(change.serial, change.encode()) == change
        state.apply(change)
    again = State.decode(state.encode())
    assert sorted(again.counts) == sorted(state.counts)
    again.counts = state.counts
    assert again == state
    assert len(State.decode(state.encode(counts=False)).counts) == 0


@given(CHANGES)
def test_done_gaps_and_pins_stay_apart(changes: list[Change]):
    state = State("boot-1")
    for change in changes:
        state.apply(change)
    gaps = RangeSet((g.first, g.last) for g in state.gaps)
    assert not any(gaps.common(a, b) for a, b in state.done)
    assert not any(state.pins.common(a, b) for a, b in state.done)
    assert sum(g.last - g.first + 1 for g in state.gaps) == len(gaps)
    assert state.pieces() == state.done.pieces() + state.pins.pieces() + len(state.gaps)
    assert all(state.settled().covers(a, b) for a, b in [*state.done, *gaps])


def test_a_receipt_answers_a_gap_and_unpins():
    state = State("boot-1", 100)
    state.apply(Change(gaps=(Gap(1, 9, "full"),), pins=((20, 29),)))
    state.apply(Change(done=((4, 5), (20, 22))))
    assert state.gaps == [Gap(1, 3, "full"), Gap(6, 9, "full")]
    assert list(state.pins) == [(23, 29)]
    state.apply(Change(gaps=(Gap(4, 10, "corrupt"),)))
    assert state.gaps == [Gap(1, 3, "full"), Gap(6, 9, "full"), Gap(10, 10, "corrupt")]


def test_gaps_are_joined_only_with_their_kind():
    gaps = [Gap(7, 9, "corrupt"), Gap(4, 6, "full"), Gap(1, 3, "full"), Gap(8, 10, "full")]
    assert merged(gaps) == [Gap(1, 6, "full"), Gap(7, 9, "corrupt"), Gap(10, 10, "full")]


def test_books_of_another_version_are_refused():
    import zlib

    import msgpack

    with pytest.raises(ValueError, match="version 9"):
        State.decode(zlib.compress(msgpack.packb([9])))
