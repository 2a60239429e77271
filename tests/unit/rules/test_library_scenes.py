"""The whole library on one patient: who is called, and who is not called twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

from hearthward.app.ward import TWINS, VitalSigns, virtual_ward
from hearthward.core.codes import METRICS
from hearthward.core.model import Quality
from rules import (
    Configuration,
    Context,
    Engine,
    Limit,
    Readings,
    Rows,
    State,
    Tick,
    Transition,
    load_rules,
    subject_key,
)
from rules.rule import SECOND

RULES = load_rules()
WARD = Context(setting="ward", adult=True)
HOME = Context(setting="home", adult=True)
Sample = tuple[float, Mapping[str, float | str | None]]


class Scene:
    """One patient under all shipped rules; times are seconds."""

    def __init__(self, context: Context, subject: str = "p") -> None:
        self.engine = Engine(State.empty("scene", RULES))
        self.subject = subject
        self.seq = 0
        self.transitions: list[Transition] = []
        self._take(Configuration(1, 0, None, contexts={subject: context}))

    def _take(self, event: Configuration | Readings | Tick) -> None:
        self.seq += 1
        self.transitions += self.engine.step(event)

    def measured(
        self,
        at: float,
        values: Mapping[str, float | str | None],
        *,
        received: float | None = None,
        quality: int = 0,
    ) -> None:
        now = round((at if received is None else received) * SECOND)
        rows = Rows()
        for metric, value in values.items():
            number = METRICS[metric].place(value) if isinstance(value, str) else value
            rows.append(self.subject, f"{metric}-1", metric, number, round(at * SECOND), now, quality)
        self._take(Readings(self.seq + 1, now, rows, "gw", now))

    def play(self, samples: Iterable[Sample]) -> Scene:
        for at, values in samples:
            self.measured(at, values)
        return self

    def until(self, at: float) -> Scene:
        self._take(Tick(self.seq + 1, round(at * SECOND)))
        return self

    def told(self, kind: str = "start") -> Counter[str]:
        return Counter(t.rule for t in self.transitions if t.kind == kind)


def each_second(first: int, last: int, values: Mapping[str, float | str | None]) -> list[Sample]:
    return [(at, values) for at in range(first, last + 1)]


FINE = {"heart_rate": 72.0, "spo2": 97.0, "pulse_rate": 72.0}


def test_a_healthy_patient_calls_nobody():
    scene = Scene(WARD).play(each_second(1, 600, FINE)).until(601)
    assert scene.transitions == []


def test_a_slow_heart_seen_by_belt_and_oximeter_is_one_alarm():
    slow = {"heart_rate": 36.0, "spo2": 97.0, "pulse_rate": 36.0}
    scene = Scene(WARD).play([*each_second(1, 30, FINE), *each_second(31, 120, slow)])
    assert scene.told() == {"heart-rate-low": 1}


def test_without_a_belt_the_oximeters_pulse_tells():
    slow = {"spo2": 97.0, "pulse_rate": 36.0}
    scene = Scene(WARD).play(each_second(1, 120, slow))
    assert scene.told() == {"pulse-rate-low": 1}


def test_a_short_desaturation_is_one_alarm():
    low = FINE | {"spo2": 85.0}
    scene = Scene(WARD).play(
        [*each_second(1, 20, FINE), *each_second(21, 90, low), *each_second(91, 600, FINE)]
    )
    assert scene.told() == {"spo2-low": 1}
    assert scene.told("end") == {"spo2-low": 1}


def test_a_saturation_that_goes_on_falling_breaks_through_a_second_time():
    low, lower = FINE | {"spo2": 86.0}, FINE | {"spo2": 76.0}
    scene = Scene(WARD).play([*each_second(1, 60, low), *each_second(61, 120, lower)])
    started = [t for t in scene.transitions if t.kind == "start"]
    assert [(t.rule, t.at) for t in started] == [("spo2-low", 11 * SECOND), ("spo2-very-low", 64 * SECOND)]


def test_what_stays_wrong_for_five_minutes_asks_for_a_review_as_well():
    low = FINE | {"spo2": 88.0}
    scene = Scene(WARD).play(each_second(1, 320, low))
    assert scene.told() == {"spo2-low": 1, "news2-single-three": 1}


def test_scale_2_and_a_personal_limit_leave_a_patient_in_the_target_range_alone():
    limit = Limit("spo2-low", "limit", 87, "dr-1", 0, "COPD, target 88-92")
    copd = Context(setting="ward", adult=True, spo2_scale=2, limits=(limit,))
    scene = Scene(copd).play(each_second(1, 900, FINE | {"spo2": 88.0}))
    assert scene.transitions == []


def test_a_falling_pressure_is_one_alarm_and_shock_another():
    pressures = [(0, 150), (3600, 128), (7200, 108), (9000, 86)]
    scene = Scene(WARD).play((at, {"nibp_systolic": float(s)}) for at, s in pressures)
    assert scene.told() == {"bp-systolic-drop": 1, "bp-systolic-low": 1}
    assert scene.told("end") == {"bp-systolic-drop": 1}


def test_shock_from_one_measurement_to_the_next_is_one_alarm():
    scene = Scene(WARD).play([(0, {"nibp_systolic": 150.0}), (7200, {"nibp_systolic": 82.0})])
    assert scene.told() == {"bp-systolic-low": 1}


def test_a_200_over_120_that_arrives_three_hours_late_is_one_alarm_at_once():
    scene = Scene(HOME)
    scene.measured(100, {"nibp_systolic": 200.0, "nibp_diastolic": 120.0}, received=100 + 3 * 3600)
    (start,) = scene.transitions
    assert (start.kind, start.rule, start.late, start.onset) == ("start", "home-bp-high", True, 100 * SECOND)
    assert start.detail["why"] == "critical"


def test_the_same_pressure_has_the_wards_limit_on_a_ward():
    scene = Scene(WARD).play([(0, {"nibp_systolic": 204.0, "nibp_diastolic": 100.0})]).until(60)
    assert scene.told() == {}
    scene.play([(100, {"nibp_systolic": 224.0, "nibp_diastolic": 100.0})]).until(160)
    assert scene.told() == {"bp-systolic-high": 1}


def test_chest_pain_counts_whatever_the_values_are():
    scene = Scene(HOME).play([(0, {"symptom": "chest_pain"})])
    assert scene.told() == {"symptom-grave": 1}


def test_a_symptom_that_grows_grave_leaves_one_alarm():
    scene = Scene(HOME).play([(0, {"symptom": "dizziness"}), (600, {"symptom": "fainting"})])
    assert scene.told() == {"symptom-reported": 1, "symptom-grave": 1}
    assert scene.told("end") == {"symptom-reported": 1}


def test_confusion_on_a_round_calls_at_once_and_asks_for_a_review_later():
    seen = {
        "respiratory_rate": 16.0,
        "spo2": 97.0,
        "supplemental_oxygen": "air",
        "nibp_systolic": 124.0,
        "heart_rate": 76.0,
        "consciousness": "C",
        "body_temperature": 37.0,
    }
    scene = Scene(WARD).play([(0, seen)])
    assert scene.told() == {"consciousness-changed": 1}
    assert scene.until(400).told()["news2-single-three"] == 1


def test_a_sensor_that_is_taken_off_is_told_low_then_as_lost_monitoring():
    scene = Scene(WARD).play(each_second(1, 60, FINE))
    for at in range(61, 400):
        scene.measured(at, {"spo2": None, "pulse_rate": None}, quality=Quality.SENSOR_OFF)
        scene.measured(at, {"heart_rate": 72.0})
    started = [(t.rule, t.at // SECOND) for t in scene.transitions if t.kind == "start"]
    assert started == [("sensor-off", 121), ("no-data", 360)]


@pytest.mark.parametrize(
    ("kind", "rule", "silence"), [("gateway", "gateway-silent", 120), ("component", "component-silent", 30)]
)
def test_silence_of_what_carries_the_signals_is_told(kind: str, rule: str, silence: int):
    subject = subject_key("gateway" if kind == "gateway" else "component", "x")
    engine = Engine(State.empty("scene", RULES))
    rows = Rows.of([(subject, "x", "heartbeat", 1.0, SECOND, SECOND, 0)])
    engine.step(Readings(1, SECOND, rows))
    assert engine.step(Tick(2, (silence) * SECOND)) == ()
    (start,) = engine.step(Tick(3, (silence + 1) * SECOND))
    assert (start.rule, start.kind, start.patient) == (rule, "start", subject)


def test_a_device_of_nobody_still_tells_of_its_battery_and_clock():
    scene = Scene(Context(), subject_key("device", "scales"))
    scene.measured(0, {"battery_level": 12.0, "body_weight": None}, quality=Quality.CLOCK_UNSET)
    scene.until(120)
    assert scene.told() == {"low-battery": 1, "clock-wrong": 1}


def test_a_childs_values_have_no_news2():
    scene = Scene(Context(setting="ward", adult=False))
    scene.play([(0, {"respiratory_rate": 34.0, "spo2": 93.0, "heart_rate": 128.0})]).until(900)
    assert not any(rule.startswith("news2") for rule in scene.told())


def test_the_virtual_ward_is_not_flooded():
    """Ten minutes of sixteen invented patients: the scripted episodes are told, and hardly anything else."""
    plan = virtual_ward()
    contexts = {p.id: WARD if p.bed else HOME for p in plan.patients}
    engine = Engine(State.empty("scene", RULES))
    engine.step(Configuration(1, 0, None, contexts=contexts))
    signs = {p.id: VitalSigns(p.id) for p in plan.patients}
    told: Counter[tuple[str, str]] = Counter()
    for second in range(1, 601):
        rows, now = Rows(), second * SECOND
        for patient in plan.patients:
            values = signs[patient.id].at(second)
            for device in patient.devices:
                if second % int(device.interval_s) == 0:
                    for metric in sorted(TWINS[device.kind][2]):
                        rows.append(patient.id, device.id, metric, values[metric], now, now)
        found = engine.step(Readings(second + 1, now, rows, plan.gateway, now))
        told.update((t.patient, t.rule) for t in found if t.kind == "start")
    scripted = {("pat-03", "spo2-low"), ("pat-08", "heart-rate-high"), ("home-2", "home-bp-high")}
    assert scripted <= told.keys()
    assert sum(told.values()) <= 8
    assert {patient for patient, _ in told} == {"pat-03", "pat-08", "home-2"}
