from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import knowledge_of
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError
from hearthward.core.model import Quality, ReadingBatch
from hearthward.core.wire import ConfigDocument
from rules import Context, RuleSet, load_rules
from tests.unit.edge_agent.decided import GATEWAY, T0, document, knowledge, reading
from tests.unit.rules.made import make, threshold


def test_the_shipped_rules_come_through_json_and_the_wire_as_they_are():
    rules = RuleSet(tuple(r for r in load_rules() if r.subject in {"patient", "device"}))
    sent = document(rules)
    made = ConfigDocument(GATEWAY, 1, json.loads(json.dumps(sent.body)))
    found = knowledge_of(ConfigDocument.decode(made.encode()))
    assert found is not None
    assert found.rules.hash == rules.hash
    assert found.digest == made.digest
    assert found.subjects == {"pat_1", "pat_2", "device:dev_1", "device:dev_2"}


def test_it_says_which_decisions_its_cloud_reads():
    assert (knowledge().decisions, knowledge(decisions=2).decisions) == (1, 2)


def test_rules_in_shadow_are_left_out_but_count_for_the_hash():
    rules = RuleSet(
        (make("a", threshold("spo2", "below", 90)), make("b", threshold("spo2", "below", 80), shadow=True))
    )
    assert [r.id for r in knowledge(rules).rules] == ["a"]


@pytest.mark.parametrize("rules", [{"hash": "0123"}, None])
def test_a_document_of_an_earlier_cloud_has_none(rules: Any):
    assert knowledge_of(ConfigDocument(GATEWAY, 1, {"tenant": "main", "devices": [], "rules": rules})) is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rules_hash": "0" * 16}, "rules"),
        ({"rules": [["x", False]]}, "body"),
        ({"contexts": {"pat_1": [1]}}, "body"),
        ({"contexts": None}, "body"),
        ({"associations": [["dev_1", "pat_1", "now", None]]}, "body"),
        ({"associations": [["dev_1", 3, 1, None]]}, "body"),
        ({"devices": [{}]}, "body"),
        ({"places": {"pat_1": 3}}, "body"),
        ({"decisions": "2"}, "body"),
        ({"relearned": {"pat_1": {"spo2": "now"}}}, "body"),
        ({"relearned": {"pat_1": 7}}, "body"),
    ],
)
def test_what_cannot_be_read_is_refused_as_a_whole(change: dict[str, Any], reason: str):
    made = document()
    with pytest.raises(ConfigError) as caught:
        knowledge_of(ConfigDocument(GATEWAY, 1, made.body | change))
    assert caught.value.details["reason"] == reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {"rules": st.lists(JSON, max_size=2), "contexts": JSON, "associations": JSON, "devices": JSON}
    )
)
def test_nothing_in_a_body_raises_anything_else(body: dict[str, Any]):
    try:
        knowledge_of(ConfigDocument(GATEWAY, 1, body))
    except ConfigError as error:
        assert error.details["reason"] in {"body", "rules"}  # noqa: PT017 - anything else is a failure


def test_rows_are_attributed_by_their_own_time_and_only_people_who_are_here_are_judged():
    found = knowledge(
        contexts={"pat_1": Context()},
        associations=[
            ["dev_1", "pat_1", T0, T0 + 10 * SECOND],
            ["dev_1", "pat_9", T0 + 10 * SECOND, T0 + 20 * SECOND],
        ],
    )
    rows = found.rows(ReadingBatch.of([reading(5, 97), reading(15, 97), reading(25, 97)]), T0 + 25 * SECOND)
    assert list(zip(rows.patient, rows.time, strict=True)) == [
        ("pat_1", T0 + 5 * SECOND),
        ("device:dev_1", T0 + 25 * SECOND),
    ], "pat_9 has left"


def test_a_reading_of_the_future_is_told_of_whoever_has_the_device_now():
    found = knowledge(associations=[["dev_1", "pat_1", T0, T0 + 100 * SECOND]])
    late = reading(5, 97, corrected=T0 + 5000 * SECOND)
    rows = found.rows(ReadingBatch.of([late]), T0 + 5 * SECOND)
    assert rows.patient == ["pat_1"]


def test_coded_values_come_as_their_place_and_names_not_at_all():
    found = knowledge()
    rows = found.rows(
        ReadingBatch.of(
            [
                reading(1, None, metric="consciousness", code="V"),
                reading(1, None, metric="device_model", code="X1"),
                reading(2, None, metric="spo2", quality=Quality.SENSOR_OFF),
            ]
        ),
        T0 + SECOND,
    )
    assert rows.value == [2.0]
    assert rows.metric == ["consciousness"]
