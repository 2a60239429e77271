"""The links of every page's header, by job, and what waits there to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request

from dashboards.access import Context
from dashboards.i18n import N_
from dashboards.live.hub import LiveHub
from hearthward.trust.access import Action

__all__ = ["Menu", "MenuLink", "menus_of", "unseen_of"]


@dataclass(frozen=True, slots=True)
class MenuLink:
    """A page in the header. ``here`` is ``page`` for the page itself, ``true`` for one that belongs to it."""

    path: str
    name: str
    here: str = ""


@dataclass(frozen=True, slots=True)
class Menu:
    """Pages of one job; without a name they stand in the header itself."""

    name: str
    links: tuple[MenuLink, ...]

    @property
    def here(self) -> bool:
        """Whether the page that is open is one of these."""
        return any(link.here for link in self.links)


Entry = tuple[str, str, tuple[Action, ...], tuple[str, ...]]
JOBS: Final[tuple[tuple[str, tuple[Entry, ...]], ...]] = (
    (
        "",
        (
            ("/ward", N_("Ward wall"), (Action.VIEW_WARD,), ()),
            (
                "/alarms",
                N_("Alarms"),
                (Action.VIEW_WARD, Action.VIEW_TECHNICAL_ALARMS),
                ("/inactivations",),
            ),
            ("/messages", N_("Messages"), (Action.MANAGE_CARE_PLAN,), ()),
            ("/handover", N_("Hand-over"), (Action.HAND_OVER,), ()),
        ),
    ),
    (
        N_("People"),
        (
            ("/staff", N_("Staff"), (Action.VIEW_STAFF,), ("/oncall", "/escalation")),
            ("/admin", N_("Directory"), (Action.VIEW_DEVICES,), ("/assign", "/audit")),
            ("/users", N_("Users"), (Action.VIEW_USERS,), ()),
        ),
    ),
    (
        N_("Devices and data"),
        (
            ("/fleet", N_("Fleet"), (Action.VIEW_SYSTEM,), ()),
            ("/devices", N_("Devices"), (Action.VIEW_DEVICES,), ()),
            ("/ledger", N_("Loss ledger"), (Action.VIEW_SYSTEM,), ()),
            ("/deadletters", N_("Dead letters"), (Action.VIEW_SYSTEM,), ()),
        ),
    ),
    (
        N_("Set up alarms"),
        (
            ("/rules", N_("Rules"), (Action.VIEW_RULES,), ()),
            ("/burden", N_("Alarm burden"), (Action.VIEW_BURDEN,), ()),
            ("/channels", N_("Channels"), (Action.VIEW_CHANNELS,), ()),
        ),
    ),
)
"""Job -> pages: address, name, the actions of which one is needed to see it, and what else belongs to it."""


def menus_of(context: Context, path: str) -> list[Menu]:
    """What the caller can open, by job; a job of one page is that page."""
    found: list[Menu] = []
    for job, entries in JOBS:
        links = tuple(
            MenuLink(address, name, _here(path, address, more))
            for address, name, actions, more in entries
            if any(map(context.may, actions))
        )
        if links:
            found.append(Menu(job if len(links) > 1 else "", links))
    return found


def _here(path: str, address: str, more: tuple[str, ...]) -> str:
    if path == address:
        return "page"
    return "true" if any(path == p or path.startswith(f"{p}/") for p in (address, *more)) else ""


def unseen_of(request: Request, context: Context) -> int:
    """How many messages of the caller's patients nobody has seen; 0 for whom they are not meant."""
    if not context.may(Action.MANAGE_CARE_PLAN) or context.who.patient is not None:
        return 0
    hub: LiveHub = request.app.state.hub
    return hub.unseen(context.scope)
