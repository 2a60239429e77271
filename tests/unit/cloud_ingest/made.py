"""Transitions as the rules make them, for the tests of what is done with them."""

from __future__ import annotations

from typing import Any

from rules import Transition

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
