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
    assert len(watch.reasons) == 3
    assert watch.reasons[0].term >= watch.reasons[1].term >= watch.reasons[2].term > 0


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


def test_a_clock_that_was_set_moves_all_of_it():
    watch, moved = watched(died=True), watched(died=True)
    watch.judge(shipped(), END)
    moved.judge(shipped(), END)
    moved.shift(7200.0)
    assert moved.judge(shipped(), END + 7200 + 299) is None
    assert moved.judge(shipped(), END + 7500) == watch.judge(shipped(), END + 300)
