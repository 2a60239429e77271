"""Transitions as the rules make them, for the tests of what is done with them."""

from __future__ import annotations

from typing import Any

from rules import Transition
from rules.conditions import Threshold
from rules.rule import Parameter, Rule

SECOND = 1_000_000_000


def transition(kind: str = "start", alarm: str = "alm_0001abcdef", seq: int = 1, **values: Any) -> Transition:
    """A transition as the rules make them."""
    made: dict[str, Any] = {
        "alarm": alarm,
        "patient": "p1",
        "rule": "spo2-low",
        "rule_hash": "00ff00ff00ff00ff",
        "kind": kind,
        "condition": "inactive" if kind in {"end", "reset", "late"} else "active",
        "priority": "high",
        "at": 1_800_000_010 * SECOND,
        "onset": 1_800_000_000 * SECOND,
        "seq": seq,
        "values": {"spo2": 84.0},
        "limit": "< 90",
        "text": {"en": "SpO2 84 < 90", "zh": "血氧 84 < 90"},
        "inputs": ({"metric": "spo2", "value": 84.0, "time": 1, "received": 2, "device": "d1"},),
    }
    return Transition(**{**made, **values})


def axes(**values: Any) -> dict[str, Any]:
    """A transition's detail with the axes of an alarm that nobody has answered."""
    made: dict[str, Any] = {
        "signal": "on",
        "until": None,
        "owner": None,
        "owned_at": None,
        "rejected": [],
        "root": None,
        "policy": "ward",
        "step": 1,
        "next_at": 1_800_000_070 * SECOND,
        "next_to": ["usr_2"],
        "episodes": 0,
        "since": 1_800_000_000 * SECOND,
    }
    return {"axes": {**made, **values}}


def made_rule(**values: Any) -> Rule:
    """A rule with one limit that can be set for a patient between 80 and 94."""
    made: dict[str, Any] = {
        "id": "spo2-low",
        "version": 1,
        "title": {"en": "Low oxygen saturation", "zh": "血氧饱和度过低"},
        "kind": "physiological",
        "priority": "high",
        "audience": ("nurse", "doctor"),
        "inputs": {"spo2": 120.0},
        "condition": Threshold("spo2", "below", "limit", 1.0),
        "parameters": {"limit": Parameter(90.0, 80.0, 94.0)},
        "delay_s": 0.0,
        "max_lateness_s": 3600.0,
        "explanation": {"en": "SpO2 {spo2} {limit}", "zh": "血氧 {spo2} {limit}"},
        "cleared": {"en": "SpO2 {spo2}", "zh": "血氧 {spo2}"},
        "clinical_source": "test",
    }
    return Rule(**{**made, **values})
