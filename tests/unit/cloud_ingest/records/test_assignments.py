from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import Handover
from hearthward.core.clock import EventClock
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Scope
from tests.unit.cloud_ingest.made import transition
from tests.unit.cloud_ingest.records.conftest import START, SYSTEM

W1 = Scope("main", frozenset({"w1"}))
Do = Callable[[Callable[[Any], Any]], Any]

pytestmark = pytest.mark.usefixtures("staffed")


@pytest.fixture
def assignments(records: Records) -> Do:
    return lambda fn: records.run_now(lambda s: fn(records.assignments(s)))


@pytest.fixture
def handovers(records: Records) -> Do:
    return lambda fn: records.run_now(lambda s: fn(records.handovers(s)))


@pytest.fixture
def team(records: Records) -> str:
    made = records.run_now(
        lambda s: records.teams(s).create(SYSTEM, name="Early", ward="w1", members=["nick"])
    )
    return made.id


def assign(assignments: Do, patient: str, **values: Any) -> Any:
    return assignments(lambda a: a.assign(SYSTEM, patient, by="dora", **values))


def who(assignments: Do, scope: Scope = SYSTEM, **filters: Any) -> list[tuple[str, str | None]]:
    return [(r.patient, r.user or r.team) for r in assignments(lambda a: a.list(scope, **filters))]


def code_of(do: Callable[[], object]) -> tuple[object, object]:
    with pytest.raises(ConfigError) as caught:
        do()
    return caught.value.details["field"], caught.value.details.get("code", caught.value.details["reason"])


def test_a_patient_has_a_person_and_a_team(assignments: Do, team: str, clock: EventClock) -> None:
    first = assign(assignments, "p1", user="nora")
    assert (first.start, first.end, first.by) == (START, None, "dora")
    assign(assignments, "p1", team=team)
    assert assign(assignments, "p1", user="nora").id == first.id
    assert sorted(who(assignments)) == sorted([("p1", "nora"), ("p1", team)])
    clock.follow(START + 10)
    assign(assignments, "p1", user="nick")
    assert ("p1", "nora") not in who(assignments)
    assign(assignments, "p1", user="nora", instead=False)
    assert sorted(who(assignments, patient="p1")) == sorted([("p1", team), ("p1", "nick"), ("p1", "nora")])
    assert len(who(assignments, ended=True)) == 4
    last = assignments(lambda a: a.list(SYSTEM, user="nora"))[0]
    assert assignments(lambda a: a.end(SYSTEM, last.id)).end == START + 11, "never an empty time"
    assert who(assignments, user="nora") == [("p1", "nora")], "the row ends in a moment"


def test_what_cannot_be_assigned(assignments: Do, team: str, records: Records) -> None:
    assert code_of(lambda: assign(assignments, "p1")) == ("user", "one")
    assert code_of(lambda: assign(assignments, "p1", user="nora", team=team)) == ("user", "one")
    assert code_of(lambda: assign(assignments, "p9", user="nora")) == ("patient", "not_found")
    assert code_of(lambda: assign(assignments, "p1", user="nobody")) == ("user", "not_found")
    assert code_of(lambda: assign(assignments, "p1", user="ada")) == ("user", "unknown")
    records.run_now(lambda s: records.teams(s).end(SYSTEM, team))
    assert code_of(lambda: assign(assignments, "p1", team=team)) == ("team", "ended")
    assert code_of(lambda: assignments(lambda a: a.assign(W1, "p2", user="nora", by="x"))) == (
        "patient",
        "not_found",
    )
    assert who(assignments, ended=True) == []


def test_nobody_is_given_a_patient_of_a_ward_in_which_they_see_nothing(
    assignments: Do, handovers: Do, team: str
) -> None:
    assert code_of(lambda: assign(assignments, "p1", user="wanda")) == ("user", "ward")
    assert code_of(lambda: assign(assignments, "p2", team=team)) == ("team", "ward")
    assign(assignments, "p1", user="nora")
    assert code_of(lambda: handovers(lambda h: h.hand_over(SYSTEM, by="nora", to="wanda"))) == (
        "to",
        "ward",
    )
    assert handovers(lambda h: h.list(SYSTEM)) == []
    assign(assignments, "p2", user="dora")
    assert sorted(who(assignments)) == [("p1", "nora"), ("p2", "dora")]


def test_assignments_within_a_scope(assignments: Do) -> None:
    assign(assignments, "p1", user="nora")
    row = assign(assignments, "p2", user="wanda")
    assert who(assignments, W1) == who(assignments, ward="w1") == [("p1", "nora")]
    assert who(assignments, Scope("main", None, "p2")) == [("p2", "wanda")]
    assert who(assignments, Scope.system("other")) == []
    with pytest.raises(ConfigError, match="no assignment"):
        assignments(lambda a: a.end(W1, row.id))


def test_they_end_with_the_stay_the_move_to_another_ward_and_the_team(
    assignments: Do, records: Records, team: str, clock: EventClock
) -> None:
    for patient in ("p1", "p2"):
        assign(assignments, patient, user="dora")
    assign(assignments, "p3", team=team)
    clock.follow(START + 10)
    records.run_now(lambda s: records.directory(s).encounters.move(SYSTEM, "e1", bed="w1-b"))
    assert len(who(assignments)) == 3, "another bed of the same ward"
    stay = records.read_now(lambda s: records.directory(s).encounters.list(SYSTEM, patient="p1"))[0]
    clock.follow(START + 20)
    records.run_now(lambda s: records.directory(s).encounters.move(SYSTEM, stay.id, bed="w2-b"))
    assert sorted(who(assignments)) == [("p2", "dora"), ("p3", team)]
    records.run_now(lambda s: records.directory(s).encounters.end(SYSTEM, "e2"))
    assert who(assignments) == [("p3", team)]
    records.run_now(lambda s: records.teams(s).end(SYSTEM, team))
    assert who(assignments) == []


