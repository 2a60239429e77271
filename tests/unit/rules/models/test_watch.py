"""A patient under watch: told at most every five minutes, with the reasons, over a restart."""

from __future__ import annotations

import msgpack
import pytest

from rules.models.deterioration import shipped
from rules.models.watch import Watch
from tests.unit.rules.models.courses import HOUR, course_of, stay

END = 48 * HOUR


def watched(*, died: bool) -> Watch:
    watch = Watch()
    watch.course = course_of(stay(5, died=died))
    return watch


def test_a_risk_is_told_with_its_greatest_reasons():
    watch = watched(died=True)
    risk = shipped().risk(watch.course, END)
    assert risk is not None
    assert watch.judge(shipped(), END) == round(risk.value, 2)
    assert watch.reasons == risk.reasons
    assert len(watch.foremost) == 3
    assert watch.foremost[0].term >= watch.foremost[1].term >= watch.foremost[2].term > 0


def test_it_is_told_anew_after_five_minutes():
    watch = watched(died=False)
    told = [watch.judge(shipped(), END + after) for after in (0, 299, 300)]
    assert [risk is not None for risk in told] == [True, False, True]


def test_what_is_not_known_yet_is_told_as_soon_as_it_is():
    watch = Watch()
    watch.course.push(0.0, "heart_rate", 80.0)
    assert watch.judge(shipped(), 10 * HOUR) is None
    watch.course = course_of(stay(5, died=False))
    assert watch.judge(shipped(), 10 * HOUR + 1) is not None


def test_a_restart_changes_nothing():
    watch = watched(died=True)
    watch.judge(shipped(), END)
    again = Watch.unpacked(msgpack.unpackb(msgpack.packb(watch.pack())))
    assert (again.pack(), again.reasons) == (watch.pack(), watch.reasons)
    assert again.judge(shipped(), END + 299) is None
    assert again.judge(shipped(), END + 300) == watch.judge(shipped(), END + 300)
    assert len(msgpack.packb(watch.pack())) <= 2048
    with pytest.raises(ValueError, match="version 9"):
        Watch.unpacked([9, [], 0.0, []])


def test_a_watch_of_the_release_before_is_read_and_goes_on():
    watch = watched(died=True)
    watch.judge(shipped(), END)
    old = [1, *watch.pack()[1:3], [list(reason) for reason in watch.foremost]]
    again = Watch.unpacked(old)
    assert (again.judged, again.foremost, again.value) == (END, watch.foremost, None)
    assert again.judge(shipped(), END + 300) == watch.judge(shipped(), END + 300)
    assert again.value == watch.value


def test_a_watch_without_a_score_is_read_and_goes_on():
    watch = watched(died=True)
    watch.judge(shipped(), END)
    again = Watch.unpacked([2, *watch.pack()[1:-1]])
    assert (again.value, again.hours) == (watch.value, watch.hours)
    assert again.score.change(END) is None
    again.push(END, "spo2", "m", 97.0)
    assert Watch.unpacked(again.pack()).pack() == again.pack()


def test_a_trend_is_told_against_some_hours_before():
    watch, told, values = watched(died=True), [], []
    for hour in range(9):
        values.append(watch.judge(shipped(), END + hour * HOUR))
        told.append((watch.trend(), watch.before()))
    assert [trend for trend, _ in told[:3]] == [None, None, None], "there is nothing to compare with"
    assert told[6] == ("down", (END, values[0]))
    assert told[8][1] == (END + 2 * HOUR, values[2])
    assert len(watch.hours) <= 8
    steady = watched(died=False)
    for hour in range(7):
        steady.judge(shipped(), END + hour * HOUR)
    assert steady.trend() == "steady"
    steady.value = steady.hours[0][1] + 0.05
    assert steady.trend() == "up"


def test_a_clock_that_was_set_moves_all_of_it():
    watch, moved = watched(died=True), watched(died=True)
    watch.judge(shipped(), END)
    moved.judge(shipped(), END)
    moved.shift(7200.0)
    assert moved.hours == [(END + 7200, watch.hours[0][1])]
    assert moved.judge(shipped(), END + 7200 + 299) is None
    assert moved.judge(shipped(), END + 7500) == watch.judge(shipped(), END + 300)
