"""``hearthward replay`` as people use it: recordings, the stored history, two rule sets, labelled events."""

from __future__ import annotations

import asyncio
import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cloud_ingest.entry import manual_device
from cloud_ingest.records import Records
from cloud_ingest.records.directory import Directory
from cloud_ingest.stores.base import Origins
from cloud_ingest.stores.sqlite import SqliteStore
from hearthward.core.clock import SECOND, EventClock, iso, parse_iso
from hearthward.core.ids import SeededIds, digest63
from hearthward.core.model import Reading, ReadingBatch
from hearthward.trust.access import Scope
from rules import load_rules
from rules.loader import LIBRARY
from tests.component.app.commands import invoke, refused
from tests.programs import ROOT, shared_data

pytestmark = pytest.mark.usefixtures("clean_settings")

NAIVE = ROOT / "bench" / "rules-naive"
NOON = parse_iso("2026-03-01T12:00:00Z")
PRESSURE = [80] * 5 + [64, 63, 62, 60, 58] * 4 + [85] * 34


def recording(tmp_path: Path, *extra: str, values: list[float] | None = None) -> Path:
    rows = ["time,patient,metric,value"]
    rows += [f"{60 * n},ada,ibp_mean,{v}" for n, v in enumerate(PRESSURE if values is None else values)]
    path = tmp_path / "recording.csv"
    path.write_text("\n".join([*rows, *extra]) + "\n")
    return path


def replayed(*arguments: str | Path, out: Path) -> tuple[str, dict[str, Any]]:
    result = invoke("replay", *arguments, "--out", out)
    assert result.exit_code == 0, result.output
    return result.stdout, json.loads(out.read_text())


def test_a_recording_under_the_shipped_rules(tmp_path: Path):
    path = recording(tmp_path, "0,ada,gcs,15", "60,ada,mechanical_ventilation,1", "60,ada,spo2,140")
    said, found = replayed(path, "--only", "ibp-*", out=tmp_path / "out.json")
    (episode,) = found["episodes"]
    assert (episode["patient"], episode["rule"], episode["priority"]) == ("ada", "ibp-mean-low", "medium")
    # the mean of five minutes is low once it holds the low values only; high for half an hour from 1620 on
    assert (episode["onset"], episode["started"], episode["end"]) == (540, 540, 3420)
    assert (episode["peak"], episode["peak_of"]) == (61.4, "ibp_mean")
    assert episode["inputs"] == [
        {"metric": "ibp_mean", "device": "recording", "time": 540, "value": 61.4, "received": 540}
    ]
    rule = load_rules().by_id["ibp-mean-low"]
    assert (episode["version"], episode["hash"]) == (rule.version, rule.hash)
    assert episode["title"] == rule.title
    assert episode["text"]["en"].startswith("MAP 61.4 mmHg")
    assert found["patient_days"] == pytest.approx(len(PRESSURE) / 1440, abs=1e-6)
    assert found["alarms_per_patient_day"] == pytest.approx(1440 / len(PRESSURE), rel=1e-4)
    assert found["by_rule"]["ibp-mean-low"]["alarms"] == 1
    assert found["by_rule"]["ibp-mean-low-severe"]["alarms"] == 0
    assert found["by_patient"] == {"ada": {"days": found["patient_days"], "alarms": 1}}
    assert found["unread"] == {"gcs": 1, "mechanical_ventilation": 1}
    assert found["rejected"] == {"out_of_range": {"spo2": 1}}
    assert "read by no rule: gcs 1, mechanical_ventilation 1" in said
    assert "not used, out of range: spo2 1" in said


def test_the_whole_library_takes_every_rule(tmp_path: Path):
    _, found = replayed(recording(tmp_path), out=tmp_path / "out.json")
    assert found["rules"] == {"from": "shipped", "hash": load_rules().hash, "count": len(load_rules())}
    assert "ibp-mean-low" in {e["rule"] for e in found["episodes"]}


def test_times_are_the_recordings_own(tmp_path: Path):
    path = tmp_path / "r.csv.gz"
    rows = "".join(f"{n / 60},ada,ibp_mean,{v}\n" for n, v in enumerate(PRESSURE))
    path.write_bytes(gzip.compress(f"time,patient,metric,value\n{rows}".encode()))
    _, found = replayed(path, "--unit", "h", "--only", "ibp-mean-low", out=tmp_path / "out.json")
    (episode,) = found["episodes"]
    assert (episode["onset"], found["unit"]) == (pytest.approx(540 / 3600), "h")
    assert found["patient_days"] == pytest.approx(len(PRESSURE) / 1440, abs=1e-6)


