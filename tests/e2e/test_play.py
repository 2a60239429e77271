"""A recording through every part, as device bytes: nothing lost, nothing doubled, the alarms it implies."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hearthward.app.recording import read_recording
from rules import load_rules
from tests.e2e import oracle
from tests.e2e.recordings import ward_of
from tests.programs import ROOT, shared_data

CARRIED = {"heart_rate", "spo2", "pulse_rate", "nibp_systolic", "nibp_diastolic", "nibp_mean"}


def play(path: Path, folder: Path, *more: str) -> dict[str, Any]:
    report = folder / "report.json"
    command = [
        sys.executable,
        "-m",
        "hearthward",
        "demo",
        "--play",
        str(path),
        "--report",
        str(report),
        *more,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    return dict(json.loads(report.read_text()))


def check(report: dict[str, Any], path: Path) -> None:
    expected: dict[str, dict[str, list[float]]] = {}
    skipped: dict[str, int] = {}
    recording = read_recording(path)
    for patient, metric, value in zip(recording.patient, recording.metric, recording.value, strict=True):
        if metric in CARRIED:
            expected.setdefault(patient, {}).setdefault(metric, []).append(
                oracle.as_on_the_wire(metric, value)
            )
        else:
            skipped[metric] = skipped.get(metric, 0) + 1
    assert report["complete"]
    assert report["sent"] == report["stored"]
    assert {p: {m: c["count"] for m, c in ms.items()} for p, ms in report["stored"].items()} == {
        p: {m: len(c) for m, c in ms.items()} for p, ms in expected.items()
    }
    for patient, metrics in expected.items():
        for metric, column in metrics.items():
            assert report["stored"][patient][metric]["sum"] == pytest.approx(sum(column), abs=1e-6)
    assert report["skipped"] == skipped
    assert report["duplicates"] == 0
    assert report["rejected"] == {}
    alarms = [(a["rule"], a["patient"], a["onset"], a["end"]) for a in report["alarms"]]
    plain = [a for a in alarms if a[0] in oracle.LIMITS and a[0] != "spo2-low"]
    assert plain == [a for a in oracle.alarms_of(path) if a[0] != "spo2-low"]
    check_saturation([a for a in alarms if a[0] == "spo2-low"], path)
    single = {rule.id for rule in load_rules() if oracle.of_one_device(rule)}
    assert single > oracle.LIMITS.keys()
    assert [a for a in alarms if a[0] in single] == oracle.replayed(path)
    assert len({a["id"] for a in report["alarms"]}) == len(report["alarms"])
    assert all(figure is not None for stage in report["latency_ms"].values() for figure in stage.values())


def check_saturation(found: list[oracle.Alarm], path: Path) -> None:
    """All that is no drop-out (an exact 0) is alarmed on, and nothing that the limit alone would not."""
    plain = [a for a in oracle.alarms_of(path) if a[0] == "spo2-low"]
    true = [a for a in oracle.alarms_of(path, without_zeros=True) if a[0] == "spo2-low"]
    for inner, outer in ((found, plain), (true, found)):
        for _, patient, onset, end in inner:
            around = [
                a for a in outer if a[1] == patient and a[2] <= onset and (a[3] or 1e12) >= (end or 1e12)
            ]
            assert around, (patient, onset, end)


def test_a_made_ward_is_stored_once_and_alarms_as_the_file_says(tmp_path: Path):
    path = ward_of(tmp_path / "ward.csv", patients=3, moments=120)
    check(play(path, tmp_path, "--speed", "1e6"), path)


def test_a_real_patient_is_stored_once_and_alarms_as_the_file_says(tmp_path: Path):
    path = shared_data("icu-numerics/s00001.csv.gz")
    check(play(path, tmp_path, "--speed", "1e6"), path)


def test_a_play_cut_short_says_so_and_its_books_balance(tmp_path: Path):
    path = ward_of(tmp_path / "ward.csv", patients=1, moments=2000, every=1.0)
    report = play(path, tmp_path, "--speed", "10", "--seconds", "4")
    assert not report["complete"]
    assert report["sent"] == report["stored"]
    assert 10 <= report["sent"]["p0"]["heart_rate"]["count"] <= 41


def test_a_recording_that_nothing_can_carry_is_counted_not_fatal(tmp_path: Path):
    path = tmp_path / "icu.csv"
    path.write_text("time,patient,metric,value\n0,a,ibp_mean,80\n60,a,ibp_mean,81\n60,a,gcs,15\n")
    report = play(path, tmp_path, "--speed", "1e6")
    assert report["complete"]
    assert report["sent"] == report["stored"] == {}
    assert report["skipped"] == {"ibp_mean": 2, "gcs": 1}
