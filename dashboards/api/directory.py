"""Wards, beds, patients, encounters, gateways, devices, associations: list, get, create, change, end."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, create_model

from dashboards.access import Context, Guard
from dashboards.api.drafts import BLE_ADDRESS, CHANGES, DRAFTS, EndDraft
from dashboards.backend import DirectoryError
from dashboards.choices import Choices
from dashboards.directory_port import AskedItems
from dashboards.models import (
    Association,
    Bed,
    Device,
    Encounter,
    Gateway,
    Item,
    Kind,
    Patient,
    ProfileChoice,
    Ward,
)
from dashboards.problems import ERROR_RESPONSES, MissingError, Problem
from hearthward.trust.access import Action

__all__ = ["ENTRIES", "Entry", "change_item", "create_item", "end_item", "router"]

router = APIRouter(prefix="/api/v1", tags=["directory"], responses=ERROR_RESPONSES)
MOST: Final = 1000
MOST_OFFSET: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """A kind of directory entry: its collection's name, shape and who may see and change it."""

    kind: Kind
    plural: str
    model: type[BaseModel]
    see: Action
    manage: Action
    reads: bool = False


ENTRIES: Final[dict[Kind, Entry]] = {
    e.kind: e
    for e in (
        Entry("ward", "wards", Ward, Action.VIEW_DIRECTORY, Action.MANAGE_DIRECTORY),
        Entry("bed", "beds", Bed, Action.VIEW_DIRECTORY, Action.MANAGE_DIRECTORY),
        Entry("patient", "patients", Patient, Action.VIEW_PATIENT, Action.MANAGE_DIRECTORY, reads=True),
        Entry(
            "encounter", "encounters", Encounter, Action.VIEW_DIRECTORY, Action.MANAGE_DIRECTORY, reads=True
        ),
        Entry("gateway", "gateways", Gateway, Action.VIEW_DEVICES, Action.MANAGE_DEVICES),
        Entry("device", "devices", Device, Action.VIEW_DEVICES, Action.MANAGE_DEVICES),
        Entry(
            "association",
            "associations",
            Association,
            Action.VIEW_DIRECTORY,
            Action.ASSIGN_DEVICE,
            reads=True,
        ),
    )
}


def _patient_of(item: Item) -> str | None:
    if isinstance(item, Patient):
        return item.id
    return item.patient if isinstance(item, Encounter | Association) else None


def check_device(fields: Mapping[str, Any], profiles: Sequence[ProfileChoice], transport: str) -> None:
    """Check what the shape alone cannot. Raises DirectoryError."""
    profile = fields.get("profile")
    known = Choices(profiles)
    if "profile" in fields and profile is None and transport == "serial":
        raise DirectoryError(field="profile", code="serial")
    if profile is not None and profile not in known:
        raise DirectoryError(field="profile", code="unknown", value=profile)
    if profile is not None and known[profile].transport != transport:
        raise DirectoryError(field="profile", code="transport", value=profile)
    address = fields.get("address")
    if address is not None and transport == "ble" and not re.fullmatch(BLE_ADDRESS, address):
        raise DirectoryError(field="address", code="invalid", value=address)


async def create_item(
    context: Context, entry: Entry, fields: Mapping[str, Any], profiles: Sequence[ProfileChoice]
) -> Item:
    """Make an entry for the caller, audited. Raises DirectoryError, AccessError."""
    given = {k: v for k, v in fields.items() if v is not None}
    if entry.kind == "device":
        check_device({"profile": None, **given}, profiles, str(given["transport"]))
    if entry.kind == "association":
        await context.demand(entry.manage, entry.kind, patient=str(given["patient"]))
    item = await context.backend.create(context.scope, entry.kind, given)
    await context.audit(
        entry.manage, entry.kind, target=item.id, detail={"do": "create", "fields": ",".join(sorted(given))}
    )
    return item


async def change_item(
    context: Context, entry: Entry, key: str, fields: Mapping[str, Any], profiles: Sequence[ProfileChoice]
) -> Item:
    """Change an entry for the caller, audited. Raises DirectoryError, AccessError, MissingError."""
    old = await _get(context, entry, key)
    if isinstance(old, Device):
        check_device(fields, profiles, old.transport)
    await context.demand(entry.manage, entry.kind, patient=_patient_of(old), target=key)
    moved = fields.get("patient")
    if entry.kind == "association" and moved is not None:
        await context.demand(entry.manage, entry.kind, patient=str(moved), target=key)
    item = await context.backend.change(context.scope, entry.kind, key, fields)
    if item is None:
        raise MissingError(entry.kind, key)
    detail: dict[str, Any] = {"do": "change", "fields": ",".join(sorted(fields))}
    if isinstance(old, Association) and isinstance(item, Association):
        detail |= {"do": "correct", "now": item.id, "patient_was": old.patient, "patient": item.patient}
    await context.audit(entry.manage, entry.kind, target=key, detail=detail)
    return item