def test_a_hand_over_gives_the_patients_to_the_next(
    assignments: Do, handovers: Do, clock: EventClock
) -> None:
    for patient in ("p1", "p3"):
        assign(assignments, patient, user="nora")
    assign(assignments, "p1", user="dora", instead=False)
    clock.follow(START + 10)
    row = handovers(lambda h: h.hand_over(SYSTEM, by="nora", to="nick", note=" fluids\nweighed at 8 "))
    assert (row.at, row.by, row.to, row.note) == (START + 10, "nora", "nick", "fluids\nweighed at 8")
    assert (row.ward, row.patients, row.alarms) == (None, ["p1", "p3"], [])
    assert who(assignments, user="nora") == []
    assert sorted(who(assignments)) == [("p1", "dora"), ("p1", "nick"), ("p3", "nick")]
    assert handovers(lambda h: h.get(SYSTEM, row.id)).id == row.id


def test_a_hand_over_of_chosen_patients_and_alarms(assignments: Do, handovers: Do, records: Records) -> None:
    assign(assignments, "p1", user="nora")
    records.run_now(lambda s: apply_transitions(s, "main", [transition("start", "alm_1")], 1))
    row = handovers(
        lambda h: h.hand_over(W1, by="nora", to="nick", alarms=["alm_1", "alm_1"], patients=["p1"])
    )
    assert (row.ward, row.alarms, row.patients) == ("w1", ["alm_1"], ["p1"])
    empty = handovers(lambda h: h.hand_over(SYSTEM, by="nora", to="nick", ward="w2"))
    assert (empty.ward, empty.patients) == ("w2", [])
    listed = handovers(lambda h: h.list(W1))
    assert [r.id for r in listed] == [row.id]
    assert len(handovers(lambda h: h.list(SYSTEM, limit=1))) == 1
    assert handovers(lambda h: h.list(SYSTEM, before=START)) == []
    assert [r.id for r in handovers(lambda h: h.list(SYSTEM, ward="w2"))] == [empty.id]


def test_a_note_about_several_wards_is_read_by_the_two_and_by_who_sees_all_wards(
    assignments: Do, handovers: Do
) -> None:
    def shown(scope: Scope, reader: str = "") -> list[str]:
        return sorted(r.note for r in handovers(lambda h: h.list(scope, reader=reader)))

    for patient in ("p1", "p2"):
        assign(assignments, patient, user="dora")
    handovers(lambda h: h.hand_over(SYSTEM, by="emil", to="dora", note="none"))
    both = handovers(lambda h: h.hand_over(SYSTEM, by="dora", to="emil", note="both", patients=["p1", "p2"]))
    handovers(lambda h: h.hand_over(SYSTEM, by="emil", to="nora", note="one", patients=["p1"]))
    w2, two = Scope("main", frozenset({"w2"})), Scope("main", frozenset({"w1", "w2"}))
    assert both.ward is None
    assert shown(SYSTEM) == ["both", "none", "one"]
    assert (shown(W1), shown(w2), shown(two)) == (["one"], [], ["one"])
    assert shown(w2, "dora") == ["both", "none"], "made or taken by themselves"
    assert shown(Scope("main", None, "p1"), "ada") == []
    with pytest.raises(ConfigError, match="no handover"):
        handovers(lambda h: h.get(W1, both.id))
    assert handovers(lambda h: h.get(W1, both.id, reader="emil")).id == both.id


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"to": "nora"}, ("to", "same")),
        ({"to": "ada"}, ("to", "unknown")),
        ({"to": "nobody"}, ("to", "not_found")),
        ({"by": "nobody"}, ("by", "not_found")),
        ({"ward": "w9"}, ("ward", "not_found")),
        ({"alarms": ["alm_9"]}, ("alarms", "not_found")),
        ({"patients": ["p9"]}, ("patient", "not_found")),
        ({"note": "x" * 4001}, ("note", "long")),
    ],
)
def test_what_cannot_be_handed_over(
    assignments: Do, handovers: Do, values: dict[str, Any], expected: tuple[str, str]
) -> None:
    assign(assignments, "p1", user="nora")
    made = {"by": "nora", "to": "nick", **values}
    assert code_of(lambda: handovers(lambda h: h.hand_over(SYSTEM, **made))) == expected
    assert handovers(lambda h: h.list(SYSTEM)) == []
    assert who(assignments) == [("p1", "nora")]


@pytest.mark.parametrize("statement", ["UPDATE handovers SET note = 'x'", "DELETE FROM handovers"])
def test_the_record_of_hand_overs_cannot_be_rewritten(
    handovers: Do, records: Records, statement: str
) -> None:
    handovers(lambda h: h.hand_over(SYSTEM, by="nora", to="nick"))
    with pytest.raises(IntegrityError, match="append-only"):
        records.run_now(lambda session: session.execute(text(statement)))
    assert records.read_now(lambda s: s.query(Handover).count()) == 1
