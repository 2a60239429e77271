from __future__ import annotations

from pathlib import Path

import pytest

from firmware_profiles import Profile, load_catalog
from firmware_profiles.evidence import (
    BEGIN,
    END,
    evidence_of,
    put_between,
    quality_table,
    readme_table,
)
from tests.unit.firmware_profiles.samples import SMALL

CATALOG = load_catalog()
FIELD = "field: [{date: 2026-11-01, firmware: '2.0', report: 'against a monitor, docs/x.md'}]"


def small(tmp_path: Path, old: str = "", new: str = "") -> Profile:
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL.replace(old, new) if old else SMALL)
    return load_catalog(path).get("test-device")


@pytest.mark.parametrize(
    ("old", "new", "level"),
    [
        ("", "", "spec"),
        ("origin: by hand,", "origin: by hand, evidence: published,", "captured"),
        ("origin: by hand,", "origin: by hand, evidence: captured,", "captured"),
        ("certainty: inferred}", f"certainty: inferred, {FIELD}}}", "field"),
    ],
    ids=["spec", "published", "captured", "field"],
)
def test_the_level_is_that_of_the_best_evidence(tmp_path: Path, old: str, new: str, level: str):
    assert evidence_of(small(tmp_path, old, new)).level == level


def test_a_use_of_the_device_is_told(tmp_path: Path):
    profile = small(tmp_path, "certainty: inferred}", f"certainty: inferred, {FIELD}}}")
    assert "2026-11-01, firmware 2.0: against a monitor" in quality_table([profile])


def test_every_profile_has_its_row():
    for profile in CATALOG:
        assert f"`{profile.id}` v{profile.version}" in quality_table([profile])


def test_what_only_adds_to_others_is_no_instrument():
    ids = {p.id for p in CATALOG if readme_table([p]).count("\n") == 3}
    assert "sig-heart-rate" in ids
    assert not {"sig-battery", "sig-device-information"} & ids


def test_a_table_takes_the_place_of_the_one_before():
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert put_between(page, "| new |\n") == f"before\n{BEGIN}\n\n| new |\n\n{END}\nafter\n"
    with pytest.raises(ValueError, match="no place for the table"):
        put_between("a page without marks", "x")
