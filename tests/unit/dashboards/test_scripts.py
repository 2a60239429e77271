"""Our scripts under Node's own test runner: what they decide, without a browser."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from hatch_build import node_command
from tests.programs import ROOT

FOLDER = Path(__file__).parent / "scripts"


@pytest.fixture(scope="module")
def node() -> str:
    try:
        return node_command()
    except SystemExit as absent:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(absent))


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.test.js")), ids=lambda p: p.name.split(".")[0])
def test_script(file: Path, node: str):
    command = [node, "--test", "--test-reporter=tap", str(file)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"^# pass [1-9]", ran.stdout, re.MULTILINE), "nothing was tested"
