"""Why a rule did not fire, over real records and readings: each reason; it agrees with what was decided."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.records.directory import Directory
from cloud_ingest.records.limits import Limits, Orders
from cloud_ingest.records.models import Alarm
from hearthward.core.clock import SECOND
from hearthward.core.errors import ConfigError
from hearthward.core.model import Quality
from hearthward.trust.access import Scope
from rules import Rule, load_rules
from rules.conditions import Repeat, Smoothing, Threshold
from rules.rule import Parameter
from tests.unit.cloud_ingest.asking import DOCTOR, Asked, at
from tests.unit.cloud_ingest.ward import SCOPE, block, live, reading
from tests.unit.rules.made import make

LOW = make(
    "spo2-low",
    Threshold("spo2", "below", "limit", 1.0),
    delay_s=10.0,
    parameters={"limit": Parameter(90.0, 80.0, 94.0)},
)
NOW = replace(LOW, delay_s=0.0)
BP = make("bp", Repeat(Threshold("nibp_systolic", "at_or_above", 180.0), 60, 600), max_age_s=3600)
SHIPPED = load_rules().by_id


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    made = await Asked.of(tmp_path / "records.db", LOW)
    yield made
    await made.ward.close()


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Any]:
    made: list[Asked] = []

    async def of(*rules: Rule) -> Asked:
        made.append(await Asked.of(tmp_path / f"records-{len(made)}.db", *rules))
        return made[-1]

    yield of
    for asked in made:
        await asked.ward.close()


async def write(asked: Asked, act: Any) -> Any:
    now, ids = asked.ward.clock.now_ns(), asked.records.ids
    return await asked.records.run(lambda s: act(Directory(s, now=now, ids=ids)))


# -- what the records say


async def test_it_did_fire(asked: Asked):
    await asked.measure((5, 84), (10, 85))
    await asked.wait(16)
    found = await asked.why_not(16)
    (alarm,) = await asked.alarms()
    assert (found.outcome, found.alarm) == ("fired", alarm.id)
    assert found.text["en"] == f"it did fire: alarm {alarm.id} began at 2026-01-01 00:00:15 UTC"


async def test_it_was_active_already(asked: Asked):
    await asked.measure((5, 84), (10, 85), (100, 85))
    await asked.wait(200)
    found = await asked.why_not(190)
    assert found.outcome == "active"
    assert "it was active already: alarm" in found.text["en"]


async def test_its_delay_was_not_over(asked: Asked):
    await asked.measure((5, 84), (10, 85))
    await asked.wait(16)
    found = await asked.why_not(12)
    assert found.outcome == "pending"
    assert (
        "had not lasted the rule's delay of 10 s yet; it fired at 2026-01-01 00:00:15 UTC" in found.text["en"]
    )


async def test_shortly_after_it_did_fire(asked: Asked):
    await asked.measure((5, 95), (30, 84), (35, 84))
    await asked.wait(50)
    found = await asked.why_not(20)
    assert [r.code for r in found.reasons] == ["not_met", "soon"]
    assert found.reasons[1].alarm is not None


async def test_told_late_as_the_readings_were_on_their_way(build: Any):
    asked = await build(NOW)
    await asked.come(reading(10, 84), ingested=900)
    found = await asked.why_not(12)
    assert found.outcome == "fired"
    assert found.text["en"].endswith("it was told only at 2026-01-01 00:15:00 UTC")


async def test_still_waiting_for_the_second_measurement(build: Any):
    asked = await build(BP)
    await asked.measure((5, 190), metric="nibp_systolic")
    found = await asked.why_not(5, "bp")
    assert found.outcome == "asked"
    assert (
        "asked for at 2026-01-01 00:00:05 UTC and still waited for; none has come so far" in found.text["en"]
    )
    await asked.measure((100, 140), metric="nibp_systolic")
    assert "the second measurement did not confirm it" in (await asked.why_not(50, "bp")).text["en"]
    found = await asked.why_not(100.5, "bp")
    assert [r.code for r in found.reasons][:1] == ["refuted"], found.reasons
    assert "the second one at 2026-01-01 00:01:40 UTC did not confirm it" in found.text["en"]


async def test_only_on_trial(build: Any):
    asked = await build(NOW)
    trial = replace(NOW, id="own", version=2)
    await asked.release(trial, "shadow")
    found = await asked.why_not(0, "own")
    assert (found.outcome, [r.code for r in found.reasons]) == ("trial", ["trial"])


# -- whether it is meant for the patient


async def test_an_unknown_rule_patient_and_time(asked: Asked):
    for patient, rule, when, field in (
        ("pat_1", "nope", 0, "rule"),
        ("pat_9", "spo2-low", 0, "patient"),
        ("pat_1", "spo2-low", 9000, "at"),
    ):
        with pytest.raises(ConfigError) as caught:
            await asked.desk.why_not(SCOPE, patient, rule, at(when))
        assert caught.value.details["field"] == field


async def test_a_scope_covers_its_own_patients(asked: Asked):
    with pytest.raises(ConfigError) as caught:
        await asked.desk.why_not(Scope("main", patient="pat_2"), "pat_1", "spo2-low", at(0))
    assert caught.value.details["reason"] == "not_found"


async def test_a_draft_and_a_rule_that_was_not_in_force_yet(asked: Asked):
    await asked.release(replace(LOW, id="own"))
    found = await asked.why_not(0, "own")
    assert found.text["en"] == "the rule is a draft: it was never decided by"
    found = await asked.why_not(-60)
    assert "not in force then; it is here since 2026-01-01 00:00:00 UTC" in found.text["en"]
    assert found.explanation is None


async def test_another_setting_too_young_pregnant(build: Any):
    home = make("home-rule", Threshold("spo2", "below", 90.0), setting="home")
    adult = make("adult-rule", Threshold("spo2", "below", 90.0), adults=True)
    asked = await build(home, adult)

    def admit(d: Directory) -> None:
        ward = d.wards.create(SCOPE, name="A")
        bed = d.beds.create(SCOPE, ward=ward.id, label="1")
        d.encounters.create(SCOPE, patient="pat_1", kind="ward", bed=bed.id)
        d.patients.change(SCOPE, "pat_1", birth_date="2020-01-01")
        d.patients.change(SCOPE, "pat_2", birth_date="1990-01-01", pregnant=True)

    await write(asked, admit)
    await asked.wait(1)
    found = await asked.why_not(1, "home-rule")
    assert found.text["en"] == "the rule is for patients at home; this one was on a ward"
    assert [r.code for r in (await asked.why_not(1, "adult-rule")).reasons] == ["age"]
    assert [r.code for r in (await asked.why_not(1, "adult-rule", "pat_2")).reasons] == ["pregnant"]


async def test_a_rule_about_gateways(build: Any):
    asked = await build(SHIPPED["gateway-silent"])
    assert [r.code for r in (await asked.why_not(0, "gateway-silent")).reasons] == ["subject"]


# -- the predicate


async def test_the_value_is_not_beyond_the_limit_that_somebody_set(asked: Asked):
    await asked.limit(86, LOW, expires=at(3600))
    await asked.measure((5, 88))
    found = await asked.why_not(6)
    assert found.outcome == "blocked"
    assert "SpO2 88 % is not below 86" in found.text["en"]
    assert "limit set by Dr Li on 2026-01-01 00:00:00 UTC until 2026-01-01 01:00:00 UTC" in found.text["en"]


async def test_a_limit_that_has_been_ended_since_counts_for_the_time_when_it_held(asked: Asked):
    limit = await asked.limit(86, LOW)
    await asked.measure((5, 88))
    await asked.wait(60)
    now, ids = asked.ward.clock.now_ns(), asked.records.ids
    await asked.records.run(
        lambda s: Limits(s, now=now, ids=ids).end(SCOPE, "pat_1", limit, reason="better", who=DOCTOR)
    )
    await asked.wait(120)
    assert "is not below 86" in (await asked.why_not(6)).text["en"]
    assert "Dr Li" not in (await asked.why_not(100)).text["en"]


async def test_the_smoothed_value_and_too_few_values(build: Any):
    rule = make(
        "map", Threshold("ibp_mean", "below", 65.0, smoothing=Smoothing("mean", 300, 2)), max_age_s=600
    )
    asked = await build(rule)
    await asked.measure((0, 60), metric="ibp_mean")
    assert [r.code for r in (await asked.why_not(1, "map")).reasons] == ["too_few"]
    await asked.measure((60, 72.4), metric="ibp_mean")
    assert "66.2 mmHg, is not below 65" in (await asked.why_not(61, "map")).text["en"]


async def test_no_reading_and_one_that_is_too_old(asked: Asked):
    assert "there is no reading of SpO2" in (await asked.why_not(0)).text["en"]
    await asked.measure((5, 97))
    await asked.wait(605)
    found = await asked.why_not(605)
    assert [r.code for r in found.reasons] == ["stale"]
    assert "97 % at 2026-01-01 00:00:05 UTC by dev_1, is 10 min old and counts for 2 min" in found.text["en"]


async def test_an_incomplete_score(build: Any):
    asked = await build(SHIPPED["news2-emergency"])
    await asked.come(reading(5, 93), reading(5, 25, metric="respiratory_rate"))
    found = await asked.why_not(6, "news2-emergency")
    assert [r.code for r in found.reasons] == ["incomplete"]
    assert "at least 5, not ≥ 7" in found.text["en"]


async def test_the_second_scale_on_order(build: Any):
    asked = await build(SHIPPED["news2-single-three"])
    await asked.measure((5, 90))
    now, ids = asked.ward.clock.now_ns(), asked.records.ids
    await asked.records.run(
        lambda s: Orders(s, now=now, ids=ids).give(SCOPE, "pat_1", "spo2_scale_2", reason="COPD", who=DOCTOR)
    )
    await asked.know()
    await asked.measure((10, 90))
    found = await asked.why_not(11, "news2-single-three")
    assert found.context.spo2_scale == 2
    assert "(points: SpO2 0)" in found.text["en"]


# -- readings that were not judged


async def test_a_breach_shorter_than_the_delay(asked: Asked):
    await asked.measure((5, 84), (13, 93))
    await asked.wait(100)
    for when in (7, 14):
        found = await asked.why_not(when)
        assert found.outcome == "blocked"
        assert (
            "lasted 8 s of the delay of 10 s and ended at 2026-01-01 00:00:13 UTC: SpO2 93 %"
            in found.text["en"]
        )


@pytest.mark.parametrize("flag", [Quality.SENSOR_OFF, Quality.DEMO])
async def test_a_reading_with_a_flag(build: Any, flag: Quality):
    asked = await build(NOW)
    await asked.measure((0, 97))
    await asked.come(reading(5, 84, quality=int(flag)))
    found = await asked.why_not(6)
    assert found.reasons[0].code == "quality"
    assert "SpO2 84 % of 2026-01-01 00:00:05 UTC is not used: it is marked" in found.text["en"]


async def test_a_reading_too_late_is_on_the_worklist(build: Any):
    asked = await build(NOW)
    await asked.come(reading(10, 84, received=at(11_460)))
    (entry,) = await asked.alarms(worklist=True)
    found = await asked.why_not(11_461)
    assert (found.outcome, found.reasons[0].code, found.alarm) == ("blocked", "late", entry.id)
    assert "came at 2026-01-01 03:11:00 UTC, too late to signal" in found.text["en"]
    found = await asked.why_not(12)
    assert "had not come yet: it was received at 2026-01-01 03:11:00 UTC" in found.text["en"]


async def test_a_reading_too_late_within_what_is_looked_at_names_lag_and_entry(build: Any):
    asked = await build(replace(NOW, max_lateness_s=600))
    await asked.come(reading(10, 84, received=at(1000)))
    (entry,) = await asked.alarms(worklist=True)
    found = await asked.why_not(1001)
    assert "16 min 30 s later, more than the 10 min" in found.text["en"]
    assert found.text["en"].endswith(f"entry {entry.id}")


async def test_a_reading_that_a_newer_one_superseded(build: Any):
    asked = await build(NOW)
    await asked.measure((20, 97))
    await asked.come(reading(10, 84, received=at(25)))
    found = await asked.why_not(26)
    assert [r.code for r in found.reasons][:1] == ["superseded"]
    assert "when a newer one was known" in found.text["en"]


async def test_a_reading_dated_in_the_future(build: Any):
    asked = await build(NOW)
    await asked.measure((0, 97))
    await asked.come(reading(5, 84, corrected=at(86_400), device_time=at(86_400)))
    found = await asked.why_not(6)
    assert found.reasons[0].code == "refused"
    assert "refused (future): spo2 84, 2026-01-02T00:00:00Z, dev_1" in found.text["en"]


async def test_an_implausible_reading(build: Any):
    asked = await build(NOW)
    await asked.come(reading(5, 97), reading(5, 300, metric="heart_rate"), reading(5, 101, digest=5))
    assert "refused (implausible): spo2 101" in (await asked.why_not(6)).text["en"]


async def test_a_device_that_was_on_nobody_or_on_somebody_else(build: Any):
    asked = await build(NOW)
    await asked.measure((0, 97))

    def take_off(d: Directory) -> None:
        (worn,) = [a for a in d.associations.list(SCOPE) if a.device == "dev_1"]
        d.associations.end(SCOPE, worn.id, at=at(2))

    await asked.wait(3)
    await write(asked, take_off)
    await asked.know()
    await asked.measure((5, 84))
    found = await asked.why_not(6)
    assert found.reasons[0].code == "elsewhere"
    assert (
        "SpO2 84 % of 2026-01-01 00:00:05 UTC is not this patient's: dev_1 was on nobody" in found.text["en"]
    )
    await write(asked, lambda d: d.associations.create(SCOPE, device="dev_1", patient="pat_2", start=at(4)))
    found = await asked.why_not(6)
    assert (
        "dev_1 at 2026-01-01 00:00:05 UTC are not this patient's: it was on somebody else" in found.text["en"]
    )
    assert "84" not in "".join(r.text["en"] for r in found.reasons), "nothing of another patient's values"


async def test_what_no_alarm_was_made_of_is_said_to_differ(build: Any):
    """A device entered as worn afterwards: decided again it fires, but it was nobody's then."""
    asked = await build(NOW)

    def enter(d: Directory) -> None:
        d.devices.create(SCOPE, gateway="gw-1", transport="ble", address="AA:9", ident="dev_9")

    await write(asked, enter)
    await asked.come(reading(5, 84, device="dev_9"))
    await asked.wait(60)
    await write(asked, lambda d: d.associations.create(SCOPE, device="dev_9", patient="pat_1", start=at(1)))
    assert await asked.ward.rows(Alarm) == []
    found = await asked.why_not(6)
    assert found.reasons[0].code == "differs"
    assert "but there is no such alarm" in found.text["en"]


