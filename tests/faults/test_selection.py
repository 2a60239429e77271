"""A selection of ./dev faults, bounded in time: each fault once, on one broker or the other.

The two systems run beside each other: most of the time they wait. That, and the other tests that run at the
same time, may make an alarm late; a round that was nothing but late is made once more.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.faults import FAULTS
from tests.faults.rounds import ACCOUNT, Plan, Round, left_out, run_session, selection

SEED = 20
MOST_S = 130.0
"""No round is begun later; those left over are skipped, and said so."""
pytestmark = pytest.mark.timeout(400)


@dataclass(frozen=True)
class Outcome:
    """What was to be made, what came of it, and whether time was up when something was left over."""

    plan: Plan
    rounds: list[Round]
    out_of_time: bool

    def of(self, name: str) -> list[Round]:
        return [r for r in self.rounds if r.fault == name]


async def made(folder: Path) -> Outcome:
    plan = await selection(SEED, folder)
    end = time.monotonic() + MOST_S
    async with asyncio.TaskGroup() as group:
        running = []
        for number, session in enumerate(plan.sessions):
            here = folder / f"{number}"
            here.mkdir()
            running.append(group.create_task(run_session(session, SEED, here, end, busy=True)))
    return Outcome(plan, [r for task in running for r in task.result()], time.monotonic() > end)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return asyncio.run(made(tmp_path_factory.mktemp("faults")))


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_doubled_or_silent_and_alarms_come_in_time(fault: str, outcome: Outcome):
    if fault in outcome.plan.skipped:
        pytest.skip(f"{fault}: {outcome.plan.skipped[fault]}")
    rounds = outcome.of(fault)
    if not rounds and outcome.out_of_time:
        pytest.skip(f"{fault}: no round of it was begun within {MOST_S:g} s on this machine")
    assert rounds, f"no round of {fault} was made"
    for result in rounds:
        assert result.good, result


def test_at_the_end_everything_is_accounted_for(outcome: Outcome):
    accounts = outcome.of(ACCOUNT)
    assert len(accounts) == len(outcome.plan.sessions)
    assert [result for result in accounts if not result.good] == []


def test_most_of_the_plan_was_made(outcome: Outcome):
    """However slow the machine: a selection that leaves half of it out says nothing."""
    planned = sum(len(session.turns) for session in outcome.plan.sessions)
    assert len(left_out(outcome.plan, outcome.rounds)) < planned / 2
