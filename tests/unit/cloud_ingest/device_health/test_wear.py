"""What is taken from sensors, cycle by cycle."""

from dataclasses import replace

import pytest

from cloud_ingest.device_health.wear import Conditions, features
from tests.unit.cloud_ingest.device_health.engines import engine


def test_only_sensors_that_vary_under_a_condition_count():
    one = Conditions.of([engine(n, 60) for n in range(1, 6)])
    assert (one.sensors, len(one.centres)) == ((1, 2, 3), 1)
    three = Conditions.of([engine(n, 60, regimes=3) for n in range(1, 6)])
    assert (three.sensors, len(three.centres)) == ((1, 2, 3), 3)


def test_a_setting_that_only_trembles_to_few_decimals_is_no_condition():
    """As in C-MAPSS FD001: 13 values of the second setting, none of which moves a sensor."""
    runs = [
        replace(run, settings=tuple((a, round(b * 0.5, 4), c) for a, b, c in run.settings))
        for run in (engine(n, 60) for n in range(1, 6))
    ]
    assert len({row[1] for run in runs for row in run.settings}) > 5
    assert len(Conditions.of(runs).centres) == 1


def test_only_settings_that_sensors_follow_tell_the_condition():
    runs = [
        replace(run, settings=tuple((a, b, n % 2 * 1e6) for n, (a, b, _) in enumerate(run.settings)))
        for run in (engine(n, 60, regimes=3) for n in range(1, 6))
    ]
    found = Conditions.of(runs)
    assert (len(found.centres), found.scales[2]) == (3, 0.0)
    for centre, usual in zip(found.centres, found.usual, strict=True):
        means = [mean for mean, _ in usual]
        assert found.relative((*centre[:2], 5e6), means) == [0.0, 0.0, 0.0]


def test_a_value_is_taken_relative_to_what_is_usual_under_its_condition():
    found = Conditions.of([engine(n, 60, regimes=3) for n in range(1, 6)])
    for centre, usual in zip(found.centres, found.usual, strict=True):
        nearby = [x + 0.5 for x in centre]
        assert found.relative(nearby, [mean for mean, _ in usual]) == [0.0, 0.0, 0.0]
        assert found.relative(centre, [m + s for m, s in usual]) == pytest.approx([1.0, 1.0, 1.0])


def test_no_cycle_sees_a_later_one():
    run = engine(1, 120)
    found = Conditions.of([run, engine(2, 100)])
    whole = features(found, [1.0, -1.0, 0.1], run)
    assert features(found, [1.0, -1.0, 0.1], run.until(50)) == whole[:50]
    assert len({len(row) for row in whole}) == 1


def test_slope_and_counts_of_a_steady_fall():
    run = engine(1, 200)
    found = Conditions.of([run, engine(2, 100)])
    row = features(found, [-1.0, 0.0, 0.0], run)[-1]
    slopes, lows, deficit, cycles = row[-9:-6], row[-6:-2], row[-2], row[-1]
    assert all(slope < 0 for slope in slopes)
    assert slopes[0] < slopes[2]  # it falls ever faster
    assert lows[0] >= lows[1] >= lows[2] >= lows[3] > 0
    assert deficit < 0
    assert cycles == 200
