"""kill -9 at a hundred random points of escalation: no alarm lost or doubled, no step left out."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import select

from cloud_ingest import notifier as notifying
from cloud_ingest.records import Records
from cloud_ingest.records.models import DeliveryAttempt, Notification, TransitionRow
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from tests.component.cloud_ingest.agreeing import Agreed, agree
from tests.component.cloud_ingest.killed import next_frame
from tests.component.cloud_ingest.killed_escalation import HANDED, TABLE, live
from tests.programs import ROOT
from tests.unit.cloud_ingest.ward import T0, TENANT

KILLS, SEED = 100, 20260102
LAST = len(TABLE.steps) - 1
AFTER = [round(step.after_s * SECOND) for step in TABLE.steps]
EVERY = round(TABLE.repeat_s * SECOND)


class Step(NamedTuple):
    """One step as it was told."""

    row: TransitionRow
    number: int
    why: str
    due: int


@pytest.mark.timeout(300)
async def test_after_a_hundred_kills_every_step_was_taken_once_and_everybody_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    command = [sys.executable, "-m", "tests.component.cloud_ingest.killed_escalation"]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, str(tmp_path), str(SEED), str(KILLS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    reached = await look(tmp_path)
    assert reached > KILLS, "most lives got somewhere"
    monkeypatch.setattr(notifying, "FIRST_WAIT_S", notifying.FIRST_WAIT_S)  # which a life sets for itself
    await live(tmp_path, reached + 5, None)  # the next one goes on, sends what is left, and stops in order
    await look(tmp_path, at_rest=True)


async def look(folder: Path, *, at_rest: bool = False) -> int:
    """Check everything that lasted; ``at_rest``: nothing waits to be sent any more."""
    records = Records.open(folder / "records.db", clock=EventClock(T0), ids=SeededIds(1), tenant=TENANT)
    try:
        found = await agree(records)
        sent = await records.read(lambda s: s.scalars(select(Notification)).all())
        tries = await records.read(lambda s: s.scalars(select(DeliveryAttempt)).all())
        check_steps(found)
        check_hops(found, sent)
        check_identities(folder)
        if at_rest:
            everything_happened(found)
            everybody_was_told(folder, found, sent, tries)
        return await records.read(next_frame)
    finally:
        await records.close()


def check_steps(found: Agreed) -> None:
    """The steps of each alarm follow each other without a gap, each exactly when it was due."""
    steps: defaultdict[str, list[Step]] = defaultdict(list)
    for row in found.history:
        if "step" in row.detail:
            step = Step(row, row.detail["step"], row.detail.get("why", "begun"), row.detail["due"])
            steps[row.alarm].append(step)
            assert row.kind in {"start", "escalate", "tell"}
            if row.kind == "tell":
                assert row.at == step.due, "told as of the time that the timetable meant"
            assert 0 <= row.recorded - step.due < SECOND, "and taken within that second, whoever was killed"
    for mine in steps.values():
        assert mine[0].number == 0
        begun = mine[0].due
        for before, after in pairwise(mine):
            if begins(after):
                assert after.number == 0
                begun = after.due
                continue
            assert after.number == min(before.number + 1, LAST), "no step is left out, none comes twice"
            assert after.due == due(before, after, begun), after.why
    clock = found.state.responses.clock
    for response in found.state.responses.open.values():
        assert response.due > clock, "nothing that was due is left"


def begins(step: Step) -> bool:
    """Whether the timetable begins with it (anew)."""
    return step.row.kind != "tell" or step.why in {"released", "resumed"}


def due(before: Step, after: Step, begun: int) -> int:
    """When a step must have come: by the timetable, unless something made it come before its time."""
    if after.why == "timetable":
        return max(begun + AFTER[after.number], before.due)
    if after.why == "repeated":
        return before.due + EVERY
    if after.why == "nobody" and before.row.detail.get("told") is None:
        return before.due
    return after.due


def check_hops(found: Agreed, sent: Sequence[Notification]) -> None:
    """Everybody whom a transition names has one notification of it, and nobody else has any."""
    meant = sorted(
        (row.alarm, row.seq, row.ordinal, channel, who)
        for row in found.history
        for channel, who in row.detail.get("told", ())
    )
    assert sorted((n.alarm, n.seq, n.ordinal, n.channel, n.who) for n in sent) == meant


def handed(folder: Path) -> Iterable[tuple[str, str, str, str]]:
    """What was handed over: identity, channel, address, text. A kill in the middle of a line is none."""
    for line in (folder / HANDED).read_text().splitlines():
        yield tuple(json.loads(line))  # type: ignore[misc]


def check_identities(folder: Path) -> None:
    """What is sent again says the same to the same one under the same identity.

    A call that is made again may tell of more alarms than the first time.
    """
    known: dict[str, tuple[str, str, str]] = {}
    for ident, channel, target, text in handed(folder):
        same = channel, target, "" if channel == "voice" else text
        assert known.setdefault(ident, same) == same


def everything_happened(found: Agreed) -> None:
    """The test has seen what it is about."""
    kinds = {row.kind for row in found.history}
    assert kinds >= {"start", "end", "reset", "tell", "continue", "signal", "undelivered", "note"}
    assert kinds >= {"accept", "reject", "redirect", "escalate", "de-escalate"}
    whys = {row.detail.get("why") for row in found.history if row.kind == "tell"}
    assert whys >= {"timetable", "repeated", "rejected", "redirected"}
    assert any(row.condition == "latched" for row in found.history)


def everybody_was_told(
    folder: Path, found: Agreed, sent: Sequence[Notification], tries: Sequence[DeliveryAttempt]
) -> None:
    """Each message was handed over, or has failed and escalation knows it."""
    got: defaultdict[str, int] = defaultdict(int)
    for ident, *_ in handed(folder):
        got[ident] += 1
    outcomes: defaultdict[str, set[str]] = defaultdict(set)
    for one in tries:
        outcomes[one.notification].add(one.outcome)
    assert all(n.state in {"handed_over", "confirmed", "failed", "abandoned"} for n in sent)
    assert not [n.id for n in sent if n.unreported is not None], "escalation was told of all that failed"
    for n in sent:
        if "handed_over" in outcomes[n.id]:
            assert got[n.message or n.id] >= 1, n.id
        else:
            assert n.state in {"failed", "abandoned"}, n.id
    assert max(got.values()) > 1, "something was sent again, or the test shows nothing"
    assert "interrupted" in set().union(*outcomes.values())
    check_undelivered(found, sent)


def check_undelivered(found: Agreed, sent: Sequence[Notification]) -> None:
    """No alarm waits for an answer to what has failed: of each open step somebody has got a message."""
    newest: dict[tuple[str, str, str], Notification] = {}
    for n in sorted(sent, key=lambda n: (n.seq, n.ordinal)):
        newest[n.alarm, n.channel, n.who] = n
    waiting = [(r.alarm, *hop) for r in found.state.responses.open.values() for hop in r.pending]
    assert not [key for key in waiting if newest[key].state in {"failed", "abandoned"}]
