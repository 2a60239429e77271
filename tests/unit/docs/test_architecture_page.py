"""``docs/ARCHITECTURE.md``: the tests and settings that its tables name are there."""

from __future__ import annotations

import re

import pytest

from hearthward.core.retention_settings import RetentionSettings
from tests.unit.docs.pages import ROOT

PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", PAGE)))


@pytest.mark.parametrize(("file", "test"), NAMED)
def test_each_test_that_is_named_is_there(file: str, test: str):
    found = list((ROOT / "tests").rglob(file))
    assert found, f"no {file}"
    assert not test or any(f"def {test}(" in path.read_text("utf-8") for path in found), (
        f"no {test} in {file}"
    )


def test_the_figures_of_retention_are_the_settings():
    kept = RetentionSettings()
    retention = PAGE.split("## Retention")[1].split("## ")[0]
    for figure in (
        f"{kept.journal_h:g} h",
        f"{kept.notifications_days:g} days after their alarm",
        f"{kept.inactivations_days:g} days after their end",
        f"{kept.ledger_days:g} days",
        f"{kept.dead_letters_days:g} days, {kept.dead_letters:,}, {kept.dead_letter_bytes >> 30} GB",
    ):
        assert figure in retention, figure
