"""The vocabulary of measured quantities: one row a metric, and nowhere else.

MDC numbers: ISO/IEEE 11073-10101 (``urn:iso:std:iso:11073:10101``); LOINC; units: UCUM.
``None`` stands where a number has not been verified against the nomenclature: better none than wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from hearthward.core.errors import ConfigError

__all__ = [
    "BESIDE",
    "CLOCK_SKEW",
    "CYCLES",
    "INTERNAL",
    "METRICS",
    "OF_GATEWAYS",
    "SENSORS",
    "SETTINGS",
    "TROUBLES",
    "Metric",
    "metric",
]

Kind = Literal["numeric", "coded", "wave"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A measured quantity: its codes, its one canonical unit, what is plausible and how often it comes.

    ``low`` and ``high`` bound what an instrument can mean at all (a value outside is rejected, never
    clipped); ``interval_s`` is the expected seconds between values where a device says nothing better.
    ``codes`` are the values of a coded metric that rules look at, from harmless to grave.
    """

    key: str
    mdc: int | None
    loinc: str | None
    unit: str | None
    low: float
    high: float
    interval_s: float
    decimals: int = 0
    kind: Kind = "numeric"
    codes: tuple[str, ...] = ()

    def place(self, code: str | None) -> float | None:
        """A code's place in ``codes`` as the number that rules look at; None when it is none of them."""
        return float(self.codes.index(code)) if code in self.codes else None


def _m(  # noqa: PLR0913, PLR0917 - a row of the table
    key: str,
    mdc: int | None,
    loinc: str | None,
    unit: str | None,
    low: float,
    high: float,
    interval_s: float,
    decimals: int = 0,
    kind: Kind = "numeric",
    codes: tuple[str, ...] = (),
) -> tuple[str, Metric]:
    return key, Metric(key, mdc, loinc, unit, low, high, interval_s, decimals, kind, codes)


_INF = float("inf")
SYMPTOMS: Final = (
    "none",
    "dizziness",
    "headache",
    "nausea",
    "swelling",
    "palpitations",
    "blurred_vision",
    "weakness",
    "breathlessness",
    "chest_pain",
    "fainting",
)
"""What a patient may report, one at a time; ``none`` says that there are none."""

TROUBLES: Final = (
    "none",
    "unnamed",
    "decisions_lost",
    "configuration_unusable",
    "cloud_refused",
    "frames_refused",
    "decisions_refused",
    "rules_absent",
    "rules_failed",
    "readings_not_judged",
    "radio_stuck",
)
"""What a gateway may say that it cannot do, the gravest last; ``unnamed``: what is not known here.

``frames_refused``, ``decisions_refused`` and ``readings_not_judged`` the cloud says of what it sends.
"""
OF_GATEWAYS: Final = frozenset(
    {
        "config_outdated",
        "gateway_trouble",
        "identity_conflict",
        "outbox_replaced",
        "readings_lost",
        "readings_unaccounted",
    }
)
"""What the cloud notices of a gateway besides its signs of life."""
INTERNAL: Final = OF_GATEWAYS | frozenset(
    {"walls_audible", "delivery_failing", "duty_uncovered", "alarms_in_10_min", "part_failing"}
)
"""What only our own parts say of themselves: no device measures it, nobody enters it, no patient has it."""

SETTINGS: Final = tuple(f"device_setting_{n}" for n in range(1, 4))
"""How an instrument was operated in a cycle, in units of its own."""
SENSORS: Final = tuple(f"device_sensor_{n}" for n in range(1, 22))
"""What an instrument's own sensors measured in a cycle, in units of its own."""
CYCLES: Final = "device_cycles"
"""How often an instrument was used, counted by itself; starts over after an overhaul."""
CLOCK_SKEW: Final = "clock_skew"
"""By how much a device's clock is ahead: its gateway says so, no device measures it."""
BESIDE: Final = frozenset(
    {
        "ambient_temperature",
        "basal_metabolism",
        "battery_level",
        "battery_voltage",
        "body_fat",
        "body_height",
        "body_impedance",
        "body_mass_index",
        "body_water_mass",
        "carbohydrates",
        "carboxyhemoglobin",
        "clock_skew",
        "cuff_pressure",
        CYCLES,
        "device_supply_voltage",
        "device_temperature",
        "energy_expended",
        "exercise_duration",
        "exercise_intensity",
        "fat_free_mass",
        "glucose_trend",
        "hba1c",
        "hemoglobin",
        "intermediate_temperature",
        "medication_mass",
        "medication_volume",
        "methemoglobin",
        "muscle_mass",
        "muscle_share",
        "perfusion_index",
        "pleth_variability",
        "relative_humidity",
        "rr_interval",
        "sensor_quality",
        "sensor_run_time",
        "soft_lean_mass",
        *SETTINGS,
        *SENSORS,
    }
)
"""What comes with other values, now and then, or of a room: its silence says nothing, nobody enters it."""

