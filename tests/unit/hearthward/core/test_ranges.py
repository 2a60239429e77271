from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.ranges import RangeSet

PAIRS = st.tuples(st.integers(-30, 30), st.integers(0, 12)).map(lambda p: (p[0], p[0] + p[1]))


def numbers(pairs: list[tuple[int, int]]) -> set[int]:
    return {n for a, b in pairs for n in range(a, b + 1)}


@given(st.lists(PAIRS, max_size=20))
def test_it_holds_what_a_set_holds(pairs: list[tuple[int, int]]):
    ranges = RangeSet()
    model: set[int] = set()
    for first, last in pairs:
        ranges.add(first, last)
        model |= numbers([(first, last)])
        kept = list(ranges)
        assert numbers(kept) == model
        assert all(a <= b for a, b in kept)
        assert all(kept[i][1] + 1 < kept[i + 1][0] for i in range(len(kept) - 1))  # sorted, not touching
        assert len(ranges) == len(model)


@given(st.lists(PAIRS, max_size=12), PAIRS)
def test_it_answers_as_a_set_does(pairs: list[tuple[int, int]], asked: tuple[int, int]):
    ranges, model = RangeSet(pairs), numbers(pairs)
    want = numbers([asked])
    missing = ranges.missing(*asked)
    assert numbers(missing) == want - model
    assert missing == list(RangeSet(missing))
    assert ranges.covers(*asked) == (want <= model)
    assert all((n in ranges) == (n in model) for n in range(-32, 45))


@given(st.lists(PAIRS, max_size=12), PAIRS)
def test_it_takes_out_and_looks_up_as_a_set_does(pairs: list[tuple[int, int]], asked: tuple[int, int]):
    ranges, model, want = RangeSet(pairs), numbers(pairs), numbers([asked])
    assert numbers(ranges.common(*asked)) == model & want
    assert ranges.at_least(asked[0]) == min((n for n in model if n >= asked[0]), default=None)
    left = ranges.copy()
    left.remove(*asked)
    assert left == RangeSet((n, n) for n in model - want)
    assert ranges == RangeSet(pairs)
    assert ranges.pieces() == len(list(ranges))


@given(st.lists(PAIRS, max_size=12), st.randoms())
def test_order_and_repetition_do_not_matter(pairs: list[tuple[int, int]], random):  # noqa: ANN001
    shuffled = pairs * 2
    random.shuffle(shuffled)
    assert RangeSet(pairs) == RangeSet(shuffled)


def test_touching_ranges_become_one():
    assert list(RangeSet([(1, 2), (5, 6), (3, 4)])) == [(1, 6)]
    assert list(RangeSet([(1, 2), (4, 5)])) == [(1, 2), (4, 5)]


def test_an_empty_range_is_refused_and_an_empty_set_misses_all():
    with pytest.raises(ValueError, match="empty"):
        RangeSet([(2, 1)])
    assert RangeSet().missing(1, 3) == [(1, 3)]
    assert RangeSet().missing(3, 1) == []
    assert not RangeSet().covers(1, 1)


def test_it_may_grow_while_it_is_walked_and_compares_only_with_its_kind():
    ranges = RangeSet([(1, 1), (3, 3)])
    for first, _ in ranges:
        ranges.add(first + 1, first + 1)
    assert list(ranges) == [(1, 4)]
    assert ranges != [(1, 4)]
    assert repr(ranges) == "RangeSet([(1, 4)])"
    with pytest.raises(TypeError, match="unhashable"):
        hash(ranges)
