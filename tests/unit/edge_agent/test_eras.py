from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.uplink.eras import MAX_ERAS, ClockEras
from hearthward.core.clock import SECOND

DAY = 86_400 * SECOND


def test_a_steady_clock_has_one_era():
    eras = ClockEras(1000, 0)
    for n in range(100):
        eras.look(1000 + n * SECOND + (n % 2) * SECOND, n * SECOND, n)
    assert eras.last(1) is None
    assert eras.wall(1, 5) is None


def test_what_was_accepted_before_a_jump_keeps_its_clock():
    eras = ClockEras(0, 0)
    eras.look(10 * SECOND, 10 * SECOND, 12)
    eras.look(DAY + 11 * SECOND, 11 * SECOND, 15)  # 13 to 15 were stamped just now
    assert (eras.last(1), eras.last(12), eras.last(13)) == (12, 12, None)
    assert eras.wall(12, 20 * SECOND) == 20 * SECOND
    assert eras.wall(13, 20 * SECOND) is None
    eras.look(DAY + 13 * SECOND, 13 * SECOND, 20)
    eras.look(14 * SECOND, 14 * SECOND, 20)  # and back
    assert [eras.last(n) for n in (12, 13, 20, 21)] == [12, 20, 20, None]
    assert eras.wall(13, 20 * SECOND) == DAY + 20 * SECOND
    assert eras.wall(12, 20 * SECOND) == 20 * SECOND


def test_a_clock_that_jumps_while_nothing_is_accepted_makes_one_era():
    eras = ClockEras(0, 0, 7)
    for n, wall in enumerate((DAY, -DAY, 5 * DAY)):
        eras.look(wall, n, 7)
    assert eras.last(7) == 7
    assert eras.wall(7, 100) == 100
    assert eras.wall(8, 100) is None


def test_numbers_that_begin_anew_forget_the_former_clocks():
    eras = ClockEras(0, 0)
    eras.look(DAY, 0, 7)
    eras.restart()
    assert eras.last(1) is None
    eras.look(DAY + SECOND, SECOND, 3)
    eras.look(DAY + SECOND, SECOND, 8)
    assert eras.last(1) is None


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(-5, 5)), max_size=150))
def test_every_number_has_one_era_and_eras_follow_each_other(steps: list[tuple[int, int]]):
    eras, accepted, mono, days = ClockEras(0, 0), 0, 0, 0
    truth: list[int] = []
    for count, jump in steps:
        days += jump
        mono += SECOND
        truth += [days] * count
        accepted += count
        eras.look(days * DAY + mono, mono, accepted)
    at = 1
    while at <= accepted:
        last = eras.last(at)
        end = accepted if last is None else min(last, accepted)
        assert end >= at
        if len(steps) < MAX_ERAS:
            shown = eras.wall(at, mono)
            assert truth[at - 1] * DAY + mono == (days * DAY + mono if shown is None else shown)
            assert set(truth[at - 1 : end]) == {truth[at - 1]}
        at = end + 1
