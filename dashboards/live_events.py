"""What the port of the web tells as it happens."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.models import Alarm, Gateway

__all__ = [
    "AlarmChanged",
    "DirectoryChanged",
    "GatewayChanged",
    "InactivationsChanged",
    "LiveEvent",
    "MessagesChanged",
    "ReadingsArrived",
    "VitalSample",
]


@dataclass(frozen=True, slots=True)
class VitalSample:
    """One stored value as the wall needs it; times in UTC ns."""

    device: str
    metric: str
    value: float | None
    corrected: int
    received: int
    quality: int
    group: int = 0


@dataclass(frozen=True, slots=True)
class ReadingsArrived:
    """Readings were committed."""

    tenant: str
    samples: tuple[VitalSample, ...]


@dataclass(frozen=True, slots=True)
class AlarmChanged:
    """An alarm began, changed or ended."""

    tenant: str
    alarm: Alarm


@dataclass(frozen=True, slots=True)
class InactivationsChanged:
    """Something was switched off, or on again."""

    tenant: str


@dataclass(frozen=True, slots=True)
class GatewayChanged:
    """A gateway's status came."""

    tenant: str
    gateway: Gateway


@dataclass(frozen=True, slots=True)
class DirectoryChanged:
    """Wards, beds, patients, encounters, devices or associations changed."""

    tenant: str


@dataclass(frozen=True, slots=True)
class MessagesChanged:
    """A patient has written, or somebody has seen what a patient wrote."""

    tenant: str


LiveEvent = (
    ReadingsArrived
    | AlarmChanged
    | InactivationsChanged
    | GatewayChanged
    | DirectoryChanged
    | MessagesChanged
)
