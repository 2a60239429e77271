from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from river import datasets

from cloud_ingest.device_health.battery import battery_of
from cloud_ingest.device_health.life_model import load, to_bytes
from cloud_ingest.device_health.remaining_life import learn
from cloud_ingest.device_health.run_to_failure import Run
from cloud_ingest.river_faces.device_health import BatteryRegressor, RemainingLifeRegressor
from hearthward.core.codes import SENSORS, SETTINGS
from hearthward.core.errors import ConfigError
from tests.unit.cloud_ingest.device_health.engines import engine
from tests.unit.cloud_ingest.river_faces.conftest import RiversChecks

Case = tuple[dict[str, Any], float]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("life") / "pump.life"
    path.write_bytes(to_bytes(learn([engine(n, 24 + 2 * n) for n in range(1, 6)], band=True)))
    return str(path)


def cycles(run: Run) -> Iterator[Case]:
    """Each cycle with how many were left after it."""
    for n, (settings, sensors) in enumerate(zip(run.settings, run.sensors, strict=True)):
        told = zip((*SETTINGS, *SENSORS), (*settings, *sensors), strict=True)
        yield {"unit": run.unit, **dict(told)}, float(len(run) - 1 - n)


class Cases:
    """Stands in for a data set of river's."""

    def __init__(self, rows: list[Case]) -> None:
        self.rows = rows

    def take(self, count: int) -> Cases:
        return Cases(self.rows[:count])

    def __iter__(self) -> Iterator[Case]:
        return iter(self.rows)


@pytest.mark.parametrize("make", [BatteryRegressor, RemainingLifeRegressor])
def test_they_pass_all_of_rivers_own_checks(
    make: type, rivers_checks: RiversChecks, monkeypatch: pytest.MonkeyPatch
):
    rows = list(datasets.TrumpApproval().take(60))
    monkeypatch.setattr(datasets, "TrumpApproval", lambda: Cases(rows))
    rivers_checks(make)


def test_they_pass_them_on_devices_too(
    rivers_checks: RiversChecks, monkeypatch: pytest.MonkeyPatch, life: str
):
    days = [({"device": n % 3, "day": n // 3}, 90.0 - n // 4 + n % 2) for n in range(60)]
    monkeypatch.setattr(datasets, "TrumpApproval", lambda: Cases(days))
    rivers_checks(BatteryRegressor)
    monkeypatch.setattr(datasets, "TrumpApproval", lambda: Cases(list(cycles(engine(9, 14)))))
    rivers_checks(partial(RemainingLifeRegressor, life=life))


# -- battery


def test_days_left_are_those_of_the_rounds_and_the_level_then_is_the_lowest():
    levels = [80.0 - 1.5 * day + (0.4 if day % 3 else 0.0) for day in range(20)]
    face = BatteryRegressor()
    for day, level in enumerate(levels):
        face.learn_one({"device": "belt", "day": day}, level)
    found = face.battery_one({"device": "belt", "day": 19})
    assert found == battery_of(list(enumerate(levels)), 19)
    assert found is not None
    assert found.left is not None
    ends = 19 + found.left
    assert face.predict_one({"device": "belt", "day": int(ends)}) == pytest.approx(5.0, abs=1.6)
    assert face.predict_one({"device": "belt", "day": 500}) == 0.0


def test_what_was_before_a_new_cell_does_not_count():
    face = BatteryRegressor()
    for day in range(20):
        face.learn_one({"day": day}, 60.0 - 3.0 * day if day < 10 else 100.0)
    assert face.predict_one({"day": 25}) == 100.0


def test_days_come_in_any_order_and_of_one_day_the_newest_counts():
    face, other = BatteryRegressor(), BatteryRegressor()
    for day in (3, 0, 5, 1, 4, 2, 5):
        face.learn_one({"day": np.int64(day)}, np.float32(90.0 - 10.0 * (day == 5) - 2.0 * day))
    for day in range(6):
        other.learn_one({}, 90.0 - 10.0 * (day == 5) - 2.0 * day)
    assert face.battery_one({"day": 5}) == other.battery_one({"day": 5})
    assert face.predict_one({}) == other.predict_one({"day": 6})


def test_of_what_is_not_known_nothing_is_made_and_of_too_many_devices_the_quietest_go():
    face = BatteryRegressor(most=2)
    face.learn_one({"device": "a"}, float("nan"))
    assert (face.predict_one({"device": "a"}), face.battery_one({"device": "a"})) == (0.0, None)
    for device in "abac":
        face.learn_one({"device": device}, 50.0)
    assert [face.predict_one({"device": device}) for device in "abc"] == [50.0, 0.0, 50.0]


# -- cycles left


def test_an_untaught_answer_is_that_of_the_file(life: str):
    face, learned = RemainingLifeRegressor(life=life), load(Path(life))
    one, other = engine(20, 90), engine(21, 60)
    for n, ((x, _), (y, _)) in enumerate(zip(cycles(one), cycles(other), strict=False), 1):
        told = [left.cycles for left in learned.left([one.until(n), other.until(n)])]
        assert [face.predict_one(x), face.predict_one(y)] == told
        face.learn_one(x, None)
        face.learn_one(y, None)


def test_it_learns_by_how_much_it_is_off(life: str):
    face, learned = RemainingLifeRegressor(life=life), load(Path(life))
    run = engine(20, 90)
    off = []
    for n, (x, left) in enumerate(cycles(run), 1):
        face.learn_one(x, left + 7.0)
        off.append(min(left + 7.0, learned.horizon) - learned.left([run.until(n)])[0].cycles)
    x, _ = next(cycles(engine(30, 90)))
    told = learned.left([engine(30, 90).until(1)])[0].cycles
    assert face.predict_one(x) == pytest.approx(told + sum(off) / len(off))


def test_a_value_that_is_not_told_is_the_one_before(life: str):
    face, whole = RemainingLifeRegressor(life=life), RemainingLifeRegressor(life=life)
    told = list(cycles(engine(20, 30)))
    for n, (x, left) in enumerate(told):
        whole.learn_one(x | {"device_sensor_3": told[0][0]["device_sensor_3"]}, left)
        face.learn_one({name: value for name, value in x.items() if not n or name != "device_sensor_3"}, left)
    assert face.predict_one({"unit": 20}) == whole.predict_one({"unit": 20})


def test_without_a_file_it_is_the_mean_and_a_wrong_file_is_refused(tmp_path: Path):
    face = RemainingLifeRegressor()
    for left in (10.0, 20.0):
        face.learn_one({"unit": 1}, left)
    assert face.predict_one({"unit": 2}) == 15.0
    with pytest.raises(ConfigError, match="cannot be read"):
        RemainingLifeRegressor(life=str(tmp_path / "nothing"))
