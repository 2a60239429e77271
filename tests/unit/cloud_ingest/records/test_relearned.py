"""What gateways are told of new levels: from the alarms' lives, for a day, and only to whom it concerns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloud_ingest.documents import RulesToSend, bodies
from cloud_ingest.level_watch import ACTOR
from cloud_ingest.records.relearned import relearned
from firmware_profiles import load_catalog
from rules import RuleSet
from rules.conditions import Unusual
from rules.detectors.novelty import LASTING
from rules.model import Command
from tests.unit.cloud_ingest.asking import Asked, at
from tests.unit.cloud_ingest.ward import TENANT, enrol
from tests.unit.rules.made import make, threshold

ODD = make("odd", Unusual("spo2", "below", 0.7, 0.3), priority="low", max_age_s=900)
GRAVER = make("graver", threshold("spo2", "below", 70), raises="odd")
OTHER = make("other", threshold("spo2", "below", 60))
SENT = RulesToSend.of(RuleSet((ODD, GRAVER, OTHER)))


async def told(asked: Asked, now: int) -> dict[str, Any]:
    """Gateway -> what its document says."""
    made = await asked.records.read(lambda s: bodies(s, TENANT, now, load_catalog(), SENT))
    return {gateway: body["relearned"] for gateway, body in made.items()}


async def test_a_new_level_is_told_to_the_patients_gateways_for_a_day(tmp_path: Path):
    asked = await Asked.of(tmp_path / "records.db", ODD)
    enrol(asked.records, "gw-2", ["dev_3"])
    await asked.measure(*((60 * n, 96 + n % 2) for n in range(40)), (2400, 84))
    (alarm,) = await asked.alarms()
    assert await told(asked, at(2400)) == {"gw-1": {}, "gw-2": {}}
    for moment in (2500, 2600):
        asked.ward.clock.follow(at(moment))
        await asked.ward.pipeline.act(Command(0, 0, "relearn", alarm.id, ACTOR, to="spo2"))
    expected = {"gw-1": {"pat_1": {"spo2": at(2600)}}, "gw-2": {}}
    assert await told(asked, at(2601)) == expected, "the newest"
    await asked.ward.restart()
    assert await told(asked, at(2601) + LASTING - 2 * 10**9) == expected, "also by a cloud that was restarted"
    assert await told(asked, at(2601) + LASTING) == {"gw-1": {}, "gw-2": {}}, "it has learned it by itself"
    assert await asked.records.read(lambda s: relearned(s, TENANT, [], at(2601))) == {}
    assert await asked.records.read(lambda s: relearned(s, TENANT, ["other"], at(2601))) == {}
    assert await asked.records.read(lambda s: relearned(s, "elsewhere", ["odd"], at(2601))) == {}
    await asked.ward.close()


def test_alarms_that_go_by_another_stage_are_looked_at_too():
    assert SENT.learning == {"odd", "graver"}
    assert RulesToSend.of(RuleSet((OTHER,))).learning == frozenset()
