"""Each command ends at SIGTERM and Ctrl-C: exit code 0, soon, nothing left, nothing told of a patient."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import psutil
import pytest

from tests.component.app.chain import PATIENT
from tests.component.app.commands import Command, command
from tests.e2e.recordings import ward_of

LOGGED = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (?:DEBUG|INFO|WARNING) ")
SOON_S = 20
"""Generous, for a machine that does other things too; it takes about one second."""
NOBODY = "mqtt://127.0.0.1:1"

COMMANDS = {
    "run": (["run", "--port", "0"], "all 45 devices stream"),
    "run without a ward": (["run", "--ward", "none", "--port", "0"], "Pages "),
    "cloud": (["cloud", "--port", "0"], "Pages "),
    "cloud without its broker": (["cloud", "--port", "0", "--broker", NOBODY], "Pages "),
    "edge": (["edge", "--broker", NOBODY, "--radio", "off"], "cannot be reached"),
    "edge without its player": (
        ["edge", "--broker", NOBODY, "--event-clock", "127.0.0.1:1"],
        "no player's clock",
    ),
    "twins": (["twins", "--plan", "PLAN"], "virtual radio on"),
    "demo": (["demo"], "all 45 devices stream"),
    "demo of an escalation": (["demo", "--escalation"], "all 2 devices stream"),
}


def check_quiet(running: Command) -> None:
    """Nothing but log lines on stderr, none of them an error."""
    odd = [line for line in running.err.splitlines() if not LOGGED.match(line)]
    assert odd == []
    for word in ("Task was destroyed", "never awaited", "never retrieved", "ResourceWarning"):
        assert word not in running.err


@pytest.mark.parametrize(
    ("name", "number"),
    [*((name, signal.SIGTERM) for name in COMMANDS), ("run", signal.SIGINT), ("twins", signal.SIGINT)],
    ids=lambda part: getattr(part, "name", part),
)
def test_a_command_ends_cleanly(tmp_path: Path, name: str, number: signal.Signals):
    arguments, said = COMMANDS[name]
    words = [str(tmp_path / "plan.json") if word == "PLAN" else word for word in arguments]
    with command(tmp_path, "it", "--data", tmp_path / "data", *words) as running:
        running.wait_for(said)
        children = running.children()
        assert bool(children) is (
            name in {"run", "run without a ward", "cloud", "demo", "demo of an escalation"}
        )
        assert running.stop(number, SOON_S) == 0, running.err
        _, alive = psutil.wait_procs(children, timeout=0)
        assert alive == []
        check_quiet(running)


@pytest.mark.parametrize("moment", ["rules' state recovered", " to start, "])
def test_the_demo_ends_cleanly_in_the_middle_of_starting(tmp_path: Path, moment: str):
    """While twins power on, and while sessions connect and read."""
    with command(tmp_path, "it", "demo") as running:
        running.wait_for(moment)
        children = running.children()
        assert running.stop(signal.SIGINT, SOON_S) == 0, running.err
        _, alive = psutil.wait_procs(children, timeout=0)
        assert alive == []
        check_quiet(running)


def test_an_impatient_person_presses_twice(tmp_path: Path):
    with command(tmp_path, "it", "--data", tmp_path / "data", "run", "--port", "0") as running:
        running.wait_for("all 45 devices stream")
        children = running.children()
        running.process.send_signal(signal.SIGINT)
        assert running.stop(signal.SIGINT, SOON_S) == 0, running.err
        _, alive = psutil.wait_procs(children, timeout=5)
        assert alive == []
        check_quiet(running)


def test_a_run_says_what_matters_and_nothing_of_a_patient(tmp_path: Path):
    """Alarms go on and off in this recording: neither who nor how much is in the log, and it stays short."""
    made = ward_of(tmp_path / "ward.csv", patients=3, moments=90)
    named = re.sub(r",p(\d),", rf",{PATIENT} \1,", made.read_text())
    made.write_text(named)
    report = tmp_path / "report.json"
    with command(tmp_path, "it", "demo", "--play", made, "--speed", "1e6", "--report", report) as running:
        assert running.process.wait(90) == 0, running.err
        check_quiet(running)
        account = json.loads(report.read_text())
        assert account["complete"]
        assert account["alarms"]
        assert {a["patient"].rpartition(" ")[0] for a in account["alarms"]} == {PATIENT}
        lines = running.err.splitlines()
        assert 3 <= len(lines) <= 20, running.err
        assert sum("devices stream" in line for line in lines) == 1
        for text in (running.err, running.out):
            assert not any(part in text for part in (*PATIENT.split(), PATIENT.replace(" ", "-")))
        for word in ("SpO2", "spo2", "heart_rate", "nibp", "< 90", "/min", "%"):
            assert word not in running.err
