"""Decisions of gateways, from a frame to the records: one alarm whatever it is called, nothing silent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from cloud_ingest.life_words import happened
from cloud_ingest.records.edge_alarms import alarm_named
from cloud_ingest.records.models import (
    Alarm,
    Association,
    DeadLetter,
    Device,
    EdgeAlarm,
    JournalRow,
    Notification,
    TransitionRow,
)
from cloud_ingest.records.rule_versions import rule_version
from cloud_ingest.why import Case, Why, why
from cloud_ingest.why_desk import WhyDesk
from firmware_profiles import load_catalog
from hearthward.core.errors import ConfigError
from hearthward.core.wire import Block, encode_decisions
from hearthward.trust.access import Scope
from rules import RuleSet
from rules.conditions import Deviation, Threshold, Unusual
from rules.detectors.baseline import Prior, Terms
from rules.model import Command
from rules.travelling import Travelling
from tests.unit.cloud_ingest.ward import SCOPE, T0, Ward, block, enrol, frame, reading, rule
from tests.unit.rules.made import make

RULE = rule()


def ns(seconds: float) -> int:
    return T0 + round(seconds * 1e9)


def word(kind: str, at: float, alarm: str = "alm_edge", **more: Any) -> Travelling:
    """A gateway's decision about patient pat_1 by the rule that is in force."""
    value = 97.0 if kind in {"end", "reset"} else 84.0
    seen = {"metric": "spo2", "device": "dev_1", "time": ns(at), "value": value, "received": ns(at)}
    made: dict[str, Any] = {
        "alarm": alarm,
        "subject": "pat_1",
        "rule": RULE.id,
        "rule_hash": RULE.hash,
        "condition": "inactive" if kind in {"end", "reset"} else "active",
        "priority": "high",
        "onset": ns(10),
        "decided": ns(at),
        "told": True,
        "values": {"spo2": value},
        "text": {"en": f"SpO2 {value:g}", "zh": f"血氧 {value:g}"},
        "inputs": (seen,),
    }
    return Travelling(kind=kind, at=ns(at), **{**made, **more})


def decided(first: int, *words: Travelling) -> Block:
    return Block(first, len(words), encode_decisions([w.encode() for w in words]))


@pytest.fixture
async def ward(tmp_path: Any) -> AsyncIterator[Ward]:
    found = Ward(tmp_path / "records.db")
    enrol(found.records, "gw-2", ["dev_3"])
    await found.start()
    yield found
    await found.close()


async def alarms(ward: Ward) -> list[Alarm]:
    return sorted(await ward.rows(Alarm), key=lambda a: (a.started, a.id))


async def letters(ward: Ward) -> list[str]:
    return [d.reason for d in await ward.rows(DeadLetter)]


def kinds(rows: Sequence[TransitionRow]) -> list[str]:
    return [t.kind for t in sorted(rows, key=lambda t: (t.seq, t.ordinal))]


async def test_what_a_gateway_began_is_an_alarm_here_under_its_name(ward: Ward) -> None:
    ward.clock.follow(ns(12))
    await ward.take(frame(decided(1, word("start", 10)), at=12))
    (alarm,) = await alarms(ward)
    assert (alarm.id, alarm.condition, alarm.onset) == ("alm_edge", "active", ns(10))
    (known,) = await ward.rows(EdgeAlarm)
    assert (known.alarm, known.gateway, known.told, known.ended) == ("alm_edge", "gw-1", True, None)
    assert await ward.rows(Notification), "people are told here, too"
    await ward.take(frame(block(2, reading(10, 84.0)), at=13))
    assert len(await alarms(ward)) == 1, "the reading that it rests on makes no second one"
    await ward.take(frame(decided(3, word("end", 20)), block(4, reading(20)), at=20))
    (alarm,) = await alarms(ward)
    assert (alarm.condition, alarm.ended) == ("inactive", ns(20))
    assert len(ward.receipts()) == 3


async def test_the_gateways_name_of_our_alarm_is_another_name_of_it(ward: Ward) -> None:
    await ward.take(frame(block(1, reading(10, 84.0)), at=10))
    (ours,) = await alarms(ward)
    await ward.take(frame(decided(2, word("start", 10)), at=11))
    assert [a.id for a in await alarms(ward)] == [ours.id]
    assert await ward.records.read(lambda s: alarm_named(s, "main", "alm_edge")) == ours.id
    await ward.pipeline.act(Command(0, 0, "accept", "alm_edge", "usr_1"))
    assert (await alarms(ward))[0].accepted_by == "usr_1"
    before = await ward.rows(JournalRow)
    await ward.take(frame(decided(3, word("start", 10)), at=12))
    assert len(await ward.rows(JournalRow)) == len(before), "the same again is no input"
    await ward.restart()
    await ward.take(frame(decided(4, word("start", 10)), at=13))
    assert len(await ward.rows(JournalRow)) == len(before), "after a restart neither"