def test_what_goes_on_at_the_end_has_no_end(tmp_path: Path):
    path = recording(tmp_path, values=[80, 60, 60, 60, 60])
    _, found = replayed(path, "--only", "ibp-mean-low", out=tmp_path / "out.json")
    assert [e["end"] for e in found["episodes"]] == [None]


def test_two_rule_sets_and_events(tmp_path: Path):
    flutter = [80, 80, 80, 64, 80, 64, 80, 80, 80, 80, 80, 80]
    path = recording(tmp_path, "0,bob,ibp_mean,90", "60,bob,ibp_mean,91", values=[*flutter, *PRESSURE])
    events = tmp_path / "events.csv"
    events.write_text("patient,time,label\nada,1320,low\nbob,60,never\n")
    said, found = replayed(
        path,
        *("--only", "ibp-mean-low", "--compare", NAIVE, "--events", events),
        out=tmp_path / "out.json",
    )
    assert (found["alarms"], found["compare"]["alarms"]) == (1, 3)
    assert [e["onset"] for e in found["compare"]["lost"]] == [180, 300]
    assert found["compare"]["gained"] == []
    assert found["compare"]["rules"]["from"] == str(NAIVE)
    assert found["events"]["caught"] == found["compare"]["events"]["caught"] == 1
    assert [e["patient"] for e in found["events"]["lost"]] == ["bob"]
    assert found["events"]["median_warning_s"] == 60
    assert found["compare"]["events"]["median_warning_s"] == 300
    assert found["top_tenth_share"] == 1
    lines = {line.split("  ")[0]: line.split()[-2:] for line in said.splitlines()}
    assert lines["alarms"] == ["1", "3"]
    assert lines["events caught"] == ["1/2", "1/2"]
    assert "event lost by shipped: bob at 60 (never)" in said
    assert f"event lost by {NAIVE}: bob at 60 (never)" in said
    _, other = replayed(
        path, "--rules", NAIVE, "--compare", "shipped", "--only", "ibp-mean-low", out=tmp_path / "o"
    )
    assert (other["alarms"], other["compare"]["alarms"]) == (3, 1)
    assert [e["onset"] for e in other["compare"]["gained"]] == [180, 300]


def test_horizon_and_tolerance_say_what_is_caught(tmp_path: Path):
    events = tmp_path / "events.csv"
    events.write_text("patient,time,label\nada,480,before\nada,3470,after\n")
    arguments = (recording(tmp_path), "--only", "ibp-mean-low", "--events", events)

    def caught(*options: str) -> list[float | None]:
        _, found = replayed(*arguments, *options, out=tmp_path / "out.json")
        return [e["warning_s"] for e in found["events"]["all"]]

    assert caught() == [-60, 2930]
    assert caught("--horizon", "30min", "--tolerance", "30s") == [None, None]
    assert "'soon' is no duration" in refused("replay", *arguments, "--horizon", "soon", code=2)


def test_where_patients_are(tmp_path: Path):
    folder = tmp_path / "rules"
    folder.mkdir()
    text = (LIBRARY / "ibp-mean-low.yaml").read_text()
    (folder / "r.yaml").write_text(text.replace("audience:", "setting: ward\naudience:", 1))
    counts = []
    for options in ((), ("--setting", "ward"), ("--setting", "home")):
        _, found = replayed(recording(tmp_path), "--rules", folder, *options, out=tmp_path / "out.json")
        counts.append(found["alarms"])
    assert counts == [1, 1, 0]


def test_one_patient_of_many(tmp_path: Path):
    path = recording(tmp_path, "0,bob,spo2,70", "60,bob,spo2,70")
    _, found = replayed(path, "--patient", "bob", out=tmp_path / "out.json")
    assert {e["patient"] for e in found["episodes"]} == {"bob"}
    assert (found["patients"], found["readings"]) == (1, 2)
    assert "holds no patient 'bop'; did you mean 'bob'?" in refused("replay", path, "--patient", "bop")


def test_without_a_file_only_the_table_is_said(tmp_path: Path):
    result = invoke("replay", recording(tmp_path), "--only", "ibp-*")
    assert result.exit_code == 0
    assert "alarms per patient-day" in result.stdout


