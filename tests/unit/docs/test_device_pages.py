"""``docs/devices.md``, ``device-quality.md``, the README's table: what they say of the catalogue is so."""

from __future__ import annotations

import re

import pytest

from firmware_profiles import load_catalog
from firmware_profiles.evidence import put_between, quality_table, readme_table
from firmware_profiles.schema import ProfileDocument
from hearthward.app.cli import main
from tests.unit.docs.pages import ROOT, table

PAGE = (ROOT / "docs/devices.md").read_text("utf-8")
WRITE = "run: hearthward profiles evidence README.md docs/device-quality.md"


@pytest.mark.parametrize(
    ("page", "made"),
    [("README.md", readme_table), ("docs/device-quality.md", quality_table)],
    ids=["README", "quality"],
)
def test_the_table_is_that_of_the_catalogue(page: str, made):  # noqa: ANN001 - one of two functions
    text = (ROOT / page).read_text("utf-8")
    assert put_between(text, made(load_catalog())) == text, WRITE


def test_each_key_in_the_table_is_one_of_a_profile():
    for row in table(PAGE, "key"):
        assert row[0].strip("`") in ProfileDocument.model_fields


def test_each_command_is_there():
    for words in re.findall(r"^    (?:\$ )?hearthward ([a-z]+)(?: ([a-z]+))?", PAGE, re.MULTILINE):
        command = main.commands[words[0]]
        if words[0] in {"profiles", "devices"}:
            assert words[1] in command.commands  # type: ignore[attr-defined]
