from __future__ import annotations

from math import inf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_ingest.device_health.walk import crossing, outwards


def test_what_goes_on_evenly_comes_on_time():
    assert crossing(20.0, 2.0, 0.0, 10.0) == (10.0, 10.0)
    assert crossing(0.0, 2.0, 1.0, 10.0) == crossing(-3.0, 2.0, 1.0, 10.0) == (0.0, 0.0)


def test_where_it_may_stand_still_there_is_no_later_end():
    assert crossing(20.0, 1.0, 4.0, 10.0)[1] == inf


@given(
    distance=st.floats(0.1, 1e4),
    drift=st.floats(0.01, 100.0),
    wide=st.floats(0.0, 100.0),
    seen=st.floats(1.0, 1000.0),
)
def test_at_both_ends_it_is_half_a_width_from_where_it_should_be(
    distance: float, drift: float, wide: float, seen: float
):
    low, high = crossing(distance, drift, wide, seen)
    assert 0 <= low <= distance / drift * (1 + 1e-9)
    assert high >= distance / drift * (1 - 1e-9)
    for t in (low, high):
        if t < 1e9:
            off = abs(distance - drift * t)
            assert off == pytest.approx(wide * sqrt(t + t * t / seen), rel=1e-5, abs=1e-5 * distance)


def test_an_interval_is_rounded_outwards():
    assert outwards(8.4, 9.1) == (8, 10)
    assert outwards(9.0, 9.0) == (9, 9)
