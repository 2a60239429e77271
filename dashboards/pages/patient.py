"""One patient on one page: alarms and why, values and trends, notes, limits, devices, hand-over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.access import Context, Guard
from dashboards.api.limits import patient_of
from dashboards.api.readings import instant
from dashboards.aside import parted
from dashboards.backend import AlarmQuery
from dashboards.charts import Chart, chart_of, charts_in, metrics_of, place_of
from dashboards.directory_port import AskedItems
from dashboards.i18n import N_
from dashboards.live.hub import LiveHub
from dashboards.live.states import of_patient
from dashboards.models import (
    AlarmDetail,
    AlarmNote,
    Association,
    Bed,
    Condition,
    Device,
    Encounter,
    Gateway,
    Value,
    Ward,
)
from dashboards.pages.entry import entered_before
from dashboards.pages.forms import Attempt
from dashboards.pages.patient_plan import kept_about
from dashboards.pages.render import is_htmx, page
from dashboards.pages.waves import waves_held
from dashboards.problems import MissingError
from dashboards.risk_words import factors, went
from dashboards.sparkline import svg_line
from dashboards.staff_models import HandOver
from hearthward.core.clock import SECOND, iso
from hearthward.trust.access import Action

__all__ = ["learned_risk", "router", "show_patient"]

router = APIRouter(include_in_schema=False)
HOUR: Final = 3600 * SECOND
WINDOWS: Final = {
    "1h": (HOUR, N_("1 hour")),
    "24h": (24 * HOUR, N_("24 hours")),
    "30d": (720 * HOUR, N_("30 days")),
}
USUAL: Final = "1h"
POLLS: Final = {"1h": 10, "24h": 60, "30d": 600}
"""Seconds after which a trend that reaches up to now is asked for again."""
POINTS: Final = 600
SHOWN_ALARMS: Final = 20
SHOWN_DEVICES: Final = 10
SHOWN_ENTRIES: Final = 5
SHOWN_HAND_OVERS: Final = 50
OPEN: Final = frozenset({"active", "latched"})
ORDER: Final = {"high": 0, "medium": 1, "low": 2}

See = Annotated[Context, Depends(Guard(Action.VIEW_READINGS, "patient", reads=True))]


@dataclass(frozen=True, slots=True)
class Window:
    """The period of all trends of a page. ``end`` None: up to now."""

    name: str
    end: int | None
    now: int

    @property
    def stop(self) -> int:
        """Where it ends (UTC ns)."""
        return self.now if self.end is None else self.end

    @property
    def start(self) -> int:
        """Where it begins (UTC ns)."""
        return self.stop - WINDOWS[self.name][0]

    @property
    def poll(self) -> int:
        """Seconds after which it is asked for again; 0: it stays as it is."""
        return POLLS[self.name] if self.end is None else 0

    def query(self, name: str | None = None, by: int = 0) -> str:
        """As part of an address: another window that ends there too, or one ``by`` so many of its own on."""
        end = self.end if not by else self.stop + by * WINDOWS[self.name][0]
        moment = f"&end={iso(end)}" if end is not None and end < self.now else ""
        return f"window={name or self.name}{moment}"

    @classmethod
    def of(cls, name: str, end: str, now: int) -> Window:
        """What an address asks for; what it does not know is the usual."""
        moment = instant(end, "end", now) if end else now
        known = name if name in WINDOWS else USUAL
        late = max(moment, WINDOWS[known][0])
        return cls(known, late if late < now else None, now)


@dataclass(frozen=True, slots=True)
class Worn:
    """A device that is or was on the patient."""

    period: Association
    device: Device | None
    told: Condition | None


@router.get("/patients/{patient}")
async def detail(
    request: Request, context: See, patient: str, window: str = USUAL, end: str = ""
) -> Response:
    """The page; its trends are asked for by itself, one by one, and what is known now again and again."""
    if context.scope.patient is not None:
        await patient_of(context, patient)
        return RedirectResponse("/me", status_code=303)
    return await show_patient(request, context, patient, window, end)


async def show_patient(
    request: Request,
    context: Context,
    patient: str,
    window: str = USUAL,
    end: str = "",
    *,
    attempt: Attempt | None = None,
) -> Response:
    """A patient's page for staff; with the note that was refused. Raises MissingError."""
    person = await patient_of(context, patient)
    shown = Window.of(window, end, context.backend.clock.now_ns())
    measured = await context.backend.measured(context.scope, patient)
    newest, aside = parted(await context.backend.newest(context.scope, patient))
    return page(
        request,
        context,
        "patient_now.html" if is_htmx(request) and not attempt else "patient.html",
        status=422 if attempt else 200,
        person=person,
        shown=shown,
        windows={name: text for name, (_, text) in WINDOWS.items()},
        charts=charts_in(measured),
        waves=() if is_htmx(request) else await waves_held(context, patient),
        values=sorted((v for v in newest if of_patient(v.metric)), key=lambda v: place_of(v.metric)),
        aside=[v for v in aside if of_patient(v.metric)],
        address=f"/patients/{quote(patient, safe='')}",
        now=shown.now,
        **await _place(context, patient),
        **await _alarms(context, patient),
        **await _care(context, patient),
        **await kept_about(context, patient, shown.now),
        devices=await _worn(context, patient),
        **_state_now(request, context, newest, patient),
        **await learned_risk(context, patient),
        attempt=attempt,
    )


