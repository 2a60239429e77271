"""What a twin answers to what it is written: as much as its profile's session waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_profiles.profile import Profile
    from firmware_profiles.schema_transport import ClockBytes

__all__ = ["answers_of", "clocks_of", "told_time"]


def answers_of(profile: Profile) -> Mapping[tuple[str, bytes], tuple[str, bytes]]:
    """(Characteristic, what is written) -> (characteristic, what the session expects after it)."""
    return {
        (step.characteristic, step.data): (after.characteristic, after.data)
        for step, after in pairwise(profile.session)
        if step.kind == "write" and after.kind == "expect"
    }


def clocks_of(profile: Profile) -> Mapping[str, ClockBytes]:
    """The makers' own characteristics that take the time -> how."""
    return {
        s.characteristic: s.clock for s in profile.session if s.kind == "set_time" and s.clock is not None
    }


def told_time(clock: ClockBytes, value: bytes) -> datetime | None:
    """The time that was written; None for what is something else."""
    before = bytes.fromhex(clock.before)
    if len(value) != len(before) + 4 or not value.startswith(before):
        return None
    count = int.from_bytes(value[len(before) :], clock.endian)
    return datetime.fromisoformat(clock.epoch) + timedelta(seconds=count)
