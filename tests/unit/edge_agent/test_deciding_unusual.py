"""The edge tells what is unusual for the patient by itself, and with the same scores after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hearthward.core.clock import SECOND
from rules import RuleSet
from rules.loader import load_rules
from rules.travelling import VERSION
from tests.unit.edge_agent.decided import T0, Edge, knowledge, reading

RULE = load_rules().by_id["vital-unusual"]
MINUTE = 60
NIGHT = [(n * 20 * MINUTE, 15 + 2 * (n % 2)) for n in range(37)]
"""Twelve hours of a respiratory rate of 15 and 17."""
NEWS = [(NIGHT[-1][0] + (n + 1) * 5 * MINUTE, 24) for n in range(4)]
"""Then 24: far from any limit, and never so in this patient."""


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def told(folder: Path, kills: set[int], **more: Any) -> tuple[Edge, list[Any]]:
    """What is decided when the gateway is killed before the readings with these numbers."""
    edge = await Edge(folder, knowledge(RuleSet((RULE,)), **more)).start()
    for n, (at, value) in enumerate([*NIGHT, *NEWS]):
        if n in kills:
            await edge.start()
        await edge.read(reading(at, value, metric="respiratory_rate"))
    return edge, [(t.kind, t.rule, t.onset, t.values, t.text) for t in edge.sent]


async def test_the_edge_tells_what_is_unusual_and_a_restart_changes_no_score(tmp_path: Path):
    edge, found = await told(made(tmp_path / "whole"), set())
    start, *later = edge.sent
    assert {t.kind for t in later} == {"update"}, "told once"
    assert (start.kind, start.rule, start.onset) == ("start", "vital-unusual", T0 + NEWS[0][0] * SECOND)
    assert start.values == {"respiratory_rate": 24.0}
    assert "24 /min after 15 /min earlier in this hour: 2.1 times" in start.text["en"]
    assert "呼吸" in start.text["zh"]
    _, again = await told(made(tmp_path / "killed"), {1, 20, 36, 37, 38})
    assert again == found


async def test_its_terms_go_with_the_decision_to_a_cloud_that_says_that_it_reads_them(tmp_path: Path):
    edge, _ = await told(made(tmp_path / "today"), set(), decisions=VERSION)
    start = edge.sent[0]
    (odd,) = (start.terms or {})["unusual"].items()
    assert (odd[0], odd[1]["device"], odd[1]["value"]) == ("respiratory_rate", "dev_1", 24.0)
    assert odd[1]["parts"][0][0] == "hour"
    again, _ = await told(made(tmp_path / "killed"), {1, 20, 37, 38}, decisions=VERSION)
    assert [t.terms for t in again.sent] == [t.terms for t in edge.sent]
    older, _ = await told(made(tmp_path / "older"), set())
    assert {t.terms for t in older.sent} == {None}
    assert [replace(t, terms=None, config="") for t in edge.sent] == [
        replace(t, config="") for t in older.sent
    ]
