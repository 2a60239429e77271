"""What the port of the web tells as it happens."""

from __future__ import annotations

from dataclasses import dataclass

from dashboards.models import Alarm, Gateway

__all__ = [
    "AlarmChanged",
    "DirectoryChanged",
    "DutyChanged",
    "EventsMissed",
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

    @property
    def as_of(self) -> int:
        """Since when it has been growing old; a device's clock may be ahead, and makes it no younger."""
        return min(self.corrected, self.received)


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
class DutyChanged:
    """Staff, teams, shifts, assignments or the escalation changed."""

    tenant: str


@dataclass(frozen=True, slots=True)
class EventsMissed:
    """Events were thrown away, because the listener was too slow: only a new look at everything helps."""

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
    | DutyChanged
    | EventsMissed
    | MessagesChanged
)
