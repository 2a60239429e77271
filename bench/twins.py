"""What the batched twins of whole patients cost beside the scalars: the quality gate, the learned risk."""

from __future__ import annotations

import time
from typing import Final

from bench.figures import Outcome
from rules import Rows
from rules.detectors.quality import Gate, refine
from rules.models.deterioration import Course, shipped
from rules.rule import SECOND

__all__ = ["gated", "risks"]

BEDS: Final = 25_000
"""With ``SIGNS`` each, for the quality gate."""
SIGNS: Final = {"heart_rate": 80.0, "spo2": 97.0, "pulse_rate": 80.0, "ibp_mean": 90.0}
SECONDS: Final = 4
TIMES: Final = 5.0
"""So much faster a twin is to be."""
PATIENTS: Final = 5_000
"""For the learned risk, of which ``ALONE`` are judged one by one, too."""
ALONE: Final = 200
HOURS: Final = 24
VITALS: Final = {
    "heart_rate": 80.0,
    "respiratory_rate": 16.0,
    "spo2": 97.0,
    "body_temperature": 36.9,
    "nibp_systolic": 120.0,
    "consciousness": 0.0,
}


def gated(outcome: Outcome) -> None:
    """The quality gate and its twin on the same readings: all signals of all beds, every second."""
    import numpy as np

    from rules.detectors.quality_batch import BatchedGate, Signal

    chance = np.random.default_rng(1)
    streams = [Signal(f"p{bed}", "monitor", metric) for bed in range(BEDS) for metric in SIGNS]
    numbers, usual = np.arange(len(streams)), np.tile(list(SIGNS.values()), BEDS)
    batched, scalar = BatchedGate(streams), Gate()
    spent = [0.0, 0.0]
    for second in range(SECONDS + 1):
        times = np.full(len(streams), (second + 1) * SECOND)
        values = usual + chance.integers(-2, 3, len(streams))
        rows = Rows.of(
            (*s, v, t, t, 0) for s, v, t in zip(streams, values.tolist(), times.tolist(), strict=True)
        )
        begun = time.process_time()
        batched.judge(numbers, times, values)
        between = time.process_time()
        refine(scalar, rows, 0, 2**62)
        ended = time.process_time()
        if second:
            spent = [spent[0] + ended - between, spent[1] + between - begun]
    outcome.add("quality gate: as many times as fast", spent[0] / spent[1], "", target=TIMES, at_least=True)
    for name, taken in zip(("pure Python", "in batches"), spent, strict=True):
        figure = taken / (SECONDS) / len(streams) * 1e6
        outcome.add(f"quality gate, {len(streams):,} streams, {name}", figure, "us")


def risks(outcome: Outcome) -> None:
    """The learned risk and its twin: hourly vital signs, and the risk a day later; both say the same."""
    import numpy as np

    from rules.models.deterioration_batch import BatchedCourses, BatchedDeterioration, channels_of

    chance = np.random.default_rng(1)
    together, alone = BatchedCourses(PATIENTS), [Course() for _ in range(ALONE)]
    patients, metrics = np.repeat(np.arange(PATIENTS), len(VITALS)), list(VITALS) * PATIENTS
    channels, usual = channels_of(metrics), np.tile(list(VITALS.values()), PATIENTS)
    first = ALONE * len(VITALS)
    spent = dict.fromkeys(("value", "value, in batches", "risk with reasons", "risk, in batches"), 0.0)
    for hour in range(HOURS):
        values = np.round(usual * chance.normal(1.0, 0.01, len(usual)), 1)
        begun = time.process_time()
        together.push(patients, np.full(len(usual), hour * 3600.0), channels, values)
        between = time.process_time()
        for n, metric, value in zip(patients[:first].tolist(), metrics, values.tolist(), strict=False):
            alone[n].push(hour * 3600.0, metric, value)
        spent["value, in batches"] += (between - begun) / len(usual) / HOURS
        spent["value"] += (time.process_time() - between) / first / HOURS
    now, model, twin = HOURS * 3600.0, shipped(), BatchedDeterioration(shipped())
    begun = time.process_time()
    found = twin.risks(together, now)
    between = time.process_time()
    told = [model.risk(course, now) for course in alone]
    spent["risk with reasons"] = (time.process_time() - between) / ALONE
    spent["risk, in batches"] = (between - begun) / PATIENTS
    assert found[:ALONE].tolist() == [risk.value for risk in told if risk is not None]
    for what, alone_too in (("value", "value"), ("risk", "risk with reasons")):
        times = spent[alone_too] / spent[f"{what}, in batches"]
        outcome.add(f"learned risk, a {what}: as many times as fast", times, "", target=TIMES, at_least=True)
    for name, taken in spent.items():
        outcome.add(f"learned risk, {PATIENTS:,} patients, a {name}", taken * 1e6, "us")
