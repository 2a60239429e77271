"""The directory: an overview, a list of each kind that is searched and paged, and a page for each entry."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.api.directory import ENTRIES, Entry, change_item, create_item, end_item
from dashboards.api.drafts import CHANGES, DRAFTS
from dashboards.backend import DirectoryError
from dashboards.directory_export import export_entries
from dashboards.directory_port import AskedItems, ItemPage, Names
from dashboards.i18n import N_
from dashboards.models import Association, Encounter, Item, Kind
from dashboards.pages.admin_forms import FORMS, HELP, REASONS, RELATED, TITLES, TRANSPORTS, Attempt, blamed
from dashboards.pages.picking import choices_of, resolved
from dashboards.pages.render import page
from dashboards.paging import PAGE, Pager, page_number
from dashboards.problems import MissingError
from dashboards.profile_words import titles_in
from dashboards.zones import local_iso, moment_in
from hearthward.core.clock import iso
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)
DONE: Final = {"create": N_("Added."), "change": N_("Changed."), "end": N_("Ended.")}
HITS: Final = 5
ADRIFT: Final = 20
BELOW: Final = 20
"""So many of another kind are shown on an entry's page."""
HAS_WARD: Final = frozenset({"bed", "patient", "encounter", "gateway", "device", "association"})
NAMING_PATIENTS: Final = frozenset({"patient", "bed"})
BESIDE: Final = (
    (
        "/assign",
        N_("Give a device to a patient"),
        N_("By scanning or typing: first the device, then the patient."),
        Action.ASSIGN_DEVICE,
    ),
    (
        "/staff",
        N_("Staff and teams"),
        N_("Who is on duty, how people are reached, who looks after whom."),
        Action.VIEW_STAFF,
    ),
    (
        "/channels",
        N_("Channels"),
        N_("By what people are told, and whether it works."),
        Action.VIEW_CHANNELS,
    ),
    ("/audit", N_("Audit"), N_("Who did or read what, and when."), Action.VIEW_AUDIT),
)
"""Other pages of those who keep things in order."""


def _mine(context: Context) -> list[Entry]:
    """The kinds that the caller may see."""
    return [entry for entry in ENTRIES.values() if context.may(entry.see, entry.kind)]


def _readable(context: Context, names: Names) -> Names:
    """Names without those of patients and their beds for who must not read them."""
    if context.may(Action.VIEW_DIRECTORY):
        return names
    return {key: name for key, name in names.items() if key[0] not in NAMING_PATIENTS}


def _words(request: Request, context: Context) -> dict[str, Any]:
    """What all these pages say with."""
    return {
        "forms": FORMS,
        "titles": TITLES,
        "help": HELP,
        "reasons": REASONS,
        "profiles": list(titles_in(context.language, request.app.state.profiles).values()),
        "transports": TRANSPORTS,
        "changeable": {k: frozenset(m.model_fields) for k, m in CHANGES.items()},
        "creatable": {k: frozenset(m.model_fields) for k, m in DRAFTS.items()},
    }


@router.get("/admin")
async def admin(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.VIEW_DEVICES, "directory"))],
    q: str = "",
) -> Response:
    """What there is, in the order in which it is entered; with ``q`` what is found of all kinds."""
    sees_people = context.may(Action.VIEW_DIRECTORY, "directory")
    if sees_people:
        await context.audit(
            Action.VIEW_DIRECTORY, "directory", detail={"do": "search"} if q.strip() else None
        )
    scope, words = context.scope, q.strip()[:120]
    hits: dict[Kind, ItemPage] = {}
    for entry in _mine(context) if words else ():
        found = await context.backend.item_page(scope, AskedItems(entry.kind, words, limit=HITS))
        if found.total:
            hits[entry.kind] = found
    return page(
        request,
        context,
        "admin.html",
        entries=_mine(context),
        counts=await context.backend.item_counts(scope),
        adrift=await context.backend.adrift(scope, ADRIFT) if sees_people else (),
        beside=[(path, name, hint) for path, name, hint, action in BESIDE if context.may(action)],
        q=words,
        hits=hits,
        names={key: name for found in hits.values() for key, name in _readable(context, found.names).items()},
        **_words(request, context),
    )


