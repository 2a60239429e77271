"""Many rows at once against row by row."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.models.deterioration import shipped
from rules.models.trees import Node, Trees
from rules.models.trees_batch import BatchedTrees

FEATURES = ("a", "b", "c", "d")
VALUES = [-1.5, -0.0, 0.0, 0.1, 1.0, 2.0, math.nan, math.inf, -math.inf]


def grown(chance: random.Random, size: int) -> tuple[Node, ...]:
    """A tree whose ways lead to any later nodes, not only to nodes of their own."""
    nodes: list[Node] = []
    for at in range(size):
        value = chance.gauss(0, 1)
        if at == size - 1 or (at and chance.random() < 0.4):
            nodes.append((value, -1, 0.0, 0, 0, 0))
        else:
            left, right, lost = (chance.randint(at + 1, size - 1) for _ in range(3))
            nodes.append(
                (value, chance.randrange(len(FEATURES)), chance.choice([0.0, 0.1, 1.0]), left, right, lost)
            )
    return tuple(nodes)


@given(st.integers(0, 2**32), st.lists(st.integers(1, 15), max_size=6), st.integers(0, 600))
@settings(max_examples=40)
def test_many_rows_have_the_very_same_scores_and_contributions(seed: int, sizes: list[int], count: int):
    chance = random.Random(seed)
    trees = Trees("t", 1, FEATURES, chance.gauss(0, 1), tuple(grown(chance, n) for n in sizes), 0.3, 0.9)
    rows = [[chance.choice(VALUES) for _ in FEATURES] for _ in range(count)]
    together, matrix = BatchedTrees(trees), np.array(rows).reshape(-1, len(FEATURES))
    assert together.score(matrix).tolist() == [trees.score(row) for row in rows]
    assert together.log_odds(matrix).tolist() == [trees.log_odds(row) for row in rows]
    rest, terms = together.contributions(matrix)
    one_by_one = [trees.contributions(row) for row in rows]
    assert all(rest == alone for alone, _ in one_by_one)
    assert terms.tolist() == [[found.get(name, 0.0) for name in FEATURES] for _, found in one_by_one]


@pytest.mark.parametrize("trees", [shipped().alert, shipped().plain], ids=["alert", "plain"])
def test_so_have_those_of_the_shipped_model(trees: Trees):
    chance = np.random.default_rng(2)
    rows = chance.normal(50, 40, (300, len(trees.features)))
    rows[chance.random(rows.shape) < 0.3] = np.nan
    together = BatchedTrees(trees)
    assert together.log_odds(rows).tolist() == [trees.log_odds(row) for row in rows.tolist()]
    terms = together.contributions(rows)[1][:40]
    assert [{f: t for f, t in zip(trees.features, row, strict=True) if t} for row in terms.tolist()] == [
        trees.contributions(row)[1] for row in rows[:40].tolist()
    ]


@pytest.mark.parametrize("shape", [(3,), (2, 3)], ids=["one row", "too few columns"])
def test_rows_of_another_shape_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="t takes 4 columns"):
        BatchedTrees(Trees("t", 1, FEATURES, 0.0, ())).score(np.zeros(shape))
