"""Why an alarm fired, over real records: its rule then, values and limits, its life, every hop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from cloud_ingest.channels.fake import FakeChannel
from cloud_ingest.notifier import Notifier
from cloud_ingest.records.models import Alarm, Association
from hearthward.core.errors import ConfigError, DeliveryTemporary
from hearthward.core.ids import SeededIds
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope
from rules import Rule, RuleSet, load_rules
from rules.conditions import Change, Missing, Repeat, Threshold, Unusual
from rules.model import Command
from rules.rule import Parameter
from tests.unit.cloud_ingest.asking import Asked, at
from tests.unit.cloud_ingest.ward import reading
from tests.unit.rules.made import make

LOW = make(
    "spo2-low",
    Threshold("spo2", "below", "limit", 1.0),
    delay_s=10.0,
    version=3,
    parameters={"limit": Parameter(90.0, 80.0, 94.0)},
    explanation={"en": "SpO2 {spo2} {limit}", "zh": "血氧 {spo2} {limit}"},
)
NOW = replace(LOW, delay_s=0.0)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    made = await Asked.of(tmp_path / "records.db", LOW)
    yield made
    await made.ward.close()


async def of(path: Path, *rules: Rule) -> Asked:
    return await Asked.of(path / "other.db", *rules)


async def fired(asked: Asked) -> None:
    await asked.measure((0, 95), (5, 88), (10, 86))
    await asked.wait(15.5)


def leaf(found: Any) -> Any:
    assert found.explanation is not None
    return found.explanation.root


async def test_the_rule_as_it_was_the_value_and_the_limit(asked: Asked):
    await fired(asked)
    found = await asked.why()
    assert (found.kind, found.state, found.patient) == ("alarm", "active", "pat_1")
    assert (found.rule.id, found.rule.version, found.rule.hash) == ("spo2-low", 3, LOW.hash)
    assert found.rule.standing == "same"
    assert '"spo2-low"' in found.rule.text
    assert leaf(found).truth
    assert (leaf(found).value, leaf(found).limit) == (86, 90)
    assert leaf(found).found["en"] == "SpO2 86 % is below 90 (at 2026-01-01 00:00:10 UTC, dev_1)"
    assert [(s.metric, s.value, s.time, s.received, s.late) for s in found.seen] == [
        ("spo2", {"en": "86 %", "zh": "86 %"}, at(10), at(10), False)
    ]
    assert "A breach must last 10 s before it is told." in [w["en"] for w in found.rule.words]
    assert "It ends when SpO2 is ≥ 91 % again." in [w["en"] for w in found.rule.words]
    (setting,) = found.settings
    assert (setting.name, setting.default, setting.value, setting.by) == ("limit", 90, 90, None)


async def test_every_hop_has_its_delay(asked: Asked):
    await fired(asked)
    channel = FakeChannel("in_app")
    notifier = Notifier(asked.records, [channel], asked.ward.clock, SeededIds(3), Telemetry())
    asked.ward.clock.advance(0.25)
    await notifier.send_due()
    asked.ward.clock.advance(30)
    (alarm,) = await asked.alarms()
    await asked.ward.pipeline.act(Command(0, 0, "accept", alarm.id, "Nurse Chen", "on my way"))
    found = await asked.why()
    assert [(h.name, h.at, h.delay_ms) for h in found.hops] == [
        ("measured", at(10), None),
        ("received", at(10), 0),
        ("lasted", at(15), 5000),
        ("decided", at(15.5), 500),
        ("notified", at(15.75), 250),
        ("accepted", at(45.75), 30_250),
    ]
    assert found.hops[4].text["en"] == "ward wall: handed over"
    assert "Nurse Chen" in found.hops[5].text["en"]
    assert [(m.kind, m.actor, m.note) for m in found.life] == [
        ("start", None, ""),
        ("accept", "Nurse Chen", "on my way"),
    ]
    assert (found.accepted_by, found.accepted_at) == ("Nurse Chen", at(45.75))


async def test_failed_attempts_are_hops_too(asked: Asked):
    await fired(asked)
    channel = FakeChannel("in_app")
    channel.fail(DeliveryTemporary("busy"))
    notifier = Notifier(asked.records, [channel], asked.ward.clock, SeededIds(3), Telemetry())
    await notifier.send_due()
    asked.ward.clock.advance(60)
    await notifier.send_due()
    told = [h for h in (await asked.why()).hops if h.name == "notified"]
    assert [h.text["en"].partition(" (")[0] for h in told] == [
        "ward wall: failed, to be tried again",
        "ward wall: handed over",
    ]
    assert [h.delay_ms for h in told] == [0, 60_000]


async def test_an_alarm_that_ended_says_so_with_its_whole_life(asked: Asked):
    await fired(asked)
    await asked.measure((60, 80), (130, 79), (140, 96))
    found = await asked.why()
    assert [m.kind for m in found.life] == ["start", "update", "end"]
    assert found.state == "inactive"
    assert found.ended == at(140)
    assert leaf(found).value == 86, "what it rested on when it began"


async def test_who_set_the_limit_when_why_and_until_when(asked: Asked):
    await asked.limit(93, LOW, expires=at(3600))
    await asked.measure((5, 92))
    await asked.wait(20)
    found = await asked.why()
    (s,) = found.settings
    assert (s.value, s.default, s.by, s.start, s.reason, s.expires, s.counts) == (
        93,
        90,
        "Dr Li",
        at(0),
        "COPD",
        at(3600),
        True,
    )
    assert "92 % is below 93" in leaf(found).found["en"]
    assert (
        "limit set by Dr Li on 2026-01-01 00:00:00 UTC until 2026-01-01 01:00:00 UTC"
        in leaf(found).found["en"]
    )
    await asked.wait(7200)
    assert "limit set by Dr Li" in leaf(await asked.why()).found["en"], "also when it has expired since"


async def test_a_rule_changed_since_is_shown_as_it_was(asked: Asked):
    await fired(asked)
    asked.ward.clock.advance(60)
    await asked.release(replace(LOW, version=4, delay_s=30.0), "shadow", "approve", "activate")
    found = await asked.why()
    assert (found.rule.version, found.rule.standing, found.rule.version_now) == (3, "changed", 4)
    assert "A breach must last 10 s before it is told." in [w["en"] for w in found.rule.words]


async def test_an_alarm_of_a_site_s_own_rule_names_who_released_it(tmp_path: Path):
    asked = await of(tmp_path, LOW)
    own = replace(LOW, version=4, delay_s=0.0)
    await asked.release(own, "shadow", "approve", "activate")
    await asked.ward.pipeline.configure(RuleSet((own,)))
    await asked.measure((5, 85))
    found = await asked.why()
    assert found.rule.released_by == {
        "en": "written by Dr Li, approved by Dr Wu, put in force by Dr Wu",
        "zh": "由 Dr Li 编写,Dr Wu 批准,Dr Wu 启用",
    }
    assert found.rule.text == "id: spo2-low # as written"
    await asked.ward.close()


async def test_a_late_reading_is_named_with_both_times(tmp_path: Path):
    asked = await of(tmp_path, NOW)
    await asked.come(reading(10, 84, received=at(200)))
    found = await asked.why()
    assert found.late
    assert found.seen[0].late
    assert found.notes[0]["en"] == (
        "SpO2 84 % was measured 2026-01-01 00:00:10 UTC and received 2026-01-01 00:03:20 UTC"
    )
    assert [(h.name, h.delay_ms) for h in found.hops][:2] == [("measured", None), ("received", 190_000)]
    await asked.ward.close()


async def test_an_entry_of_the_worklist_is_no_alarm(tmp_path: Path):
    asked = await of(tmp_path, NOW)
    await asked.come(reading(10, 84, received=at(11_460)))
    found = await asked.why()
    assert found.kind == "worklist"
    assert leaf(found).truth
    assert "received 2026-01-01 03:11:00 UTC" in found.notes[0]["en"]
    assert found.life[0].text["en"].startswith("put on the worklist: too late to signal")
    await asked.ward.close()


async def test_what_a_rule_on_trial_would_have_signalled_is_marked(tmp_path: Path):
    asked = await of(tmp_path, replace(NOW, shadow=True))
    await asked.measure((5, 84))
    assert (await asked.why()).kind == "trial"
    await asked.ward.close()


BP = make("bp", Repeat(Threshold("nibp_systolic", "at_or_above", 180.0), 60, 600), max_age_s=3600)


async def test_a_second_measurement_asked_for_and_what_came_of_it(tmp_path: Path):
    asked = await of(tmp_path, BP)
    await asked.measure((5, 190), metric="nibp_systolic")
    found = await asked.why()
    assert (found.kind, found.state) == ("asked", "asked")
    assert found.life[0].text["en"].startswith("a second measurement asked for")
    assert found.rule.words[0]["en"] != "A breach is told at once."
    await asked.measure((100, 185), metric="nibp_systolic")
    found = await asked.why()
    assert (found.kind, found.state) == ("alarm", "active")
    assert "the second measurement confirmed it" in found.life[1].text["en"]
    await asked.ward.close()


async def test_what_is_derived_from_the_past_is_derived_again(tmp_path: Path):
    gain = make("gain", Change("body_weight", "rise", 2.0, 3 * 86_400), max_age_s=86_400)
    asked = await of(tmp_path, gain)
    await asked.measure((0, 80), (3600, 81), (7200, 82.5), metric="body_weight")
    found = await asked.why()
    assert leaf(found).truth
    assert leaf(found).found["en"].startswith("body weight rose by 2.5 kg within 3 d, at least by 2")
    assert found.notes == ()
    await asked.ward.close()


async def test_what_was_unusual_is_shown_by_the_terms_that_were_kept(tmp_path: Path):
    rule = make(
        "odd",
        Unusual("spo2", "below", "limit", 0.3),
        Unusual("heart_rate", "above", 0.9, 0.3),
        parameters={"limit": Parameter(0.7, 0.5, 0.9)},
        priority="low",
    )
    asked = await of(tmp_path, rule)
    await asked.measure(*((60 * n, 96 + n % 2) for n in range(40)))
    await asked.measure((2400, 84))
    found = await asked.why()
    odd, other = leaf(found).parts
    assert found.notes == ()
    assert odd.truth
    assert odd.value > 0.7
    assert odd.found["en"].startswith("SpO2 is unusual by ")
    assert "at least 0.7: 84 %, below the range of the last " in odd.found["en"]
    assert "血氧异常程度" in odd.found["zh"]
    assert other.code == "no_reading"
    assert "It ends when SpO2 is unusual by less than 0.3." in [w["en"] for w in found.rule.words]
    await asked.ward.close()


async def test_silence_names_the_last_reading(tmp_path: Path):
    silent = make("silent", Missing("spo2", 60.0))
    asked = await of(tmp_path, silent)
    await asked.measure((5, 95))
    await asked.wait(70)
    found = await asked.why()
    assert leaf(found).found["en"] == (
        "no SpO2 for 1 min (needed: 1 min); the last came at 2026-01-01 00:00:05 UTC"
    )
    await asked.ward.close()


async def test_every_shipped_score_shows_its_points(tmp_path: Path):
    asked = await of(tmp_path, load_rules().by_id["news2-single-three"])
    await asked.measure((0, 95), (5, 88))
    await asked.wait(1000)
    found = await asked.why()
    assert "points: SpO2 3" in leaf(found).found["en"]
    assert "missing: respiratory rate" in leaf(found).found["en"]
    await asked.ward.close()


async def test_an_alarm_of_the_first_release_is_shown_as_far_as_it_was_kept(asked: Asked):
    """Then neither the rule's content nor the detail of a decision was kept."""
    await fired(asked)

    def forget(session: Any) -> None:
        for (name,) in session.execute(
            text(
                "SELECT name FROM sqlite_master WHERE type = 'trigger' "
                "AND tbl_name IN ('rule_versions', 'transitions')"
            )
        ).all():
            session.execute(text(f'DROP TRIGGER "{name}"'))
        session.execute(text("DELETE FROM rule_versions"))
        session.execute(text("UPDATE transitions SET detail = '{}'"))

    await asked.records.run(forget)
    found = await asked.why()
    assert found.explanation is None
    assert "was not kept" in found.notes[0]["en"]
    assert (found.rule.version, found.rule.standing, found.limit) == (None, "gone", "< 90")
    assert [h.name for h in found.hops][:2] == ["measured", "received"]


async def test_it_is_asked_within_a_scope(asked: Asked):
    await fired(asked)
    (alarm,) = await asked.alarms()
    for scope in (Scope("main", patient="pat_2"), Scope("main", wards=frozenset({"none"})), Scope("other")):
        with pytest.raises(ConfigError) as caught:
            await asked.desk.why(scope, alarm.id)
        assert caught.value.details["reason"] == "not_found"
    assert (await asked.desk.why(Scope("main", patient="pat_1"), alarm.id)).id == alarm.id


async def test_asking_changes_nothing(asked: Asked):
    await fired(asked)
    before = asked.ward.pipeline.state.digest()
    seq = asked.ward.pipeline.seq
    await asyncio.gather(asked.why(), asked.why_not(12))
    assert asked.ward.pipeline.state.digest() == before
    assert asked.ward.pipeline.seq == seq
    assert len(await asked.ward.rows(Alarm)) == 1
    assert len(await asked.ward.rows(Association)) == 2
