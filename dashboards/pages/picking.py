"""Choosing an entry by typing or scanning what it is called, where there are too many for a list."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.access import Context, Guard
from dashboards.api.directory import ENTRIES
from dashboards.backend import DirectoryError
from dashboards.directory_port import AskedItems
from dashboards.models import Kind
from dashboards.pages.admin_forms import FORMS, Input
from dashboards.pages.render import page

__all__ = ["choices_of", "pick", "resolved", "resolved_in", "router"]

router = APIRouter(include_in_schema=False)
LISTED: Final = 100
"""So many are offered as a list; of more one types what they are called."""
OFFERED: Final = 10
WITH_ID: Final = re.compile(r"\(([A-Za-z0-9_-]{1,64})\)$")
PICKABLE: Final[tuple[Kind, ...]] = ("ward", "bed", "patient", "gateway", "device")


async def choices_of(context: Context, kind: Kind) -> list[tuple[str, str]] | None:
    """All of a kind as (id, name); None when there are too many."""
    found = await context.backend.item_page(context.scope, AskedItems(kind, limit=LISTED))
    if found.total > LISTED:
        return None
    return [(row.id, found.names.get((kind, row.id), row.id)) for row in found.items]


async def pick(context: Context, kind: Kind, text: str) -> list[str]:
    """The ids of what is called so: one, none, or several to choose from."""
    text = text.strip()[:240]
    marked = WITH_ID.search(text)
    if marked and (found := await context.backend.items_named(context.scope, kind, marked[1])):
        return [row.id for row in found]
    return [row.id for row in await context.backend.items_named(context.scope, kind, text)] if text else []


async def resolved(context: Context, kind: Kind, typed: dict[str, str]) -> dict[str, str]:
    """A form with the ids of what was typed. Raises DirectoryError: it fits several entries, or none."""
    return await resolved_in(context, FORMS[kind], typed)


async def resolved_in(context: Context, fields: Iterable[Input], typed: dict[str, str]) -> dict[str, str]:
    """The same for a form of these fields."""
    form = dict(typed)
    for field in fields:
        text = typed.get(field.name, "").strip()
        if not isinstance(field.choices, str) or not text:
            continue
        found = await pick(context, field.choices, text)
        if len(found) > 1:
            raise DirectoryError(field=field.name, code="several", value=", ".join(found))
        if not found and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
            raise DirectoryError(field=field.name, code="unknown", value=text)
        form[field.name] = found[0] if found else text
    return form


def _offer(kind: Kind) -> None:
    entry = ENTRIES[kind]
    see = Annotated[Context, Depends(Guard(entry.see, kind))]

    async def offer(request: Request, context: Context) -> Response:
        """Options for a field that is being typed into: its own name holds the text."""
        text = next((v for k, v in request.query_params.items() if k != "csrf"), "").strip()[:120]
        words = WITH_ID.sub("", text)
        found = await context.backend.item_page(context.scope, AskedItems(kind, words, limit=OFFERED))
        offered = [(row.id, found.names.get((kind, row.id), row.id)) for row in found.items]
        return page(request, context, "directory_offer.html", offered=offered)

    offer.__annotations__.update({"context": see, "request": Request, "return": Response})
    offer.__name__ = f"offer_{kind}"
    router.add_api_route(f"/admin/choices/{kind}", offer, methods=["GET"], response_class=Response)


for _kind in PICKABLE:
    _offer(_kind)
