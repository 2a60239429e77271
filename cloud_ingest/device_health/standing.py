"""Where a device stands, in one of five words; and which of its metrics are its own, not a patient's."""

from __future__ import annotations

from typing import Final

from cloud_ingest.device_health.asking import DeviceState
from hearthward.core.device_states import Cause

__all__ = ["own_metric", "standing_of"]

STREAMING: Final = "streaming"
OWN: Final = ("device_", "battery_")
OWN_TOO: Final = frozenset({"clock_skew", "sensor_status", "sensor_session_start"})


def standing_of(*, online: bool | None, state: str, cause: str) -> DeviceState:
    """Of a device whose gateway is ``online`` (None: never heard) and told ``state`` and ``cause`` of it."""
    if online is None:
        return "unknown"
    if not online:
        return "offline"
    if cause != Cause.NONE:
        return "trouble"
    if not state:
        return "unknown"
    return "streaming" if state == STREAMING else "idle"


def own_metric(metric: str) -> bool:
    """Whether it says something of the device, and nothing of a patient."""
    return metric.startswith(OWN) or metric in OWN_TOO
