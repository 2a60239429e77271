"""``hearthward rules recalibrate`` as people use it: stored history, a table of outcomes, a rule made."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from cloud_ingest.calibrating import LEAST
from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.app import recalibrate as app
from hearthward.app.calibrating import ChildCalibrator
from hearthward.core.clock import SECOND, EventClock, parse_iso
from hearthward.core.errors import ConfigError
from hearthward.core.ids import SeededIds, digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.core.settings import Settings
from hearthward.trust.access import Scope
from rules.examples import failures
from rules.loader import load_rule
from tests.component.app.commands import invoke, refused

pytestmark = pytest.mark.usefixtures("clean_settings")

BEGAN = parse_iso("2026-03-01T00:00:00Z")
HOUR = 3600 * SECOND
STAYS = LEAST + 30
SYSTEM = Scope.system("main")


def row(device: str, metric: str, value: float, time: int) -> Reading:
    digest = digest63(device.encode(), metric.encode(), str(time).encode())
    return Reading(device, metric, value, None, None, time, time, digest=digest, profile="0" * 16)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of many short stays: most patients look ill and go home; one is a child, one at home."""
    folder = tmp_path_factory.mktemp("site") / "data"
    clock = EventClock(BEGAN, frozen_monotonic=True)
    records = Records.open(folder / "cloud" / "records.db", clock=clock, wall=clock, ids=SeededIds(1))

    def furnish(d: Directory) -> None:
        d.wards.create(SYSTEM, name="W", ident="w")
        d.gateways.create(SYSTEM, ident="gw", ward="w")
        for n in range(STAYS + 2):
            born = "2024-01-01" if n == STAYS else "1950-01-01"
            d.patients.create(SYSTEM, name=f"P{n}", ident=f"p{n}", mrn=f"H{n}", birth_date=born)
            d.beds.create(SYSTEM, ward="w", label=f"{n}", ident=f"b{n}")
            kind = {"kind": "home", "ward": "w"} if n == STAYS + 1 else {"kind": "ward", "bed": f"b{n}"}
            begun = d.encounters.create(SYSTEM, patient=f"p{n}", start=BEGAN + n * SECOND, **kind)
            d.devices.create(SYSTEM, gateway="gw", transport="serial", address=f"/dev/{n}", ident=f"d{n}")
            d.associations.create(SYSTEM, device=f"d{n}", patient=f"p{n}", start=BEGAN + n * SECOND)
            d.encounters.end(SYSTEM, begun.id, at=BEGAN + 10 * HOUR + n * SECOND)
            if n != 1:  # of one stay nobody has said how it ended
                d.encounters.change(SYSTEM, begun.id, outcome="died" if n % 10 == 0 else "discharged")

    clock.follow(BEGAN + 24 * HOUR)
    records.run_now(lambda s: furnish(records.directory(s)))
    records.close_now()
    draw = random.Random(1)
    rows = [
        row(f"d{n}", metric, round(value + draw.gauss(0, 3), 1), BEGAN + hour * HOUR + (n + 1) * SECOND)
        for n in range(STAYS + 2)
        for hour in range(9)
        for metric, value in (("heart_rate", 120.0), ("respiratory_rate", 30.0), ("spo2", 88.0))
    ]

    async def fill() -> None:
        store = SqliteStore(folder / "cloud" / "series.db")
        for first in range(0, len(rows), 2000):
            batch = ReadingBatch.of(rows[first : first + 2000])
            await store.append("main", batch, Origins("gw", "boot", range(first + 1, first + 1 + len(batch))))
        await store.close()

    asyncio.run(fill())
    return folder


def outcomes(folder: Path, *lines: str, first: str = "patient,outcome") -> Path:
    path = folder / "outcomes.csv"
    path.write_text("\n".join([first, *lines]) + "\n")
    return path


def usual(folder: Path) -> Path:
    """By id or hospital number; every eighth ended badly."""
    ends = {0: "died", 8: "intensive_care"}
    named = (f"{'H' if n % 3 else 'p'}{n}" for n in range(STAYS))
    return outcomes(folder, *(f"{who},{ends.get(n % 16, 'discharged')}" for n, who in enumerate(named)))


