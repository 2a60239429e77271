"""Python's own arithmetic, for arrays."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rules.detectors.exactly import mapped, numbered, quotient, rounded, rounds

WHOLE = st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-1000, 1000)


def bits(values: list[float]) -> list[bytes]:
    return [struct.pack("<d", value) for value in values]


@given(st.lists(st.tuples(WHOLE, WHOLE.filter(bool)), min_size=1))
@example([(1_700_000_000_123_456_789, 10**9), (2**53 + 1, 2**53 + 3)])
def test_whole_numbers_are_divided_as_python_does(pairs: list[tuple[int, int]]):
    above, below = np.array(pairs, np.int64).T
    assert bits(quotient(above, below).tolist()) == bits([a / b for a, b in pairs])
    assert bits(quotient(above, below[0]).tolist()) == bits([a / pairs[0][1] for a, _ in pairs])


near_a_half = st.integers(-(10**13), 10**13).map(lambda n: (n + 0.5) / 10**6)


@given(
    st.lists(st.floats() | near_a_half | st.integers(-(2**30), 2**30).map(lambda n: n / 2**13), min_size=1)
)
@example([0.0078125, -0.0, -1e-9, math.nan, math.inf, 1e300, 2.5e-6, 1.0000005])
def test_decimals_are_rounded_as_python_does(values: list[float]):
    with np.errstate(all="ignore"):
        found = rounded(np.array(values)).tolist()
    assert bits(found) == bits([round(value, 6) for value in values])


def test_what_math_computes_is_maths():
    values = [n / 7.0 for n in range(-300, 300)]
    for function in (math.exp, math.cos, math.sin):
        assert mapped(function, np.array(values)).tolist() == [function(value) for value in values]


@given(st.lists(st.integers(0, 5), max_size=30))
def test_in_a_round_a_stream_occurs_once_and_in_order(streams: list[int]):
    found = [part.tolist() for part in rounds(np.array(streams, np.intp)) if len(part)]
    assert sorted(n for part in found for n in part) == list(range(len(streams)))
    for part in found:
        chosen = [streams[n] for n in part]
        assert chosen == sorted(set(chosen))
    for stream in range(6):
        places = [n for part in found for n in part if streams[n] == stream]
        assert places == sorted(places)


@pytest.mark.parametrize("stream", [-1, 2])
def test_a_stream_that_there_is_not_is_named(stream: int):
    assert numbered([1, 0], 2).tolist() == [1, 0]
    with pytest.raises(ValueError, match=f"stream {stream}; there are 2"):
        numbered([0, stream], 2)
