from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest

from bench import nab_search
from bench.nab import folds, record_stack
from bench.nab_data import Series
from bench.nab_scoring import Labelled, deltas, raw_at


def series(folder: str, seed: int, length: int) -> Series:
    chance = random.Random(seed)
    middle = length // 2
    values = [
        math.sin(n / 45.0) + chance.gauss(0, 0.2) + (3.0 if middle <= n < middle + 5 else 0.0)
        for n in range(length)
    ]
    windows = ((middle - 20, middle + 40),)
    times = tuple(n * 300.0 for n in range(length))
    return Series(f"{folder}/{seed}.csv", times, tuple(values), Labelled(length, windows))


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> list[Series]:
    monkeypatch.setattr(nab_search, "SETTINGS", 6)
    monkeypatch.setattr(nab_search, "BEST", 2)
    return [series("a", 1, 700), series("a", 2, 500), series("b", 3, 600)]


def test_settings_side_by_side_score_as_each_alone(few: list[Series]):
    settings = nab_search.drawn(3)
    together = nab_search.scores_of(settings, few)
    for one, scores in zip(few, together, strict=True):
        for parameters, row in zip(settings, scores, strict=True):
            assert row.tolist() == record_stack(one, parameters)


def test_curves_are_the_scores_of_the_benchmark(few: list[Series]):
    settings = nab_search.drawn(4)
    curves = nab_search.curves(settings, few)
    for parameters, of_each in zip(settings, curves, strict=True):
        for one, curve in zip(few, of_each, strict=True):
            found = record_stack(one, parameters)
            part = deltas(one.labelled, [score / (1.0 - score) for score in found])
            expected = [raw_at([part], threshold) for threshold in nab_search.GRID]
            assert curve.tolist() == pytest.approx(expected)


def test_a_search_is_the_same_each_time_and_does_not_look_at_what_is_held_out(few: list[Series]):
    search = nab_search.Search.over(few)
    (held_out, rest), _ = folds(few)
    found = search.best(rest)
    other = [replace(few[n], values=few[n].values[::-1]) if n in held_out else few[n] for n in range(3)]
    assert nab_search.Search.over(other).best(rest) == found
    assert found.threshold in nab_search.GRID
