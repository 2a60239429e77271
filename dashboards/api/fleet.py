"""Devices' health: what needs attention, each device, use, quality of data, calibrations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response
from pydantic import Field

from cloud_ingest.device_health.asking import AskedFleet, AskedSpan, DeviceState, FindingKind, FleetSort
from cloud_ingest.device_health.hours import MOST_HOURS
from dashboards.access import Context, Guard
from dashboards.api.directory import MOST_OFFSET
from dashboards.api.drafts import Draft
from dashboards.fleet_csv import devices_table, quality_table, use_table
from dashboards.fleet_models import (
    AttentionPage,
    DeviceFile,
    FindingView,
    FleetPage,
    FrameView,
    QualityPage,
    UtilisationPage,
)
from dashboards.models import Instant
from dashboards.problems import ERROR_RESPONSES, MissingError
from dashboards.watch_models import DeviceWatch
from hearthward.core.clock import iso
from hearthward.core.sightings import MOST_WATCH_S
from hearthward.trust.access import Action

__all__ = [
    "DEVICE",
    "FINDING",
    "See",
    "Work",
    "acknowledge",
    "asked_fleet",
    "calibrate",
    "router",
    "serve",
    "show_device",
    "show_frames",
    "watch_frames",
]

router = APIRouter(prefix="/api/v1/fleet", tags=["fleet"], responses=ERROR_RESPONSES)
DEVICE: Final = "device"
FINDING: Final = "finding"
See = Annotated[Context, Depends(Guard(Action.VIEW_DEVICES, DEVICE))]
Work = Annotated[Context, Depends(Guard(Action.MAINTAIN_DEVICE, DEVICE))]
Watch = Annotated[Context, Depends(Guard(Action.WATCH_FRAMES, DEVICE))]
Key = Annotated[str, Query(max_length=64)]
WATCH_S: Final = 120


def asked_fleet(  # noqa: PLR0913, PLR0917 - the parts of a query
    words: Annotated[str, Query(max_length=200, description="all occur in id, label, address, profile")] = "",
    ward: Key = "",
    gateway: Key = "",
    profile: Key = "",
    state: DeviceState | Literal[""] = "",
    kind: Annotated[FindingKind | Literal[""], Query(description="with such a finding")] = "",
    sort: FleetSort = "id",
    down: Annotated[bool, Query(description="the greatest first")] = False,  # noqa: FBT002 - a query
    offset: Annotated[int, Query(ge=0, le=MOST_OFFSET)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> AskedFleet:
    """What is meant by a query."""
    return AskedFleet(words, ward, gateway, profile, state, kind, sort, down, offset, limit)


def asked_span(
    by: Literal["device", "ward"] = "ward",
    days: Annotated[int, Query(ge=0, le=399, description="whole days before today")] = 7,
    ward: Key = "",
    offset: Annotated[int, Query(ge=0, le=MOST_OFFSET)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
) -> AskedSpan:
    """What is meant by a query."""
    return AskedSpan(by, days, ward, offset, limit)


Asked = Annotated[AskedFleet, Depends(asked_fleet)]
Span = Annotated[AskedSpan, Depends(asked_span)]


class CalibrationBody(Draft):
    """When a device was calibrated, and how often that is due."""

    calibrated: Instant
    every_days: Annotated[int, Field(ge=1, le=3650, examples=[365])]
    every_hours: Annotated[
        int | None, Field(ge=1, le=MOST_HOURS, description="hours of use; whichever comes first")
    ] = None


class ServiceBody(Draft):
    """When a device was serviced, and after how many hours of use that is due."""

    serviced: Annotated[Instant | None, Field(description="null: nobody knows; all hours of use count")] = (
        None
    )
    every_hours: Annotated[
        int | None, Field(ge=1, le=MOST_HOURS, examples=[2000], description="null: as its profile has it")
    ] = None


class WatchBody(Draft):
    """For how long somebody looks at a device's frames."""

    seconds: Annotated[int, Field(ge=1, le=MOST_WATCH_S)] = WATCH_S


@router.get("/attention")
async def get_attention(context: See, asked: Asked) -> AttentionPage:
    """Findings that hold: those with the earliest proposed date first."""
    return await context.backend.needs_attention(context.scope, asked)


@router.get("/devices")
async def get_fleet(context: See, asked: Asked) -> FleetPage:
    """Devices in use with where they stand."""
    return await context.backend.fleet(context.scope, asked)


@router.get("/devices.csv", response_class=Response)
async def get_fleet_csv(context: See, asked: Asked) -> Response:
    """All devices that are asked for, as CSV."""
    return devices_table(context, asked)


@router.get("/devices/{device}")
async def get_device(context: See, device: str, days: Annotated[int, Query(ge=1, le=400)] = 90) -> DeviceFile:
    """One device with its days, findings and work orders."""
    return await show_device(context, device, days)