async def end_item(context: Context, entry: Entry, key: str, at: int | None) -> Item:
    """End an entry for the caller, audited. Raises DirectoryError, AccessError, MissingError."""
    old = await _get(context, entry, key)
    await context.demand(entry.manage, entry.kind, patient=_patient_of(old), target=key)
    item = await context.backend.end(context.scope, entry.kind, key, at)
    if item is None:
        raise MissingError(entry.kind, key)
    await context.audit(entry.manage, entry.kind, target=key, detail={"do": "end"})
    return item


async def _get(context: Context, entry: Entry, key: str) -> Item:
    item = await context.backend.item(context.scope, entry.kind, key)
    if item is None:
        raise MissingError(entry.kind, key)
    return item


Endpoint = Callable[..., Awaitable[Any]]


def _typed(endpoint: Endpoint, name: str, text: str, **annotations: Any) -> Endpoint:
    """Give a generic endpoint its own name, text and types, for FastAPI and OpenAPI."""
    endpoint.__name__ = name
    endpoint.__doc__ = text
    endpoint.__annotations__.update(annotations)
    return endpoint


def _add(entry: Entry) -> None:
    see = Annotated[Context, Depends(Guard(entry.see, entry.kind, reads=entry.reads))]
    manage = Annotated[Context, Depends(Guard(entry.manage, entry.kind))]
    kind, plural = entry.kind, entry.plural
    many = create_model(
        f"{entry.model.__name__}List",
        items=(list[entry.model], Field(description=f"the {plural} in scope")),  # type: ignore[name-defined]
        total=(int, Field(description="how many are asked for, on all pages")),
    )
    conflict: dict[int | str, dict[str, Any]] = {409: {"model": Problem, "description": "Conflict"}}

    async def list_all(
        context: Context,
        ended: Annotated[bool, Query()] = False,  # noqa: FBT002 - a query flag
        q: Annotated[str, Query(max_length=120)] = "",
        limit: Annotated[int | None, Query(ge=1, le=MOST)] = None,
        offset: Annotated[int, Query(ge=0, le=MOST_OFFSET)] = 0,
    ) -> Any:
        if limit is None and not q and not offset:
            found = await context.backend.items(context.scope, kind, ended=ended)
            return {"items": found, "total": len(found)}
        page = await context.backend.item_page(
            context.scope, AskedItems(kind, q, ended=ended, offset=offset, limit=limit or MOST)
        )
        return {"items": page.items, "total": page.total}

    async def get_one(context: Context, key: str) -> Any:
        return await _get(context, entry, key)

    async def create(request: Request, context: Context, body: BaseModel) -> Any:
        return await create_item(context, entry, body.model_dump(), request.app.state.profiles)

    async def change(request: Request, context: Context, key: str, body: BaseModel) -> Any:
        fields = body.model_dump(exclude_unset=True)
        return await change_item(context, entry, key, fields, request.app.state.profiles)

    async def end(context: Context, key: str, body: EndDraft | None = None) -> Any:
        return await end_item(context, entry, key, body.at if body else None)

    add = router.add_api_route
    text = f"All {plural} in the caller's scope, or a page of those that have the words of ``q``."
    _typed(list_all, f"list_{plural}", text, context=see)
    add(f"/{plural}", list_all, methods=["GET"], response_model=many)
    _typed(get_one, f"get_{kind}", f"One {kind}.", context=see)
    add(f"/{plural}/{{key}}", get_one, methods=["GET"], response_model=entry.model)
    _typed(create, f"create_{kind}", f"Make a {kind}.", context=manage, body=DRAFTS[kind], request=Request)
    add(
        f"/{plural}",
        create,
        methods=["POST"],
        status_code=201,
        response_model=entry.model,
        responses=conflict,
    )
    _typed(
        change,
        f"change_{kind}",
        f"Change fields of a {kind}; what is not named stays.",
        context=manage,
        body=CHANGES[kind],
        request=Request,
    )
    add(f"/{plural}/{{key}}", change, methods=["PATCH"], response_model=entry.model, responses=conflict)
    _typed(end, f"end_{kind}", f"End a {kind}; nothing is deleted.", context=manage, body=EndDraft | None)
    add(f"/{plural}/{{key}}/end", end, methods=["POST"], response_model=entry.model, responses=conflict)


for _entry in ENTRIES.values():
    _add(_entry)