async def _list(
    request: Request, context: Context, entry: Entry, *, attempt: Attempt | None = None, done: str = ""
) -> Response:
    """A page of the entries of a kind that are asked for, and the form for another one."""
    kind, query = entry.kind, request.query_params if attempt is None else {}
    asked = {
        name: str(query.get(name, "")).strip()[:120]
        for name in ("q", "ward", "gateway", "bed", "device", "patient", "ended")
    }
    number = page_number(str(query.get("page", "")))
    wanted = _asked(kind, asked, (number - 1) * PAGE)
    found = await context.backend.item_page(context.scope, wanted)
    manages = context.may(entry.manage, kind)
    with_ward = kind in HAS_WARD and context.may(Action.VIEW_DIRECTORY)
    wards = await choices_of(context, "ward") if with_ward else None
    return page(
        request,
        context,
        "directory_list.html",
        status=422 if attempt else 200,
        entry=entry,
        entries=_mine(context),
        rows=found.items,
        names=_readable(context, found.names),
        asked=asked,
        only=await _only(context, asked),
        pager=Pager(f"/admin/{kind}", asked, found.total, number),
        csv=Pager(f"/admin/{kind}.csv", asked, found.total).to(1),
        wards=wards,
        choices=await _choices(context, kind) if manages else {},
        manages=manages,
        may_enter=context.may(Action.ENTER_READING),
        attempt=attempt,
        done=DONE.get(done, ""),
        **_words(request, context),
    )


def _asked(kind: Kind, asked: Mapping[str, str], offset: int, limit: int = PAGE) -> AskedItems:
    filters = {name: asked[name] or None for name in ("ward", "gateway", "bed", "device", "patient")}
    return AskedItems(kind, asked["q"], ended=bool(asked["ended"]), offset=offset, limit=limit, **filters)


async def _only(context: Context, asked: Mapping[str, str]) -> list[tuple[Kind, str, str]]:
    """Of what the list is only: kind, id and name, for those that no field of the filters shows."""
    shown: tuple[Kind, ...] = ("gateway", "bed", "device", "patient")
    keys: dict[Kind, set[str]] = {kind: {asked[kind]} for kind in shown if asked[kind]}
    names = _readable(context, await context.backend.item_names(context.scope, keys)) if keys else {}
    return [(kind, key, names.get((kind, key), key)) for kind, ids in keys.items() for key in ids]


async def _choices(context: Context, kind: Kind) -> dict[Kind, list[tuple[str, str]] | None]:
    """What can be chosen for the fields of a form, by kind; None where there is too much for a list."""
    kinds = {field.choices for field in FORMS[kind] if isinstance(field.choices, str)}
    return {
        other: await choices_of(context, other)
        for other in ENTRIES
        if other in kinds and context.may(ENTRIES[other].see)
    }


async def _show(
    request: Request,
    context: Context,
    entry: Entry,
    key: str,
    *,
    attempt: Attempt | None = None,
    done: str = "",
) -> Response:
    """One entry: what is known of it, the form to change it, and what names it."""
    row = await context.backend.item(context.scope, entry.kind, key)
    if row is None:
        raise MissingError(entry.kind, key)
    scope, kind = context.scope, entry.kind
    names = dict(await context.backend.item_names(scope, {kind: {key}, **_references(row)}))
    below: dict[Kind, ItemPage] = {}
    for other in RELATED.get(kind, ()):
        if context.may(ENTRIES[other].see, other):
            wanted = _asked(other, {**dict.fromkeys(FILTERS, ""), kind: key, "ended": "1"}, 0, BELOW)
            below[other] = await context.backend.item_page(scope, wanted)
            names.update(below[other].names)
    manages = context.may(entry.manage, kind)
    over = _over(row)
    return page(
        request,
        context,
        "directory_entry.html",
        status=422 if attempt else 200,
        entry=entry,
        entries=_mine(context),
        row=row,
        over=over,
        below=below,
        plural={k: e.plural for k, e in ENTRIES.items()},
        names=_readable(context, names),
        choices=await _choices(context, kind) if manages and not over else {},
        manages=manages and not over,
        may_enter=kind == "patient" and not over and context.may(Action.ENTER_READING),
        may_give=kind == "device" and not over and context.may(Action.ASSIGN_DEVICE),
        attempt=attempt,
        done=DONE.get(done, ""),
        **_words(request, context),
    )


FILTERS: Final = ("q", "ward", "gateway", "bed", "device", "patient", "ended")


def _references(row: Item) -> dict[Kind, set[str]]:
    kinds: tuple[Kind, ...] = ("ward", "bed", "patient", "gateway", "device")
    return {kind: {str(value)} for kind in kinds if (value := getattr(row, kind, None)) is not None}


