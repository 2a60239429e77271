"""In which state a shown value is (ux.md): pure, and the same words as in the page's own check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Literal

from dashboards.backend import VitalSample
from dashboards.models import Gateway, Value
from hearthward.core.codes import CLOCK_SKEW, METRICS
from hearthward.core.model import Quality

__all__ = [
    "UNUSABLE",
    "VITALS",
    "Known",
    "ValueState",
    "Vital",
    "age_state",
    "expected_interval_s",
    "known_of",
    "of_patient",
    "state_of",
]

AGEING: Final = 2.5
"""A value ages after so many expected intervals (one lost sample is not yet worth a word)."""
STALE: Final = 3.0
"""And is stale after so many (ux.md)."""
INTERMITTENT_S: Final = 60.0
"""Devices measuring less often than this are not expected to stay connected between two values."""
CONNECTED: Final = frozenset({"streaming", "connected", "subscribing", "identifying"})


UNUSABLE: Final = Quality.SENSOR_OFF | Quality.BAD
"""A value with one of these is shown by the last one before it."""


class ValueState(StrEnum):
    """In order of how much is known; only ``live`` lets a tile say that there is no alarm."""

    LIVE = "live"
    AGEING = "ageing"
    STALE = "stale"
    SENSOR_OFF = "sensor_off"
    SIGNAL_LOST = "signal_lost"
    """A value came, and the quality gate says that nothing was measured."""
    DEVICE_OFFLINE = "device_offline"
    LINK_LOST = "link_lost"
    NEVER = "never"
    NONE = "none"
    """No device that measures it is on the patient."""


RANK: Final = {state: i for i, state in enumerate(ValueState)}


@dataclass(frozen=True, slots=True)
class Vital:
    """A place on the tile: the metrics that can fill it, best first; ``second`` pairs with the first."""

    key: str
    metrics: tuple[str, ...]
    second: str | None = None

    def measured_by(self, metrics: frozenset[str] | None) -> bool:
        """Whether a device with these metrics (None: unknown) can fill the place."""
        return metrics is None or any(m in metrics for m in self.metrics)


VITALS: Final = (
    Vital("hr", ("heart_rate", "pulse_rate")),
    Vital("spo2", ("spo2",)),
    Vital("rr", ("respiratory_rate",)),
    Vital("nibp", ("nibp_systolic",), "nibp_diastolic"),
)


def expected_interval_s(metric: str, device_s: float | None, profile_s: float | None) -> float:
    """Seconds between values: the device's own setting, else its profile's, else the metric's."""
    return device_s or profile_s or METRICS[metric].interval_s


def age_state(age_ns: int, interval_s: float) -> ValueState:
    """State by age alone."""
    intervals = age_ns / 1e9 / interval_s
    if intervals <= AGEING:
        return ValueState.LIVE
    return ValueState.AGEING if intervals <= STALE else ValueState.STALE


def state_of(
    sample: VitalSample | None, now: int, interval_s: float, device: str, gateway: Gateway | None
) -> ValueState:
    """State of one signal: its newest sample, its age, and what is known of its device and gateway.

    A gateway that is offline can bring nothing new, whatever the age. A device that is not connected
    explains a missing value; one that measures rarely is not expected to be connected in between.
    """
    if gateway is not None and gateway.online is False:
        return ValueState.LINK_LOST
    state = ValueState.NEVER if sample is None else age_state(max(0, now - sample.as_of), interval_s)
    word = "" if gateway is None else gateway.states.get(device, "").partition(":")[0].strip().lower()
    offline = bool(word) and word not in CONNECTED
    if offline and (state is not ValueState.LIVE or interval_s < INTERMITTENT_S):
        return ValueState.DEVICE_OFFLINE
    if state is ValueState.LIVE and sample is not None and sample.quality & UNUSABLE:
        return ValueState.SENSOR_OFF if sample.quality & Quality.SENSOR_OFF else ValueState.SIGNAL_LOST
    return state


def of_patient(metric: str) -> bool:
    """Whether it says something of the patient: not what a device is called or has left, nor single beats."""
    known = METRICS.get(metric)
    names = known is not None and known.kind == "coded" and not known.codes
    return not names and metric not in {"rr_interval", "battery_level", CLOCK_SKEW}


Known = Literal["all", "part", "nothing"]
"""How much is live and watched by rules: what it is worth that no alarm is known."""


def known_of(shown: Iterable[Sequence[Any]], newest: Iterable[Value], states: Mapping[str, str]) -> Known:
    """Of what a tile shows, and of the newest values by their states; what nothing measures counts not."""
    worn = [v for v in shown if v[1] != ValueState.NONE]
    said = [v for v in newest if of_patient(v.metric)]
    told = [v for v in said if states.get(v.metric, ValueState.NONE) != ValueState.NONE]
    found = {str(v[1]) for v in worn} | {states[v.metric] for v in told}
    flags = {f for v in worn for f in v[4]} | {f for v in told for f in v.quality}
    if not found & {ValueState.LIVE, ValueState.AGEING}:
        return "nothing"
    return "part" if found != {ValueState.LIVE} or flags & {"demo", "test"} else "all"