async def test_told_there_and_over_is_to_be_looked_at_and_makes_no_sound(ward: Ward) -> None:
    ward.clock.follow(ns(3600))
    await ward.take(frame(decided(1, word("start", 10), word("end", 20)), at=3600))
    (alarm,) = await alarms(ward)
    assert (alarm.worklist, alarm.signalled, alarm.condition) == (True, False, "inactive")
    assert (alarm.started, alarm.ended) == (ns(10), ns(20))
    assert await ward.rows(Notification) == []
    await ward.take(frame(block(3, reading(10, 84.0), reading(20)), block(5, reading(30)), at=3600))
    assert len(await alarms(ward)) == 1, "its readings make neither an alarm nor another entry"
    await ward.take(frame(block(6, reading(3601, 84.0)), at=3602))
    (now,) = [a for a in await alarms(ward) if a.condition == "active"]
    assert now.id != alarm.id, "the next breach is a new alarm"


async def test_told_nowhere_it_signals_late(ward: Ward) -> None:
    ward.clock.follow(ns(600))
    silent = [word("start", 10, told=False), word("end", 20, told=False)]
    await ward.take(frame(decided(1, *silent), at=600))
    (alarm,) = await alarms(ward)
    assert (alarm.worklist, alarm.signalled, alarm.late, alarm.ended) == (False, True, True, ns(20))
    assert kinds(await ward.rows(TransitionRow)) == ["start", "end"]
    assert await ward.rows(Notification)


async def test_readings_before_the_decision_make_the_same_one_entry(ward: Ward) -> None:
    ward.clock.follow(ns(4000))
    await ward.take(frame(block(9, reading(4000)), at=4000))
    await ward.take(frame(block(3, reading(10, 84.0)), at=4000))
    (entry,) = await alarms(ward)
    assert entry.worklist
    await ward.take(frame(decided(1, word("start", 10), word("end", 20)), at=4000))
    assert [a.id for a in await alarms(ward)] == [entry.id]
    assert await ward.records.read(lambda s: alarm_named(s, "main", "alm_edge")) == entry.id


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rule": "no-such-rule"}, "unknown_rule"),
        ({"subject": "pat_3"}, "not_its_patient"),
        ({"subject": "gateway:gw-2"}, "not_its_patient"),
        ({"subject": "device:dev_9"}, "not_its_patient"),
        ({"subject": "component:ingest"}, "not_its_patient"),
        ({"onset": ns(-4000), "at": ns(-4000)}, "not_its_patient"),
        ({"kind": "accept"}, "malformed"),
    ],
)
async def test_what_is_not_a_gateways_to_say_is_a_dead_letter_with_a_receipt(
    ward: Ward, changes: dict[str, Any], reason: str
) -> None:
    await ward.take(
        frame(decided(1, replace(word("start", 10), **changes), word("start", 11, "good")), at=12)
    )
    assert await letters(ward) == [reason]
    assert [a.id for a in await alarms(ward)] == ["good"]
    assert len(ward.receipts()) == 1
    (letter,) = await ward.rows(DeadLetter)
    assert (letter.gateway, letter.boot) == ("gw-1", "boot-1")


async def test_garbage_in_a_block_of_decisions_is_a_dead_letter(ward: Ward) -> None:
    good = word("start", 10).encode()
    await ward.take(frame(Block(1, 2, encode_decisions([good, b"\xc1"])), at=12))
    assert await letters(ward) == ["malformed"]
    assert [a.id for a in await alarms(ward)] == ["alm_edge"]
    await ward.take(frame(Block(3, 9, encode_decisions([good])), at=12))
    assert await letters(ward) == ["malformed", "malformed"]


async def test_an_alarm_of_a_device_that_was_taken_off_meanwhile_is_over(ward: Ward) -> None:
    def taken_off(session: Any) -> None:
        session.query(Association).filter_by(patient="pat_1").update({"end": ns(15)})

    await ward.records.run(taken_off)
    await ward.pipeline.reload_attribution()
    ward.clock.follow(ns(30))
    await ward.take(frame(decided(1, word("start", 10)), at=30))
    (alarm,) = await alarms(ward)
    assert (alarm.condition, alarm.worklist, alarm.ended) == ("inactive", True, ns(15))


