"""How NEWS2 went: compared only by what is known at both times, forgetting, over a restart."""

from __future__ import annotations

import msgpack
import pytest

from rules.models.score_course import ScoreCourse
from rules.news2 import PARAMETERS
from tests.unit.rules.models.courses import HOUR

WELL = {
    "respiratory_rate": 16.0,
    "spo2": 97.0,
    "supplemental_oxygen": 0.0,
    "nibp_systolic": 120.0,
    "heart_rate": 70.0,
    "consciousness": 0.0,
    "body_temperature": 37.0,
}


def hourly(last: int, *, at: int = 7, **then: float) -> ScoreCourse:
    """All parameters each hour; from hour ``at`` on some are others."""
    course = ScoreCourse()
    for hour in range(last + 1):
        for metric, value in (WELL | (then if hour >= at else {})).items():
            course.push(hour * HOUR, metric, "m", value)
    return course


def test_it_is_the_sum_of_what_each_parameter_changed_what_rose_most_first():
    found = hourly(10, respiratory_rate=26.0, heart_rate=95.0, supplemental_oxygen=1.0).change(10 * HOUR)
    assert found is not None
    assert (found.since, found.change, found.left_out) == (4 * HOUR, 6, ())
    assert found.moved == (("respiratory_rate", 0, 3), ("supplemental_oxygen", 0, 2), ("pulse", 0, 1))


def test_what_falls_counts_against_it_and_equal_is_nothing():
    course = ScoreCourse()
    for hour in range(10):
        for metric, value in (WELL | {"respiratory_rate": 22.0, "body_temperature": 36.0}).items():
            course.push(hour * HOUR, metric, "m", value)
    for metric, value in (WELL | {"heart_rate": 115.0}).items():
        course.push(10 * HOUR, metric, "m", value)
    found = course.change(10 * HOUR)
    assert found is not None
    assert (found.change, found.moved) == (
        -1,
        (("pulse", 0, 2), ("temperature", 1, 0), ("respiratory_rate", 2, 0)),
    )
    steady = hourly(10).change(10 * HOUR)
    assert steady is not None
    assert (steady.change, steady.moved) == (0, ())


def test_a_parameter_that_is_known_at_one_time_only_is_not_compared_but_named():
    """Else to connect an oximeter would be a deterioration."""
    course = ScoreCourse()
    course.push(0.0, "respiratory_rate", "m", 16.0)
    course.push(0.0, "body_temperature", "m", 39.5)
    course.push(6 * HOUR, "respiratory_rate", "m", 22.0)
    course.push(6 * HOUR, "spo2", "m", 90.0)
    found = course.change(6 * HOUR)
    assert found is not None
    assert (found.change, found.moved) == (2, (("respiratory_rate", 0, 2),))
    assert set(found.left_out) == set(PARAMETERS) - {"respiratory_rate"}
    assert (found.then["temperature"], found.now["spo2"]) == (2, 3)
    alone = course.change(6 * HOUR + 4 * HOUR + 1)
    assert alone is not None, "nothing is fresh any more"
    assert (alone.change, alone.now, len(alone.left_out)) == (None, {}, 7)


def test_it_is_compared_with_six_hours_before_or_what_is_nearest_to_that():
    assert hourly(2).change(2 * HOUR) is None
    assert [hourly(n).change(n * HOUR).since / HOUR for n in (3, 5, 6, 7, 20)] == [0, 0, 0, 1, 14]  # type: ignore[union-attr]
    course = ScoreCourse()
    course.push(0.0, "spo2", "m", 97.0)
    course.push(8 * HOUR, "spo2", "m", 93.0)
    assert course.change(8 * HOUR) is None, "seven hours at most"


def test_an_hour_is_what_it_came_to_at_its_end():
    course = ScoreCourse()
    for minute, rate in ((0, 26.0), (30, 22.0), (59, 16.0)):
        course.push(minute * 60.0, "respiratory_rate", "m", rate)
    course.push(6 * HOUR, "respiratory_rate", "m", 26.0)
    found = course.change(6 * HOUR)
    assert found is not None
    assert (found.since, found.change) == (59 * 60.0, 3)


def test_the_worst_of_several_devices_counts_and_scale_2_is_by_oxygen():
    course = ScoreCourse()
    for hour, (one, other) in ((0, (93.0, 97.0)), (6, (90.0, 96.0))):
        course.push(hour * HOUR, "spo2", "a", one)
        course.push(hour * HOUR, "spo2", "b", other)
        course.push(hour * HOUR, "supplemental_oxygen", "nurse", 1.0)
    by_one, by_two = course.change(6 * HOUR), course.change(6 * HOUR, 2)
    assert by_one is not None
    assert by_two is not None
    assert (by_one.then["spo2"], by_one.now["spo2"]) == (2, 3)
    assert (by_two.then["spo2"], by_two.now["spo2"]) == (3, 2)


@pytest.mark.parametrize(
    ("metric", "value"), [("weight", 70.0), ("spo2", float("nan"))], ids=["other", "nan"]
)
def test_what_scores_nothing_is_left_out(metric: str, value: float):
    course = ScoreCourse()
    course.push(0.0, metric, "m", value)
    assert course.pack() == ScoreCourse().pack()


def test_what_is_older_than_the_newest_of_its_kind_changes_nothing():
    course = hourly(10, respiratory_rate=26.0)
    before = course.pack()
    course.push(9 * HOUR, "respiratory_rate", "m", 16.0)
    assert course.pack() == before


def test_a_restart_and_a_clock_that_was_set_change_nothing_and_it_stays_small():
    course = hourly(100, at=96, respiratory_rate=26.0)
    packed = msgpack.packb(course.pack())
    assert len(packed) < 500
    again = ScoreCourse.unpacked(msgpack.unpackb(packed))
    assert again.pack() == course.pack()
    assert again.change(100 * HOUR) == course.change(100 * HOUR)
    again.shift(7200.0)
    moved, known = again.change(102 * HOUR), course.change(100 * HOUR)
    assert moved is not None
    assert known is not None
    assert (moved.since - 7200, moved.then, moved.now) == (known.since, known.then, known.now)
    fresh = ScoreCourse()
    assert ScoreCourse.unpacked(msgpack.unpackb(msgpack.packb(fresh.pack()))).change(0.0) is None