@router.get("/patients/{patient}/trends/{metric}")
async def trend(
    request: Request, context: See, patient: str, metric: str, window: str = USUAL, end: str = ""
) -> Response:
    """One picture: the part that the page asks for, or a page of its own."""
    person = await patient_of(context, patient)
    if context.scope.patient is not None:
        return RedirectResponse("/me", status_code=303)
    wanted = metrics_of(metric)
    if wanted is None:
        raise MissingError(kind="metric", key=metric)
    shown = Window.of(window, end, context.backend.clock.now_ns())
    trends = [
        await context.backend.trend(context.scope, patient, m, shown.start, shown.stop, POINTS)
        for m in wanted
    ]
    chart = chart_of(trends)
    return page(
        request,
        context,
        "trend_part.html" if is_htmx(request) else "trend.html",
        person=person,
        shown=shown,
        windows={name: text for name, (_, text) in WINDOWS.items()},
        chart=chart,
        drawing=_drawing(chart),
        address=f"/patients/{quote(patient, safe='')}",
        now=shown.now,
    )


def _state_now(request: Request, context: Context, newest: Sequence[Value], patient: str) -> dict[str, Any]:
    """What the walls say of the patient now: the score, and what can be relied on."""
    hub: LiveHub = request.app.state.hub
    scope = context.scope
    tile = hub.tile(scope, patient)
    return {
        "score": False if tile is None else tile["n"],
        "mail": 0 if tile is None else tile["m"],
        "reporting": tile is not None and any(v[1] == "live" for v in tile["v"].values()),
        "states": hub.states(scope, patient, newest),
        "known": hub.known(scope, patient, newest),
    }


async def learned_risk(context: Context, patient: str) -> dict[str, Any]:
    """The learned risk, what it is made of, and how NEWS2 went: for a patient's page and the wall."""
    risk = await context.backend.risk(context.scope, patient)
    tongue = context.language.split("_", maxsplit=1)[0]
    return {"risk": risk, "factors": factors(risk, tongue), "went": went(risk, tongue)}


def _drawing(chart: Chart) -> str:
    """The picture for who has no script: the first line, between its limits of now."""
    first = chart.trends[0]
    held = [x for x in first.limits if x.end >= first.end]
    return svg_line(
        [(p.time / SECOND, p.mean) for p in first.points],
        width=720,
        height=160,
        low=max((x.value for x in held if x.side == "low"), default=None),
        high=min((x.value for x in held if x.side == "high"), default=None),
    )