async def test_a_failure_of_the_rules_on_a_decision_stops_nothing_else(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rules.adoption import Adoption

    real = Adoption.adopt

    def adopt(self: Adoption, event: Any, subject: Any) -> None:
        if event.alarm == "bad":
            subject.clock = 77
            raise ZeroDivisionError
        real(self, event, subject)

    monkeypatch.setattr(Adoption, "adopt", adopt)
    words = decided(1, word("start", 10, "bad"), word("start", 10, "good"))
    await ward.take(frame(words, block(3, reading(11, 84.0, "dev_2")), at=12))
    assert await letters(ward) == ["undecided"]
    assert {a.id for a in await alarms(ward)} >= {"good"}
    assert len(ward.receipts()) == 1


async def test_what_was_adopted_is_there_after_a_kill(ward: Ward) -> None:
    await ward.take(frame(decided(1, word("start", 10)), block(2, reading(12, 84.0)), at=12))
    before = ward.pipeline.state.to_bytes()
    await ward.restart()
    assert ward.pipeline.state.to_bytes() == before
    await ward.take(frame(decided(3, word("end", 20)), at=20))
    assert [a.condition for a in await alarms(ward)] == ["inactive"]


async def test_people_read_where_an_alarm_was_first_told(ward: Ward) -> None:
    await ward.take(frame(decided(1, word("start", 10)), at=12))
    history = await ward.records.read(lambda s: ward.records.alarms(s).get(SCOPE, "alm_edge"))
    assert [(e.id, e.gateway) for e in history.edges] == [("alm_edge", "gw-1")]
    version = await ward.records.read(lambda s: rule_version(s, "main", history.alarm.rule_hash))
    found = why(Case(history, version))
    (note,) = found.notes
    assert note["en"].startswith("First told at the gateway gw-1 at ")
    assert "网关 gw-1" in note["zh"]
    (line,) = found.life
    assert "opened by a gateway's own rules" in line.text["en"]
    assert "(gateway gw-1)" in line.text["en"]
    there = await ward.records.read(lambda s: ward.records.alarms(s).opened_there(SCOPE, ["alm_edge", "x"]))
    assert there == {"alm_edge": "gw-1"}


ODD = make("spo2-low", Unusual("spo2", "below", 0.7, 0.3), priority="low")
OWN = make(
    "spo2-low",
    Deviation("spo2", "below", 3.0, 86_400, 0, 1.0, "spreads", Prior(96.0, 1.0, 3.0)),
    max_age_s=900,
)
TOLD = {
    "score": 0.93,
    "device": "dev_1",
    "value": 84.0,
    "known_s": 7200.0,
    "parts": [["range", "below", 3.0, 0.8, 84.0, 95.0], ["short", "below", 2.5, 0.2, 88.0, 96.0]],
}


async def explained(ward: Ward) -> Why:
    desk = WhyDesk(ward.records, ward.store, "main", load_catalog())
    return await desk.why(SCOPE, "alm_edge")


@pytest.mark.parametrize(
    ("terms", "note", "counter"),
    [
        (None, "its build sends no terms of what was unusual", "decisions_without_terms_total"),
        (
            {"unusual": {"spo2": {"score": "high"}}},
            "the terms that it sent with its decision could not be read",
            "decision_terms_unreadable_total",
        ),
    ],
)
async def test_that_a_gateway_tells_no_terms_is_said_plainly(
    ward: Ward, terms: dict[str, Any] | None, note: str, counter: str
) -> None:
    await ward.pipeline.configure(RuleSet((ODD,)))
    await ward.take(frame(decided(1, word("start", 10, rule_hash=ODD.hash, terms=terms)), at=12))
    found = await explained(ward)
    assert [note in n["en"] for n in found.notes].count(True) == 1
    assert any("网关 gw-1" in n["zh"] and "依据" in n["zh"] for n in found.notes)
    assert found.explanation is None, "nothing is said of it that is not known"
    assert found.text["en"] == "SpO2 84"
    assert ward.telemetry.value(counter) == 1


async def test_that_nothing_was_unusual_is_not_taken_for_terms_that_did_not_come(ward: Ward) -> None:
    either = make("spo2-low", Threshold("spo2", "below", 85.0), ODD.condition, priority="low")
    await ward.pipeline.configure(RuleSet((either,)))
    await ward.take(frame(decided(1, word("start", 10, rule_hash=either.hash, terms={})), at=12))
    found = await explained(ward)
    assert not any("terms" in n["en"] for n in found.notes)
    assert found.explanation is not None
    assert found.explanation.opens, "it was too low, and that is said"


async def test_the_terms_of_a_gateways_decision_are_shown_as_our_own_are(ward: Ward) -> None:
    await ward.pipeline.configure(RuleSet((ODD,)))
    sent = word("start", 10, rule_hash=ODD.hash, terms={"unusual": {"spo2": TOLD}})
    await ward.take(frame(decided(1, sent), at=12))
    found = await explained(ward)
    assert found.explanation is not None
    shown = found.explanation.root.found
    assert "84 %, below the range of the last 2 h (down to 95 %) (80 %); mean of 5 min 88 %" in shown["en"]
    assert "血氧异常程度 0.93" in shown["zh"]
    assert [n["en"] for n in found.notes if "terms" in n["en"]] == []
    ward.rules = RuleSet((ODD,))
    await ward.restart()
    assert (await explained(ward)).explanation == found.explanation


@pytest.mark.parametrize("kind", ["worklist", "alarm"])
async def test_what_began_and_ended_there_is_explained_as_well(ward: Ward, kind: str) -> None:
    await ward.pipeline.configure(RuleSet((ODD,)))
    ward.clock.follow(ns(600))
    start, end = (
        word(k, at, rule_hash=ODD.hash, told=kind == "worklist", terms=terms)
        for k, at, terms in (("start", 10, {"unusual": {"spo2": TOLD}}), ("end", 300, {}))
    )
    await ward.take(frame(decided(1, start, end), at=600))
    found = await explained(ward)
    assert found.kind == kind
    assert found.explanation is not None
    assert found.explanation.opens
    assert "84 %, below the range of the last 2 h" in found.explanation.root.found["en"]


async def test_what_lay_off_the_patients_own_baseline_there_is_told_by_that_baseline(ward: Ward) -> None:
    await ward.pipeline.configure(RuleSet((OWN,)))
    off = Terms(84.0, 95.0, 1.0, 2.0, -6.0, 0.5, 0.1, 1.0, 4.0).content()
    sent = word("start", 10, rule_hash=OWN.hash, terms={"baseline": off})
    await ward.take(frame(decided(1, sent), at=12))
    found = await explained(ward)
    assert found.explanation is not None
    assert found.explanation.opens
    shown = found.explanation.root.found["en"]
    assert "lies \N{MINUS SIGN}6 usual spreads from what is expected" in shown
    assert "usual level 95, this hour +1, usual spread 2" in shown
    assert "1 of 4 measurements missed" in shown


async def test_a_link_with_the_gateways_name_leads_to_the_alarm_for_ever(ward: Ward) -> None:
    await ward.take(frame(block(1, reading(10, 84.0)), at=10))
    (ours,) = await alarms(ward)
    await ward.take(frame(decided(2, word("start", 10)), at=11))
    await ward.take(frame(decided(3, word("end", 20)), block(4, reading(20)), at=20))
    history = await ward.records.read(lambda s: ward.records.alarms(s).get(SCOPE, "alm_edge"))
    assert (history.alarm.id, history.alarm.condition) == (ours.id, "inactive")
    assert [(e.id, e.ended) for e in history.edges] == [("alm_edge", ns(20))]
    assert "the gateway's alarm is the same one" in happened(history.transitions[1], {})["en"]
    elsewhere = Scope("main", frozenset({"no-such-ward"}))
    with pytest.raises(ConfigError):
        await ward.records.read(lambda s: ward.records.alarms(s).get(elsewhere, "alm_edge"))


async def test_what_was_refused_can_be_let_in_later(ward: Ward) -> None:
    await ward.take(frame(decided(1, replace(word("start", 10), subject="pat_3")), at=12))
    assert await letters(ward) == ["not_its_patient"]
    (letter,) = await ward.rows(DeadLetter)
    again = await ward.pipeline.replayer.replay(letter.id, "usr_1")
    assert again is not None
    assert (again.state, await letters(ward)) == ("refused", ["not_its_patient"])

    def moved(session: Any) -> None:
        session.query(Device).filter_by(id="dev_3").update({"gateway": "gw-1"})

    await ward.records.run(moved)
    await ward.pipeline.reload_attribution()
    tried = await ward.pipeline.replayer.replay(letter.id, "usr_1", dry_run=True)
    assert tried is not None
    assert tried.outcome == "judged=1"
    done = await ward.pipeline.replayer.replay(letter.id, "usr_1")
    assert done is not None
    assert (done.state, done.outcome) == ("replayed", "judged=1")
    assert [(a.id, a.patient) for a in await alarms(ward)] == [("alm_edge", "pat_3")]
