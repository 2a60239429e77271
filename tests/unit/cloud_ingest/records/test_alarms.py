from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from cloud_ingest.records import Records, apply_transitions
from cloud_ingest.records.alarms import AlarmHistory
from cloud_ingest.records.models import Alarm, TransitionRow
from cloud_ingest.records.rule_versions import keep_versions
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Scope
from rules import Transition
from tests.unit.cloud_ingest.made import SECOND, axes, made_rule, transition

SYSTEM = Scope.system("main")
NOW = 1_800_000_020 * SECOND

pytestmark = pytest.mark.usefixtures("furnished")


def apply(records: Records, *transitions: Transition) -> list[str]:
    return [a.id for a in records.run_now(lambda s: apply_transitions(s, "main", transitions, NOW))]


def listed(records: Records, scope: Scope = SYSTEM, **filters: Any) -> list[str]:
    def within(session: Session) -> list[str]:
        return [a.id for a in records.alarms(session).list(scope, **filters)]

    return records.read_now(within)


def history(records: Records, alarm: str, scope: Scope = SYSTEM) -> AlarmHistory:
    return records.read_now(lambda s: records.alarms(s).get(scope, alarm))


def test_an_alarms_life(records: Records) -> None:
    start = transition("start", seq=1)
    assert apply(records, start) == [start.alarm]
    alarm = history(records, start.alarm).alarm
    assert (alarm.condition, alarm.priority, alarm.patient) == ("active", "high", "p1")
    assert (alarm.onset, alarm.started, alarm.ended) == (start.onset, start.at, None)
    assert (alarm.text_en, alarm.text_zh) == ("SpO2 84 < 90", "血氧 84 < 90")
    assert (alarm.limit_text, alarm.values_json) == ("< 90", {"spo2": 84.0})

    worse = transition("update", seq=2, values={"spo2": 79.0}, text={"en": "SpO2 79 < 90", "zh": "79"})
    apply(records, worse)
    taken = axes(owner="usr_1", owned_at=start.at + 5, next_at=None, next_to=[])
    apply(records, transition("accept", seq=3, actor="usr_1", text={}, detail=taken))
    accepted = history(records, start.alarm).alarm
    assert (accepted.accepted_by, accepted.accepted_at) == ("usr_1", start.at + 5)
    assert accepted.text_en == "SpO2 79 < 90"

    end = transition("end", seq=4, at=start.at + 60 * SECOND, text={"en": "SpO2 96 again", "zh": "恢复"})
    apply(records, end)
    whole = history(records, start.alarm)
    assert (whole.alarm.condition, whole.alarm.ended) == ("inactive", end.at)
    assert whole.alarm.text_en == "SpO2 79 < 90", "an ended alarm still says what it was"
    assert [t.kind for t in whole.transitions] == ["start", "update", "accept", "end"]
    assert whole.transitions[-1].text_en == "SpO2 96 again"
    assert whole.transitions[0].inputs == list(start.inputs)
    assert {t.recorded for t in whole.transitions} == {NOW}


def test_applying_again_changes_nothing(records: Records) -> None:
    step = [
        transition("start", seq=5),
        transition("escalate", seq=5, priority="high"),
        transition("end", seq=5),
    ]
    assert apply(records, *step) == [step[0].alarm]
    before = history(records, step[0].alarm)
    assert apply(records, *step) == []
    after = history(records, step[0].alarm)
    assert [(t.seq, t.ordinal, t.kind) for t in after.transitions] == [
        (5, 0, "start"),
        (5, 1, "escalate"),
        (5, 2, "end"),
    ]
    assert after.alarm.ended == before.alarm.ended


def test_an_alarm_adopted_in_the_middle_is_kept(records: Records) -> None:
    apply(records, transition("continue", seq=9))
    alarm = history(records, "alm_0001abcdef").alarm
    assert (alarm.condition, alarm.text_en) == ("active", "SpO2 84 < 90")


def test_what_came_too_late_goes_to_the_worklist_and_never_rings(records: Records) -> None:
    apply(records, transition("late", condition="active", late=True))
    alarm = history(records, "alm_0001abcdef").alarm
    assert (alarm.worklist, alarm.condition, alarm.late) == (True, "inactive", True)
    assert listed(records, active=True) == []
    assert listed(records, worklist=True) == ["alm_0001abcdef"]


