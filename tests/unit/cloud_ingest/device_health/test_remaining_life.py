"""Cycles left, learned from engines that failed."""

import subprocess
import sys
from statistics import fmean

import pytest

from cloud_ingest.device_health.remaining_life import Band, horizon_of, learn
from cloud_ingest.device_health.run_to_failure import SENSORS, Run
from hearthward.core.errors import ConfigError
from tests.unit.cloud_ingest.device_health.engines import engine

LIVES = [90 + 7 * n for n in range(12)]


@pytest.mark.parametrize("regimes", [1, 3])
def test_cycles_left_are_told_of_engines_that_were_never_seen(regimes: int):
    learned = learn([engine(n, life, regimes=regimes) for n, life in enumerate(LIVES, 1)])
    assert learned.horizon == horizon_of([engine(1, 90), engine(2, 167)]) == 81
    cut = [(20 + n, 130, left) for n, left in enumerate([5, 10, 20, 40, 80])]
    found = learned.left([engine(u, life, regimes=regimes, cycles=life - left) for u, life, left in cut])
    assert fmean(abs(f.cycles - left) for f, (_, _, left) in zip(found, cut, strict=True)) < 12
    assert [f.low for f in found] == [None] * 5


def test_the_same_files_give_the_same_answers_with_an_interval():
    runs = [engine(n, life) for n, life in enumerate(LIVES, 1)]
    test = [engine(30, 130, cycles=110), engine(31, 130, cycles=60)]
    first, second = learn(runs, band=True).left(test), learn(runs, band=True).left(test)
    assert first == second
    for left in first:
        assert left.low is not None
        assert left.high is not None
        assert 0 <= left.low <= left.cycles <= left.high


def test_an_interval_has_the_errors_of_answers_like_it():
    told = [10.0] * 40 + [100.0] * 40
    true = [10.0 + n % 5 for n in range(40)] + [100.0 - 3 * (n % 11) for n in range(40)]
    band = Band.of(told, true)
    near, far = band.around(12.0), band.around(100.0)
    assert (near.low, near.high) == (12.0, 16.0)
    assert far.low is not None
    assert far.low == pytest.approx(70.0, abs=1)
    assert far.high == 100.0
    assert band.around(0.0).low == 0.0


def test_too_few_units_and_dead_sensors_are_refused():
    with pytest.raises(ConfigError, match="4 units that ran"):
        learn([engine(n, 50) for n in range(1, 5)])
    flat = tuple([(1.0,) * SENSORS] * 30)
    with pytest.raises(ConfigError, match="no sensor of these units ever varies"):
        learn([Run(n, tuple([(0.0, 0.0, 0.0)] * 30), flat) for n in range(1, 7)])


FIRST = """
from threadpoolctl import threadpool_info
from cloud_ingest.device_health import remaining_life as module

def fit(runs, bags):
    print([lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "openmp"])
    raise SystemExit

module._fit = fit
module.learn([None] * module.FEWEST)
"""


def test_the_first_learning_of_a_process_has_one_thread_too():
    said = subprocess.run([sys.executable, "-c", FIRST], capture_output=True, text=True, check=False).stdout
    assert set(said.strip().strip("[]").split(", ")) == {"1"}
