"""``docs/device-health.md`` says what the code does: what other systems are told of work is as shown."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import replace
from typing import get_args

from cloud_ingest.channels.base import Message
from cloud_ingest.channels.webhook import body_of
from cloud_ingest.device_health.asking import FINDING_KINDS
from cloud_ingest.device_health.order_telling import KINDS, SUBJECTS, Step, step_of
from cloud_ingest.device_health.ordering import RULES, rules_of
from cloud_ingest.records.fleet_models import WorkNote, WorkOrder
from cloud_ingest.records.work_orders import TOLD, Note
from firmware_profiles import load_catalog
from hearthward.core.clock import parse_iso
from hearthward.core.settings import CloudSettings
from tests.unit.docs.pages import ROOT, blocks, table

PAGE = (ROOT / "docs" / "device-health.md").read_text("utf-8")
ORDER = "wo_5f0ba10edbc9f5fe7d12"
SAID = "Battery at 23 %, falls by 3 % a day: lasts about 6 days (6 to 6)"


def taken_over() -> Step:
    at = parse_iso("2026-11-23T09:30:00Z")
    order = WorkOrder(
        id=ORDER, device="oxi-7", kind="battery", text={"en": SAID}, due=parse_iso("2026-11-29T00:00:00Z")
    )
    steps = (("open", None, "", None), ("assign", "u1", "Eva", None), ("take", "u2", "Ina", "Eva"))
    notes = [
        WorkNote(work=ORDER, number=n, at=at, by=by, do=do, text=text, before=before)
        for n, (do, by, text, before) in enumerate(steps, 1)
    ]
    return step_of(notes[-1], order, notes, {"u1": "Eva", "u2": "Ina"})


def test_a_step_is_told_as_it_is_shown():
    (text,) = blocks(PAGE, "json")
    step = taken_over()
    message = Message(
        step.ident,
        "@cmms",
        step.text,
        "en",
        "low",
        kind=step.kind,
        subject=SUBJECTS[step.kind],
        link=f"https://alarms.example.org/fleet/orders/{ORDER}",
        work=step.work,
    )
    assert json.loads(body_of(message)) == json.loads(text)


def test_when_a_rule_opens_a_work_order_is_as_shipped():
    rows = {kind.strip("`"): said for kind, *said in table(PAGE, "kind of finding")}
    assert rows == {kind: [f"{rule.confidence:g}", f"{rule.held_days:g}"] for kind, rule in RULES.items()}
    assert all(rule.opens and rule.within_days is None for rule in RULES.values())


def test_a_site_s_own_rules_are_set_as_shown():
    _, text = blocks(PAGE, "toml")
    own = rules_of(CloudSettings.model_validate(tomllib.loads(text)["cloud"]).work_orders)
    changed = {kind: rule for kind, rule in own.items() if rule != RULES[kind]}
    assert changed == {
        "link": replace(RULES["link"], held_days=14),
        "calibration": replace(RULES["calibration"], within_days=10),
        "firmware": replace(RULES["firmware"], opens=False),
    }


def test_a_profile_s_interval_is_set_as_shown():
    text, _ = blocks(PAGE, "toml")
    settings = CloudSettings.model_validate(tomllib.loads(text)["cloud"])
    for profile in settings.service_hours:
        assert load_catalog().get(profile)


def test_every_finding_stands_there():
    kinds = " ".join(row[0] for row in table(PAGE, "kind", "when"))
    assert set(re.findall("`([a-z]+)`", kinds)) == set(FINDING_KINDS)


def test_every_step_that_is_told_stands_there_with_its_kind():
    rows = {row[0].strip("`"): row for row in table(PAGE, "`kind`")}
    assert set(rows) == set(KINDS.values()) | set(SUBJECTS)
    assert set(KINDS) == set(TOLD) == set(get_args(Note)) - {"comment"}
    for do, kind in KINDS.items():
        assert f"`{do}`" in rows[kind][2]