METRICS: Final[dict[str, Metric]] = dict(
    [
        _m("heart_rate", 147842, "8867-4", "/min", 0, 350, 1),
        _m("pulse_rate", 149530, "8889-8", "/min", 0, 350, 1),
        _m("rr_interval", None, None, "ms", 0, 10_000, 1),
        _m("spo2", 150456, "59408-5", "%", 0, 100, 1),
        _m("perfusion_index", None, None, "%", 0, 100, 1, 2),
        _m("pleth_variability", None, None, "%", 0, 100, 1),
        _m("hemoglobin", None, None, "g/dL", 0, 30, 1, 1),
        _m("carboxyhemoglobin", None, None, "%", 0, 100, 1, 1),
        _m("methemoglobin", None, None, "%", 0, 100, 1, 1),
        _m("respiratory_rate", 151562, "9279-1", "/min", 0, 200, 5),
        _m("nibp_systolic", 150021, "8480-6", "mm[Hg]", 0, 350, 3600),
        _m("nibp_diastolic", 150022, "8462-4", "mm[Hg]", 0, 300, 3600),
        _m("nibp_mean", 150023, "8478-0", "mm[Hg]", 0, 320, 3600),
        _m("ibp_systolic", 150037, "76215-3", "mm[Hg]", -50, 400, 5),
        _m("ibp_diastolic", 150038, "76213-8", "mm[Hg]", -50, 350, 5),
        _m("ibp_mean", 150039, "76214-6", "mm[Hg]", -50, 350, 5),
        _m("body_temperature", 150364, "8310-5", "Cel", 10, 50, 300, 1),
        _m("blood_glucose", 160184, "41653-7", "mg/dL", 0, 2000, 14_400),
        _m("interstitial_glucose", 160212, "99504-3", "mg/dL", 0, 1000, 300),
        _m("body_weight", 188736, "29463-7", "kg", 0, 700, 86_400, 2),
        # beside a measurement: what led to it, or what it is made of
        _m("cuff_pressure", None, None, "mm[Hg]", 0, 400, 1),
        _m("intermediate_temperature", None, None, "Cel", 0, 60, 1, 1),
        _m("energy_expended", None, None, "kJ", 0, 65_535, 60),
        _m("glucose_trend", None, None, "mg/dL/min", -100, 100, 300, 1),
        _m("sensor_quality", None, None, "%", 0, 100, 300),
        _m("sensor_run_time", None, None, "h", 0, 65_535, 86_400),
        _m("carbohydrates", None, None, "g", 0, 5000, 14_400),
        _m("exercise_duration", None, None, "s", 0, 65_535, 14_400),
        _m("exercise_intensity", None, None, "%", 0, 100, 14_400),
        _m("medication_mass", None, None, "mg", 0, 100_000, 14_400, 1),
        _m("medication_volume", None, None, "mL", 0, 1000, 14_400, 2),
        _m("hba1c", 160220, "4548-4", "%", 0, 30, 14_400, 1),
        _m("body_height", 188740, "8302-2", "cm", 10, 300, 86_400, 1),
        _m("body_mass_index", 188752, "39156-5", "kg/m2", 0, 200, 86_400, 1),
        _m("body_fat", None, "41982-0", "%", 0, 100, 86_400, 1),
        _m("basal_metabolism", None, None, "kJ/d", 0, 65_535, 86_400),
        _m("muscle_share", None, None, "%", 0, 100, 86_400, 1),
        _m("muscle_mass", None, None, "kg", 0, 350, 86_400, 2),
        _m("fat_free_mass", None, None, "kg", 0, 700, 86_400, 2),
        _m("soft_lean_mass", None, None, "kg", 0, 700, 86_400, 2),
        _m("body_water_mass", None, None, "kg", 0, 700, 86_400, 2),
        _m("body_impedance", None, None, "Ohm", 0, 10_000, 86_400, 1),
        # of the room
        _m("ambient_temperature", None, None, "Cel", -40, 85, 300, 1),
        _m("relative_humidity", None, None, "%", 0, 100, 300),
        _m("etco2", 151708, "19891-1", "mm[Hg]", 0, 200, 5),
        _m("battery_level", None, None, "%", 0, 100, 3600),
        # of a device itself: its board or cell, not the room and not a patient
        _m("battery_voltage", None, None, "V", 0, 60, 3600, 3),
        _m("device_supply_voltage", None, None, "V", 0, 300, 3600, 3),
        _m("device_temperature", None, None, "Cel", -60, 150, 3600, 1),
        _m(CYCLES, None, None, "1", 0, 4_294_967_295, 3600),
        *(_m(key, None, None, "1", -1e12, 1e12, 3600, 4) for key in (*SETTINGS, *SENSORS)),
        _m("clock_skew", None, None, "s", -1e10, 1e10, 86_400),
        # waveforms: samples, never single readings; low and high bound a sample in the unit
        _m("pleth", 150452, None, "1", 0, 65_535, 1, 0, "wave"),
        _m("ecg", 131328, "11524-6", "mV", -100, 100, 1, 3, "wave"),
        _m("ecg_i", 131329, None, "mV", -100, 100, 1, 3, "wave"),
        _m("ecg_ii", 131330, None, "mV", -100, 100, 1, 3, "wave"),
        # entered by hand: no device sends them
        _m("consciousness", None, None, None, -_INF, _INF, 14_400, 0, "coded", ("A", "C", "V", "P", "U")),
        _m("supplemental_oxygen", None, None, None, -_INF, _INF, 14_400, 0, "coded", ("air", "oxygen")),
        _m("pain", None, None, None, 0, 10, 14_400),
        _m("symptom", None, None, None, -_INF, _INF, 86_400, 0, "coded", SYMPTOMS),
        # how a measurement was made, as devices say it beside the number
        _m("thermometer_site", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("glucose_sample", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("glucose_site", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("glucose_beyond", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("carbohydrate_source", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("meal", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("glucose_tester", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("reported_health", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("medication", None, None, None, -_INF, _INF, 14_400, 0, "coded"),
        _m("sensor_session_start", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("sensor_status", None, None, None, -_INF, _INF, 300, 0, "coded"),
        _m("battery_state", None, None, None, -_INF, _INF, 86_400, 0, "coded", ("good", "low")),
        _m("device_clock", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_system_id", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_regulatory", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_pnp_id", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_manufacturer", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_model", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_serial", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_hardware", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_firmware", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        _m("device_software", None, None, None, -_INF, _INF, 86_400, 0, "coded"),
        # of our own parts: walls of a ward that are connected and can be heard, whether a channel fails (0 or
        # 1), roles of a ward that nobody holds, alarms of a ward that began within ten minutes
        _m("walls_audible", None, None, "1", 0, 10_000, 10),
        _m("delivery_failing", None, None, "1", 0, 1, 10),
        _m("duty_uncovered", None, None, "1", 0, 10_000, 10),
        _m("alarms_in_10_min", None, None, "1", 0, 1_000_000, 10),
        _m("part_failing", None, None, "1", 0, 1, 10),
        # of a gateway: whether it runs an old configuration, what goes wrong, whether two use its identity,
        # whether its outbox was made anew (0 or 1), readings lost within the hour, those missing in the books
        _m("config_outdated", None, None, "1", 0, 1, 10),
        _m("gateway_trouble", None, None, None, -_INF, _INF, 10, 0, "coded", TROUBLES),
        _m("identity_conflict", None, None, "1", 0, 1, 10),
        _m("outbox_replaced", None, None, "1", 0, 1, 10),
        _m("readings_lost", None, None, "1", 0, 1_000_000_000, 10),
        _m("readings_unaccounted", None, None, "1", 0, 1_000_000_000, 10),
    ]
)


def metric(key: str) -> Metric:
    """The table's row for ``key``. Raises ConfigError for a name that is not in the vocabulary."""
    try:
        return METRICS[key]
    except KeyError:
        msg = f"unknown metric {key!r}; the known ones are in hearthward/core/codes.py"
        raise ConfigError(msg, metric=key) from None
