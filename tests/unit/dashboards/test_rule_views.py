"""What the pages say of a rule's numbers."""

from __future__ import annotations

import pytest

from dashboards.rule_views import unit_of
from rules import load_rules


@pytest.mark.parametrize(
    ("rule", "parameter", "unit"),
    [
        ("spo2-low", "limit", "%"),
        ("home-bp-rising", "by", "mm[Hg]"),
        ("no-data", "silence_s", "s"),
        ("home-pulse-unusual", "by", ""),
        ("vital-unusual", "limit", ""),
    ],
)
def test_a_number_has_its_signals_unit_unless_it_is_in_spreads_or_a_score(
    rule: str, parameter: str, unit: str
):
    assert unit_of(load_rules().by_id[rule], parameter) == unit
