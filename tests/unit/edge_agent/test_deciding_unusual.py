"""The edge tells what is unusual for the patient by itself, and with the same scores after a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hearthward.core.clock import SECOND
from rules import RuleSet
from rules.loader import load_rules
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


async def told(folder: Path, kills: set[int]) -> tuple[Edge, list[Any]]:
    """What is decided when the gateway is killed before the readings with these numbers."""
    edge = await Edge(folder, knowledge(RuleSet((RULE,)))).start()
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
