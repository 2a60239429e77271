"""Every page of the application, who may open it, and whose eyes look at it in the walk through all pages.

A unit test says that no page is missing here, and that each opens for just these people; the walk
(``walk.py``) looks at each, in CI and in ``./dev bench ux``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["NO_PAGES", "PAGES", "PEOPLE", "VARIANTS", "VISITS", "PageOf", "Visit", "filled"]

PEOPLE: Final = {
    "N": "nurse",
    "D": "doctor",
    "E": "engineer",
    "A": "admin",
    "P": "patient",
    "F": "family",
    "W": "wall",
}
"""A letter for each role, and the login of the fake ward that has it."""
CARE: Final = "ND"
STAFF: Final = "NDEA"
ANYBODY: Final = "NDEAPFW"


@dataclass(frozen=True, slots=True)
class PageOf:
    """One page: its route in the application, and the roles that it opens for (letters of PEOPLE).

    The first of them is who looks at it in the walk.
    """

    route: str
    opens: str


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a page: by whom (a login of the fake ward, empty: nobody), where, and what is answered."""

    login: str
    address: str
    status: int = 200


PAGES: Final = (
    PageOf("/account", "NDEAPF"),
    PageOf("/admin", "ANDE"),
    *(PageOf(f"/admin/{kind}", "AND") for kind in ("ward", "bed", "encounter", "association")),
    *(PageOf(f"/admin/{kind}/{{key}}", "AND") for kind in ("ward", "bed", "encounter", "association")),
    *(PageOf(f"/admin/{kind}", "ANDE") for kind in ("gateway", "device")),
    *(PageOf(f"/admin/{kind}/{{key}}", "ANDE") for kind in ("gateway", "device")),
    PageOf("/admin/patient", "AND"),
    PageOf("/admin/patient/{key}", "AND"),
    PageOf("/alarms", "NDEAW"),
    PageOf("/alarms/{alarm}", "NDAW"),
    PageOf("/alarms/{alarm}/why", "NDAW"),
    PageOf("/assign", "NDA"),
    PageOf("/audit", "A"),
    PageOf("/burden", "NDEA"),
    PageOf("/channels", "EA"),
    PageOf("/deadletters", "EA"),
    PageOf("/deadletters/{letter}", "EA"),
    PageOf("/devices", "ENDA"),
    PageOf("/devices/find", "EA"),
    PageOf("/devices/find/adopt", "AE"),
    PageOf("/devices/{device}/adopted", "AE"),
    PageOf("/escalation", "NDEA"),
    PageOf("/escalation/{policy}", "ANDE"),
    PageOf("/fleet", "EA"),
    PageOf("/fleet/devices/{device}", "EA"),
    PageOf("/fleet/orders", "EA"),
    PageOf("/fleet/orders/{order}", "EA"),
    PageOf("/fleet/quality", "EA"),
    PageOf("/fleet/use", "EA"),
    PageOf("/handover", CARE),
    PageOf("/inactivations", "NDEAW"),
    PageOf("/ledger", "EA"),
    PageOf("/link/{token}", ANYBODY),
    PageOf("/login", ANYBODY),
    PageOf("/me", "PF"),
    PageOf("/me/consent", "PF"),
    PageOf("/me/feel", "P"),
    PageOf("/me/logins", "PF"),
    PageOf("/me/measure", "P"),
    PageOf("/me/messages", "P"),
    PageOf("/me/plan", "PF"),
    PageOf("/me/sheet", "PF"),
    PageOf("/me/values", "PF"),
    PageOf("/messages", "NDA"),
    PageOf("/notifications", "NDEAPF"),
    PageOf("/offline", ANYBODY),
    PageOf("/oncall", STAFF),
    PageOf("/oncall/{shift}", "ANDE"),
    PageOf("/patients/{patient}", "NDAW"),
    PageOf("/patients/{patient}/entry", "NDP"),
    PageOf("/patients/{patient}/limits", "DNA"),
    PageOf("/patients/{patient}/messages", "NDA"),
    PageOf("/patients/{patient}/people", "NDA"),
    PageOf("/patients/{patient}/plan", "NDA"),
    PageOf("/patients/{patient}/trends/{metric}", "NDAW"),
    PageOf("/patients/{patient}/waves", "NDAW"),
    PageOf("/patients/{patient}/waves/{wave}", "NDAW"),
    PageOf("/patients/{patient}/why-not", "NDAW"),
    PageOf("/rules", "DNEA"),
    PageOf("/rules/{rule}", "DNEA"),
    PageOf("/rules/{rule}/try", "DNA"),
    PageOf("/rules/{rule}/try/{trial}", "DNA"),
    PageOf("/rules/{rule}/try/{trial}/draft", "DA"),
    PageOf("/staff", "NDEA"),
    PageOf("/users", "A"),
    PageOf("/users/{login}", "A"),
    PageOf("/ward", "NDAW"),
    PageOf("/ward/print", "NDAW"),
)
NO_PAGES: Final = {
    "/": "leads to the caller's own page",
    "/lang/{language}": "leads back",
    "/healthz": "for machines",
    "/readyz": "for machines",
    "/metrics": "for machines",
    "/manifest.webmanifest": "for browsers",
    "/service-worker.js": "for browsers",
    "/fleet/devices/{device}/frames": "a part of /fleet/devices/{device}",
    "/fleet/devices/{device}/watch": "a part of /fleet/devices/{device}",
    "/fleet/sums": "a part of /fleet",
    "/rules/deterioration/calibration": "a part of /rules/{rule}",
    "/me/now": "a part of /me",
    "/patients/{patient}/messages/list": "a part of /patients/{patient}/messages",
    "/me/messages/thread": "a part of /me/messages",
    "/messages/list": "a part of /messages",
    "/ward/patient/{patient}": "a part of /ward",
}
"""What is answered to GET and is no page, and why; besides files (``.csv``) and choices of a form."""
VARIANTS: Final = (
    Visit("engineer", "/alarms"),
    Visit("doctor", "/alarms?show=all"),
    Visit("nurse", "/alarms/{technical}"),
    Visit("doctor", "/inactivations?subject={patient}"),
    Visit("admin", "/admin?q=a"),
    Visit("admin", "/assign?device={device}"),
    Visit("admin", "/assign?device=x"),
    Visit("admin", "/staff"),
    Visit("admin", "/oncall"),
    Visit("admin", "/devices/find?q=00"),
    Visit("engineer", "/devices/find/adopt?gateway=gw-1&address=D0:5F:B8:00:00:07"),
    Visit("engineer", "/fleet?kind=battery&sort=days_left&down=1"),
    Visit("engineer", "/fleet?q=nowhere"),
    Visit("engineer", "/fleet/devices/{worn}"),
    Visit("admin", "/fleet/devices/{worn}?finding=fnd_1"),
    Visit("engineer", "/fleet/quality?by=ward&days=30"),
    Visit("engineer", "/fleet/use?by=device"),
    Visit("admin", "/fleet/orders?state=all"),
    Visit("admin", "/fleet/orders/wo_2"),
    Visit("wall", "/ward"),
    Visit("family", "/me"),
    Visit("family", "/me/consent"),
    Visit("patient", "/me/measure?metric=nibp_systolic"),
    Visit("nurse", "/patients/{home}"),
    Visit("nurse", "/patients/{home}/messages"),
    Visit("nurse", "/patients/{home}/plan"),
    Visit("nurse", "/patients/{home}/people"),
    Visit("doctor", "/patients/{patient}/why-not?rule=spo2-low&at=tomorrow", 422),
    Visit("nurse", "/users", 403),
    Visit("nurse", "/patients/pat_0", 404),
    Visit("patient", "/ward", 403),
    Visit("", "/ward"),
)
"""More looks: other eyes, other states, and pages that say that something is not there or not allowed."""


def login_of(page: PageOf) -> str:
    """Who looks at it: of what is open to anybody, nobody who has logged in."""
    return "" if page.opens == ANYBODY else PEOPLE[page.opens[0]]


VISITS: Final = tuple(Visit(login_of(page), page.route) for page in PAGES) + VARIANTS


def filled(address: str, known: Mapping[str, str]) -> str:
    """The address with what is ``known`` put in by its name, ``{key}`` by that of the kind before it."""
    kind = address.split("/")[2] if address.startswith("/admin/") else ""
    return re.sub(r"\{(\w+)\}", lambda m: known[kind if m[1] == "key" else m[1]], address)
