"""Devices as an engineer sees them: what is found, how they are used, the quality of their data, work orders.

Nothing here names a patient. Instants are UTC ns; a day begins at 00:00 UTC.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_ingest.device_health.asking import DeviceState, FindingKind, OrderState
from dashboards.models import Instant

__all__ = [
    "Attention",
    "AttentionPage",
    "DeviceDay",
    "DeviceFile",
    "DeviceRow",
    "FindingView",
    "FleetPage",
    "FrameValue",
    "FrameView",
    "Look",
    "OrderDraft",
    "OrderNote",
    "OrderPage",
    "OrderRule",
    "QualityPage",
    "QualityRow",
    "Utilisation",
    "UtilisationPage",
    "WorkOrder",
]

Share = Annotated[float, Field(ge=0, le=1)]


class _View(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FindingView(_View):
    """One thing found of a device, with what it rests on."""

    id: str
    device: str
    kind: FindingKind
    evidence: dict[str, float | int | str] = Field(
        default_factory=dict, description="numbers, and days as 2026-11-23"
    )
    confidence: Share
    proposed: Instant | None = Field(None, description="by when something should be done; null: no date")
    text: dict[str, str] = Field(description="all of it in a sentence, by language")
    opened: Instant
    seen: Instant = Field(description="when it was last found")
    gone: Instant | None = Field(None, description="when it was no longer found; null: it still is")
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = Field(None, description="the user's name")
    work_order: str | None = Field(None, description="the work order that is open for it, or was")


class Attention(_View):
    """A finding that still holds, with where its device is."""

    finding: FindingView
    label: str = ""
    gateway: str
    ward: str | None = None
    ward_name: str = ""
    profile: str | None = None
    state: DeviceState


class AttentionPage(_View):
    """Findings, the most urgent first; ``kinds`` counts all in scope by kind."""

    items: list[Attention]
    total: int
    kinds: dict[FindingKind, int] = Field(default_factory=dict)


class DeviceRow(_View):
    """A device in the list. ``None``: not known, or the device does not tell."""

    id: str
    label: str = ""
    gateway: str
    ward: str | None = None
    ward_name: str = ""
    profile: str | None = None
    firmware: str = ""
    state: DeviceState
    cause: str = Field("none", description="why no values come, in a word")
    last_seen: Instant | None = None
    rssi: float | None = Field(None, description="dBm, the last day's mean")
    backlog: int | None = Field(None, description="readings that its gateway has still to send")
    clock_skew_s: float | None = Field(None, description="by how much its clock is ahead")
    battery: float | None = Field(None, description="%")
    days_left: float | None = Field(None, description="of the battery")
    days_left_low: float | None = None
    days_left_high: float | None = None
    hours_of_use: int = 0
    findings: int = Field(0, description="that still hold")
    work_order: str | None = Field(None, description="the newest that is not done")


class FleetPage(_View):
    """One page of devices; ``total`` fit the filters, ``states`` counts all in scope by state."""

    items: list[DeviceRow]
    total: int
    states: dict[DeviceState, int] = Field(default_factory=dict)


class Look(_View):
    """What a day's values of one kind came to."""

    mean: float
    low: float
    high: float
    count: int


class DeviceDay(_View):
    """A day of a device. ``None``: nothing came of it that day."""

    day: Instant
    readings: int = 0
    hours: int = Field(0, ge=0, le=24, description="hours with a reading")
    dropouts: int = 0
    rejected: int = 0
    late: int = 0
    suspect: int = Field(0, description="readings that the quality gate doubts; every rule looks at them")
    bad: int = Field(0, description="readings that it calls no measurement")
    reasons: dict[str, int] = Field(default_factory=dict, description="why it said so, readings of each")
    battery: Look | None = None
    rssi: Look | None = None
    temperature: Look | None = None
    voltage: Look | None = None


class FrameValue(_View):
    """One thing that a frame held. ``shown`` False: it is a patient's, and not for this viewer."""

    metric: str
    value: float | None = None
    code: str | None = None
    unit: str | None = None
    quality: int = 0
    shown: bool = True


class FrameView(_View):
    """What was decoded of one frame. ``hex`` is empty where its gateway keeps no raw bytes."""

    received: Instant
    measured: Instant
    hex: str = ""
    values: list[FrameValue]


class OrderNote(_View):
    """What somebody wrote about a work order, or did with it."""

    at: Instant
    by: str = Field(description="the user's name; empty: the rule")
    do: Literal["open", "assign", "take", "comment", "done", "gone", "again"] = Field(
        description="take: the one who did it took it over"
    )
    text: str = ""
    before: str = Field("", description="the name of who had it before; empty: nobody")


