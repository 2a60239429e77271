"""What a device model and firmware range is: profiles, their catalogue, decoding and matching. Pure."""

from __future__ import annotations

from firmware_profiles.errors import Problem, ProfileError
from firmware_profiles.firmware import FirmwareRange
from firmware_profiles.framing import FramedBytes, Framer
from firmware_profiles.matching import DeviceFacts, short_uuid
from firmware_profiles.profile import (
    DecodedReading,
    DecodedWave,
    Profile,
    RacpStep,
    SerialSettings,
    Step,
    Timings,
)
from firmware_profiles.registry import Catalog, load_catalog

__all__ = [
    "Catalog",
    "DecodedReading",
    "DecodedWave",
    "DeviceFacts",
    "FirmwareRange",
    "FramedBytes",
    "Framer",
    "Problem",
    "Profile",
    "ProfileError",
    "RacpStep",
    "SerialSettings",
    "Step",
    "Timings",
    "load_catalog",
    "short_uuid",
]
