"""Talking to hardware: links, the session of one device, the fleet of them all, and virtual twins.

LinkError            -> the session backs off and tries again
UnsupportedDevice,
ConfigError          -> the session says so and asks again slowly
DecodeError          -> the frame is counted, passed on as rejected, and the session goes on
"""

from __future__ import annotations

from devices.delivery import Sink
from devices.links.base import DeviceLink, OnPayload
from devices.session import (
    DeviceConfig,
    DeviceSession,
    LinkFactory,
    OnNoise,
    OnRejected,
    OnState,
    SessionState,
)
from devices.supervisor import DeviceFleet
from devices.wave_flow import WaveSink

__all__ = [
    "DeviceConfig",
    "DeviceFleet",
    "DeviceLink",
    "DeviceSession",
    "LinkFactory",
    "OnNoise",
    "OnPayload",
    "OnRejected",
    "OnState",
    "SessionState",
    "Sink",
    "WaveSink",
]
