"""What counts as good, what was left out, and how ``./dev faults`` ends."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.faults.__main__ import ending
from tests.faults.checker import Verdict, allowing
from tests.faults.faults import FAULTS
from tests.faults.parts import Part
from tests.faults.rounds import ACCOUNT, TARGET_S, Plan, Round, Session, Turn, left_out

PLAN = Plan(
    (
        Session("nats", "plain", (Turn(FAULTS["kill-edge"], 0), Turn(FAULTS["bit-flip"], 1))),
        Session("mosquitto", "plain", (Turn(FAULTS["kill-edge"], 1),)),
    ),
    {},
)


@pytest.mark.parametrize(
    ("lost", "declared", "most", "expected"),
    [
        (12, 12, 0, (12, 0)),  # a gateway cannot declare away what nothing has destroyed
        (12, 12, 40, (0, 12)),
        (12, 5, 40, (7, 5)),
        (12, 90, 5, (7, 5)),  # more than there was in what was destroyed
        (0, 90, 90, (0, 0)),
    ],
)
def test_what_is_declared_counts_only_as_far_as_it_may_be_lost(
    lost: int, declared: int, most: int, expected: tuple[int, int]
):
    found = allowing(Verdict(lost=lost, doubled=1), declared, most)
    assert (found.lost, found.counted) == expected
    assert found.doubled == 1


def test_only_damage_to_the_outbox_may_lose_anything():
    assert {name for name, fault in FAULTS.items() if fault.may_lose} == {"bit-flip", "truncation"}


@pytest.mark.parametrize(
    "bad",
    [{"lost": 1}, {"doubled": 1}, {"silent": 1}, {"complaints": ["x"]}, {"alarm_s": TARGET_S + 0.1}],
)
def test_a_round_is_good_when_all_is_kept_in_time(bad: dict[str, object]):
    assert Round("kill-edge", 0, alarm_s=TARGET_S).good
    result = Round("kill-edge", 0, **bad)  # type: ignore[arg-type] - one field of it
    assert not result.good
    assert result.kept is ("alarm_s" in bad)


def test_what_other_programs_took_of_the_time_does_not_count():
    assert Round("kill-edge", 0, alarm_s=TARGET_S + 2, starved_s=2.0).good
    assert Round("kill-edge", 0, alarm_s=TARGET_S + 2, starved_s=1.9).late


def test_a_part_counts_what_it_waited_for_a_processor_in_all_its_lives(tmp_path: Path):
    one = min(os.sched_getaffinity(0))
    spin = [sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{one}])\nwhile True: pass"]
    part, other = Part("spins", tmp_path, spin), Part("other", tmp_path, spin)
    assert part.waited_s == 0
    part.start()
    other.start()
    try:
        end = time.monotonic() + 20
        while (waited := part.waited_s) < 0.05:
            assert time.monotonic() < end, "two that share a processor wait for each other"
            time.sleep(0.01)
        part.kill()
        assert part.waited_s >= waited
        part.start()
        assert part.waited_s >= waited
    finally:
        part.kill()
        other.kill()


def test_rounds_and_accounts_that_are_missing_are_named():
    rounds = [Round("kill-edge", 0), Round("bit-flip", 1), Round(ACCOUNT, 0)]
    assert left_out(PLAN, rounds) == ["kill-edge 1", ACCOUNT]
    assert left_out(PLAN, [*rounds, Round("kill-edge", 1), Round(ACCOUNT, 0)]) == []


def test_the_exit_code_tells_bad_from_unfinished():
    assert ending(bad=False, whole=True) == 0
    assert ending(bad=False, whole=False) == 2
    assert ending(bad=True, whole=False) == ending(bad=True, whole=True) == 1
