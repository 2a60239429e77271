"""The directory on one plain page: make, change and end entries, errors beside their fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboards.access import Context, Guard
from dashboards.api.directory import ENTRIES, Entry, change_item, create_item, end_item
from dashboards.api.drafts import CHANGES, DRAFTS
from dashboards.backend import DirectoryError
from dashboards.i18n import N_
from dashboards.models import Association, Bed, Device, Encounter, Gateway, Item, Kind, Patient, Ward
from dashboards.pages.render import is_htmx, page
from hearthward.trust.access import Action

__all__ = ["router"]

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Input:
    """A field of a form. ``choices`` names a kind to choose from, or lists (value, text)."""

    name: str
    label: str
    choices: Kind | tuple[tuple[str, str], ...] | None = None
    hint: str = ""
    required: bool = False
    kind: str = "text"


WARD_OR_HOME: Final = (("ward", N_("in a bed")), ("home", N_("at home")))
TRANSPORTS: Final = (("ble", N_("Bluetooth LE")), ("serial", N_("serial port")))
YES_OR_NO: Final = (("false", N_("no")), ("true", N_("yes")))
TONGUES: Final = (("en", "English"), ("zh", "中文"))
FORMS: Final[dict[Kind, tuple[Input, ...]]] = {
    "ward": (
        Input("name", N_("Name"), required=True),
        Input(
            "wall_expected",
            N_("Has a wall display"),
            YES_OR_NO,
            hint=N_("yes: that none is heard for 10 seconds is an alarm"),
        ),
    ),
    "bed": (
        Input("ward", N_("Ward"), "ward", required=True),
        Input("label", N_("Label"), required=True),
    ),
    "patient": (
        Input("name", N_("Name"), required=True),
        Input("mrn", N_("Hospital number")),
        Input("birth_date", N_("Date of birth"), kind="date"),
        Input("language", N_("Language"), TONGUES, required=True),
        Input("phone", N_("Phone"), hint=N_("with the country, such as +8613800138000")),
        Input("email", N_("E-mail")),
        Input("pregnant", N_("Pregnant"), YES_OR_NO, hint=N_("NEWS2 is not for the pregnant")),
    ),
    "encounter": (
        Input("patient", N_("Patient"), "patient", required=True),
        Input("kind", N_("Where"), WARD_OR_HOME, required=True),
        Input("bed", N_("Bed"), "bed", hint=N_("for a stay on a ward")),
        Input("ward", N_("Ward"), "ward", hint=N_("who watches a patient at home")),
    ),
    "gateway": (
        Input("id", N_("Id"), required=True, hint=N_("as in the gateway's settings, such as gw-1")),
        Input("label", N_("Label")),
        Input("ward", N_("Ward"), "ward"),
        Input("timezone", N_("Time zone"), hint=N_("of its devices' clocks, such as Asia/Shanghai")),
    ),
    "device": (
        Input("id", N_("Id"), hint=N_("empty: made for you")),
        Input("label", N_("Label")),
        Input("gateway", N_("Gateway"), "gateway", required=True),
        Input("transport", N_("Connection"), TRANSPORTS, required=True),
        Input("address", N_("Address"), required=True, hint=N_("C4:12:5D:00:AE:91 or /dev/ttyUSB0")),
        Input(
            "profile",
            N_("Profile"),
            (),
            hint=N_("serial: must be chosen; else empty: found when it connects"),
        ),
        Input("timezone", N_("Time zone"), hint=N_("of its own clock; empty: as its gateway")),
        Input("interval_s", N_("Interval (s)"), kind="number", hint=N_("expected seconds between values")),
    ),
    "association": (
        Input("device", N_("Device"), "device", required=True),
        Input("patient", N_("Patient"), "patient", required=True),
        Input("start", N_("From"), hint=N_("empty: now; else as 2026-03-01T08:00+08:00")),
    ),
}
TITLES: Final[dict[Kind, str]] = {
    "ward": N_("Wards"),
    "bed": N_("Beds"),
    "patient": N_("Patients"),
    "encounter": N_("Stays"),
    "gateway": N_("Gateways"),
    "device": N_("Devices"),
    "association": N_("Who wears what"),
}
HELP: Final[dict[Kind, str]] = {
    "ward": N_("A ward, or a team that looks after patients at home."),
    "bed": N_("The label is what the wall shows."),
    "patient": N_("A person; nothing is ever deleted, only ended."),
    "encounter": N_("Puts a patient on the wall: in a bed, or at home."),
    "gateway": N_("The box that the devices talk to."),
    "device": N_("One that measures, reached through a gateway."),
    "association": N_("From then on, its values belong to that patient."),
}
REASONS: Final = {
    "required": N_("is required"),
    "unknown": N_("does not exist: {value}"),
    "taken": N_("is in use already: {value}"),
    "period": N_("must end after it starts and not overlap another period"),
    "ended": N_("has ended already"),
    "in_use": N_("is still in use: end first what uses it"),
    "short": N_("is too short"),
    "invalid": N_("is not valid: {value}"),
    "serial": N_("is required: a serial device cannot be identified when it connects"),
    "transport": N_("is not for a device with this connection: {value}"),
}
"""What a refused field says on the page, by the code of a DirectoryError."""
MISSING: Final = frozenset({"missing", "string_too_short"})


@dataclass(slots=True)
class Attempt:
    """A form that was refused: which, what was typed, and what is wrong with which field."""

    kind: Kind
    key: str = ""
    values: dict[str, str] = field(default_factory=dict)
    errors: dict[str, tuple[str, str]] = field(default_factory=dict)


def _title(item: Item, names: Mapping[tuple[str, str], str]) -> str:
    if isinstance(item, Ward | Patient):
        return item.name
    if isinstance(item, Bed):
        return f"{names.get(('ward', item.ward), item.ward)} {item.label}"
    if isinstance(item, Gateway | Device):
        return f"{item.label} ({item.id})" if item.label else item.id
    return item.id


async def _directory(context: Context) -> tuple[dict[Kind, list[Item]], dict[tuple[str, str], str]]:
    """All entries that the caller may see, and how they are called in lists."""
    tables: dict[Kind, list[Item]] = {}
    names: dict[tuple[str, str], str] = {}
    for kind, entry in ENTRIES.items():
        if context.may(entry.see):
            tables[kind] = list(await context.backend.items(context.scope, kind))
            names.update({(kind, i.id): _title(i, names) for i in tables[kind]})
    return tables, names


def _adrift(tables: Mapping[Kind, list[Item]]) -> list[Item]:
    """Patients who wear a device, but have no stay: their values and alarms are on no tile."""
    worn = {a.patient for a in tables.get("association", ()) if isinstance(a, Association)}
    stay = {e.patient for e in tables.get("encounter", ()) if isinstance(e, Encounter)}
    return [p for p in tables.get("patient", ()) if p.id in worn - stay]


async def _show(
    request: Request, context: Context, *, attempt: Attempt | None = None, done: str = ""
) -> Response:
    tables, names = await _directory(context)
    template = "directory.html" if is_htmx(request) else "admin.html"
    return page(
        request,
        context,
        template,
        status=422 if attempt else 200,
        entries=[ENTRIES[k] for k in tables],
        tables=tables,
        names=names,
        forms=FORMS,
        titles=TITLES,
        help=HELP,
        reasons=REASONS,
        profiles=request.app.state.profiles,
        transports=TRANSPORTS,
        adrift=_adrift(tables),
        may_enter=context.may(Action.ENTER_READING),
        changeable={k: frozenset(m.model_fields) for k, m in CHANGES.items()},
        attempt=attempt,
        done=done,
    )


@router.get("/admin")
async def admin(
    request: Request,
    context: Annotated[Context, Depends(Guard(Action.VIEW_DEVICES, "directory"))],
    done: str = "",
) -> Response:
    """Everything that the caller may see on one page: for an engineer gateways and devices only."""
    if context.may(Action.VIEW_DIRECTORY, "directory"):
        await context.audit(Action.VIEW_DIRECTORY, "directory", detail={"done": done} if done else None)
    return await _show(request, context, done=done if done in {"create", "change", "end"} else "")


async def _submit(request: Request, context: Context, entry: Entry, do: str, key: str) -> Response:
    """Carry out one form; on refusal show it again with what was typed."""
    form = {k: str(v) for k, v in (await request.form()).items() if k != "csrf"}
    attempt = Attempt(entry.kind, key, form)
    profiles = request.app.state.profiles
    try:
        if do == "end":
            await end_item(context, entry, key, None)
        elif do == "create":
            draft = DRAFTS[entry.kind].model_validate(form)
            await create_item(context, entry, draft.model_dump(), profiles)
        else:
            change = CHANGES[entry.kind].model_validate(form)
            await change_item(context, entry, key, change.model_dump(exclude_unset=True), profiles)
    except ValidationError as error:
        for problem in error.errors():
            name = str(problem["loc"][0]) if problem["loc"] else ""
            blank = not form.get(name, "").strip()
            code = "required" if problem["type"] in MISSING or blank else "invalid"
            attempt.errors[name] = code, form.get(name, "")
        return await _show(request, context, attempt=attempt)
    except DirectoryError as error:
        attempt.errors[error.field] = error.code, error.value
        return await _show(request, context, attempt=attempt)
    if is_htmx(request):
        return await _show(request, context, done=do)
    return RedirectResponse(f"/admin?done={do}#{entry.kind}", status_code=303)


def _add(entry: Entry) -> None:
    manage = Annotated[Context, Depends(Guard(entry.manage, entry.kind))]

    async def create(request: Request, context: Context) -> Response:
        return await _submit(request, context, entry, "create", "")

    async def change(request: Request, context: Context, key: str) -> Response:
        return await _submit(request, context, entry, "change", key)

    async def end(request: Request, context: Context, key: str) -> Response:
        return await _submit(request, context, entry, "end", key)

    for path, endpoint in (("", create), ("/{key}", change), ("/{key}/end", end)):
        annotations: dict[str, Any] = {"context": manage, "request": Request, "return": Response}
        endpoint.__annotations__.update(annotations)
        endpoint.__name__ = f"admin_{endpoint.__name__}_{entry.kind}"
        router.add_api_route(
            f"/admin/{entry.kind}{path}", endpoint, methods=["POST"], response_class=Response
        )


for _entry in ENTRIES.values():
    _add(_entry)
