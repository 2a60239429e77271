from __future__ import annotations

import pytest

from cloud_ingest.facts import Facts


def test_a_fact_stands_until_something_else_is_said_or_it_is_forgotten():
    facts = Facts()
    facts.put("gateway:b", "readings_lost", 3)
    facts.put("gateway:a", "readings_lost", 1)
    facts.put("gateway:a", "config_outdated", 0)
    facts.put("gateway:b", "readings_lost", 4)
    assert list(facts) == [
        ("gateway:a", "config_outdated", 0),
        ("gateway:a", "readings_lost", 1),
        ("gateway:b", "readings_lost", 4),
    ]
    facts.forget("gateway:a", "config_outdated")
    facts.forget("gateway:b")
    assert list(facts) == [("gateway:a", "readings_lost", 1)]
    assert facts.get("gateway:a", "readings_lost") == 1
    assert facts.get("gateway:b", "readings_lost") is None


def test_only_what_our_own_parts_say_is_a_fact():
    with pytest.raises(ValueError, match="spo2"):
        Facts().put("gateway:a", "spo2", 1)


def test_a_part_that_has_failed_is_said_to_work_again():
    facts = Facts()
    tell = facts.of_part("component:store-server")
    tell(None)
    assert list(facts) == []
    tell("does not answer")
    assert list(facts) == [("component:store-server", "part_failing", 1.0)]
    tell(None)
    assert list(facts) == [("component:store-server", "part_failing", 0.0)]
