"""The catalogue of firmware profiles as choices for the directory and as what the wall waits for."""

from __future__ import annotations

from collections.abc import Iterable

from dashboards.live.states import VITALS
from dashboards.models import ProfileChoice
from firmware_profiles import Profile
from hearthward.core.codes import METRICS

__all__ = ["profile_choices"]

SHOWN = frozenset(m for vital in VITALS for m in (*vital.metrics, vital.second) if m)


def profile_choices(catalog: Iterable[Profile]) -> tuple[ProfileChoice, ...]:
    """One choice a profile, by id; none for those that are only parts of others, such as the battery.

    A Bluetooth profile that matches no device is a part. A serial one matches none either: people name it.
    Where a profile states no interval, the slowest of its vital signs counts for all: a cuff's pulse comes
    with its blood pressure.
    """
    whole = (p for p in catalog if p.transport == "serial" or p.document.match.ble)
    return tuple(sorted(map(_choice, whole), key=lambda c: c.id))


def _choice(profile: Profile) -> ProfileChoice:
    metrics = frozenset(
        spec.metric for frame in profile.document.frames.values() for spec in frame.fields if spec.metric
    )
    slowest = max((METRICS[m].interval_s for m in metrics & SHOWN), default=None)
    return ProfileChoice(
        id=profile.id,
        title=profile.title,
        transport="serial" if profile.transport == "serial" else "ble",  # advertisements are Bluetooth, too
        metrics=metrics,
        interval_s=profile.expected_interval_s or slowest,
    )
