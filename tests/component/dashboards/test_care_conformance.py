"""Messages and the care plan of the web's port: one suite over the fake and the real records and store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.records.care import TaskDraft
from dashboards.backend import DirectoryError, MessagesChanged
from dashboards.care_models import TaskDue
from hearthward.core.model import Quality
from hearthward.trust.access import Principal, Role, Scope, scope_of
from tests.component.dashboards.sides import (
    PASSWORD,
    SCOPE,
    T0,
    FakeSide,
    S,
    Side,
    furnish,
    real,
)

HOUR = 3600 * S


@pytest.fixture(params=["fake", "real"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield FakeSide()
        return
    async with real(tmp_path) as made:
        yield made


PRESSURE = TaskDraft("measure", "nibp_systolic", "", ("08:00", "20:00"), None, "UTC", 7200)
PILL = TaskDraft("medicine", None, "  One   pill ", ("8:00",), None, "UTC", 3600)


async def person(side: Side, role: Role, patient: str | None = None) -> Principal:
    """Somebody who is registered, so that the records know them."""
    fields: dict[str, Any] = {"login": str(role), "name": role.title(), "roles": [role], "patient": patient}
    made = await side.backend.add_user(SCOPE, fields, PASSWORD)
    return Principal(made.id, made.name, "main", frozenset({role}), patient=patient)


async def test_messages_go_both_ways_and_say_how_far_they_have_come(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    own, nurse = await person(side, Role.PATIENT, patient), await person(side, Role.NURSE)
    admin = await person(side, Role.ADMIN)
    first = await backend.write_message(
        own, patient, "  I feel dizzy.\r\nSince  noon ", client="a", written=T0 - S
    )
    assert first is not None
    assert (first.text, first.from_care, first.state, first.written) == (
        "I feel dizzy.\nSince  noon",
        False,
        "received",
        T0 - S,
    )
    again = await backend.write_message(own, patient, "I feel dizzy.\nSince  noon", client="a")
    assert again is not None
    assert again.id == first.id
    assert [c.unseen for c in await backend.inbox(admin)] == [1]
    assert (await backend.messages(SCOPE, patient) or [])[
        0
    ].state == "received"  # an administrator is no nurse
    (waiting,) = await backend.inbox(nurse)
    assert (waiting.patient, waiting.name, waiting.bed, waiting.ward_name, waiting.since) == (
        patient,
        "Rosa",
        "A-01",
        "Ward A",
        T0,
    )
    assert [m.state for m in await backend.messages(SCOPE, patient) or ()] == ["sent"]
    assert await backend.unseen_messages(nurse, patient) == 1
    assert await backend.see_messages(admin, patient) == 0
    assert await backend.see_messages(nurse, patient) == 1
    assert await backend.see_messages(nurse, patient) == 0
    side.clock.advance(1)
    await backend.write_message(nurse, patient, "Sit down, please.", client="a")
    seen = await backend.messages(Scope("main", None, patient), patient) or []
    assert [(m.text[:5], m.state, m.author_name, m.seen_name) for m in seen] == [
        ("I fee", "seen", "Patient", None),
        ("Sit d", "received", None, None),
    ]
    assert await backend.unseen_messages(own, patient) == 1
    assert await backend.see_messages(own, patient) == 1
    assert [c.unseen for c in await backend.inbox(nurse)] == [0]


async def test_messages_outside_the_scope_are_not_there(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    own, nurse = await person(side, Role.PATIENT, patient), await person(side, Role.NURSE)
    await backend.write_message(own, patient, "Hello", client="a")
    elsewhere = replace(nurse, wards=frozenset({ids["other"]}))
    assert await backend.messages(Scope("main", frozenset({ids["other"]})), patient) is None
    assert await backend.write_message(elsewhere, patient, "Hello", client="b") is None
    assert await backend.see_messages(elsewhere, patient) is None
    assert await backend.unseen_messages(elsewhere, patient) == 0
    assert list(await backend.inbox(elsewhere)) == []
    assert await backend.write_message(own, ids["second"], "Hello", client="c") is None
    assert [c.patient for c in await backend.inbox(replace(nurse, wards=frozenset({ids["ward"]})))] == [
        patient
    ]


@pytest.mark.parametrize(
    ("text", "client", "field", "code"),
    [
        (" \n ", "a", "text", "required"),
        ("x" * 2001, "a", "text", "bounds"),
        ("a\x00b", "a", "text", "bounds"),
        ("Hello", "", "client", "invalid"),
        ("Hello", "x" * 65, "client", "invalid"),
        ("Other", "used", "client", "taken"),
    ],
)
async def test_messages_that_are_refused(side: Side, text: str, client: str, field: str, code: str):
    ids = await furnish(side)
    own = await person(side, Role.PATIENT, ids["patient"])
    await side.backend.write_message(own, ids["patient"], "Hello", client="used")
    with pytest.raises(DirectoryError) as caught:
        await side.backend.write_message(own, ids["patient"], text, client=client)
    assert (caught.value.field, caught.value.code) == (field, code)


@pytest.mark.parametrize("most", [2_000, 1], ids=["together", "each window alone"])
async def test_a_measurement_is_done_by_its_reading_the_rest_by_what_was_said(
    side: Side, monkeypatch: pytest.MonkeyPatch, most: int
):
    monkeypatch.setattr("cloud_ingest.measured.MOST", most)
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    own, nurse = await person(side, Role.PATIENT, patient), await person(side, Role.NURSE)
    pressure = await backend.add_task(nurse, patient, PRESSURE)
    pill = await backend.add_task(nurse, patient, PILL)
    assert pressure is not None
    assert pill is not None
    assert (pill.title, pill.times, pill.metric, pill.weekdays) == ("One pill", ["08:00"], None, None)

    async def states() -> list[tuple[str, str]]:
        plan = await backend.care_plan(SCOPE, patient, T0, T0 + 24 * HOUR)
        assert plan is not None
        return [(d.kind, d.state) for d in sorted(plan.dues, key=lambda d: (d.due, d.kind))]

    assert await states() == [("measure", "later"), ("medicine", "later"), ("measure", "later")]
    await side.measure("oxi", "nibp_systolic", 131, T0 + 7 * HOUR, quality=Quality.TEST)
    assert await states() == [("measure", "now"), ("medicine", "now"), ("measure", "later")]
    await side.measure("oxi", "nibp_systolic", 131, T0 + 7 * HOUR + S)
    marked = await backend.mark_task(own, patient, pill.id, T0 + 8 * HOUR, state="done", note=" with  water ")
    assert isinstance(marked, TaskDue)
    assert (marked.state, marked.by, marked.measured, marked.note) == ("done", own.user, False, "with water")
    assert await states() == [("measure", "done"), ("medicine", "done"), ("measure", "later")]
    await side.measure("oxi", "spo2", 97, T0 + 23 * HOUR)
    plan = await backend.care_plan(SCOPE, patient, T0, T0 + 24 * HOUR)
    assert plan is not None
    assert (plan.kept.done, plan.kept.missed, plan.kept.percent) == (2, 1, 67)
    skipped = await backend.mark_task(own, patient, pressure.id, T0 + 20 * HOUR, state="skipped")
    assert skipped is not None
    assert skipped.state == "skipped"
    again = await backend.mark_task(nurse, patient, pill.id, T0 + 8 * HOUR, state="skipped")
    assert again is not None
    assert (again.state, again.by) == ("skipped", nurse.user)
    seen = await backend.care_plan(scope_of(own), patient, T0, T0 + 24 * HOUR)
    assert seen is not None
    by = {d.task: d.by for d in seen.dues if d.state == "skipped"}
    assert by == {pill.id: "ward", pressure.id: own.user}, "a patient learns of staff by role"
    ended = await backend.end_task(nurse, patient, pressure.id)
    assert ended is not None
    assert ended.end == side.clock.now_ns()
    after = await backend.care_plan(SCOPE, patient, T0, T0 + 48 * HOUR)
    assert after is not None
    assert [t.id for t in after.tasks] == [pill.id]
    assert [d.state for d in after.dues if d.task == pressure.id] == ["done", "skipped"]


async def test_a_reading_of_another_patients_time_with_the_device_does_not_count(side: Side):
    ids = await furnish(side)
    nurse = await person(side, Role.NURSE)
    await side.backend.add_task(nurse, ids["second"], PRESSURE)
    await side.backend.add_task(nurse, ids["patient"], PRESSURE)
    await side.measure("oxi", "nibp_systolic", 131, T0 + 8 * HOUR)
    await side.measure("oxi", "spo2", 97, T0 + 12 * HOUR)
    found = {}
    for patient in (ids["patient"], ids["second"]):
        plan = await side.backend.care_plan(SCOPE, patient, T0, T0 + 12 * HOUR)
        assert plan is not None
        found[patient] = [d.state for d in plan.dues]
    assert found == {ids["patient"]: ["done"], ids["second"]: ["missed"]}


@pytest.mark.parametrize(
    ("change", "field", "code"),
    [
        ({"kind": "sing"}, "kind", "unknown"),
        ({"kind": "measure"}, "metric", "required"),
        ({"kind": "measure", "metric": "ibp_mean"}, "metric", "unknown"),
        ({"title": " "}, "title", "required"),
        ({"title": "x" * 121}, "title", "bounds"),
        ({"times": ()}, "times", "required"),
        ({"times": ("25:00",)}, "times", "invalid"),
        ({"weekdays": (0,)}, "weekdays", "required"),
        ({"timezone": "Mars/Olympus"}, "timezone", "invalid"),
        ({"timezone": ""}, "timezone", "required"),
        ({"window_s": 5}, "window_s", "bounds"),
    ],
)
async def test_tasks_that_are_refused(side: Side, change: dict[str, Any], field: str, code: str):
    ids = await furnish(side)
    nurse = await person(side, Role.NURSE)
    with pytest.raises(DirectoryError) as caught:
        await side.backend.add_task(nurse, ids["patient"], replace(PILL, **change))
    assert (caught.value.field, caught.value.code) == (field, code)


async def test_what_cannot_be_marked(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    nurse = await person(side, Role.NURSE)
    pill, pressure = (
        await backend.add_task(nurse, patient, PILL),
        await backend.add_task(nurse, patient, PRESSURE),
    )
    assert pill is not None
    assert pressure is not None
    due = T0 + 8 * HOUR

    async def refused(task: str, due: int, **more: Any) -> tuple[str, str]:
        with pytest.raises(DirectoryError) as caught:
            await backend.mark_task(nurse, patient, task, due, **{"state": "done", **more})
        return caught.value.field, caught.value.code

    assert await refused(pill.id, due) == ("due", "future")
    side.clock.follow(due)
    assert await refused(pill.id, due + 1) == ("due", "unknown")
    assert await refused(pressure.id, due) == ("state", "invalid")
    assert await refused(pill.id, due, note="x" * 201) == ("note", "bounds")
    assert await backend.mark_task(nurse, patient, "none", due, state="done") is None
    assert await backend.mark_task(nurse, ids["second"], pill.id, due, state="done") is None
    assert await backend.end_task(nurse, ids["second"], pill.id) is None
    elsewhere = replace(nurse, wards=frozenset({ids["other"]}))
    assert await backend.mark_task(elsewhere, patient, pill.id, due, state="done") is None
    assert await backend.add_task(elsewhere, patient, PILL) is None
    assert await backend.care_plan(Scope("main", frozenset({ids["other"]})), patient, T0, due) is None
    side.clock.follow(due + 25 * HOUR)
    assert await refused(pill.id, due) == ("due", "past")


async def test_whose_clock_a_patient_lives_by(side: Side):
    ids = await furnish(side)
    nurse = await person(side, Role.NURSE)
    assert await side.backend.care_zone(SCOPE, ids["patient"]) is None
    await side.backend.change(SCOPE, "gateway", "gw-1", {"timezone": "Asia/Shanghai"})
    assert await side.backend.care_zone(SCOPE, ids["patient"]) == "Asia/Shanghai"
    await side.backend.add_task(nurse, ids["patient"], replace(PILL, timezone="Europe/Berlin"))
    assert (
        await side.backend.care_zone(Scope("main", None, ids["patient"]), ids["patient"]) == "Europe/Berlin"
    )
    if isinstance(side, FakeSide):
        assert await side.backend.care_zone(Scope("other"), ids["patient"]) is None


async def test_messages_that_nobody_has_seen_are_counted_and_told(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    own, nurse = await person(side, Role.PATIENT, patient), await person(side, Role.NURSE)
    async with backend.subscribe() as events:
        for n in range(2):
            await backend.write_message(own, patient, f"message {n}", client=str(n))
        assert await backend.unseen_by_patient(SCOPE) == {patient: 2}
        assert await backend.unseen_by_patient(Scope("main", frozenset({"elsewhere"}))) == {}
        assert [m.state for m in await backend.messages(SCOPE, patient) or ()] == ["received", "received"]
        await backend.write_message(nurse, patient, "Thank you.", client="x")
        assert await backend.unseen_by_patient(SCOPE) == {patient: 2}, "an answer is not the patient's"
        await backend.see_messages(nurse, patient)
        assert await backend.unseen_by_patient(SCOPE) == {}
        told = [await anext(events) for _ in range(4)]
    assert told == [MessagesChanged("main")] * 4


async def test_notes_about_a_patient_are_kept_and_struck_out(side: Side):
    ids = await furnish(side)
    backend, patient = side.backend, ids["patient"]
    nurse, doctor = await person(side, Role.NURSE), await person(side, Role.DOCTOR)
    first = await backend.write_note(nurse, patient, "  Hears badly.\r\nLeft ear ")
    assert first is not None
    assert (first.text, first.by, first.by_name, first.at, first.struck) == (
        "Hears badly.\nLeft ear",
        nurse.user,
        "Nurse",
        T0,
        None,
    )
    side.clock.advance(1)
    second = await backend.write_note(doctor, patient, "No penicillin")
    assert second is not None
    assert [n.id for n in await backend.patient_notes(SCOPE, patient) or ()] == [second.id, first.id]
    assert [n.id for n in await backend.patient_notes(SCOPE, patient, start=T0 + 1) or ()] == [second.id]
    assert [n.id for n in await backend.patient_notes(SCOPE, patient, limit=1) or ()] == [second.id]
    struck = await backend.strike_note(doctor, patient, first.id)
    assert struck is not None
    assert (struck.struck, struck.struck_name, struck.text) == (T0 + S, "Doctor", first.text)
    side.clock.advance(1)
    assert await backend.strike_note(nurse, patient, first.id) == struck, "it stays as it is"
    assert (await backend.patient_notes(SCOPE, patient) or [])[1] == struck
    for text, code in (("  ", "required"), ("x" * 2001, "bounds")):
        with pytest.raises(DirectoryError) as refused:
            await backend.write_note(nurse, patient, text)
        assert (refused.value.field, refused.value.code) == ("text", code)
    assert await backend.strike_note(nurse, patient, "pnt_none") is None
    assert await backend.write_note(nurse, "pat_none", "x") is None
    elsewhere = replace(nurse, wards=frozenset({"elsewhere"}))
    assert await backend.write_note(elsewhere, patient, "x") is None
    assert await backend.strike_note(elsewhere, patient, second.id) is None
    assert await backend.patient_notes(Scope("main", frozenset({"elsewhere"})), patient) is None
    for stay in await backend.items(SCOPE, "encounter"):
        await backend.end(SCOPE, "encounter", stay.id)
    await backend.end(SCOPE, "patient", patient)
    with pytest.raises(DirectoryError) as closed:
        await backend.write_note(nurse, patient, "x")
    assert (closed.value.field, closed.value.code) == ("patient", "ended")
