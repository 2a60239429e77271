"""A selection of ./dev faults, bounded in time: each fault once, on one broker or the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.rounds import Round, run_session, selection

SEED = 20
MOST_S = 130.0
"""No round is begun later; those left over are skipped, and said so."""
ACCOUNT = "whole session"
pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, list[Round]], Mapping[str, str]]:
    """What came of each fault, and why some were not made."""
    folder: Path = tmp_path_factory.mktemp("faults")
    end = time.monotonic() + MOST_S
    plan = asyncio.run(selection(SEED, folder))
    found: dict[str, list[Round]] = {}
    for number, session in enumerate(plan.sessions):
        share = time.monotonic() + (end - time.monotonic()) / (len(plan.sessions) - number)
        (folder / f"{number}").mkdir()
        for result in asyncio.run(run_session(session, SEED, folder / f"{number}", share)):
            found.setdefault(result.fault, []).append(result)
    return found, plan.skipped


@pytest.mark.parametrize("fault", [*FAULTS, ACCOUNT])
def test_nothing_is_lost_doubled_or_silent(
    fault: str, outcome: tuple[Mapping[str, list[Round]], Mapping[str, str]]
):
    rounds, skipped = outcome
    if fault in skipped:
        pytest.skip(f"{fault}: {skipped[fault]}")
    if fault not in rounds:
        pytest.skip(f"{fault}: no round of it was begun within {MOST_S:g} s on this machine")
    for result in rounds[fault]:
        assert (result.lost, result.doubled, result.silent, result.complaints) == (0, 0, 0, [])
