"""Sums of trees: what they say, why, and which files are refused."""

from __future__ import annotations

import json
from math import isclose, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hearthward.core.errors import ConfigError
from rules.models.trees import Trees, probability

FIRST = ((0.4, 0, 10.0, 1, 2, 2), (-1.0, -1, 0.0, 0, 0, 0), (1.0, 1, 0.5, 3, 4, 3))
FIRST += ((0.5, -1, 0.0, 0, 0, 0), (2.0, -1, 0.0, 0, 0, 0))
SECOND = ((0.25, -1, 0.0, 0, 0, 0),)
MODEL = Trees("made", 3, ("a", "b", "c"), -2.0, (FIRST, SECOND), intercept=0.1, slope=1.5)


@pytest.mark.parametrize(
    ("row", "score"),
    [
        ((10.0, 9.0, 0.0), -2.75),  # the threshold itself goes left
        ((10.5, 0.5, 0.0), -1.25),
        ((10.5, 0.6, 0.0), 0.25),
        ((nan, 0.6, 0.0), 0.25),  # unknown goes where training sent it
        ((nan, nan, 0.0), -1.25),
    ],
    ids=["at", "above", "both", "unknown", "all-unknown"],
)
def test_each_row_ends_in_one_leaf_of_each_tree(row: tuple[float, ...], score: float):
    assert MODEL.score(row) == pytest.approx(score)
    assert MODEL.log_odds(row) == pytest.approx(0.1 + 1.5 * score)


def test_contributions_add_up_to_the_log_odds():
    rest, terms = MODEL.contributions((11.0, 0.7, 5.0))
    assert set(terms) == {"a", "b"}
    assert terms["b"] == pytest.approx(1.5 * (2.0 - 1.0))
    assert rest + sum(terms.values()) == pytest.approx(MODEL.log_odds((11.0, 0.7, 5.0)))


def test_a_file_says_the_same_as_the_model():
    text = MODEL.to_json()
    assert Trees.from_json(text, "made.json") == MODEL
    assert Trees.from_json(text, "made.json").to_json() == text


def broken(change: dict[str, object]) -> str:
    return json.dumps({**json.loads(MODEL.to_json()), **change})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting"),
        ("[]", "indices"),
        (broken({"format": "other"}), "format 'other'"),
        (broken({"format_version": 2}), "not 'hearthward-trees' 1"),
        (broken({"base": float("nan")}), "finite"),
        (broken({"trees": [[]]}), "tree 0 is empty"),
        (broken({"trees": [[[1.0, 0]]]}), "2 numbers"),
        (broken({"trees": [[[1.0, 9, 0.5, 1, 1, 1], [2.0]]]}), "tree 0, node 0"),
        (broken({"trees": [[[1.0, 0, 0.5, 0, 1, 1], [2.0]]]}), "tree 0, node 0"),  # round and round
        (broken({"trees": [[[float("inf")]]]}), "not finite"),
    ],
    ids=["cut", "list", "format", "version", "base", "empty", "short", "feature", "loop", "infinite"],
)
def test_a_damaged_file_is_refused_by_name(text: str, why: str):
    with pytest.raises(ConfigError, match=r"made\.json is no usable model") as refused:
        Trees.from_json(text, "made.json")
    assert why in str(refused.value)


def test_a_probability_never_overflows():
    assert probability(0.0) == 0.5
    assert (probability(-1e4), probability(1e4)) == (0.0, 1.0)
    assert isclose(probability(2.0), 1 - probability(-2.0))


@settings(max_examples=5)
@given(seed=st.integers(0, 1000))
def test_trees_of_the_library_say_the_same_here(seed: int):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from threadpoolctl import threadpool_limits

    from bench.deterioration_fit import Table, boosted, exported

    draw = np.random.default_rng(seed)
    x = draw.normal(size=(300, 4)).round(1)  # thresholds fall on values that come
    x[draw.random(x.shape) < 0.2] = nan
    died = (np.nan_to_num(x[:, 0]) + draw.normal(size=300) > 0).astype(int)
    table = Table("made", ("a", "b", "c", "d"), x, np.arange(300), np.zeros(300), died)
    model = boosted(table, {"max_leaf_nodes": 4, "max_iter": 10, "min_samples_leaf": 10})
    trees = Trees.from_json(exported(model, table, 1).to_json(), "made.json")
    with threadpool_limits(1):  # several would wait for each other
        expected = list(model.decision_function(x))
    assert [trees.score(list(row)) for row in x] == pytest.approx(expected, abs=1e-6)