async def test_entries_by_hand_are_judged_too(build: Any):
    asked = await build(make("pain", Threshold("pain", "at_or_above", 7.0), max_age_s=3600))
    from cloud_ingest.entry import manual_device
    from hearthward.core.model import ReadingBatch

    asked.ward.clock.follow(at(5))
    entry = reading(5, 6, metric="pain", device=manual_device("pat_1"), source=1, author="usr_1")
    await asked.ward.pipeline.enter(ReadingBatch.of([entry]), ["pat_1"])
    assert "pain 6 is not ≥ 7" in (await asked.why_not(6, "pain")).text["en"]


# -- that it says what was decided


@pytest.mark.parametrize("seed", range(6))
async def test_at_every_second_it_agrees_with_the_alarms_that_there_were(build: Any, seed: int):
    """Fired, active or pending exactly while an alarm says so, and otherwise a reason that blocks."""
    chance = random.Random(seed)
    asked = await build(LOW)
    now = 0.0
    while now < 120:
        now += chance.choice((1, 2, 5, 9))
        late = chance.random() < 0.2
        measured = max(0.0, now - 3) if late else now
        await asked.come(reading(measured, chance.choice((84, 87, 92, 95)), received=at(now)))
    await asked.wait(140)
    alarms = await asked.alarms()
    for second in range(0, 120, 3):
        when = at(second)
        found = await asked.why_not(second)
        real = [a for a in alarms if not a.worklist]
        told = [a for a in real if a.onset <= when and (a.ended is None or when <= a.ended)]
        if told:
            expected = {"fired", "active"} if told[0].started <= when else {"pending"}
            assert found.outcome in expected, (second, found.text)
        elif found.outcome == "fired":
            assert any(a.id == found.alarm and a.ended and when - a.ended < 10 * SECOND for a in real)
        else:
            assert found.outcome in {"blocked", "pending"}, (second, found.text)
            assert found.reasons[0].code not in {"fired", "active", "differs"}, (second, found.text)


async def test_alarms_decided_again_from_the_store_are_those_that_were(build: Any):
    asked = await build(LOW)
    frames = [reading(t, 84 if 20 <= t < 50 else 96) for t in range(0, 100, 2)]
    asked.ward.clock.follow(at(100))
    await asked.ward.take(live(block(1, *frames), at=100))
    (alarm,) = await asked.alarms()
    assert (alarm.onset, alarm.started, alarm.ended) == (at(20), at(30), at(50))
    assert (await asked.why_not(25)).outcome == "pending"
    assert (await asked.why_not(40)).outcome == "fired"
    assert (await asked.why_not(60)).reasons[0].code == "not_met"
