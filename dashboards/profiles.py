"""The catalogue of firmware profiles as choices for the directory and as what the wall waits for."""

from __future__ import annotations

from collections.abc import Iterable

from dashboards.live.states import VITALS
from dashboards.models import ProfileChoice
from firmware_profiles import Profile
from hearthward.core.codes import METRICS

__all__ = ["profile_choices"]

OF_DEVICES = ("device_", "battery_")
"""How metrics begin that say something of the device alone."""
SHOWN = frozenset(m for vital in VITALS for m in (*vital.metrics, vital.second) if m)


def profile_choices(catalog: Iterable[Profile]) -> tuple[ProfileChoice, ...]:
    """One choice a profile, by id; none for those that are only parts of others, such as the battery.

    A part matches no device and tells of the device alone. Others that match none are named by people:
    serial ones, and those that cannot be told apart beforehand, such as an oximeter for spot checks only.
    Where a profile states no interval, the slowest of its vital signs counts for all: a cuff's pulse comes
    with its blood pressure.
    """
    return tuple(sorted(map(_choice, filter(_whole, catalog)), key=lambda c: c.id))


def _whole(profile: Profile) -> bool:
    measures = any(not metric.startswith(OF_DEVICES) for metric in _metrics(profile))
    return profile.transport == "serial" or bool(profile.document.match.ble) or measures


def _metrics(profile: Profile) -> frozenset[str]:
    frames = profile.document.frames.values()
    return frozenset(spec.metric for frame in frames for spec in frame.fields if spec.metric)


def _choice(profile: Profile) -> ProfileChoice:
    metrics = _metrics(profile)
    slowest = max((METRICS[m].interval_s for m in metrics & SHOWN), default=None)
    return ProfileChoice(
        id=profile.id,
        title=profile.title,
        transport="serial" if profile.transport == "serial" else "ble",  # advertisements are Bluetooth, too
        metrics=metrics,
        interval_s=profile.expected_interval_s or slowest,
        composes=profile.document.composes,
        reads=profile.own,
    )
