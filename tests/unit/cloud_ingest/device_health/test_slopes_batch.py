"""Many devices' slopes and batteries at once against device by device."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_ingest.device_health.battery import battery_of
from cloud_ingest.device_health.slopes import slope_of
from cloud_ingest.device_health.slopes_batch import batteries_of, slopes_of

Series = list[tuple[int, float]]


def levels(chance: random.Random) -> Series:
    """Days of a battery, some missing, at times charged; or one day told twice."""
    day, level, out = 20_000, 95.0, Series()
    for _ in range(chance.choice([0, 1, 4, 5, 6, 30, 30, 31, 130])):
        day += chance.choice([1, 1, 1, 2, 9])
        level = level - chance.choice([0.0, 0.5, 1.0, 2.0]) if chance.random() < 0.97 else 100.0
        out.append((day, level + chance.choice([0.0, 0.0, -0.25])))
    if out and chance.random() < 0.1:
        out.append((day, level - 1.0))
    return out


@given(st.integers(0, 2**32), st.integers(0, 12))
@settings(max_examples=25)
def test_many_devices_have_the_very_same_slopes_and_batteries(seed: int, count: int):
    chance = random.Random(seed)
    series = [levels(chance) for _ in range(count)]
    assert slopes_of(series) == [slope_of(points) for points in series]
    assert slopes_of(series, 0.5) == [slope_of(points, 0.5) for points in series]
    today = 20_000 + chance.choice([10, 40, 150])
    assert batteries_of(series, today) == [battery_of(points, today) for points in series]


def test_more_devices_than_are_worked_out_together():
    series = [[(day, 90.0 - day * (1 + n % 7) / 8 - day % 3) for day in range(60)] for n in range(300)]
    assert slopes_of(series) == [slope_of(points) for points in series]