class WorkOrder(_View):
    """Work on a device. ``opened_by`` is empty where a rule opened it."""

    id: str
    device: str
    label: str = ""
    ward: str | None = None
    ward_name: str = ""
    kind: FindingKind | Literal["other"]
    finding: str | None = None
    text: dict[str, str] = Field(description="what is to be done, by language; of a person: as written")
    state: OrderState
    due: Instant | None = None
    opened: Instant
    opened_by: str = ""
    assignee: str | None = Field(None, description="a user's id")
    assignee_name: str = ""
    assigned: Instant | None = Field(None, description="since when that user has it")
    done: Instant | None = None
    done_by: str = ""
    notes: list[OrderNote] = Field(default_factory=list, description="oldest first")


class OrderRule(_View):
    """When a rule opens a work order for a finding of a kind."""

    kind: FindingKind
    opens: bool = Field(description="false: only people do")
    confidence: Share = Field(description="from which confidence on")
    held_days: float = Field(description="once it was found in each round for so long")
    within_days: int | None = Field(description="not before its date is so near; null: at once")


class OrderPage(_View):
    """Work orders, those due first; ``states`` counts all in scope."""

    items: list[WorkOrder]
    total: int
    states: dict[OrderState, int] = Field(default_factory=dict)


class DeviceFile(_View):
    """All that is known of one device, except its frames."""

    row: DeviceRow
    days: list[DeviceDay] = Field(
        default_factory=list, description="oldest first, days with nothing left out"
    )
    findings: list[FindingView] = Field(
        default_factory=list, description="those that hold first, then newest"
    )
    orders: list[WorkOrder] = Field(default_factory=list, description="newest first")
    calibrated: Instant | None = Field(None, description="when it last was; null: nobody has said")
    calibration_days: int | None = Field(None, description="how often that is due")
    calibration_hours: int | None = Field(None, description="due by hours of use, too, if that is earlier")
    hours_since_calibration: int | None = None
    serviced: Instant | None = Field(None, description="when it last was; null: nobody has said")
    service_hours: int | None = Field(
        None, description="after how many hours of use that is due; null: never"
    )
    service_hours_own: bool = Field(
        default=False, description="its own; false: its profile's, of the settings"
    )
    hours_since_service: int = Field(
        0, description="hours of use since; all there were where nobody has said"
    )


class Utilisation(_View):
    """Use of a device, or of a ward's devices, in a period."""

    key: str = Field(description="a device's or a ward's id; empty: devices in no ward")
    name: str = ""
    ward: str | None = None
    devices: int = 1
    used: int = Field(description="devices with any hour of use")
    hours: int = Field(description="hours with a reading, of all its devices")
    possible: int = Field(description="hours that its devices could have been in use")
    share: Share


class UtilisationPage(_View):
    """Rows, the least used first."""

    items: list[Utilisation]
    total: int


class QualityRow(_View):
    """The quality of data of a device or a ward in a period; ``None``: nothing to judge by."""

    key: str
    name: str = ""
    ward: str | None = None
    devices: int = 1
    readings: int
    completeness: Share | None = Field(None, description="hours with data of hours in use's span")
    plausibility: Share | None = Field(
        None, description="readings that no check refused and nothing of their own speaks against"
    )
    consistency: Share | None = Field(
        None, description="readings that came once and that no other signal contradicts"
    )
    timeliness: Share | None = Field(None, description="readings that came within a minute")
    worst: Share | None = Field(None, description="the least of the four")
    rejected: int = Field(0, description="readings that gateway or cloud refused")
    repeated: int = Field(0, description="readings that were there already, or a copy's")
    late: int = Field(0, description="readings that took more than a minute")
    suspect: int = Field(0, description="stored readings that the quality gate doubts")
    bad: int = Field(0, description="stored readings that it calls no measurement")
    reasons: dict[str, int] = Field(
        default_factory=dict, description="why it said so: readings of each, the most first"
    )


class QualityPage(_View):
    """Rows, the worst first."""

    items: list[QualityRow]
    total: int


class OrderDraft(_View):
    """A work order to be opened, for a finding or of one's own accord."""

    device: Annotated[str, Field(min_length=1, max_length=64)]
    text: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""
    finding: Annotated[str, Field(max_length=64)] | None = None
    assignee: Annotated[str, Field(max_length=64)] | None = None
    due: Instant | None = None
