"""What is seen of a patient's course, and what the shipped model makes of it."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, log

import msgpack
import pytest

from rules.models.deterioration import (
    CHANNEL_OF,
    FEATURES,
    FEATURES_ALERT,
    FOLDER,
    Course,
    Deterioration,
    shipped,
)
from tests.unit.rules.models.courses import HOUR, course_of, stay

END = 48 * HOUR
FINE, WORSE = stay(1, died=False), stay(2, died=True)


def seen(course: Course, now: float) -> dict[str, float]:
    return dict(zip(FEATURES_ALERT, course.features(now, conscious=True), strict=True))


@pytest.mark.parametrize(
    ("metric", "value"),
    [
        ("fio2", 0.5),
        ("blood_glucose", 90.0),
        ("spo2", 0.0),
        ("heart_rate", 0.0),
        ("ibp_systolic", 400.0),
        ("consciousness", 7.0),
        ("body_temperature", float("nan")),
    ],
)
def test_what_is_no_vital_sign_or_no_value_leaves_no_trace(metric: str, value: float):
    course = Course()
    assert not course.push(0.0, metric, value)
    assert course.pack() == Course().pack() or isnan(course.since)
    assert not course.conscious


def test_two_metrics_of_one_channel_are_joined():
    course = Course()
    course.push(0.0, "nibp_systolic", 100.0)
    course.push(60.0, "ibp_systolic", 120.0)
    found = seen(course, HOUR)
    assert (found["systolic.last"], found["systolic.mean_2h"]) == (120.0, 110.0)


def test_the_points_are_those_of_news2():
    course = Course()
    for metric, value in (("respiratory_rate", 25), ("heart_rate", 112), ("consciousness", 1)):
        course.push(0.0, metric, value)
    found = seen(course, HOUR)
    assert (found["respiratory_rate.points"], found["pulse.points"], found["consciousness.points"]) == (
        3,
        2,
        3,
    )
    assert isnan(found["spo2.points"])
    assert found["news2.last"] == 8


def test_a_trend_of_the_points_is_seen():
    assert seen(course_of(WORSE), END)["news2.trend"] > 1 > abs(seen(course_of(FINE), END)["news2.trend"])


def test_a_long_stay_is_none_that_was_never_seen():
    course = course_of(FINE)
    assert seen(course, 500 * HOUR)["stay_h"] == 48.0


def test_its_memory_is_small_versioned_and_survives_a_restart():
    course = course_of(WORSE)
    packed = msgpack.packb(course.pack())
    assert len(packed) <= 2048
    again = Course.unpacked(msgpack.unpackb(packed))
    assert again.features(END, conscious=True) == pytest.approx(course.features(END, conscious=True))
    assert again.pack() == course.pack()
    with pytest.raises(ValueError, match="version 9"):
        Course.unpacked([9, 0.0, []])


def test_a_copy_goes_its_own_way():
    course = course_of(FINE)
    before, copy = course.pack(), course.copy()
    copy.push(END, "spo2", 80.0)
    assert course.pack() == before != copy.pack()


# -- the shipped model


def test_no_risk_is_told_before_enough_is_known():
    course = Course()
    assert shipped().risk(course, 0.0) is None
    course.push(0.0, "heart_rate", 80.0)
    course.push(0.0, "spo2", 97.0)
    assert shipped().risk(course, 7 * HOUR) is None
    course.push(0.0, "respiratory_rate", 15.0)
    assert shipped().risk(course, 5 * HOUR) is None
    assert shipped().risk(course, 6 * HOUR) is not None


@pytest.mark.parametrize("without", ["", "consciousness"])
def test_who_gets_worse_has_the_higher_risk(without: str):
    fine, worse = (shipped().risk(course_of(s, without=without), END) for s in (FINE, WORSE))
    assert fine is not None
    assert worse is not None
    assert worse.value > 3 * fine.value
    assert worse.conscious is (not without)
    assert 0 < fine.value < 0.14  # the share of all that died


def test_its_terms_are_why():
    model, course = shipped(), course_of(WORSE)
    risk = model.risk(course, END)
    assert risk is not None
    terms = {reason.name: reason.term for reason in risk.reasons}
    assert list(terms.values()) == sorted(terms.values(), reverse=True)
    assert set(terms) <= {*CHANNEL_OF.values(), "news2", "stay_h"}
    last = {reason.name: reason.value for reason in risk.reasons}
    assert last["consciousness"] == 3.0
    rest, _ = model.alert.contributions(course.features(END, conscious=True))
    assert rest + sum(terms.values()) == pytest.approx(log(risk.value / (1 - risk.value)), abs=1e-3)


def test_it_is_small():
    assert sum(path.stat().st_size for path in FOLDER.glob("deterioration-*.json")) < 200_000


def test_a_model_of_other_features_is_refused():
    model = shipped()
    assert model.alert.features == FEATURES_ALERT
    with pytest.raises(ValueError, match="other features"):
        Deterioration(replace(model.alert, features=FEATURES), model.plain)
