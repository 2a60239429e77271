from __future__ import annotations

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hearthward.core.errors import RuleError
from rules import Rule, RuleSet, State
from rules.conditions import (
    All,
    Any_,
    Change,
    Count,
    Deviation,
    DeviceFlag,
    Missing,
    Node,
    Not,
    Repeat,
    Score,
    Smoothing,
    Threshold,
    UnknownContentError,
    Unusual,
    from_content,
    leaves,
    node_content,
    parameter_names,
    resolve,
)
from rules.detectors.baseline import Prior
from tests.unit.rules.made import make

numbers = st.floats(0, 300) | st.sampled_from(["low", "high"])
metrics = st.sampled_from(["spo2", "heart_rate"])
spans = st.floats(1, 1000)
smoothings = st.none() | st.builds(Smoothing, st.sampled_from(["mean", "median"]), spans, st.integers(1, 5))
thresholds = st.builds(
    Threshold,
    metrics,
    st.sampled_from(["below", "above", "at_or_below", "at_or_above"]),
    numbers,
    numbers,
    smoothings,
)
simple = st.one_of(
    thresholds,
    st.builds(Change, metrics, st.sampled_from(["rise", "fall"]), numbers, spans, numbers),
    st.builds(
        Deviation, metrics, st.sampled_from(["above", "below", "either"]), numbers, spans, spans, numbers
    ),
    st.builds(
        Deviation,
        metrics,
        st.sampled_from(["above", "below", "either"]),
        numbers,
        spans,
        spans,
        numbers,
        st.sampled_from(["spreads", "trend"]),
        st.builds(Prior, st.integers(0, 200), st.integers(1, 20), st.integers(1, 9), st.integers(0, 9)),
    ),
    st.builds(Unusual, metrics, st.sampled_from(["above", "below", "either"]), numbers, numbers, spans),
    st.builds(Score, st.sampled_from(["news2", "news2_three"]), numbers, numbers),
    st.builds(Missing, metrics, numbers, st.booleans()),
    st.builds(DeviceFlag, st.sampled_from(["sensor_off", "future"]), st.none() | metrics),
    st.builds(Count, thresholds, st.integers(1, 5), spans),
)
trees: st.SearchStrategy[Node] = st.recursive(
    simple,
    lambda below: st.one_of(
        st.builds(All, st.lists(below, min_size=1, max_size=3).map(tuple)),
        st.builds(Any_, st.lists(below, min_size=1, max_size=3).map(tuple)),
        st.builds(Not, below),
    ),
    max_leaves=6,
)
nodes = trees | st.builds(Repeat, trees, spans, spans, st.none() | trees)


@given(nodes)
def test_its_content_is_the_whole_of_a_tree(node: Node):
    assert from_content(node_content(node)) == node


@given(nodes)
def test_resolved_a_tree_has_the_same_shape_and_no_parameter_left(node: Node):
    done = resolve(node, {"low": 1, "high": 2})
    assert parameter_names(done) == set()
    assert [type(leaf) for leaf in leaves(done)] == [type(leaf) for leaf in leaves(node)]
    assert resolve(done, {}) == done
    if not parameter_names(node):
        assert done == node


def test_parameters_are_found_wherever_a_number_may_stand():
    tree = Repeat(
        Any_(
            (
                Threshold("spo2", "below", "a", "b"),
                Not(Count(Threshold("spo2", "below", "c"), 3, 60)),
                All((Missing("spo2", "d"), Score("news2", "e", "f"))),
            )
        ),
        10,
        60,
        Deviation("heart_rate", "above", "g", 100, 10, "h"),
    )
    assert parameter_names(tree) == set("abcdefgh")
    assert len(list(leaves(tree))) == 5


def test_leaves_come_from_left_to_right_and_those_of_critical_last():
    one, two, three = (Threshold("spo2", "below", v) for v in (1.0, 2.0, 3.0))
    tree = Repeat(All((one, Not(two))), 10, 60, three)
    assert list(leaves(tree)) == [one, two, three]


def test_falling_are_the_limits_where_less_is_worse():
    found = {
        op: Threshold("spo2", op, 1).falling  # type: ignore[arg-type]
        for op in ("below", "at_or_below", "above", "at_or_above")
    }
    assert found == {"below": True, "at_or_below": True, "above": False, "at_or_above": False}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"certainty": 0.9}, "certainty"),
        ({"condition": {"kind": "oracle"}}, "oracle"),
        ({"condition": {**node_content(Threshold("spo2", "below", 90)), "moon": "full"}}, "moon"),
    ],
    ids=["rule", "kind", "leaf"],
)
def test_a_rule_of_a_newer_version_is_refused_by_name_and_says_what_to_do(change: dict[str, Any], what: str):
    rule = make("mine", Threshold("spo2", "below", 90))
    with pytest.raises(UnknownContentError, match=f"'{what}', which this version does not know") as caught:
        Rule.from_content({**rule.content(), **change})
    assert "start that one again, or roll the rule back there" in str(caught.value)
    payload = msgpack.unpackb(State.empty("n", RuleSet((rule,))).to_bytes())
    payload[3][0][0] = {**payload[3][0][0], **change}
    with pytest.raises(RuleError, match=f"rule snapshot cannot be read: a rule has '{what}'"):
        State.from_bytes(msgpack.packb(payload))