def test_wrong_input_is_refused_in_words_and_writes_nothing(tmp_path: Path):
    out = tmp_path / "out.json"
    out.write_text("before")
    path = recording(tmp_path, "99,ada,spo2,high")
    line = len(PRESSURE) + 2
    assert f"recording.csv:{line}: column 'value'" in refused("replay", path, "--out", out)
    good = recording(tmp_path)
    assert "No such file" in refused("replay", tmp_path / "none.csv")
    assert "cannot be read" in refused("replay", good, "--rules", tmp_path / "none")
    assert "without any .yaml" in refused("replay", good, "--rules", tmp_path)
    assert "called 'xyz'" in refused("replay", good, "--only", "xyz")
    (tmp_path / "bad.yaml").write_text("id: x\n")
    assert "bad.yaml:1: " in refused("replay", good, "--rules", tmp_path / "bad.yaml", "--out", out)
    assert "not both" in refused("replay", good, "--from", "2026-01-01", code=2)
    assert "--from and --to" in refused("replay", code=2)
    assert "--from and --to" in refused("replay", "--from", "2026-01-01", code=2)
    assert "--to: 'x' is no time" in refused("replay", "--from", "2026-01-01", "--to", "x")
    assert "is not before" in refused("replay", "--from", "2026-01-02", "--to", "2026-01-01")
    assert "no stored history" in refused(
        "--data", tmp_path, "replay", "--from", "2026-01-01", "--to", "2026-01-02"
    )
    assert "is a directory" in refused("replay", good, "--out", tmp_path, code=2)
    assert out.read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.yaml", "out.json", "recording.csv"]


# -- the stored history


def reading(device: str, metric: str, value: float | None, second: int, **more: Any) -> Reading:
    time = NOON + second * SECOND
    digest = digest63(device.encode(), metric.encode(), str(second).encode())
    fields = {"code": None, "device_time": None, "received": time, "corrected": time, **more}
    return Reading(device=device, metric=metric, value=value, digest=digest, profile="0" * 16, **fields)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """A data folder: ada wore an arterial line until noon + 1 h, then bob; a nurse wrote something down."""
    folder = tmp_path / "data"
    system, clock = Scope.system("main"), EventClock(NOON + 7200 * SECOND, frozen_monotonic=True)
    records = Records.open(folder / "cloud" / "records.db", clock=clock, wall=clock, ids=SeededIds(1))

    def furnish(d: Directory) -> None:
        d.wards.create(system, name="W", ident="w")
        d.beds.create(system, ward="w", label="1", ident="b")
        d.gateways.create(system, ident="gw", ward="w")
        for name in ("ada", "bob"):
            d.patients.create(system, name=name, ident=name)
        d.devices.create(system, gateway="gw", transport="serial", address="x", ident="line")
        first = d.associations.create(system, device="line", patient="ada", start=NOON)
        d.associations.end(system, first.id, at=NOON + 3600 * SECOND)
        d.associations.create(system, device="line", patient="bob", start=NOON + 3600 * SECOND)

    records.run_now(lambda s: furnish(records.directory(s)))
    records.close_now()
    rows = [reading("line", "ibp_mean", v, 60 * n) for n, v in enumerate(PRESSURE)]
    rows += [reading("line", "ibp_mean", v, 4000 + 60 * n) for n, v in enumerate([60.0] * 10)]
    rows += [reading("line", "device_firmware", None, 10, code="1.2")]
    rows += [reading(manual_device("ada"), "consciousness", None, 600, code="V", source=1, author="nurse")]
    batch = ReadingBatch.of(rows)

    async def fill() -> None:
        store = SqliteStore(folder / "cloud" / "series.db")
        await store.append("main", batch, Origins("gw", "boot", range(1, len(batch) + 1)))
        await store.close()

    asyncio.run(fill())
    return folder


PERIOD = ("--from", "2026-03-01T12:00", "--to", "2026-03-01T15:00+01:00")


def test_the_stored_history_is_attributed_and_told_in_iso(history: Path, tmp_path: Path):
    result = invoke(
        "--data", history, "replay", *PERIOD, "--only", "ibp-mean-low", "--out", tmp_path / "out.json"
    )
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out.json").read_text())
    assert [(e["patient"], e["onset"], e["end"]) for e in found["episodes"]] == [
        ("ada", iso(NOON + 540 * SECOND), iso(NOON + 3420 * SECOND)),
        ("bob", iso(NOON + 4000 * SECOND), None),
    ]
    assert (found["from"], found["to"]) == (iso(NOON), iso(NOON + 7200 * SECOND))
    assert found["episodes"][0]["inputs"][0]["device"] == "line"


