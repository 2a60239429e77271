from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.model import Quality
from rules import Readings, Rows, RuleSet
from rules.intake import measurements, row_at, rows_of
from rules.rule import SECOND
from rules.state import Row
from tests.unit.rules.made import Play, at, both, make, threshold

RULES = RuleSet((make("low", threshold("spo2", "below", 90)),))
NOW = 1000 * SECOND


def one(value: float | None = 90.0, time: int = NOW, received: int = NOW, quality: int = 0) -> Row:
    return row_at(Rows.of([("p", "d", "spo2", value, time, received, quality)]), 0, NOW)


def test_only_rows_of_somebody_that_a_rule_looks_at_are_taken():
    rows = Rows.of(
        [("", "d", "spo2", 1.0, 0, 0, 0), ("p", "d", "pain", 1.0, 0, 0, 0), ("p", "d", "spo2", 2.0, 0, 0, 0)]
    )
    assert [(name, row.value) for name, row in rows_of(rows, NOW, RULES)] == [("p", 2.0)]


def test_what_is_no_number_is_a_word_without_value():
    assert one() == Row(NOW, "d", "spo2", NOW, True, 90.0, 0)
    assert one(None, quality=8) == Row(NOW, "d", "spo2", NOW, False, 0.0, 8)
    assert one(float("nan")) == Row(NOW, "d", "spo2", NOW, False, 0.0, 0)
    assert one(97) == one(97.0)


def test_a_little_ahead_is_believed_and_more_is_not():
    assert one(time=NOW + 60 * SECOND).known
    future = one(time=NOW + 60 * SECOND + 1, received=NOW - 5, quality=1)
    assert (future.known, future.time, future.quality) == (False, NOW - 5, 1 | Quality.FUTURE)
    ahead = one(time=2 * NOW, received=2 * NOW)
    assert ahead.time == NOW  # a gateway whose clock is wrong as well


def test_values_of_one_device_and_time_are_one_measurement():
    def row(time: int, device: str, metric: str, value: float = 1.0) -> Row:
        return Row(time, device, metric, time, True, value, 0)

    rows = sorted(
        [row(2, "d", "a"), row(1, "d", "b"), row(1, "d", "a"), row(1, "e", "a"), row(1, "d", "a", 2.0)]
    )
    cut = [[(r.time, r.device, r.metric, r.value) for r in part] for part in measurements(rows)]
    assert cut == [
        [(1, "d", "a", 1.0), (1, "d", "b", 1.0)],
        [(1, "d", "a", 2.0)],  # a signal twice: a second measurement
        [(1, "e", "a", 1.0)],
        [(2, "d", "a", 1.0)],
    ]


@given(
    st.lists(
        st.builds(
            Row,
            st.integers(0, 3),
            st.sampled_from("de"),
            st.sampled_from("ab"),
            st.just(0),
            st.just(True),
            st.sampled_from([1.0, 2.0]),
            st.just(0),
        )
    )
)
def test_cut_into_measurements_nothing_is_lost_and_time_goes_on(rows: list[Row]):
    parts = list(measurements(sorted(rows)))
    assert sorted(r for part in parts for r in part) == sorted(rows)
    times = [part[0].time for part in parts]
    assert times == sorted(times)
    for part in parts:
        assert len({(r.time, r.device) for r in part}) == 1
        assert len({r.metric for r in part}) == len(part)


def test_the_newest_word_of_a_device_on_itself_is_kept_of_unfit_values_too():
    play = Play(*RULES)
    play.read(0, spo2=95)
    play.read(1, spo2=50, quality=Quality.SENSOR_OFF)
    play.read(2, spo2=None, quality=Quality.POOR_SIGNAL)
    series = play.state.subjects["p"].series["spo2"]["d"]
    assert (series.time, series.value) == (0, 95.0)
    assert (series.spoken, series.quality) == (at(2), Quality.POOR_SIGNAL)
    play.read(1.5, received=3, spo2=None, quality=Quality.MOTION)
    assert play.state.subjects["p"].series["spo2"]["d"].quality == Quality.POOR_SIGNAL


def test_a_sound_reading_is_no_repeat_of_one_that_was_put_aside():
    """A device's word that a value is not valid does not silence the same value from it that is."""
    for aside in (Quality.INVALID, Quality.TIME_UNKNOWN):
        rows = [("p", "d", "spo2", 85.0, at(5), at(5), int(q)) for q in (aside, aside, 0, aside)]
        events = [Readings(i, at(5), Rows.of([row]), "gw", at(5)) for i, row in enumerate(rows, 1)]
        assert [t.kind for t in both(RULES, events)] == ["late", "start"]


def test_repeats_are_recognised_by_the_last_sixteen_values():
    play = Play(*RULES)
    for i in range(100):
        play.read(i, spo2=95)
    series = play.state.subjects["p"].series["spo2"]["d"]
    assert len(series.recent) == 16
    before = play.state.subjects["p"].pack()
    play.read(90, now=99, spo2=95)
    assert play.state.subjects["p"].pack() == before
