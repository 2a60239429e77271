"""The worked example of ``docs/devices.md``, done as it stands there against a virtual device."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from firmware_profiles.evidence import evidence_of
from firmware_profiles.registry import load_catalog
from firmware_profiles.report import check
from hearthward.app.cli import main
from tests.component.app.commands import command
from tests.programs import ROOT

pytestmark = pytest.mark.usefixtures("clean_settings")

PAGE = (ROOT / "docs/devices.md").read_text("utf-8")
FIELDS = ["flags", "u8", "none", "rate", "u8", "heart_rate", "/min", "", "1"]


def answers() -> list[str]:
    """What the page answers the eight questions with."""
    asked = PAGE[PAGE.index("profiles new\n") :].partition("\n\n")[0].splitlines()[1:]
    assert len(asked) == 8
    return [
        re.split(r"\]: ?|: ", line, maxsplit=1)[-1].strip() if not line.endswith("]:") else ""
        for line in asked
    ]


def test_the_example_ends_with_a_profile_of_captured_frames(tmp_path: Path):
    file, plan = tmp_path / "demo-strap.yaml", tmp_path / "plan.json"
    frame = re.search(r"in hexadecimal: ([0-9A-F ]+)$", PAGE, re.MULTILINE)
    assert frame is not None
    typed = "\n".join([*answers(), *FIELDS, frame.group(1), "y"]) + "\n"
    result = CliRunner().invoke(main, ["profiles", "new", "-o", str(file)], input=typed)
    assert result.exit_code == 0, result.output
    with command(
        tmp_path, "twins", "--data", tmp_path / "data", "twins", "--hci", "0", "--plan", plan
    ) as twins:
        twins.wait_for("virtual radio on")
        about = json.loads(plan.read_text())
        strap = about["patients"][0]["devices"][0]["address"]
        radio = f"tcp-client:127.0.0.1:{about['hci']}"
        done = CliRunner().invoke(
            main,
            ["profiles", "record", str(file), strap, "--radio", radio, "--seconds", "3", "--each", "2"],
        )
    assert done.exit_code == 0, done.output
    assert check([file]).ok
    known = evidence_of(load_catalog(file).get("demo-strap"))
    assert (known.level, known.captured >= 2) == ("captured", True)