@router.get("/devices/{device}/frames")
async def get_frames(
    context: See, device: str, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> list[FrameView]:
    """What was decoded of its newest frames; a patient's values only for who may see readings. Audited."""
    return list(await show_frames(context, device, limit))


@router.post("/devices/{device}/watch")
async def post_watch(context: Watch, device: str, body: WatchBody) -> DeviceWatch:
    """Have its gateway tell the bytes of its frames for a while. Audited as a read of what they hold."""
    return await watch_frames(context, device, body.seconds)


@router.get("/devices/{device}/watch")
async def get_watch(context: Watch, device: str) -> DeviceWatch:
    """What came of the caller's own watch, the newest frame first; it was audited when it was opened."""
    found = await context.backend.watched_frames(context.who, device)
    if found is None:
        raise MissingError(kind="watch", key=device)
    return found


@router.put("/devices/{device}/calibration")
async def put_calibration(context: Work, device: str, body: CalibrationBody) -> DeviceFile:
    """Note a calibration."""
    return await calibrate(context, device, body.calibrated, body.every_days, body.every_hours)


@router.put("/devices/{device}/service")
async def put_service(context: Work, device: str, body: ServiceBody) -> DeviceFile:
    """Note a service, and after how many hours of use it is due."""
    return await serve(context, device, body.serviced, body.every_hours)


@router.get("/utilisation")
async def get_utilisation(context: See, asked: Span) -> UtilisationPage:
    """Hours of use, the least used first."""
    rows, total = await context.backend.utilisation(context.scope, asked)
    return UtilisationPage(items=list(rows), total=total)


@router.get("/quality")
async def get_quality(context: See, asked: Span) -> QualityPage:
    """Completeness, plausibility, consistency and timeliness of data, the worst first."""
    return await context.backend.data_quality(context.scope, asked)


@router.get("/utilisation.csv", response_class=Response)
async def get_utilisation_csv(context: See, asked: Span) -> Response:
    """The same as CSV, all rows."""
    return use_table(context, asked)


@router.get("/quality.csv", response_class=Response)
async def get_quality_csv(context: See, asked: Span) -> Response:
    """The same as CSV, all rows, with what the quality gate said by reason."""
    return quality_table(context, asked)


@router.post("/findings/{finding}/acknowledgement")
async def post_acknowledgement(context: Work, finding: str) -> FindingView:
    """Say that a finding has been seen; again changes nothing."""
    return await acknowledge(context, finding)


async def show_device(context: Context, device: str, days: int = 90) -> DeviceFile:
    """One device for the caller. Raises MissingError."""
    found = await context.backend.fleet_device(context.scope, device, days=days)
    if found is None:
        raise MissingError(kind=DEVICE, key=device)
    return found


async def show_frames(context: Context, device: str, limit: int = 20) -> Sequence[FrameView]:
    """A device's newest frames for the caller, audited. Raises MissingError."""
    values = context.may(Action.VIEW_READINGS)
    found = await context.backend.device_frames(context.scope, device, values=values, limit=limit)
    if found is None:
        raise MissingError(kind=DEVICE, key=device)
    detail = {"do": "frames", "read": values, "frames": len(found)}
    await context.audit(Action.VIEW_DEVICES, DEVICE, target=device, detail=detail)
    return found


async def watch_frames(context: Context, device: str, seconds: int = WATCH_S) -> DeviceWatch:
    """Look at a device's bytes for a while, audited before anything is asked.

    Raises MissingError and DirectoryError (``gateway`` state, ``device`` full).
    """
    if await context.backend.fleet_device(context.scope, device, days=1) is None:
        raise MissingError(kind=DEVICE, key=device)
    detail = {"do": "watch", "read": True, "seconds": seconds}
    await context.audit(Action.WATCH_FRAMES, DEVICE, target=device, detail=detail)
    found = await context.backend.watch_frames(context.who, device, seconds)
    if found is None:
        raise MissingError(kind=DEVICE, key=device)
    return found


async def acknowledge(context: Context, finding: str) -> FindingView:
    """Acknowledge for the caller, audited. Raises MissingError."""
    found = await context.backend.acknowledge_finding(context.who, finding)
    if found is None:
        raise MissingError(kind=FINDING, key=finding)
    detail = {"do": "acknowledge", "device": found.device}
    await context.audit(Action.MAINTAIN_DEVICE, FINDING, target=finding, detail=detail)
    return found


async def calibrate(
    context: Context, device: str, calibrated: int, every_days: int, every_hours: int | None = None
) -> DeviceFile:
    """Note a calibration for the caller, audited. Raises MissingError and DirectoryError."""
    found = await context.backend.calibrate_device(context.who, device, calibrated, every_days, every_hours)
    if found is None:
        raise MissingError(kind=DEVICE, key=device)
    detail = {"do": "calibrate", "at": iso(calibrated), "every_days": every_days, "every_hours": every_hours}
    await context.audit(Action.MAINTAIN_DEVICE, DEVICE, target=device, detail=detail)
    return found


async def serve(context: Context, device: str, serviced: int | None, every_hours: int | None) -> DeviceFile:
    """Note a service for the caller, audited. Raises MissingError and DirectoryError."""
    found = await context.backend.service_device(context.who, device, serviced, every_hours)
    if found is None:
        raise MissingError(kind=DEVICE, key=device)
    at = None if serviced is None else iso(serviced)
    detail = {"do": "service", "at": at, "every_hours": every_hours}
    await context.audit(Action.MAINTAIN_DEVICE, DEVICE, target=device, detail=detail)
    return found
