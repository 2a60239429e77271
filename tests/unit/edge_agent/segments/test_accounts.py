from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.segments.accounts import HOUR_NS, KEPT_HOURS, Counts, accepted_in, hour_of
from hearthward.core.messages import Account


def test_readings_are_counted_by_device_and_hour():
    times = [5 * HOUR_NS - 1, 5 * HOUR_NS, 5 * HOUR_NS + 7]
    assert sorted(accepted_in(["a", "a", "a"], times)) == [("a", 4, "accepted", 1), ("a", 5, "accepted", 2)]
    assert hour_of(-5) == 0


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 9), st.sampled_from(["x", "y"]), st.integers(1, 5))
    )
)
def test_rows_are_cumulative_and_those_changed_are_told(rows: list[tuple[str, int, str, int]]):
    counts, model, mark = Counts(), {}, 0
    for device, hour, kind, n in rows:
        counts.add([(device, hour, kind, n)])
        model[device, hour, kind] = model.get((device, hour, kind), 0) + n
        assert counts.changed(mark) == [Account(device, hour, kind, model[device, hour, kind])]
        mark = counts.mark
    assert counts.changed(0) == sorted(Account(*key, n) for key, n in model.items())
    assert sorted(Counts.unpacked(counts.packed())) == sorted(counts)


def test_the_hours_touched_longest_ago_are_forgotten_whatever_the_clock_says():
    counts = Counts()
    counts.add([("a", hour, "read", 1) for hour in range(1000, 1000 + KEPT_HOURS)])
    counts.add([("a", 1000, "read", 1)])  # touched again
    counts.add([("a", 3, "read", 1)])  # a clock that starts over
    hours = {row.hour for row in counts.changed(0)}
    assert len(counts) == len(hours) == KEPT_HOURS
    assert {3, 1000} <= hours
    assert 1001 not in hours
