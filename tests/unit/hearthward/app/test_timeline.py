"""What became of alarms as people read it: each thing once, in order, by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import DeliveryAttempt
from cloud_ingest.telling.enqueue import enqueue
from hearthward.app.timeline import Timeline
from hearthward.core.clock import SECOND, EventClock
from hearthward.core.ids import SeededIds
from hearthward.trust.access import Scope
from rules import Transition
from tests.unit.cloud_ingest.made import transition

START = 1_800_000_000 * SECOND
SCOPE = Scope.system("main")


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    clock = EventClock(START)
    opened = Records.open(tmp_path / "records.db", clock=clock, wall=clock, ids=SeededIds())
    opened.run_now(
        lambda s: opened.users(s).add(SCOPE, login="nora", name="Nora", roles=["nurse"], ident="usr_1")
    )
    yield opened
    opened.close_now()


def commit(records: Records, made: Transition, at: float, **detail: object) -> list[str]:
    """What the pipeline does with a transition; returns the ids of its notifications."""
    made.detail.update(detail)
    now = START + round(at * SECOND)

    def write(session: Session) -> list[str]:
        apply_transitions(session, "main", [made], now)
        return enqueue(session, "main", [made], now)

    return records.run_now(write)


def tried(records: Records, notification: str, at: float, outcome: str, detail: str = "") -> None:
    row = DeliveryAttempt(
        tenant="main",
        notification=notification,
        at=START + round(at * SECOND),
        outcome=outcome,
        detail=detail,
        latency_ms=3.0,
        after_ms=40.0,
    )
    records.run_now(lambda s: s.add(row))


def test_each_thing_is_told_once_by_name_with_how_late_it_was(records: Records):
    timeline = Timeline("main")
    commit(records, transition(), 0, step=0, of=2, due=START, told=[["in_app", "wall"]])
    (first,) = records.read_now(timeline.read)
    assert (first.what, first.step, first.late_ms) == ("ALARM", 0, 0)
    assert "step 1 of 2" in first.line(START)
    due = START + 5 * SECOND
    detail = {
        "step": 1,
        "of": 2,
        "due": due,
        "why": "timetable",
        "told": [["in_app", "usr_1"], ["sms", "usr_1"]],
    }
    ids = commit(records, transition("tell", seq=2), 5.25, **detail)
    tried(records, ids[0], 5.5, "handed_over")
    timeline.note(START + 7 * SECOND, "KEY 1", "Nora presses 1")
    fresh = records.read_now(timeline.read)
    assert [e.what.strip() for e in fresh] == ["STEP", "message", "message"]
    step, failed, handed = fresh
    assert (step.due, step.late_ms) == (due, 250.0)
    assert "2 of 2" in step.text
    assert "by the timetable: Nora by in_app and sms" in step.text
    assert (failed.outcome, failed.who) == ("failed", "Nora"), "she has no telephone"
    assert (handed.outcome, handed.channel, handed.after_ms) == ("handed_over", "in_app", 40.0)
    assert "Nora by in_app: handed over 40 ms after the decision" in handed.text
    assert records.read_now(timeline.read) == [], "nothing is new"
    assert [e.what.strip() for e in timeline.events] == ["ALARM", "STEP", "message", "message", "KEY 1"]


def test_who_did_it_and_what_was_not_delivered(records: Records):
    timeline = Timeline("main")
    commit(records, transition(), 0)
    commit(records, transition("undelivered", seq=2, note="no answer"), 1, hop=["voice", "usr_1"])
    commit(records, transition("accept", seq=3, actor="usr_1"), 2)
    commit(records, transition("note", seq=4, actor="usr_1"), 3)
    told = records.read_now(timeline.read)
    assert [e.what for e in told] == ["ALARM", "NOT DELIVERED", "ACCEPTED"]
    assert told[1].text == "Nora by voice: no answer"
    assert told[2].who == "Nora"


def test_a_report_says_times_as_iso_and_leaves_out_what_is_not_known():
    timeline = Timeline("main")
    timeline.note(START + SECOND, "RESTART", "stopped")
    (event,) = timeline.events
    assert event.to_data(START) == {
        "s": 1.0,
        "at": "2027-01-15T08:00:01Z",
        "what": "RESTART",
        "text": "stopped",
    }
