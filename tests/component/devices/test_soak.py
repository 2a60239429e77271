"""The hour of ``./dev bench devices``, shortened to seconds: nothing is missed, nothing is leaked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.programs import ROOT

LONG = {"gateway's memory, growth", "gateway's CPU"}
"""These say something after an hour on a quiet machine only."""


@pytest.mark.timeout(300)
def test_200_peripherals_and_32_ports_lose_nothing_and_leak_nothing(tmp_path: Path):
    report = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "bench", "devices", "--json", str(report)],
        cwd=ROOT,
        env={**os.environ, "BENCH_DEVICES_S": "5"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert report.exists(), done.stderr[-3000:]
    figures = json.loads(report.read_text())["outcomes"]["devices"]["figures"]
    missed = {f["name"]: f["value"] for f in figures if f["met"] is False and f["name"] not in LONG}
    assert not missed, done.stdout
    assert next(f["value"] for f in figures if f["name"].startswith("links dropped")) > 0
