"""What people do with alarms, as the transitions leave it in the rows."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.models import Alarm, InactivationRow, TransitionRow
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Scope
from rules import Transition
from tests.unit.cloud_ingest.made import SECOND, axes, transition

SYSTEM = Scope.system("main")
NOW = 1_800_000_020 * SECOND

pytestmark = pytest.mark.usefixtures("furnished")


def apply(records: Records, *transitions: Transition) -> list[str]:
    return [a.id for a in records.run_now(lambda s: apply_transitions(s, "main", transitions, NOW))]


def alarm(records: Records, ident: str = "alm_0001abcdef") -> Alarm:
    return records.read_now(lambda s: records.alarms(s).get(SYSTEM, ident)).alarm


def listed(records: Records, scope: Scope = SYSTEM, **filters: Any) -> list[str]:
    def within(session: Session) -> list[str]:
        return [a.id for a in records.alarms(session).list(scope, **filters)]

    return records.read_now(within)


def off(records: Records, scope: Scope = SYSTEM, **filters: Any) -> list[InactivationRow]:
    return records.read_now(lambda s: list(records.inactivations(s).list(scope, **filters)))


def switch(kind: str, seq: int, subject: str = "p1", what: str = "alarm_paused", **values: Any) -> Transition:
    detail = {"kind": what, "until": NOW + 600 * SECOND, "reason": "dressing"}
    made = {"actor": "usr_1", "at": NOW + seq, "detail": detail if kind == "pause" else {"kind": what}}
    return transition(kind, "", seq, patient=subject, **{**made, **values})


def test_an_alarms_row_follows_its_axes(records: Records) -> None:
    apply(records, transition(detail=axes()))
    row = alarm(records)
    assert (row.signal, row.signal_until, row.accepted_by, row.policy) == ("on", None, None, "ward")
    assert (row.step, row.next_at, row.next_to) == (1, 1_800_000_070 * SECOND, ["usr_2"])
    assert row.since == row.onset
    paused = axes(
        signal="audio_paused", until=NOW + 120 * SECOND, rejected=["usr_2"], root="alm_9", episodes=2
    )
    apply(records, transition("signal", seq=2, detail=paused))
    row = alarm(records)
    assert (row.signal, row.signal_until) == ("audio_paused", NOW + 120 * SECOND)
    assert (row.rejected, row.root, row.episodes) == (["usr_2"], "alm_9", 2)
    apply(records, transition("accept", seq=3, actor="usr_1", detail=axes(owner="usr_1", owned_at=NOW)))
    assert (alarm(records).accepted_by, alarm(records).accepted_at) == ("usr_1", NOW)
    apply(records, transition("release", seq=4, actor="usr_1", detail=axes()))
    assert (alarm(records).accepted_by, alarm(records).accepted_at) == (None, None)


def test_a_step_taken_or_a_note_does_not_change_what_was_told(records: Records) -> None:
    apply(records, transition(detail=axes()))
    for seq, kind in enumerate(("tell", "note", "continue", "undelivered"), 2):
        apply(records, transition(kind, seq=seq, text={"en": "other", "zh": ""}, values={}, detail=axes()))
    row = alarm(records)
    assert (row.text_en, row.values_json, row.last_transition) == (
        "SpO2 84 < 90",
        {"spo2": 84.0},
        "undelivered",
    )


def test_a_latched_alarm_has_ended_and_stays_until_it_is_acknowledged(records: Records) -> None:
    apply(records, transition(detail=axes()))
    apply(records, transition("end", seq=2, condition="latched", at=NOW, detail=axes(next_at=None)))
    row = alarm(records)
    assert (row.condition, row.ended) == ("latched", NOW)
    assert listed(records, open=True) == listed(records, latched=True) == ["alm_0001abcdef"]
    assert listed(records, active=True) == []
    apply(records, transition("reset", seq=3, at=NOW + 99 * SECOND, actor="usr_1", detail=axes()))
    row = alarm(records)
    assert (row.condition, row.ended) == ("inactive", NOW), "it ended when the condition did"
    assert listed(records, open=True) == []


def test_a_new_episode_while_the_old_is_latched_closes_the_old_one(records: Records) -> None:
    apply(records, transition(detail=axes()))
    apply(records, transition("end", seq=2, condition="latched", at=NOW, detail=axes()))
    again = transition("start", "alm_2", seq=3, detail=axes(episodes=1, since=5))
    follows = transition(
        "update", seq=3, condition="inactive", text={"en": "x", "zh": ""}, detail={"succeeded_by": "alm_2"}
    )
    apply(records, again, follows)
    assert (alarm(records).condition, alarm(records).ended) == ("inactive", NOW)
    assert alarm(records).text_en == "SpO2 84 < 90"
    assert (alarm(records, "alm_2").episodes, alarm(records, "alm_2").since) == (1, 5)
    assert listed(records, open=True) == ["alm_2"]


def test_what_a_person_can_ask_the_list_for(records: Records) -> None:
    apply(records, transition("start", "alm_1", patient="p1", at=1, detail=axes()))
    apply(records, transition("start", "alm_2", patient="p2", at=2, detail=axes(owner="usr_1", owned_at=3)))
    apply(records, transition("start", "alm_3", patient="device:d-w1", at=3, detail=axes(root="alm_4")))
    apply(records, transition("start", "alm_4", patient="gateway:gw-w1", at=4, priority="low", detail=axes()))
    apply(records, transition("start", "alm_5", patient="component:wall-w1", at=5, detail=axes()))
    apply(records, transition("start", "alm_6", patient="component:notifier", at=6, detail=axes()))
    assert listed(records, accepted=False) == ["alm_6", "alm_5", "alm_4", "alm_3", "alm_1"]
    assert listed(records, accepted=True) == listed(records, owner="usr_1") == ["alm_2"]
    assert listed(records, ward="w1") == ["alm_5", "alm_4", "alm_3", "alm_1"]
    assert listed(records, ward="w2") == ["alm_2"]
    assert listed(records, Scope("main", frozenset({"w1"}))) == ["alm_6", "alm_5", "alm_4", "alm_3", "alm_1"]
    assert listed(records, equipment=True) == ["alm_6", "alm_5", "alm_4", "alm_3"]
    assert listed(records, equipment=False) == ["alm_2", "alm_1"]
    assert listed(records, top=True, ward="w1") == ["alm_5", "alm_4", "alm_1"]
    assert listed(records, root="alm_4") == ["alm_3"]
    assert listed(records, priority="low") == ["alm_4"]
    assert listed(records, signal="audio_paused") == []
    assert listed(records, kind="technical") == []
    assert listed(records, until=3) == ["alm_2", "alm_1"]


def test_a_long_list_is_read_page_by_page(records: Records) -> None:
    for n in range(7):
        apply(records, transition("start", f"alm_{n}", seq=n + 1, at=n // 3))
    pages, last = [], None
    while page := listed(records, before=last, limit=3):
        pages.append(page)
        last = page[-1]
    assert pages == [["alm_6", "alm_3", "alm_4"], ["alm_5", "alm_0", "alm_1"], ["alm_2"]]
    with pytest.raises(ConfigError, match="before"):
        listed(records, before="alm_77")


def test_an_inactivation_is_a_row_of_its_own_and_no_alarm(records: Records) -> None:
    assert apply(records, switch("pause", 1)) == []
    (row,) = off(records)
    assert (row.subject, row.kind, row.by, row.reason) == ("p1", "alarm_paused", "usr_1", "dressing")
    assert (row.start, row.until, row.ended) == (NOW + 1, NOW + 600 * SECOND, None)
    apply(records, switch("resume", 2, actor="usr_2"))
    assert off(records) == []
    (row,) = off(records, open=None)
    assert (row.ended, row.ended_by, row.replaced_by) == (NOW + 2, "usr_2", None)
    assert records.read_now(lambda s: (s.query(Alarm).count(), s.query(TransitionRow).count())) == (0, 0)


def test_a_new_pause_takes_the_place_of_the_former_and_again_changes_nothing(records: Records) -> None:
    first, second, end = (
        switch("pause", 1),
        switch("pause", 2, actor="usr_2"),
        switch("resume", 3, actor=None),
    )
    for _ in range(2):
        apply(records, first)
        apply(records, second)
    newer, former = off(records, open=None)
    assert (former.ended, former.ended_by, former.replaced_by) == (NOW + 2, "usr_2", newer.id)
    assert newer.ended is None
    apply(records, end)
    apply(records, switch("pause", 4))
    apply(records, first, second)
    apply(records, end)
    assert [(r.start - NOW, r.ended is None) for r in off(records, open=None)] == [
        (4, True),
        (2, False),
        (1, False),
    ]
    assert off(records)[0].by == "usr_1"
    assert off(records, open=False)[0].ended_by is None, "it ran out"


def test_inactivations_by_kind_ward_and_scope(records: Records) -> None:
    apply(records, switch("pause", 1), switch("pause", 1, what="audio_off"))
    apply(records, switch("pause", 2, "device:d-w2", "maintenance"), switch("pause", 2, "p2"))
    assert [r.subject for r in off(records, ward="w1")] == ["p1", "p1"]
    assert {r.subject for r in off(records, ward="w2")} == {"device:d-w2", "p2"}
    assert [r.kind for r in off(records, subject="p1", kind="audio_off")] == ["audio_off"]
    assert [r.subject for r in off(records, equipment=True)] == ["device:d-w2"]
    assert {r.subject for r in off(records, equipment=False)} == {"p1", "p2"}
    assert {r.subject for r in off(records, Scope("main", frozenset({"w1"})))} == {"p1"}
    assert {r.subject for r in off(records, Scope("main", None, "p2"))} == {"p2"}
    assert off(records, Scope.system("other")) == []
    assert len(off(records, since=NOW)) == 4
    hidden = off(records, ward="w2")[0].id
    with pytest.raises(ConfigError, match="no inactivation"):
        records.read_now(lambda s: records.inactivations(s).get(Scope("main", frozenset({"w1"})), hidden))


def test_many_alarms_of_one_moment_are_written_in_a_few_statements(records: Records) -> None:
    many = [transition("start", f"alm_{n}", detail=axes()) for n in range(1100)]
    statements: list[str] = []

    def count(_c: Any, _k: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(records._writer, "before_cursor_execute", count)
    try:
        assert len(apply(records, *many)) == 1100
        first, statements[:] = len(statements), []
        assert apply(records, *many) == []
    finally:
        event.remove(records._writer, "before_cursor_execute", count)
    assert first < 12
    assert not [s for s in statements if s.startswith(("INSERT", "UPDATE"))]
    assert len(listed(records, limit=5000)) == 1100
