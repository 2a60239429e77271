from __future__ import annotations

import math
from dataclasses import replace

import pytest

from rules.detectors import DEFAULTS, STATISTICS, Prior, Weights


@pytest.mark.parametrize("field", ["tau_short", "threshold", "gap"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_cannot_be_is_refused_by_name(field: str, value: float):
    with pytest.raises(ValueError, match=field):
        replace(DEFAULTS, **{field: value})


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("spread", (80.0, 0.0)),
        ("spread", (80.0, math.nan)),
        ("paces", (80.0, 3.0, 0.0)),
        ("paces", (80.0, 3.0, math.inf)),
        ("level", (math.nan, 3.0)),
    ],
    ids=["no spread", "unknown spread", "never", "always", "unknown level"],
)
def test_a_prior_that_cannot_be_is_refused(name: str, values: tuple[float, ...]):
    with pytest.raises(ValueError, match=f"prior's {name}"):
        Prior(*values)


def test_a_weight_may_be_none_but_not_negative():
    replace(DEFAULTS, weights=Weights(*(0.0 for _ in STATISTICS)), calm=0.0)
    with pytest.raises(ValueError, match=r"weights\.hour"):
        replace(DEFAULTS, weights=DEFAULTS.weights._replace(hour=-0.1))


def test_each_statistic_has_its_weight():
    assert Weights._fields == STATISTICS


def test_another_setting_has_another_digest():
    assert replace(DEFAULTS).digest == DEFAULTS.digest
    assert replace(DEFAULTS, tau_short=5.5).digest != DEFAULTS.digest
    assert replace(DEFAULTS, weights=DEFAULTS.weights._replace(hour=0.9)).digest != DEFAULTS.digest


def test_an_elapsed_time_is_kept_to_within_a_part_in_256():
    for n in range(1, 2000):
        paces = n * 0.00613
        quantised = DEFAULTS.quantised(paces)
        assert quantised == pytest.approx(min(paces, DEFAULTS.gap), rel=1 / 256)
    assert DEFAULTS.quantised(1e-9) == 0.0
    assert DEFAULTS.quantised(1e9) == DEFAULTS.gap


def test_a_memory_forgets_by_the_time_that_passed():
    known = DEFAULTS.after(DEFAULTS.tau_short)
    assert known.short == pytest.approx(1 - math.exp(-1))
    assert DEFAULTS.after(0.0).keep_record == 1.0


def test_a_changed_setting_has_memories_of_its_own():
    before = DEFAULTS.after(1.0)
    changed = replace(DEFAULTS, tau_short=2.0 * DEFAULTS.tau_short)
    assert changed.after(1.0).short == pytest.approx(before.short / 2, rel=0.1)
    assert DEFAULTS.after(1.0) == before