async def _place(context: Context, patient: str) -> dict[str, Any]:
    """Where the patient is now, and who looks after them."""
    backend, scope = context.backend, context.scope
    stays = await backend.item_page(scope, AskedItems("encounter", patient=patient, limit=1))
    stay = next((s for s in stays.items if isinstance(s, Encounter) and s.end is None), None)
    ward = await backend.item(scope, "ward", stay.ward) if stay and stay.ward else None
    bed = await backend.item(scope, "bed", stay.bed) if stay and stay.bed else None
    carers: list[str] = []
    if context.may(Action.VIEW_STAFF):
        staff = {s.id: s.name for s in await backend.staff(scope)}
        teams = {t.id: t.name for t in await backend.teams(scope)}
        mine = [a for a in await backend.assignments(scope) if a.patient == patient]
        carers = [staff.get(a.user, a.user) for a in mine if a.user]
        carers += [teams[a.team] for a in mine if a.team in teams]
    return {
        "stay": stay,
        "ward": ward if isinstance(ward, Ward) else None,
        "bed": bed if isinstance(bed, Bed) else None,
        "carers": carers,
    }


async def _alarms(context: Context, patient: str) -> dict[str, Any]:
    """Open alarms in full, the most urgent first; what is off; earlier ones; what was written about them."""
    backend, scope = context.backend, context.scope
    found = await backend.alarms(scope, AlarmQuery(patient=patient, limit=SHOWN_ALARMS))
    still = await backend.alarms(scope, AlarmQuery(patient=patient, open_only=True))
    shown = {a.id: a for a in (*found, *still)}
    details = [await backend.alarm(scope, a.id) for a in shown.values() if a.condition in OPEN]
    notes: Sequence[AlarmNote] = await backend.notes(scope, list(shown)) if shown else ()
    return {
        "open_alarms": _by_urgency(d for d in details if d is not None),
        "asked": await backend.alarms(scope, AlarmQuery(patient=patient, asked=True)),
        "past": [a for a in shown.values() if a.condition not in OPEN],
        "off": await backend.inactivations(scope, subject=patient),
        "notes": sorted(notes, key=lambda n: n.at, reverse=True),
        "about": shown,
    }


def _by_urgency(alarms: Iterable[AlarmDetail]) -> list[AlarmDetail]:
    return sorted(alarms, key=lambda a: (a.worklist, ORDER[a.priority], a.onset))


async def _care(context: Context, patient: str) -> dict[str, Any]:
    """What is set and ordered for the patient, what was entered by hand, and how they were handed over."""
    backend, scope = context.backend, context.scope
    found: dict[str, Any] = {"limits": [], "orders": [], "titles": {}, "entered": [], "handed": []}
    if context.may(Action.VIEW_LIMITS):
        found["limits"] = [x for x in await backend.limits(scope, patient) or () if x.present]
        found["orders"] = [x for x in await backend.orders(scope, patient) or () if x.present]
        rules = await backend.rules(scope) if found["limits"] else ()
        found["titles"] = {rule.id: rule.title for rule in rules}
    found["entered"] = (await entered_before(context, patient))[:SHOWN_ENTRIES]
    if context.may(Action.HAND_OVER):
        past: Sequence[HandOver] = await backend.hand_overs(
            scope, limit=SHOWN_HAND_OVERS, reader=context.who.user
        )
        found["handed"] = [h for h in past if patient in h.patients][:3]
    return found


async def _worn(context: Context, patient: str) -> list[Worn]:
    """The devices on the patient, and the last that were."""
    backend, scope = context.backend, context.scope
    asked = AskedItems("association", patient=patient, ended=True, limit=SHOWN_DEVICES)
    found = []
    for period in (await backend.item_page(scope, asked)).items:
        if not isinstance(period, Association):
            continue
        device = await backend.item(scope, "device", period.device)
        gateway = await backend.item(scope, "gateway", device.gateway) if isinstance(device, Device) else None
        told = None
        if period.end is None and isinstance(gateway, Gateway):
            told = gateway.conditions.get(period.device)
        found.append(Worn(period, device if isinstance(device, Device) else None, told))
    return sorted(found, key=lambda w: (w.period.end is not None, -w.period.start))
