"""Answers to alarms over the port's fake and over the real records, rules and service: one suite."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dashboards.backend import AlarmChanged, AlarmQuery, DirectoryError, InactivationsChanged
from dashboards.models import Alarm
from dashboards.response_models import Act
from hearthward.core.errors import RuleError
from hearthward.trust.access import Role, Scope
from rules import RuleSet
from rules.conditions import Threshold
from tests.component.dashboards import sides as suite
from tests.component.dashboards.sides import SCOPE, T0, FakeSide, S, Side, furnish, next_of
from tests.unit.cloud_ingest.made import made_rule
from tests.unit.rules.made import make

LATCHING = RuleSet((made_rule(latching=True),))
RISING = RuleSet(
    (
        made_rule(priority="medium"),
        make("deep", Threshold("spo2", "below", 80.0), raises=made_rule().id, max_age_s=900),
    )
)


class LatchingFake(FakeSide):
    """Its alarms latch when the value is well again."""

    async def measure(self, device: str, metric: str, value: float, at: int, **more: Any) -> None:
        ended = [a.id for a in self.backend._details("main") if a.condition == "active" and value >= 90]
        await super().measure(device, metric, value, at, **more)
        for old in self.backend._details("main"):
            if old.id in ended:
                self.backend.put_alarm("main", old.model_copy(update={"condition": "latched", "ended": at}))


@pytest.fixture(params=["fake", "real"])
async def side(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Side]:
    if request.param == "fake":
        yield LatchingFake()
        return
    monkeypatch.setattr(suite, "RULES", LATCHING)
    async with suite.real(tmp_path) as made:
        yield made


async def people(side: Side) -> dict[str, str]:
    """A nurse, a doctor and an engineer: name -> id."""
    for login, role in (("ann", Role.NURSE), ("ben", Role.DOCTOR), ("eve", Role.ENGINEER)):
        await side.person(login, role)
    users = {u.login: u.id for u in await side.backend.users(SCOPE)}
    service = getattr(side, "service", None)
    if service is not None:
        await service.duty_changed()
    return users


async def low(side: Side) -> Alarm:
    """An alarm has begun."""
    await side.measure("oxi", "spo2", 84, T0 + S)
    (found,) = await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))
    return found


async def refused(side: Side, alarm: str, act: Act) -> str:
    with pytest.raises(RuleError) as caught:
        await side.backend.answer(SCOPE, alarm, act)
    return str(caught.value.details["code"])


async def test_what_rose_since_it_was_seen_is_not_taken_however_late_that_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(suite, "RULES", RISING)
    async with suite.real(tmp_path) as made:
        await furnish(made)
        who = await people(made)
        alarm = await low(made)
        await made.measure("oxi", "spo2", 78, T0 + 2 * S)
        act = Act("accept", who["ann"], seen="spo2-low")
        assert await refused(made, alarm.id, act) == "risen"
        taken = await made.backend.answer(SCOPE, alarm.id, Act("accept", who["ann"], seen="deep"))
        assert taken is not None
        assert (taken.rule, taken.accepted_by) == ("deep", who["ann"])


async def test_it_is_taken_once_taken_over_and_given_back(side: Side):
    await furnish(side)
    who = await people(side)
    alarm = await low(side)
    assert (alarm.signal, alarm.accepted_by, alarm.condition) == ("on", None, "active")
    taken = await side.backend.answer(SCOPE, alarm.id, Act("accept", who["ann"], note="going"))
    assert taken is not None
    assert (taken.accepted_by, taken.accepted_name, taken.signal) == (who["ann"], "Ann", "on"), "not silenced"
    assert await refused(side, alarm.id, Act("accept", who["ben"])) == "taken"
    assert await refused(side, alarm.id, Act("reject", who["ben"])) == "taken"
    assert await refused(side, alarm.id, Act("release", who["ben"])) == "not_owner"
    over = await side.backend.answer(SCOPE, alarm.id, Act("take_over", who["ben"]))
    assert over is not None
    assert over.accepted_name == "Ben"
    back = await side.backend.answer(SCOPE, alarm.id, Act("release", who["ben"], note="called away"))
    assert back is not None
    assert (back.accepted_by, back.accepted_name) == (None, None)
    detail = await side.backend.alarm(SCOPE, alarm.id)
    assert detail is not None
    told = [(t.kind, t.actor_name, t.note) for t in detail.transitions if t.actor]
    assert told == [("accept", "Ann", "going"), ("take_over", "Ben", ""), ("release", "Ben", "called away")]
    assert all(t.text["en"] and t.text["zh"] for t in detail.transitions)


async def test_a_rejection_is_kept_by_name_and_a_note_needs_words(side: Side):
    await furnish(side)
    who = await people(side)
    alarm = await low(side)
    done = await side.backend.answer(SCOPE, alarm.id, Act("reject", who["ann"], note="with another patient"))
    assert done is not None
    assert (done.rejected, done.accepted_by) == (["Ann"], None)
    assert await refused(side, alarm.id, Act("note", who["ann"], note=" ")) == "nothing"
    assert (
        await side.backend.answer(SCOPE, alarm.id, Act("note", who["ann"], note="cuff slipped")) is not None
    )
    said = await side.backend.notes(SCOPE, [alarm.id, "none"])
    assert [(n.alarm, n.by, n.by_name, n.note) for n in said] == [
        (alarm.id, who["ann"], "Ann", "with another patient"),
        (alarm.id, who["ann"], "Ann", "cuff slipped"),
    ]
    assert await side.backend.notes(Scope("main", frozenset()), [alarm.id]) == []
    assert await side.backend.notes(SCOPE, []) == []
    assert await refused(side, alarm.id, Act("redirect", who["ann"], to="nobody")) == "unknown_user"
    passed = await side.backend.answer(SCOPE, alarm.id, Act("redirect", who["ann"], to=who["ben"]))
    assert passed is not None
    assert passed.accepted_by is None
    assert await side.backend.answer(SCOPE, "none", Act("accept", who["ann"])) is None


async def test_a_patient_learns_who_of_the_staff_did_what_from_nobody(side: Side):
    ids = await furnish(side)
    who = await people(side)
    alarm = await low(side)
    for act in (Act("reject", who["ben"], "asleep"), Act("accept", who["ann"], "grumpy")):
        assert await side.backend.answer(SCOPE, alarm.id, act) is not None
    until = side.clock.now_ns() + 60 * S
    assert await side.backend.switch(SCOPE, ids["patient"], Act("pause_alarms", who["ann"], "grumpy", until))
    own = Scope("main", None, ids["patient"])
    detail, why = await side.backend.alarm(own, alarm.id), await side.backend.why(own, alarm.id)
    (listed,) = await side.backend.alarms(own, AlarmQuery())
    assert detail is not None
    assert why is not None
    for shown in (detail, why, listed, *await side.backend.inactivations(own)):
        text = shown.model_dump_json()
        assert not [w for w in ("Ann", "Ben", who["ann"], who["ben"], "grumpy", "asleep") if w in text]
    assert detail.accepted_name == why.accepted_by == listed.accepted_by == "ward"
    assert [t.actor_name for t in detail.transitions if t.actor][:2] == ["ward", "ward"]
    staff = await side.backend.alarm(SCOPE, alarm.id)
    assert staff is not None
    assert staff.accepted_name == "Ann"


async def test_a_pause_of_the_sound_is_short_and_of_one_alarm(side: Side):
    await furnish(side)
    who = await people(side)
    alarm = await low(side)
    now = side.clock.now_ns()
    assert await refused(side, alarm.id, Act("pause_audio", who["ann"], until=now + 121 * S)) == "too_long"
    assert await refused(side, alarm.id, Act("pause_audio", who["ann"], until=now)) == "past"
    paused = await side.backend.answer(SCOPE, alarm.id, Act("pause_audio", who["ann"], until=now + 120 * S))
    assert paused is not None
    assert (paused.signal, paused.signal_until) == ("audio_paused", now + 120 * S)
    found = await side.backend.alarms(SCOPE, AlarmQuery(signal="audio_paused"))
    assert [a.id for a in found] == [alarm.id]
    again = await side.backend.answer(SCOPE, alarm.id, Act("resume_audio", who["ann"]))
    assert again is not None
    assert (again.signal, again.signal_until) == ("on", None)


async def test_only_its_owner_silences_it_and_what_latched_waits_for_an_acknowledgement(side: Side):
    await furnish(side)
    who = await people(side)
    alarm = await low(side)
    assert await refused(side, alarm.id, Act("acknowledge", who["ann"])) == "not_owner"
    await side.backend.answer(SCOPE, alarm.id, Act("accept", who["ann"]))
    silent = await side.backend.answer(SCOPE, alarm.id, Act("acknowledge", who["ann"]))
    assert silent is not None
    assert (silent.condition, silent.signal) == ("active", "acknowledged")
    await side.measure("oxi", "spo2", 97, T0 + 200 * S)
    (held,) = await side.backend.alarms(SCOPE, AlarmQuery(latched=True))
    assert (held.id, held.condition, held.ended) == (alarm.id, "latched", T0 + 200 * S)
    assert not await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))
    assert len(await side.backend.alarms(SCOPE, AlarmQuery(open_only=True))) == 1
    assert await refused(side, alarm.id, Act("accept", who["ben"])) == "ended"
    over = await side.backend.answer(SCOPE, alarm.id, Act("acknowledge", who["ben"]))
    assert over is not None
    assert over.condition == "inactive"
    assert await refused(side, alarm.id, Act("acknowledge", who["ben"])) == "no_alarm"


async def test_what_is_switched_off_is_seen_with_who_why_and_until_when(side: Side):
    ids = await furnish(side)
    who = await people(side)
    alarm = await low(side)
    until = side.clock.now_ns() + 600 * S
    patient = ids["patient"]
    async with side.backend.subscribe() as events:
        off = Act("pause_alarms", who["ann"], note="bath", until=until)
        assert await side.backend.switch(SCOPE, patient, off)
        async with asyncio.timeout(10):
            while (await next_of(events, AlarmChanged | InactivationsChanged)).__class__ is not (
                InactivationsChanged
            ):
                pass
    (held,) = await side.backend.inactivations(SCOPE)
    assert (held.subject, held.name, held.kind, held.by_name) == (patient, "Rosa", "alarm_paused", "Ann")
    assert (held.reason, held.until, held.ended) == ("bath", until, None)
    detail = await side.backend.alarm(SCOPE, alarm.id)
    assert detail is not None
    assert (detail.signal, detail.signal_until) == ("alarm_paused", until)
    assert [i.id for i in detail.inactivations] == [held.id]
    assert not await side.backend.inactivations(Scope("main", frozenset({ids["other"]})))
    assert not await side.backend.inactivations(SCOPE, subject=ids["second"])
    assert await side.backend.switch(SCOPE, patient, Act("resume", who["ben"]))
    assert not await side.backend.inactivations(SCOPE)
    (was,) = await side.backend.inactivations(SCOPE, ended=True)
    assert was.ended_name == "Ben"
    (again,) = await side.backend.alarms(SCOPE, AlarmQuery(active_only=True))
    assert again.signal == "on"


@pytest.mark.parametrize(
    ("act", "subject", "code"),
    [
        (Act("pause_alarms", "x", note="", until=T0 + 60 * S), "patient", "reason"),
        (Act("pause_alarms", "x", note="y", until=T0 - S), "patient", "past"),
        (Act("pause_alarms", "x", note="y", until=T0 + 5 * 3600 * S), "patient", "too_long"),
        (Act("resume", "x"), "patient", "nothing"),
    ],
)
async def test_nothing_is_switched_off_without_reason_and_end(side: Side, act: Act, subject: str, code: str):
    ids = await furnish(side)
    with pytest.raises(RuleError) as caught:
        await side.backend.switch(SCOPE, ids[subject], act)
    assert caught.value.details["code"] == code
    assert not await side.backend.inactivations(SCOPE, ended=True)


async def test_maintenance_is_of_equipment_and_nothing_of_what_is_not_there(side: Side):
    ids = await furnish(side)
    who = await people(side)
    off = Act("maintenance", who["eve"], note="new battery", until=side.clock.now_ns() + 600 * S)
    assert await side.backend.switch(SCOPE, "device:oxi", off)
    assert await side.backend.switch(SCOPE, "gateway:gw-1", off)
    assert not await side.backend.switch(SCOPE, "device:none", off)
    assert not await side.backend.switch(SCOPE, "component:ingest", off)
    held = await side.backend.inactivations(SCOPE)
    assert {(i.subject, i.kind, i.by_name) for i in held} == {
        ("device:oxi", "maintenance", "Eve"),
        ("gateway:gw-1", "maintenance", "Eve"),
    }
    here = Scope("main", frozenset({ids["ward"]}))
    assert len(await side.backend.inactivations(here)) == 2
    assert not await side.backend.switch(Scope("main", frozenset({ids["other"]})), "gateway:gw-1", off)


async def test_the_list_is_filtered_and_read_on_page_by_page(side: Side):
    ids = await furnish(side)
    who = await people(side)
    for n in range(3):
        await side.measure("oxi", "spo2", 84, T0 + (200 * n + 1) * S)
        if n < 2:
            await side.measure("oxi", "spo2", 97, T0 + (200 * n + 100) * S)
            (held,) = await side.backend.alarms(SCOPE, AlarmQuery(latched=True))
            await side.backend.answer(SCOPE, held.id, Act("acknowledge", who["ann"]))
    rows = list(await side.backend.alarms(SCOPE, AlarmQuery()))
    assert [r.started for r in rows] == sorted((r.started for r in rows), reverse=True)
    assert len(rows) == 3
    first = list(await side.backend.alarms(SCOPE, AlarmQuery(limit=2)))
    rest = list(await side.backend.alarms(SCOPE, AlarmQuery(limit=2, before=first[-1].id)))
    assert [r.id for r in [*first, *rest]] == [r.id for r in rows]
    with pytest.raises(DirectoryError):
        await side.backend.alarms(SCOPE, AlarmQuery(before="none"))
    await side.backend.answer(SCOPE, rows[0].id, Act("accept", who["ann"]))
    ask = side.backend.alarms
    assert len(await ask(SCOPE, AlarmQuery(owner=who["ann"], open_only=True))) == 1
    assert not await ask(SCOPE, AlarmQuery(unaccepted=True, open_only=True))
    assert len(await ask(SCOPE, AlarmQuery(ward=ids["ward"]))) == 3
    assert not await ask(SCOPE, AlarmQuery(ward=ids["other"]))
    assert not await ask(SCOPE, AlarmQuery(equipment=True))
    assert not await ask(SCOPE, AlarmQuery(kind="technical"))
    assert len(await ask(SCOPE, AlarmQuery(end=rows[0].started))) == 2
    assert len(await ask(SCOPE, AlarmQuery(start=rows[1].started))) == 2


async def test_a_badge_and_a_pin_show_who_somebody_is(side: Side):
    await furnish(side)
    who = await people(side)
    if isinstance(side, FakeSide):
        side.backend.badges["04a1"], side.backend.pins["ann"] = "ann", "2580"
    else:
        await side.backend.set_badge(SCOPE, who["ann"], "04A1")
        await side.backend.set_pin(SCOPE, who["ann"], "2580")
    by_badge = await side.backend.person_by_badge("04a1", wall="wall-1")
    by_pin = await side.backend.person_by_pin("ann", "2580")
    assert by_badge is not None
    assert by_pin is not None
    assert by_badge.user == by_pin.user == who["ann"]
    assert await side.backend.person_by_badge("ffff", wall="wall-1") is None
    assert await side.backend.person_by_pin("ann", "1111") is None
    assert await side.backend.person_by_pin("nobody", "2580") is None
    assert await side.backend.person(who["ann"]) == by_pin
    assert await side.backend.person("nobody") is None
    if isinstance(side, FakeSide):
        side.backend.disable_person(who["ann"])
    else:
        records = side.service.records  # type: ignore[attr-defined] - the real side's
        await records.run(lambda s: records.users(s).disable(SCOPE, who["ann"]))
    assert await side.backend.person(who["ann"]) is None


async def test_walls_are_counted_by_ward_until_they_close(side: Side):
    ids = await furnish(side)
    here = frozenset({ids["ward"]})
    (state,) = await side.backend.wall_seen("w1", here, audible=False)
    assert (state.ward, state.name, state.connected, state.audible) == (ids["ward"], "Ward A", 1, 0)
    states = await side.backend.wall_seen("w2", None, audible=True)
    assert {s.ward: (s.connected, s.audible) for s in states} == {ids["ward"]: (2, 1), ids["other"]: (1, 1)}
    states = await side.backend.wall_seen("tab", None, audible=True, counts=False)
    assert {s.ward: s.audible for s in states} == {ids["ward"]: 1, ids["other"]: 1}, "told, and not counted"
    (state,) = await side.backend.wall_seen("w1", here, audible=False, closed=True)
    assert (state.connected, state.audible) == (1, 1)
