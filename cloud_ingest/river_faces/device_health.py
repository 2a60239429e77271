"""How devices age, as regressors of river's: a battery's level by days, the cycles an instrument has left.

The cloud's rounds have ``cloud_ingest.device_health``, which needs no river.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, Final, NamedTuple

from river import stats
from river.base import Regressor

from cloud_ingest.device_health.battery import EMPTY, Battery, battery_of
from cloud_ingest.device_health.life_model import load
from cloud_ingest.device_health.slopes import MOST
from cloud_ingest.device_health.wear import Wear
from cloud_ingest.river_faces.values import is_number
from hearthward.core.codes import SENSORS, SETTINGS

__all__ = ["BatteryRegressor", "RemainingLifeRegressor"]

MOST_DEVICES: Final = 1000


class BatteryRegressor(Regressor):  # type: ignore[misc, unused-ignore] # untyped where river is missing
    """The level (%) that a battery will have on a day, by its trend since it was charged.

    ``device`` and ``day`` name the features with whose and which day (a whole number; without it the day
    after the last). While the level does not clearly fall it stays as it was; before any is known it is 0.
    The newest days of ``most`` devices are remembered.

    >>> battery = BatteryRegressor()
    >>> for day in range(10):
    ...     battery.learn_one({"device": "belt", "day": day}, 90.0 - 2.0 * day)
    >>> battery.predict_one({"device": "belt", "day": 20})
    50.0
    >>> battery.battery_one({"device": "belt", "day": 9}).left
    33.5
    """

    def __init__(self, *, device: str = "device", day: str = "day", most: int = MOST_DEVICES) -> None:
        self.device = device
        self.day = day
        self.most = most
        self._days: dict[Hashable, dict[int, float]] = {}

    def learn_one(self, x: Mapping[Hashable, Any], y: Any) -> None:
        """Learn a day's level; of one day the newest counts."""
        if not is_number(y):
            return
        device, day = x.get(self.device), self._day(x)
        known = self._days.pop(device, {})
        known[day] = float(y)
        if len(known) > MOST:
            del known[min(known)]
        self._days[device] = known
        _make_room(self._days, self.most)

    def predict_one(self, x: Mapping[Hashable, Any]) -> float:
        """The level on that day, 0 to 100."""
        points = self._points(x)
        found = battery_of(points, points[-1][0]) if points else None
        if found is None:
            return 0.0
        if found.per_day is None or not found.left:
            return found.level
        return min(100.0, max(0.0, EMPTY - found.per_day * (found.left - (self._day(x) - points[-1][0]))))

    def battery_one(self, x: Mapping[Hashable, Any]) -> Battery | None:
        """The days left with their interval, from that day on; None before any level is known."""
        return battery_of(self._points(x), self._day(x))

    def _points(self, x: Mapping[Hashable, Any]) -> list[tuple[int, float]]:
        return sorted(self._days.get(x.get(self.device), {}).items())

    def _day(self, x: Mapping[Hashable, Any]) -> int:
        given = x.get(self.day)
        if is_number(given):
            return int(given)
        return max(self._days.get(x.get(self.device), {}), default=-1) + 1


class _Unit(NamedTuple):
    wear: Wear
    held: dict[str, float]


class RemainingLifeRegressor(Regressor):  # type: ignore[misc, unused-ignore] # untyped where river is missing
    """The cycles that an instrument has left after this one, by what its own sensors tell.

    ``life`` is a file that ``hearthward rul --save`` wrote. What is learned on top of it is by how much its
    answers are off here, on average; without a file that is all. Each ``learn_one`` is the next cycle of
    ``unit``; settings and sensors are named by their metrics, a value that is not told is the one before.
    """

    def __init__(self, *, life: str = "", unit: str = "unit", most: int = MOST_DEVICES) -> None:
        self.life = life
        self.unit = unit
        self.most = most
        self._learned = load(Path(life)) if life else None
        self._off = stats.Mean()
        self._units: dict[Hashable, _Unit] = {}

    def learn_one(self, x: Mapping[Hashable, Any], y: Any) -> None:
        """Take the unit's next cycle, after which ``y`` cycles were left."""
        told, unit = self._told(x, self._units.pop(x.get(self.unit), None))
        if unit is not None:
            self._units[x.get(self.unit)] = unit
            _make_room(self._units, self.most)
        if is_number(y):
            self._off.update(
                (float(y) if self._learned is None else min(float(y), self._learned.horizon)) - told
            )

    def predict_one(self, x: Mapping[Hashable, Any]) -> float:
        """Cycles left after this one, which is not remembered."""
        told, _ = self._told(x, deepcopy(self._units.get(x.get(self.unit))))
        return max(0.0, told + float(self._off.get()))

    def _told(self, x: Mapping[Hashable, Any], unit: _Unit | None) -> tuple[float, _Unit | None]:
        """What the file says after one more cycle of a unit; without a file nothing."""
        if self._learned is None:
            return 0.0, None
        wear, held = unit or _Unit(Wear(self._learned.conditions, self._learned.weights), {})
        held |= {name: float(value) for name in (*SETTINGS, *SENSORS) if is_number(value := x.get(name))}
        settings, sensors = ([held.get(name, 0.0) for name in names] for names in (SETTINGS, SENSORS))
        (left,) = self._learned.at([wear.push(settings, sensors)])
        return left.cycles, _Unit(wear, held)


def _make_room(kept: dict[Hashable, Any], most: int) -> None:
    """The one of which nothing came for longest goes."""
    if len(kept) > most:
        del kept[next(iter(kept))]