def test_what_people_entered_is_part_of_the_history(history: Path, tmp_path: Path):
    arguments = ("--data", history, "replay", *PERIOD, "--patient", "ada", "--only", "consciousness*")
    result = invoke(*arguments, "--out", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    (episode,) = json.loads((tmp_path / "out.json").read_text())["episodes"]
    assert (episode["patient"], episode["onset"]) == ("ada", iso(NOON + 600 * SECOND))


def test_history_is_read_beside_a_writer_and_never_written(history: Path, tmp_path: Path):
    cloud = history / "cloud"
    arguments = ("--data", history, "replay", *PERIOD, "--only", "ibp-mean-low")

    async def beside() -> str:
        store = SqliteStore(cloud / "series.db")
        records = Records.open(cloud / "records.db", clock=EventClock(NOON + 7200 * SECOND), ids=SeededIds(2))
        try:
            return (await asyncio.to_thread(invoke, *arguments)).stdout
        finally:
            await records.close()
            await store.close()

    before = invoke(*arguments).stdout
    assert "alarms" in before
    bytes_before = {p.name: p.read_bytes() for p in cloud.glob("*.db")}
    assert asyncio.run(beside()) == before
    assert {p.name: p.read_bytes() for p in cloud.glob("*.db")} == bytes_before
    events = tmp_path / "events.csv"
    events.write_text(f"patient,time,label\nada,{iso(NOON + 900 * SECOND)},low\n")
    said = invoke(*arguments, "--events", events).stdout
    assert "6.0 min" in said


def test_what_is_missing_in_the_history_is_said(history: Path):
    data = ("--data", history, "replay")
    assert "no patient 'adda'; did you mean 'ada'?" in refused(*data, *PERIOD, "--patient", "adda")
    empty = ("--from", "2020-01-01", "--to", "2020-01-02")
    assert "holds no readings of any patient" in refused(*data, *empty)
    series, records = history / "cloud" / "series.db", history / "cloud" / "records.db"
    kept = records.read_bytes()
    shutil.copy(series, records)
    assert "records.db: cannot be read" in refused(*data, *PERIOD)
    records.write_bytes(kept)
    series.unlink()
    assert "cannot open the time-series store" in refused(*data, *PERIOD)
    series.touch()
    assert "series.db: this SQLite file is empty" in refused(*data, *PERIOD)
    assert series.stat().st_size == 0


# -- real recordings


def test_low_arterial_pressure_on_real_recordings(tmp_path: Path):
    """At most 5.5 alarms a patient-day, all 19 hypotensive episodes caught, 19 minutes' median warning."""
    path, events = shared_data("ahe/train.csv.gz"), shared_data("ahe/train-events.csv")
    _, found = replayed(
        path,
        *("--only", "ibp-mean-low*", "--compare", NAIVE, "--events", events),
        out=tmp_path / "out.json",
    )
    assert found["patient_days"] == pytest.approx(27.5)
    assert found["alarms_per_patient_day"] <= 5.5
    assert (found["events"]["caught"], found["events"]["lost"]) == (19, [])
    assert found["events"]["median_warning_s"] >= 19 * 60
    assert found["events"]["begun"] >= 16
    assert found["events"]["median_warning_begun_s"] >= 19 * 60
    naive = found["compare"]
    assert round(naive["alarms_per_patient_day"], 1) == 24.8
    assert naive["events"]["caught"] == 19
    assert naive["events"]["median_warning_s"] < found["events"]["median_warning_s"]


@pytest.mark.parametrize("limit", [65, 66, 67])
def test_the_limit_was_not_chosen_on_a_knifes_edge(tmp_path: Path, limit: int):
    path, events = shared_data("ahe/train.csv.gz"), shared_data("ahe/train-events.csv")
    folder = tmp_path / "rules"
    shutil.copytree(LIBRARY, folder, ignore=lambda _, names: [n for n in names if "ibp-mean-low" not in n])
    rule = folder / "ibp-mean-low.yaml"
    rule.write_text(rule.read_text().replace("{value: 65.5,", f"{{value: {limit},"))
    _, found = replayed(path, "--rules", folder, "--events", events, out=tmp_path / "out.json")
    assert found["alarms_per_patient_day"] <= 6.5
    assert found["events"]["caught"] == 19
    assert found["events"]["median_warning_s"] >= 19 * 60


def test_an_intensive_care_recording_with_drop_outs(tmp_path: Path):
    _, found = replayed(shared_data("icu-numerics/s00001.csv.gz"), out=tmp_path / "out.json")
    assert found["readings"] == 14_008
    assert found["patient_days"] == pytest.approx(32.3 / 24, abs=0.01)
    assert found["unread"] == {}, "the quality gate looks at what no limit does"
