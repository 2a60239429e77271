"""The vocabulary pinned number by number: public code is full of off-by-one MDC numbers."""

from __future__ import annotations

import pytest

from hearthward.core.codes import BESIDE, INTERNAL, METRICS, metric
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
    "interstitial_glucose": (160212, "99504-3", "mg/dL"),
    "body_weight": (188736, "29463-7", "kg"),
    "etco2": (151708, "19891-1", "mm[Hg]"),
    "perfusion_index": (None, None, "%"),
    "pleth_variability": (None, None, "%"),
    "hemoglobin": (None, None, "g/dL"),
    "carboxyhemoglobin": (None, None, "%"),
    "methemoglobin": (None, None, "%"),
    "battery_level": (None, None, "%"),
    "clock_skew": (None, None, "s"),
    "battery_voltage": (None, None, "V"),
    "device_supply_voltage": (None, None, "V"),
    "device_temperature": (None, None, "Cel"),
    "device_cycles": (None, None, "1"),
    **{f"device_setting_{n}": (None, None, "1") for n in range(1, 4)},
    **{f"device_sensor_{n}": (None, None, "1") for n in range(1, 22)},
    "rr_interval": (None, None, "ms"),
    "pain": (None, None, None),
    "pleth": (150452, None, "1"),
    "ecg": (131328, "11524-6", "mV"),
    "ecg_i": (131329, None, "mV"),
    "ecg_ii": (131330, None, "mV"),
    "cuff_pressure": (None, None, "mm[Hg]"),
    "intermediate_temperature": (None, None, "Cel"),
    "energy_expended": (None, None, "kJ"),
    "glucose_trend": (None, None, "mg/dL/min"),
    "sensor_quality": (None, None, "%"),
    "sensor_run_time": (None, None, "h"),
    "carbohydrates": (None, None, "g"),
    "exercise_duration": (None, None, "s"),
    "exercise_intensity": (None, None, "%"),
    "medication_mass": (None, None, "mg"),
    "medication_volume": (None, None, "mL"),
    "hba1c": (160220, "4548-4", "%"),
    "body_height": (188740, "8302-2", "cm"),
    "body_mass_index": (188752, "39156-5", "kg/m2"),
    "body_fat": (None, "41982-0", "%"),
    "basal_metabolism": (None, None, "kJ/d"),
    "muscle_share": (None, None, "%"),
    "muscle_mass": (None, None, "kg"),
    "fat_free_mass": (None, None, "kg"),
    "soft_lean_mass": (None, None, "kg"),
    "body_water_mass": (None, None, "kg"),
    "body_impedance": (None, None, "Ohm"),
    "ambient_temperature": (None, None, "Cel"),
    "relative_humidity": (None, None, "%"),
    **dict.fromkeys(sorted(INTERNAL - {"gateway_trouble"}), (None, None, "1")),  # our own: in no nomenclature
}
BY_HAND = {"consciousness": "A", "supplemental_oxygen": "air", "symptom": "none"}
"""Coded, with the code that says that all is well."""
OF_DEVICES = ("manufacturer", "model", "serial", "hardware", "firmware", "software")
ALSO_OF_DEVICES = ("clock", "system_id", "regulatory", "pnp_id")
HOW_MEASURED = {
    "thermometer_site",
    "glucose_sample",
    "glucose_site",
    "glucose_beyond",
    "carbohydrate_source",
    "meal",
    "glucose_tester",
    "reported_health",
    "medication",
    "sensor_session_start",
    "sensor_status",
}
CODED = (
    {f"device_{part}" for part in (*OF_DEVICES, *ALSO_OF_DEVICES)}
    | HOW_MEASURED
    | set(BY_HAND)
    | {"gateway_trouble", "battery_state"}
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


def test_waveforms_are_these():
    assert {key for key, row in METRICS.items() if row.kind == "wave"} == {"pleth", "ecg", "ecg_i", "ecg_ii"}


def test_what_comes_beside_other_values_is_numeric_and_a_devices():
    assert all(METRICS[key].kind == "numeric" for key in BESIDE)
    assert not BESIDE & (INTERNAL | set(BY_HAND) | {"pain", "body_weight", "spo2"})


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
