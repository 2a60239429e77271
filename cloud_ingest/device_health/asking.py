"""What can be asked of the fleet: which devices, findings, work orders, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

__all__ = [
    "DEVICE_STATES",
    "FINDING_KINDS",
    "FLEET_SORTS",
    "ORDER_STATES",
    "AskedFleet",
    "AskedOrders",
    "AskedSpan",
    "DeviceState",
    "FindingKind",
    "FleetSort",
    "OrderState",
]

FindingKind = Literal[
    "offline",
    "battery",
    "temperature",
    "voltage",
    "link",
    "dropouts",
    "bias",
    "calibration",
    "service",
    "firmware",
    "life",
]
DeviceState = Literal["streaming", "idle", "trouble", "offline", "unknown"]
"""``offline``: its gateway is; ``trouble``: its gateway says why no values come; ``unknown``: never heard."""
OrderState = Literal["open", "assigned", "done"]
FleetSort = Literal[
    "id",
    "last_seen",
    "gateway",
    "ward",
    "profile",
    "firmware",
    "rssi",
    "backlog",
    "clock_skew",
    "battery",
    "days_left",
    "hours_of_use",
    "state",
    "findings",
]
FINDING_KINDS: Final[tuple[FindingKind, ...]] = get_args(FindingKind)
DEVICE_STATES: Final[tuple[DeviceState, ...]] = get_args(DeviceState)
ORDER_STATES: Final[tuple[OrderState, ...]] = get_args(OrderState)
FLEET_SORTS: Final[tuple[FleetSort, ...]] = get_args(FleetSort)


@dataclass(frozen=True, slots=True)
class AskedFleet:
    """Which devices, or whose findings; every word must occur in id, label, address or profile.

    Empty filters keep all; ``limit`` and ``offset`` page. ``sort`` and ``down`` are for the list of devices
    only: what is not known comes last either way.
    """

    words: str = ""
    ward: str = ""
    gateway: str = ""
    profile: str = ""
    state: DeviceState | Literal[""] = ""
    kind: FindingKind | Literal[""] = ""
    """Devices with such a finding; findings of that kind."""
    sort: FleetSort = "id"
    down: bool = False
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class AskedSpan:
    """Sums of the last ``days`` whole days and today, by device or by ward."""

    by: Literal["device", "ward"] = "ward"
    days: int = 7
    ward: str = ""
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class AskedOrders:
    """Which work orders; an empty ``state`` keeps those that are not done, ``all`` every one."""

    state: OrderState | Literal["", "all"] = ""
    device: str = ""
    ward: str = ""
    assignee: str = ""
    offset: int = 0
    limit: int = 50