def test_what_the_risk_was_worth_is_told_and_written_as_a_rule(data: Path, tmp_path: Path):
    out = tmp_path / "deterioration.yaml"
    result = invoke("--data", data, "rules", "recalibrate", usual(tmp_path), "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{STAYS} stays, 17 of them ended badly" in result.stdout
    assert "as shipped" in result.stdout
    assert f"hearthward rules draft {out}" in result.stdout
    made = load_rule(out.read_text(encoding="utf-8"), str(out))
    assert not list(failures(made))
    assert (made.rule.id, made.rule.version, made.rule.priority) == ("deterioration", 2, "medium")
    assert made.rule.parameters["trigger"].value < 0.3, "fewer end badly here than the model thinks"
    assert "# Made by hearthward rules recalibrate." in out.read_text(encoding="utf-8")
    checked = invoke("rules", "check", "--replace", out)
    assert checked.exit_code == 0, checked.output


def test_how_stays_ended_is_what_the_directory_says_of_them(data: Path, tmp_path: Path):
    out = tmp_path / "rule.yaml"
    result = invoke("--data", data, "rules", "recalibrate", "--out", out)
    assert result.exit_code == 0, result.output
    assert f"{STAYS - 1} stays, 13 of them ended badly" in result.stdout
    assert "left out" not in result.stdout
    assert load_rule(out.read_text(encoding="utf-8"), str(out)).rule.parameters["trigger"].value < 0.3


def test_without_out_it_only_tells(data: Path, tmp_path: Path):
    result = invoke("--data", data, "rules", "recalibrate", usual(tmp_path))
    assert result.exit_code == 0, result.output
    assert "recalibrated" in result.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == ["outcomes.csv"]


def test_too_few_write_nothing_and_who_it_is_not_meant_for_is_left_out(data: Path, tmp_path: Path):
    table = outcomes(tmp_path, f"p{STAYS},died", f"p{STAYS + 1},died", "p1,discharged", "nobody,died")
    out = tmp_path / "rule.yaml"
    result = invoke("--data", data, "rules", "recalibrate", table, "--out", out)
    assert result.exit_code == 1
    assert "1 stays, 0 of them ended badly" in result.stdout
    assert "3 left out: not known here, or not meant for them" in result.stdout
    assert "is not written: 1 stays are too few: 100 are needed" in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("first", "lines", "words"),
    [
        ("patient,result", ["p1,died"], "outcome is missing"),
        ("patient,outcome", ["p1,died", "p2,well"], "'well' is no outcome"),
        ("patient,outcome", ["p1,died", "p1,died"], "stands here twice"),
        ("patient,outcome", [",died"], "no patient is named"),
    ],
    ids=["column", "outcome", "twice", "nobody"],
)
def test_a_table_that_is_none_is_refused_with_its_line(
    data: Path, tmp_path: Path, first: str, lines: list[str], words: str
):
    table = outcomes(tmp_path, *lines, first=first)
    said = refused("--data", data, "rules", "recalibrate", table)
    assert words in said
    assert "outcomes.csv" in said


def test_no_table_and_no_data_folder_are_told(data: Path, tmp_path: Path):
    assert "cannot be read as a table" in refused("--data", data, "rules", "recalibrate", tmp_path / "none")
    table = outcomes(tmp_path, "p1,died")
    assert "no stored history" in refused("--data", tmp_path / "no", "rules", "recalibrate", table)


async def test_the_same_history_and_outcomes_give_the_same_rule(data: Path, tmp_path: Path):
    settings, table = Settings(data=data), usual(tmp_path)
    first, again = [await app.recalibrate(settings, table) for _ in range(2)]
    assert first.learned == again.learned
    assert app.rule_text(first.learned) == app.rule_text(again.learned)


async def test_a_process_of_its_own_learns_the_same_and_says_what_fails(data: Path, tmp_path: Path):
    found = await ChildCalibrator(Settings(data=data))()
    here = await app.recalibrate(Settings(data=data))
    assert (found.learned, found.left_out) == (here.learned, here.left_out)
    assert found.text == app.rule_text(here.learned)
    with pytest.raises(ConfigError, match="no stored history"):
        await ChildCalibrator(Settings(data=tmp_path / "no"))()


def test_a_rule_whose_examples_do_not_hold_any_more_is_not_made(monkeypatch: pytest.MonkeyPatch):
    from cloud_ingest.calibrating import Learned, Score
    from rules.conditions import Calibration

    score = Score(0.1, 0.3, 0.1)
    learned = Learned(200, 20, score, score, Calibration(1, 1.0, -1.0), None)
    assert "trigger" in app.rule_text(learned)
    monkeypatch.setattr(app, "failures", lambda _: iter(["firing.1: never began"]))
    with pytest.raises(ConfigError, match=r"no usable rule comes of slope 1 and intercept -1: firing\.1"):
        app.rule_text(learned)