def test_filters_and_scopes(records: Records) -> None:
    apply(records, transition("start", "alm_1", patient="p1", at=1))
    apply(records, transition("start", "alm_2", patient="p2", at=2, rule="hr-high"))
    apply(
        records,
        transition("start", "alm_3", patient="p3", at=3),
        transition("end", "alm_3", patient="p3", at=9),
    )
    assert listed(records) == ["alm_3", "alm_2", "alm_1"]
    assert listed(records, active=True) == ["alm_2", "alm_1"]
    assert listed(records, active=False) == ["alm_3"]
    assert listed(records, ward="w2") == ["alm_2"]
    assert listed(records, patient="p3") == ["alm_3"]
    assert listed(records, rule="hr-high") == ["alm_2"]
    assert listed(records, since=3) == ["alm_3"]
    assert listed(records, limit=1) == ["alm_3"]
    assert listed(records, Scope("main", frozenset({"w1"}))) == ["alm_1"]
    assert listed(records, Scope("main", None, "p2")) == ["alm_2"]
    assert listed(records, Scope("main", frozenset())) == []
    assert listed(records, Scope.system("other")) == []
    for scope in (Scope("main", frozenset({"w1"})), Scope("main", None, "p1"), Scope.system("other")):
        with pytest.raises(ConfigError, match="no alarm"):
            history(records, "alm_2", scope)


@pytest.mark.parametrize("statement", ["UPDATE transitions SET kind = 'end'", "DELETE FROM transitions"])
def test_history_cannot_be_rewritten(records: Records, statement: str) -> None:
    apply(records, transition())
    with pytest.raises(IntegrityError, match="append-only"):
        records.run_now(lambda session: session.execute(text(statement)))


def test_nothing_is_half_written(records: Records) -> None:
    bad = transition("update", seq=2, priority="purple")
    with pytest.raises(IntegrityError):
        apply(records, transition(seq=2), bad)
    counts = records.read_now(lambda s: (s.query(Alarm).count(), s.query(TransitionRow).count()))
    assert counts == (0, 0)


def test_a_second_measurement_is_asked_for_and_then_it_starts_under_the_same_id(records: Records) -> None:
    ask = transition("ask", seq=1, condition="asked", at=100)
    apply(records, ask)
    alarm = history(records, ask.alarm).alarm
    assert (alarm.condition, alarm.signalled, alarm.ended) == ("asked", False, None)
    assert listed(records) == listed(records, active=True) == []
    assert listed(records, asked=True) == [ask.alarm]
    apply(records, transition("start", seq=2, at=200, detail={"why": "confirmed"}))
    whole = history(records, ask.alarm)
    assert (whole.alarm.condition, whole.alarm.signalled, whole.alarm.started) == ("active", True, 200)
    assert [t.kind for t in whole.transitions] == ["ask", "start"]
    assert whole.transitions[1].detail == {"why": "confirmed"}
    assert listed(records) == listed(records, active=True) == [ask.alarm]
    assert listed(records, asked=True) == []


def test_what_was_only_asked_for_and_then_was_well_is_no_alarm(records: Records) -> None:
    apply(records, transition("ask", seq=1, condition="asked"), transition("end", seq=1, at=300))
    alarm = history(records, "alm_0001abcdef").alarm
    assert (alarm.condition, alarm.signalled, alarm.ended) == ("inactive", False, 300)
    assert listed(records) == listed(records, active=False) == listed(records, asked=True) == []


def test_what_a_rule_on_trial_decides_is_kept_apart(records: Records) -> None:
    apply(records, transition("start", "alm_real"))
    apply(records, transition("start", "alm_trial", rule="spo2-low@shadow", shadow=True))
    assert listed(records) == listed(records, active=True) == listed(records, rule="spo2-low") == ["alm_real"]
    assert listed(records, shadow=True) == ["alm_trial"]
    trial = history(records, "alm_trial")
    assert (trial.alarm.rule, trial.alarm.shadow, trial.transitions[0].shadow) == ("spo2-low", True, True)


def test_an_alarm_says_what_its_rule_says_of_kind_audience_and_latching(records: Records) -> None:
    rule = made_rule(kind="technical", audience=("engineer",), latching=True)
    records.run_now(lambda s: keep_versions(s, "main", [rule], NOW))
    apply(records, transition("start", "alm_1", rule_hash=rule.hash))
    alarm = history(records, "alm_1").alarm
    assert (alarm.kind, alarm.audience, alarm.latching) == ("technical", ["engineer"], True)


def test_a_ward_sees_the_alarms_of_its_own_gateways_and_devices(records: Records) -> None:
    for n, subject in enumerate(("gateway:gw-w1", "gateway:gw-w2", "device:d-w1", "component:broker")):
        apply(records, transition("start", f"alm_{n}", patient=subject, at=n))
    assert listed(records) == ["alm_3", "alm_2", "alm_1", "alm_0"]
    own = listed(records, Scope("main", frozenset({"w1"})))
    assert own == ["alm_3", "alm_2", "alm_0"], "the broker is the whole house's"
    assert listed(records, Scope("main", None, "p1")) == []