def _over(row: Item) -> bool:
    """Whether an entry cannot be changed any more."""
    if isinstance(row, Association):
        return row.superseded_at is not None
    return not isinstance(row, Encounter) and row.ended is not None


async def _submit(request: Request, context: Context, entry: Entry, do: str, key: str) -> Response:
    """Carry out one form; on refusal show it again with what was typed."""
    typed = {k: str(v) for k, v in (await request.form()).items() if k != "csrf"}
    profiles = request.app.state.profiles
    try:
        form = await resolved(context, entry.kind, typed)
        if do == "end":
            done = await end_item(context, entry, key, None)
        elif do == "create":
            draft = DRAFTS[entry.kind].model_validate(_in_utc(context, form))
            done = await create_item(context, entry, draft.model_dump(), profiles)
        else:
            left = await _left_alone(context, entry.kind, key, form)
            change = CHANGES[entry.kind].model_validate(_in_utc(context, left))
            done = await change_item(context, entry, key, change.model_dump(exclude_unset=True), profiles)
    except (ValidationError, DirectoryError) as error:
        attempt = blamed(entry.kind, key, typed, error)
        if do == "create":
            return await _list(request, context, entry, attempt=attempt)
        return await _show(request, context, entry, key, attempt=attempt)
    where = f"/admin/{entry.kind}" if do == "create" else f"/admin/{entry.kind}/{done.id}"
    return RedirectResponse(f"{where}?done={do}", status_code=303)


async def _left_alone(context: Context, kind: Kind, key: str, form: dict[str, str]) -> dict[str, str]:
    """The form without times that stayed as they were shown: they are kept more exactly than people see."""
    row = await context.backend.item(context.scope, kind, key)
    shown = {name: at for name in ("start", "end") if isinstance(at := getattr(row, name, None), int)}
    kept = {name: local_iso(at, context.zone) for name, at in shown.items()}
    return {name: text for name, text in form.items() if text != kept.get(name)}


def _in_utc(context: Context, form: Mapping[str, str]) -> dict[str, str]:
    """The form with its times in UTC; those without a zone are of the page's. What is no time stays."""
    out = dict(form)
    for name in ("start", "end"):
        if text := form.get(name, "").strip():
            with suppress(ValueError, OverflowError):
                out[name] = iso(moment_in(text, context.zone))
    return out


async def _export(context: Context, entry: Entry, request: Request) -> Response:
    """Everything that the list shows, as CSV that leaves while it is read."""
    asked = {name: request.query_params.get(name, "").strip()[:120] for name in FILTERS}
    if entry.reads:
        await context.audit(entry.see, entry.kind, detail={"do": "export"})
    return export_entries(context, _asked(entry.kind, asked, 0))


def _add(entry: Entry) -> None:
    manage = Annotated[Context, Depends(Guard(entry.manage, entry.kind))]
    see = Annotated[Context, Depends(Guard(entry.see, entry.kind))]
    one = Annotated[Context, Depends(Guard(entry.see, entry.kind, reads=entry.reads))]

    async def show_all(request: Request, context: Context, done: str = "") -> Response:
        if entry.reads:  # not the words of a search: they may be a patient's name
            await context.audit(entry.see, entry.kind, detail={"do": "list"})
        return await _list(request, context, entry, done=done)

    async def export(request: Request, context: Context) -> Response:
        return await _export(context, entry, request)

    async def show(request: Request, context: Context, key: str, done: str = "") -> Response:
        return await _show(request, context, entry, key, done=done)

    async def create(request: Request, context: Context) -> Response:
        return await _submit(request, context, entry, "create", "")

    async def change(request: Request, context: Context, key: str) -> Response:
        return await _submit(request, context, entry, "change", key)

    async def end(request: Request, context: Context, key: str) -> Response:
        return await _submit(request, context, entry, "end", key)

    for method, path, endpoint, needs in (
        ("GET", "", show_all, see),
        ("GET", ".csv", export, see),
        ("GET", "/{key}", show, one),
        ("POST", "", create, manage),
        ("POST", "/{key}", change, manage),
        ("POST", "/{key}/end", end, manage),
    ):
        annotations: dict[str, Any] = {"context": needs, "request": Request, "return": Response}
        endpoint.__annotations__.update(annotations)
        endpoint.__name__ = f"admin_{endpoint.__name__}_{entry.kind}"
        router.add_api_route(
            f"/admin/{entry.kind}{path}", endpoint, methods=[method], response_class=Response
        )


for _entry in ENTRIES.values():
    _add(_entry)
