"""What is learned of outcomes: by river, case by case; what is refused; when a stay is judged."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from cloud_ingest.calibrating import LEAST, Case, learn, risk_of_stay
from cloud_ingest.river_faces.calibration import OnlineCalibration
from hearthward.core.model import Quality
from rules import Rows
from rules.conditions import Calibration
from rules.models.deterioration import shipped
from rules.models.trees import probability
from tests.programs import ROOT
from tests.unit.rules.made import at
from tests.unit.rules.models.courses import HOUR, course_of, stay


def cases(count: int, slope: float, intercept: float, seed: int = 1) -> list[Case]:
    """Stays of a site where risks are worth so much."""
    draw = random.Random(seed)
    odds = [draw.gauss(-2.2, 1.1) for _ in range(count)]
    return [Case(n, z, draw.random() < probability(intercept + slope * z)) for n, z in enumerate(odds)]


class Fixed:
    """A learner that has learned already."""

    def __init__(self, slope: float, intercept: float) -> None:
        self.slope, self.intercept = slope, intercept
        self.taken: list[float] = []

    def learn(self, log_odds: float, *, bad: bool) -> None:
        del bad
        self.taken.append(log_odds)


def test_where_fewer_die_the_risk_is_learned_to_be_lower_and_fits_better():
    found = learn(cases(1000, 0.8, -1.5), OnlineCalibration(), 1)
    assert found.refused is None
    assert found.calibration.slope == pytest.approx(0.8, abs=0.25)
    assert found.calibration.intercept == pytest.approx(-1.5, abs=0.5)
    assert found.after.loss < 0.9 * found.before.loss
    assert found.after.brier < found.before.brier
    died = found.bad / found.cases
    assert abs(found.after.mean - died) < 0.3 * abs(found.before.mean - died)


def test_where_it_fits_as_shipped_nothing_is_changed():
    for seed in range(3):
        found = learn(cases(600, 1.0, 0.0, seed), OnlineCalibration(), 1)
        assert found.refused == "it is no better than what is shipped"


def test_the_same_outcomes_in_any_order_of_the_table_give_the_same():
    known = cases(300, 0.8, -1.5)
    mixed = list(known)
    random.Random(3).shuffle(mixed)
    assert learn(mixed, OnlineCalibration(), 1) == learn(known, OnlineCalibration(), 1)


def test_each_stay_is_predicted_before_it_is_learned():
    """A stay of which a learner that had seen it would be sure is scored as if nobody knew it."""
    first, *_ = known = cases(LEAST, 1.0, 0.0)
    found = learn([first], OnlineCalibration(), 1)
    assert found.after.loss == pytest.approx(found.before.loss)
    learner = Fixed(1.0, 0.0)
    learn(known, learner, 1)
    assert learner.taken == [case.log_odds for case in known]


@pytest.mark.parametrize(
    ("known", "learner", "why"),
    [
        ([], Fixed(1, 0), "0 stays are too few: 100 are needed"),
        (cases(99, 1, 0), Fixed(1, 0), "99 stays are too few"),
        ([c._replace(bad=False) for c in cases(200, 1, 0)], Fixed(1, 0), "0 of 200 stays ended badly: 10 of"),
        ([c._replace(bad=True) for c in cases(200, 1, 0)], Fixed(1, 0), "200 of 200 stays ended badly"),
        (cases(200, 1, 0), Fixed(0.1, 0), "slope 0.1, intercept 0: the model is of no use"),
        (cases(200, 1, 0), Fixed(-1, 0), "the model is of no use"),
        (cases(200, 1, 0), Fixed(1, -7), "the model is of no use"),
        (cases(200, 1, 0), Fixed(1, 0), "no better"),
    ],
    ids=["none", "few", "all well", "all badly", "flat", "upside down", "far off", "same"],
)
def test_too_little_or_too_much_is_refused_in_words(known: list[Case], learner: Fixed, why: str):
    found = learn(known, learner, 1)
    assert found.refused is not None
    assert why in found.refused


def rows(*, until: float = 48, quality: int = 0) -> Rows:
    made = stay(7, died=True)
    known = ((t, m, v) for t, m, v in made.readings if t <= until * HOUR)
    return Rows.of(("p", "d", m, v, at(t), at(t), quality) for t, m, v in known)


def test_a_stay_is_judged_a_day_after_its_first_value_or_at_its_end():
    course = course_of(stay(7, died=True, hours=25))
    expected = shipped().risk(course, 24 * HOUR)
    assert expected is not None
    assert risk_of_stay(shipped(), rows(), at(100 * HOUR)) == round(expected.value, 2)
    short = shipped().risk(course_of(stay(7, died=True, hours=11)), 10 * HOUR)
    assert short is not None
    assert risk_of_stay(shipped(), rows(until=10), at(10 * HOUR)) == round(short.value, 2)


def test_of_too_little_or_of_what_no_rule_looks_at_there_is_no_risk():
    assert risk_of_stay(shipped(), Rows(), at(0)) is None
    assert risk_of_stay(shipped(), rows(until=4), at(4 * HOUR)) is None
    assert risk_of_stay(shipped(), rows(quality=int(Quality.BAD)), at(48 * HOUR)) is None


def test_the_command_loads_river_only_once_it_learns():
    """It takes seconds, and what decides has none."""
    code = "import sys, hearthward.app.recalibrate, cloud_ingest.service; print('river' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_untaught_it_changes_nothing():
    learner = OnlineCalibration()
    assert Calibration(1, learner.slope, learner.intercept) == Calibration(1, 1.0, 0.0)
