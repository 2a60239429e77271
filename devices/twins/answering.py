"""What a twin answers to what it is written: as much as its profile's session waits for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware_profiles.profile import Profile
    from firmware_profiles.schema_transport import ClockBytes

__all__ = ["Users", "answers_of", "clocks_of", "told_time"]


class Users:
    """The users of a device that wants their consent (``codes``, by number); without any it wants none."""

    def __init__(self, codes: Mapping[int, int]) -> None:
        self.codes = dict(codes)
        self.agreed = not codes

    def answer(self, value: bytes) -> bytes:
        """What the User Control Point answers: 1 for a consent that is right, 5 for one that is not."""
        user, code = (value[1], int.from_bytes(value[2:4], "little")) if len(value) == 4 else (0, -1)  # noqa: PLR2004
        self.agreed = value[:1] == b"\x02" and self.codes.get(user) == code
        return b"\x20" + value[:1] + (b"\x01" if self.agreed else b"\x05")


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
