"""Many patients' courses and risks at once against patient by patient."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.models.deterioration import CHANNEL_OF, Course, shipped
from rules.models.deterioration_batch import BatchedCourses, BatchedDeterioration, channels_of
from tests.unit.rules.models.courses import HOUR, course_of, stay

PATIENTS = 5
METRICS = [*CHANNEL_OF, "fio2"]
USUAL = {"spo2": 97.0, "body_temperature": 36.9, "consciousness": 0.0, "respiratory_rate": 16.0}
AT_CUT = {"spo2": 93.5, "body_temperature": 38.05, "respiratory_rate": 20.5, "heart_rate": 90.5}
Push = tuple[int, float, str, float]


def drawn(chance: random.Random, at: float) -> Push:
    """A value of somebody, mostly believed, at times late."""
    metric = chance.choice(METRICS)
    value = AT_CUT.get(metric, 90.0) if chance.random() < 0.3 else USUAL.get(metric, 90.0)
    value *= chance.choice([1.0, 1.0, 1.02, 0.97, 1.1, 0.0, 9.0, math.nan])
    if metric == "consciousness":
        value = float(chance.choice([0, 0, 3, 9]))
    return chance.randrange(PATIENTS), at - chance.choice([0.0, 0.0, 0.0, 100.0, 5000.0]), metric, value


def pushed(courses: BatchedCourses, batch: list[Push]) -> list[bool]:
    patients, times, metrics, values = zip(*batch, strict=True)
    taken: list[bool] = courses.push(patients, times, channels_of(metrics), values).tolist()
    return taken


def same(one: list[float], other: list[float]) -> bool:
    """NaN is as NaN."""
    return np.array_equal(np.array(one), np.array(other), equal_nan=True)


@given(st.integers(0, 2**32), st.integers(1, 150))
@settings(max_examples=25)
def test_many_patients_have_the_very_same_features_risks_and_states(seed: int, count: int):
    chance = random.Random(seed)
    alone, together = [Course() for _ in range(PATIENTS)], BatchedCourses(PATIENTS)
    model, at = BatchedDeterioration(shipped()), chance.choice([0.0, 1.7e9])
    while count > 0:
        size = chance.randint(1, 30)
        batch = []
        for _ in range(min(size, count)):
            at += chance.choice([0.0, 1.0, 60.0, 700.0, HOUR, 5 * HOUR])
            batch.append(drawn(chance, at))
        count -= size
        assert pushed(together, batch) == [alone[n].push(*rest) for n, *rest in batch]
        now = at + chance.choice([0.0, -900.0, 4000.0])
        for conscious in (True, False):
            rows = together.features(now, conscious=conscious)
            assert same(rows, [course.features(now, conscious=conscious) for course in alone])
        risks = [shipped().risk(course, now) for course in alone]
        assert same(model.risks(together, now), [math.nan if r is None else r.value for r in risks])
        if chance.random() < 0.2:  # each goes on from what the other one knows
            packed, alone = (
                [c.pack() for c in alone],
                [Course.unpacked(together.pack(n)) for n in range(PATIENTS)],
            )
            for n, course in enumerate(packed):
                together.load(n, course)
    assert str([together.pack(n) for n in range(PATIENTS)]) == str([course.pack() for course in alone])


def test_both_models_and_those_of_whom_too_little_is_known_are_in_one_batch():
    stays = [stay(n, died=n % 2 == 0, hours=48) for n in range(6)]
    courses = [course_of(known, without="consciousness" if n < 3 else "") for n, known in enumerate(stays)]
    courses += [course_of(stay(9, died=True, hours=3)), course_of(stay(5, died=True, hours=3))]
    together = BatchedCourses(len(courses))
    for n, course in enumerate(courses):
        together.load(n, course.pack())
    end = 48 * HOUR
    now = [end] * 6 + [3 * HOUR, courses[7].since + 6 * HOUR]
    risks = [shipped().risk(course, at) for course, at in zip(courses, now, strict=True)]
    found = BatchedDeterioration(shipped()).risks(together, np.array(now)).tolist()
    assert math.isnan(found.pop(6))
    assert found == [risk.value for risk in risks if risk is not None]


def test_a_patient_that_there_is_not_is_refused_and_a_state_of_another_version():
    courses = BatchedCourses(2)
    with pytest.raises(ValueError, match="stream 2; there are 2"):
        courses.push([2], [0.0], [0], [80.0])
    with pytest.raises(ValueError, match="version 9"):
        courses.load(0, [9, 0.0, []])
    assert courses.push([], [], [], []).tolist() == []
    assert BatchedDeterioration(shipped()).risks(courses, 0.0).tolist() == pytest.approx(
        [math.nan] * 2, nan_ok=True
    )
