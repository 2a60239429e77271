"""``hearthward why`` and ``why-not`` as people use them: after a demonstration, and beside a cloud."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.records import Records
from cloud_ingest.records.models import AuditRow
from hearthward.core.clock import SystemClock
from hearthward.core.ids import RandomIds
from tests.component.app.commands import command, invoke, refused

pytestmark = pytest.mark.usefixtures("clean_settings")
HEAD = "time,patient,metric,value\n"


def value(second: int) -> int:
    """A short dip, and one that lasts."""
    return 85 if 20 <= second < 24 or 60 <= second < 90 else 97


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a demonstration that was kept."""
    folder = tmp_path_factory.mktemp("why")
    recording = folder / "dip.csv"
    recording.write_text(HEAD + "".join(f"{s},p1,spo2,{value(s)}\n" for s in range(0, 120, 2)))
    data = folder / "data"
    with command(
        folder,
        "demo",
        "--data",
        data,
        "demo",
        "--play",
        recording,
        "--speed",
        "100000",
        "--report",
        folder / "r.json",
    ) as demo:
        assert demo.process.wait(120) == 0, demo.err[-3000:]
    return data


def told(data: Path, *arguments: str) -> str:
    result = invoke("--data", data, *arguments)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def alarm_of(data: Path, rule: str) -> str:
    found = json.loads(told(data, "why-not", "p1", rule, "2026-01-01T00:01:20Z", "--json"))
    assert found["outcome"] in {"fired", "active"}, found
    return str(found["alarm"])


def both_questions(data: Path) -> tuple[Any, Any, str, str]:
    alarm = alarm_of(data, "spo2-low")
    why = json.loads(told(data, "why", alarm, "--json"))
    not_then = json.loads(told(data, "why-not", "p1", "spo2-low", "2026-01-01T01:00:23+01:00", "--json"))
    text = told(data, "why", alarm)
    return why, not_then, text, told(data, "why-not", "p1", "spo2-low", "2026-01-01T00:00:23")


def check(why: Any, not_then: Any, text: str, not_text: str) -> None:
    assert (why["kind"], why["rule"]["id"], why["rule"]["standing"]) == ("alarm", "spo2-low", "same")
    assert why["predicates"]["truth"] is True
    assert why["onset"] == "2026-01-01T00:01:00Z"
    assert [h["name"] for h in why["hops"]][:2] == ["measured", "received"]
    assert "yes SpO2 < 90 %" in text
    assert "source: " in text
    assert "text of the rule, as it was\n  id: spo2-low" in text
    assert not_then["outcome"] == "blocked"
    assert not_then["reasons"][0]["code"] == "short"
    assert "lasted 4 s of the delay of 10 s" in not_then["text"]["en"]
    assert not_text.startswith("blocked: a breach since 2026-01-01 00:00:20 UTC lasted 4 s")


def test_with_no_cloud_running_the_records_answer(played: Path):
    check(*both_questions(played))


def test_a_running_cloud_answers_the_same(played: Path, tmp_path: Path):
    before = both_questions(played)
    with command(tmp_path, "cloud", "--data", played, "cloud", "--port", "0", "--event-clock") as cloud:
        cloud.wait_for("Pages")
        check(*both_questions(played))
        assert both_questions(played) == before
        for arguments, words in REFUSED:
            assert words in refused("--data", played, *arguments)
        assert cloud.stop() == 0


REFUSED = (
    (("why", "nope"), "there is no alarm 'nope'"),
    (("why-not", "nobody", "spo2-low", "2026-01-01T00:00:23Z"), "there is no patient 'nobody'"),
    (("why-not", "p1", "nope", "2026-01-01T00:00:23Z"), "rule: there"),
    (("why-not", "p1", "spo2-low", "25:00"), "TIME: '25:00' is no time: write it as 2026-03-01T08:15:00Z"),
    (("why-not", "p1", "spo2-low", "2200-01-01"), "still to come"),
)


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_what_cannot_be_answered_is_refused_in_words(played: Path, arguments: tuple[str, ...], words: str):
    assert words in refused("--data", played, *arguments)


def test_a_folder_without_records_is_named(tmp_path: Path):
    assert "no alarms were ever kept here" in refused("--data", tmp_path / "none", "why", "alm_1")
    assert not (tmp_path / "none").exists()


def test_asking_is_audited(played: Path):
    alarm = alarm_of(played, "spo2-low")
    told(played, "why", alarm)
    records = Records.open(played / "cloud" / "records.db", clock=SystemClock(), ids=RandomIds())
    try:
        rows = records.read_now(lambda s: [(r.actor, r.action, r.resource_id) for r in s.query(AuditRow)])
    finally:
        records.close_now()
    assert ("command-line", "view_alarms", alarm) in rows
    assert ("command-line", "view_readings", "p1") in rows
