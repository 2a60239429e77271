"""What an instrument's own sensors say of its end."""

from dataclasses import replace

import pytest

from cloud_ingest.device_health.findings import date_of
from cloud_ingest.device_health.judging import Known, judged
from cloud_ingest.device_health.life import GAP, Cycle, cycles_of, life_finding, run_of
from cloud_ingest.device_health.ordering import RULES
from cloud_ingest.device_health.remaining_life import Learned, Left, learn
from cloud_ingest.device_health.run_to_failure import SENSORS, SETTINGS, Run
from cloud_ingest.device_health.sums import DAY_NS
from dashboards.fleet_words import EVIDENCE
from tests.unit.cloud_ingest.device_health.engines import engine

BEGAN = 20_000
"""The day of the first cycle."""
NOW = (BEGAN + 30) * DAY_NS


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learn([engine(n, 80 + 9 * n) for n in range(1, 9)], band=True)


def told(run: Run, *, every: int = DAY_NS // 4) -> list[Cycle]:
    """A run as an instrument tells it."""
    return cycles_of(
        (BEGAN * DAY_NS + n * every, metric, value)
        for n, (settings, sensors) in enumerate(zip(run.settings, run.sensors, strict=True))
        for metric, value in [
            ("device_cycles", n + 1),
            *((f"device_setting_{i}", x) for i, x in enumerate(settings, 1)),
            *((f"device_sensor_{i}", x) for i, x in enumerate(sensors, 1)),
        ]
    )


def test_one_that_wears_out_is_found_with_interval_and_date(learned: Learned):
    found = life_finding(learned, told(engine(30, 120, cycles=112)), NOW)
    assert found is not None
    e = found.evidence
    assert (found.kind, found.confidence, e["cycles"], e["cycles_a_day"], e["units"]) == (
        "life",
        0.9,
        112,
        4.0,
        8,
    )
    low, left, high = (float(e[f"cycles_left{part}"]) for part in ("_low", "", "_high"))
    assert low <= left <= high < learned.horizon
    assert abs(left - 8) < 10
    assert found.proposed == NOW + int(low / 4) * DAY_NS
    assert e["since"] == date_of(BEGAN)
    assert f"Fails in about {left:.0f} cycles ({low:.0f} to {high:.0f}) after 112" in found.text["en"]
    assert "at the earliest" in found.text["en"]
    assert "已运行 112 次循环" in found.text["zh"]
    assert found.confidence >= RULES["life"].confidence
    assert e.keys() <= EVIDENCE.keys(), "the pages have words for all of it"


def test_of_a_new_one_nothing_is_said(learned: Learned):
    assert life_finding(learned, told(engine(30, 120, cycles=15)), NOW) is None
    assert life_finding(learned, [], NOW) is None


def test_what_lasts_for_months_for_sure_is_not_said(learned: Learned):
    run = engine(30, 120, cycles=100)
    (left,) = learned.left([run])
    assert left.low is not None
    seldom = told(run, every=round(70 / max(left.low, 1) * DAY_NS))
    assert (life_finding(learned, seldom, NOW) is None) == (left.low >= 1)


def test_without_a_day_of_use_the_date_is_today(learned: Learned):
    found = life_finding(learned, told(engine(30, 120, cycles=112), every=1_000_000), NOW)
    assert found is not None
    assert found.proposed == NOW
    assert "cycles_a_day" not in found.evidence
    assert "earliest" not in found.text["en"]


def test_one_that_rests_is_not_overdue(learned: Learned):
    cycles = told(engine(30, 120, cycles=112))
    today, later = (life_finding(learned, cycles, now) for now in (NOW, NOW + 90 * DAY_NS))
    assert today is not None
    assert today.proposed is not None
    assert later == replace(today, proposed=today.proposed + 90 * DAY_NS)


def test_it_is_judged_among_the_rest(learned: Learned):
    found = life_finding(learned, told(engine(30, 120, cycles=112)), NOW)
    findings, _ = judged(Known("pump", life=found), [], BEGAN * DAY_NS)
    assert findings == [found]
    assert judged(Known("pump"), [], BEGAN * DAY_NS)[0] == []


def test_cycles_are_put_together_by_their_time():
    rows = [
        (1, "device_cycles", 1.0),
        (1, "device_sensor_1", 5.0),
        (2, "device_sensor_1", 9.0),  # of no cycle
        (3, "device_cycles", 2.5),  # no count
        (4, "device_cycles", 2.0),
        (5, "device_cycles", 2.0),  # told again
        (5, "device_sensor_1", 6.0),
    ]
    assert cycles_of(rows) == [Cycle(1, 1, {"device_sensor_1": 5.0}), Cycle(2, 5, {"device_sensor_1": 6.0})]
    overhauled = [*rows, (6, "device_cycles", 1.0), (7, "device_cycles", 2.0)]
    assert [(c.number, c.at) for c in cycles_of(overhauled)] == [(1, 6), (2, 7)]


def test_what_was_not_told_is_as_it_was_before():
    cycles = [
        Cycle(3, 1, {"device_sensor_1": 5.0, "device_setting_1": 7.0}),
        Cycle(4, 2, {}),
        Cycle(7, 3, {"device_sensor_1": 6.0}),
    ]
    run = run_of(cycles, [0])
    assert run is not None
    assert [row[0] for row in run.sensors] == [5.0] * 6 + [6.0]
    assert [row[0] for row in run.settings] == [7.0] * 7
    assert {len(row) for row in run.sensors} == {SENSORS}
    assert {len(row) for row in run.settings} == {SETTINGS}


@pytest.mark.parametrize(
    "cycles",
    [
        [],
        [Cycle(GAP + 2, 1, {"device_sensor_1": 5.0})],
        [Cycle(1, 1, {"device_sensor_1": 5.0}), Cycle(GAP + 3, 2, {"device_sensor_1": 5.0})],
        [Cycle(1, 1, {"device_sensor_2": 5.0})],
    ],
    ids=["nothing", "no beginning", "gap", "sensor lacking"],
)
def test_of_what_is_hardly_known_nothing_is_said(cycles: list[Cycle], learned: Learned):
    assert run_of(cycles, [0]) is None
    assert life_finding(learned, cycles, NOW) is None


def test_an_interval_that_reaches_to_where_nothing_shows_says_nothing(learned: Learned):
    class Unsure(Learned):
        def left(self, runs: object) -> list[Left]:
            del runs
            return [Left(20.0, 5.0, float(self.horizon))]

    unsure = Unsure(learned.conditions, learned.weights, learned.horizon, (), band=learned.band)
    assert life_finding(unsure, told(engine(30, 120, cycles=112)), NOW) is None
