"""What of a profile a session asks before it uses it."""

from __future__ import annotations

from firmware_profiles import DeviceFacts, Profile
from firmware_profiles.firmware import parse_version
from hearthward.core.errors import UnsupportedDevice

__all__ = ["check_firmware", "has_store", "line_of"]


def line_of(profile: Profile) -> str:
    """What a device's configuration says of how it is reached."""
    return "ble" if profile.transport == "advertisement" else profile.transport


def has_store(profile: Profile) -> bool:
    """Whether the device keeps what it is not asked for while too much waits for the sink."""
    return any(step.mode == "indicate" or step.racp is not None for step in profile.session)


def check_firmware(profile: Profile, facts: DeviceFacts) -> None:
    """Refuse a configured profile for a firmware it is not made for: its bytes may mean something else."""
    version = None if facts.firmware is None else parse_version(facts.firmware)
    for part in profile.parts or (profile,):
        wanted = part.document.match.firmware_range
        if version is not None and not wanted.everything and version not in wanted:
            msg = (
                f"the device's firmware is {facts.firmware}, but profile {part.id!r} is for "
                f"{part.document.match.firmware}: configure another profile, or none to have it matched"
            )
            raise UnsupportedDevice(msg, firmware=facts.firmware, profile=part.id)
