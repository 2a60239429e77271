"""The vocabulary pinned number by number: public code is full of off-by-one MDC numbers."""

from __future__ import annotations

import pytest

from hearthward.core.codes import INTERNAL, METRICS, metric
from hearthward.core.errors import ConfigError

PINNED = {
    "heart_rate": (147842, "8867-4", "/min"),
    "pulse_rate": (149530, "8889-8", "/min"),
    "spo2": (150456, "59408-5", "%"),
    "respiratory_rate": (151562, "9279-1", "/min"),
    "nibp_systolic": (150021, "8480-6", "mm[Hg]"),
    "nibp_diastolic": (150022, "8462-4", "mm[Hg]"),
    "nibp_mean": (150023, "8478-0", "mm[Hg]"),
    "ibp_systolic": (150037, "76215-3", "mm[Hg]"),
    "ibp_diastolic": (150038, "76213-8", "mm[Hg]"),
    "ibp_mean": (150039, "76214-6", "mm[Hg]"),
    "body_temperature": (150364, "8310-5", "Cel"),
    "blood_glucose": (160184, "41653-7", "mg/dL"),
    "interstitial_glucose": (None, "99504-3", "mg/dL"),
    "body_weight": (188736, "29463-7", "kg"),
    "etco2": (151708, "19891-1", "mm[Hg]"),
    "perfusion_index": (None, None, "%"),
    "battery_level": (None, None, "%"),
    "rr_interval": (None, None, "ms"),
    "pain": (None, None, None),
    **dict.fromkeys(sorted(INTERNAL - {"gateway_trouble"}), (None, None, "1")),  # our own: in no nomenclature
}
BY_HAND = {"consciousness": "A", "supplemental_oxygen": "air", "symptom": "none"}
"""Coded, with the code that says that all is well."""
CODED = (
    {f"device_{part}" for part in ("manufacturer", "model", "serial", "hardware", "firmware", "software")}
    | set(BY_HAND)
    | {"gateway_trouble"}
)


@pytest.mark.parametrize("key", PINNED)
def test_numbers_are_those_of_the_nomenclature(key: str):
    row = metric(key)
    assert (row.mdc, row.loinc, row.unit) == PINNED[key]


def test_the_table_has_these_rows_and_no_others():
    assert set(METRICS) == set(PINNED) | CODED
    assert {key for key, row in METRICS.items() if row.kind == "coded"} == CODED


@pytest.mark.parametrize("key", METRICS)
def test_every_row_is_whole(key: str):
    row = METRICS[key]
    assert row.key == key
    assert row.low < row.high
    assert row.interval_s > 0
    assert (row.unit is None) == (row.kind == "coded" or key == "pain")  # a rating has no unit
    assert row.decimals >= 0


@pytest.mark.parametrize("key", BY_HAND)
def test_codes_go_from_harmless_to_grave(key: str):
    row = METRICS[key]
    assert row.place(BY_HAND[key]) == 0
    assert [row.place(code) for code in row.codes] == list(range(len(row.codes)))
    assert row.place("nonsense") is None
    assert row.place(None) is None


def test_no_number_stands_twice():
    for column in ("mdc", "loinc"):
        numbers = [n for row in METRICS.values() if (n := getattr(row, column)) is not None]
        assert len(numbers) == len(set(numbers))


def _check_digit(number: str) -> int:
    """LOINC's modulo-10 check digit (LOINC Users' Guide, appendix C)."""
    total = 0
    for i, digit in enumerate(reversed(number)):
        doubled = int(digit) * (2 if i % 2 == 0 else 1)
        total += doubled // 10 + doubled % 10
    return -total % 10


@pytest.mark.parametrize("loinc", [row.loinc for row in METRICS.values() if row.loinc])
def test_loinc_check_digits_hold(loinc: str):
    number, digit = loinc.split("-")
    assert _check_digit(number) == int(digit)


def test_an_unknown_metric_is_refused_by_name():
    with pytest.raises(ConfigError, match="'sp02'") as caught:
        metric("sp02")
    assert caught.value.details["metric"] == "sp02"
