"""Many instruments at once against one by one."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud_ingest.device_health.life_model import load, to_bytes
from cloud_ingest.device_health.remaining_life import Learned, learn
from cloud_ingest.device_health.wear import Conditions, Wear
from cloud_ingest.device_health.wear_batch import BatchedLives, BatchedWear
from tests.unit.cloud_ingest.device_health.engines import engine

LIVES = [110, 12, 95, 40]


@pytest.fixture(scope="module")
def learned() -> Learned:
    return learn([engine(n, 60 + 9 * n, regimes=2) for n in range(1, 7)], band=True)


@given(st.integers(0, 2**32), st.sampled_from([1, 2]))
@settings(max_examples=8)
def test_many_units_have_the_very_same_features(seed: int, regimes: int):
    chance = random.Random(seed)
    runs = [engine(chance.randrange(100), chance.choice([3, 30, 100]), regimes=regimes) for _ in range(4)]
    conditions = Conditions.of([engine(n, 40, regimes=regimes) for n in range(3)])
    weights = [chance.gauss(0, 1) for _ in conditions.sensors]
    alone, together = [Wear(conditions, weights) for _ in runs], BatchedWear(conditions, weights, len(runs))
    coming = [n for n, run in enumerate(runs) for _ in range(len(run))]
    chance.shuffle(coming)
    done = [0] * len(runs)
    while coming:
        size = chance.randint(1, 12)
        part, coming = coming[:size], coming[size:]
        rows = []
        for unit in part:
            rows.append((runs[unit].settings[done[unit]], runs[unit].sensors[done[unit]]))
            done[unit] += 1
        told = [a for a, _ in rows], [b for _, b in rows]
        features = together.push(part, *told).tolist()
        assert features == [alone[unit].push(*row) for unit, row in zip(part, rows, strict=True)]


def test_they_have_as_many_cycles_left(learned: Learned, tmp_path: Path):
    path = tmp_path / "pump.life"
    path.write_bytes(to_bytes(learned))
    runs = [engine(20 + n, life, regimes=2) for n, life in enumerate(LIVES)]
    for model in (learned, load(path)):
        together = BatchedLives(model, len(runs))
        for cycle in range(1, 101):
            units = [n for n, run in enumerate(runs) if len(run) >= cycle]
            rows = [runs[n].settings[cycle - 1] for n in units], [runs[n].sensors[cycle - 1] for n in units]
            found = together.push(units, *rows)
            if cycle in {1, 12, 40, 90, 100}:
                assert found == model.left([runs[n].until(cycle) for n in units])
        assert together.push([], [], []) == []


def test_a_unit_that_there_is_not_is_refused(learned: Learned):
    with pytest.raises(ValueError, match="there are 2"):
        BatchedLives(learned, 2).push([2], [[0.0] * 3], np.zeros((1, 21)))
