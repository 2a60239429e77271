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


def test_the_devices_that_are_read_are_counted_right_and_their_profiles_exist():
    text = (ROOT / "docs" / "device-quality.md").read_text(encoding="utf-8")
    table = text.partition("| device | reached by |")[2].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table if line.startswith("|")]
    count = {word: sum(row[2] == word for row in rows) for word in ("yes", "partly", "no")}
    assert sum(count.values()) == len(rows)
    names = load_catalog().names
    known = [row[3].strip("`") for row in rows if row[3] != "-"]
    assert [name for name in known if name not in names] == []
    assert [row[0] for row in rows if (row[3] == "-") != (row[2] == "no")] == []
    share, among = (round(100 * count["yes"] / n) for n in (len(rows), len(known)))
    yes, partly, no = count.values()
    assert f"Read are {yes} of {len(rows)}, {share} %; partly {partly}; not at all {no}." in text
    assert f"Of the {len(known)} that have a profile here, {yes} are read, {among} %." in text
    shut = sum(bool(re.search("encrypt|authentication", row[4])) for row in rows if row[2] == "no")
    rest = len(rows) - shut
    assert f"{shut} encrypt, or" in text
    assert f"of the other {rest}, {yes} are read, {round(100 * yes / rest)} %." in text
