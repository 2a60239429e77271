"""The rules that the reference's tests step."""

from __future__ import annotations

from typing import Any

from rules.rule import SECOND, Rule
from tests.unit.rules.made import make, threshold

S = SECOND
H = 3600.0


def spo2(value: float = 90, **more: Any) -> Rule:
    return make(
        "low",
        threshold("spo2", "below", value, 1),
        **{
            "delay_s": 10.0,
            "explanation": {"en": "{spo2} {limit}", "zh": "{limit}"},
            "cleared": {"en": "ended {limit}", "zh": "{limit}"},
            **more,
        },
    )


SPO2 = spo2()
BP = make(
    "bp",
    threshold("nibp_systolic", "at_or_above", 180, 5),
    threshold("nibp_diastolic", "at_or_above", 110, 5),
    max_lateness_s=86_400.0,
    max_age_s=4 * H,
    explanation={"en": "BP {nibp_systolic}/{nibp_diastolic} {limit}", "zh": "{limit}"},
)
