"""Local alarms for tests."""

from __future__ import annotations

from typing import Any

from edge_agent.annunciation import LinkState, LocalAlarm
from hearthward.core.clock import SECOND

T0 = 1_800_000_000 * SECOND


def alarm(ident: str = "alm_1", priority: str = "high", **more: Any) -> LocalAlarm:
    fields: dict[str, Any] = {
        "place": "Ward 1 / 3",
        "rule": "spo2-low",
        "kind": "physiological",
        "onset": T0,
        "started": T0,
        "title": {"en": "Low oxygen saturation", "zh": "血氧饱和度过低"},
        "text": {"en": "SpO2 84 < 90", "zh": "血氧 84 < 90"},
        "limit": "< 90",
        "values": {"spo2": 84.0},
    }
    return LocalAlarm(ident, priority=priority, **(fields | more))


def link(*, reached: bool = False, **more: Any) -> LinkState:
    return LinkState(reached=reached, since=T0, **more)
