"""The port of the web: all that pages, API and live stream need of the rest of the product.

``FakeBackend`` (fake_backend.py) ships beside it; ``CloudBackend`` (cloud_backend.py) stands over the real
records, store and service. One conformance suite runs over both. Every method that touches a tenant's data
takes a ``Scope`` and gives nothing outside of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

from cloud_ingest.entry import Draft, manual_device
from dashboards.accounts_port import AccountsPort
from dashboards.alarm_query import AlarmQuery, is_equipment
from dashboards.around_port import AroundPort
from dashboards.care_port import CarePort
from dashboards.channels_port import ChannelsPort
from dashboards.consent_port import ConsentPort
from dashboards.dead_letters_port import DeadLettersPort
from dashboards.directory_port import DirectoryPort
from dashboards.fleet_port import FleetPort
from dashboards.ledger_port import LedgerPort
from dashboards.live_events import (
    AlarmChanged,
    DirectoryChanged,
    DutyChanged,
    EventsMissed,
    GatewayChanged,
    InactivationsChanged,
    LiveEvent,
    MessagesChanged,
    ReadingsArrived,
    VitalSample,
)
from dashboards.models import (
    Alarm,
    AlarmDetail,
    AuditEntry,
    Item,
    Kind,
    User,
    Value,
)
from dashboards.people_port import PeoplePort
from dashboards.response_port import ResponsePort
from dashboards.risk_port import RiskPort
from dashboards.rules_port import RulesPort
from dashboards.trend_port import TrendPort
from dashboards.wave_port import WavePort
from dashboards.whatif_port import WhatIfPort
from dashboards.why_port import WhyPort
from hearthward.core.clock import Clock
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Principal, Scope

__all__ = [
    "REASONS",
    "AlarmChanged",
    "AlarmQuery",
    "Backend",
    "DirectoryChanged",
    "DirectoryError",
    "DutyChanged",
    "EventsMissed",
    "GatewayChanged",
    "InactivationsChanged",
    "LiveEvent",
    "Login",
    "MessagesChanged",
    "ReadingQuery",
    "ReadingsArrived",
    "RosterDevice",
    "RosterEntry",
    "Throttled",
    "VitalSample",
    "by_hand",
    "is_equipment",
]


REASONS: Final = {
    "required": "{field} is required",
    "unknown": "{field}: there is no {value}",
    "taken": "{field}: {value} is in use already",
    "held": "{field}: {value}; to take it over, name who has it in instead_of",
    "period": "{field}: the period must end after it starts and must not overlap another one",
    "ended": "{field}: {value} has ended already",
    "in_use": "{field}: {value} is still in use; end what uses it first",
    "short": "{field} is too short (10 characters at least)",
    "invalid": "{field}: {value} is not valid",
    "several": "{field}: {value} fits several; give the id",
    "serial": "{field} is required for a serial device, which cannot be identified when it connects",
    "transport": "{field}: {value} is not for a device with this connection",
    "bounds": "{field} must lie within {value}",
    "past": "{field}: {value} has passed already",
    "future": "{field}: {value} is still to come",
    "state": "{field}: it is {value}; this step does not lead on from there",
    "trial": "{field}: {value} of this rule is on trial already; activate or withdraw it first",
    "examples": "{field}: its own examples fail: {value}",
    "stages": "{field}: the stages of one alarm do not fit: {value}",
    "rule": "{field}: {value}",
    "wrong": "{field} is wrong",
    "elsewhere": "{field}: {value} does not work there",
    "lacks": "{field}: this person has not the role {value}",
    "overlap": "{field}: this person is on duty there already at {value}",
    "begun": "{field}: it has begun; change its end, or cancel the rest and enter another",
    "digits": "{field}: give 4 to 8 digits",
    "last": "{field}: {value} is the last administrator; make another one first",
    "disabled": "{field}: {value} is let in no longer; let them in again first",
    "many": "{field}: there are {value} already; remove one first",
    "busy": "{field}: too many trials are waiting already; try again when one of them is done",
    "nobody": "{field}: nobody was in care there in this period",
    "gateway": "{field}: it is configured at another gateway already ({value}); change that entry, or end it",
    "empty": "{field}: nobody lies in bed {value} now; name a patient, or leave it out and assign it later",
    "either": "{field}: give a patient or a bed, not both",
    "simple": "{field} is guessed at once; give digits that are not the same or in a row",
}
"""Why a directory entry is refused: the code and what it says (English; pages translate it)."""


class DirectoryError(ConfigError):
    """A directory entry cannot be made or changed as asked.

    ``field`` names the input, ``code`` is a key of REASONS and is what gets translated, ``value`` what was
    given.
    """

    def __init__(self, field: str, code: str, value: object = "") -> None:
        super().__init__(REASONS[code].format(field=field, value=value), field=field, code=code)
        self.field = field
        self.code = code
        self.value = str(value)


class Throttled(ConfigError):
    """Too many failed logins; ``wait_s`` says when another try is taken."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"too many failed logins: wait {wait_s:.0f} s", wait_s=wait_s)
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Login:
    """A session just opened: its secret token (shown once) and whose it is."""

    token: str
    principal: Principal


@dataclass(frozen=True, slots=True)
class ReadingQuery:
    """Which readings: of a patient (through association intervals) or of devices; start <= time < end."""

    patient: str | None = None
    devices: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    start: int = 0
    end: int = 2**63 - 1
    limit: int = 1000
    newest: bool = False


@dataclass(frozen=True, slots=True)
class RosterDevice:
    """A device that is on a patient now; values before ``since`` are another patient's.

    ``manual``: no device, but what people enter by hand.
    """

    device: str
    gateway: str
    profile: str | None
    interval_s: float | None
    since: int
    manual: bool = False


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """A patient with an open encounter, as a tile of the wall.

    ``scored``: NEWS2 is meant for such a patient, who is neither known to be a child nor pregnant; ``scale``
    is the scale of SpO2 in it. ``owners`` are the names of those who look after the patient.
    """

    patient: str
    name: str
    ward: str | None
    ward_name: str
    bed_label: str
    home: bool
    devices: tuple[RosterDevice, ...] = ()
    scored: bool = True
    scale: Literal[1, 2] = 1
    owners: tuple[str, ...] = ()


def by_hand(patient: str, since: int) -> RosterDevice:
    """What is entered by hand, as a device of the patient's tile."""
    return RosterDevice(manual_device(patient), "", None, None, since, manual=True)


class Backend(
    AccountsPort,
    AroundPort,
    CarePort,
    ChannelsPort,
    ConsentPort,
    DirectoryPort,
    FleetPort,
    LedgerPort,
    DeadLettersPort,
    PeoplePort,
    ResponsePort,
    RiskPort,
    RulesPort,
    TrendPort,
    WavePort,
    WhatIfPort,
    WhyPort,
    Protocol,
):
    """What the web needs of the product."""

    clock: Clock
    tenant: str
    """The tenant whose people log in here."""

    # --- people -----------------------------------------------------------------------------
    async def login(self, login: str, password: str, *, agent: str = "") -> Login | None:
        """Open a session; None when login or password is wrong. Raises Throttled. ``agent``: of what."""
        ...

    async def principal(self, token: str) -> Principal | None:
        """Whose session the token opens; None when it is unknown, expired or revoked."""
        ...

    async def logout(self, token: str) -> None:
        """Revoke the session."""
        ...

    async def link_login(self, token: str) -> str | None:
        """The login name that a one-time link is for; None when unknown, used or expired."""
        ...

    async def use_link(self, token: str, password: str, *, agent: str = "") -> Login | None:
        """Use the link up: set the password and open a session. Raises DirectoryError (``password``)."""
        ...

    async def language_of(self, principal: Principal) -> str | None:
        """The language that the person is registered with."""
        ...

    async def users(self, scope: Scope) -> Sequence[User]:
        """Who may log in, by login. Raises AccessError for a scope of less than the whole tenant."""
        ...

    async def add_user(self, scope: Scope, fields: Mapping[str, Any], password: str | None) -> User:
        """Add a login: login, name, roles, wards, patient, language; without a password only a link lets in.

        Raises DirectoryError, AccessError.
        """
        ...

    async def set_password(self, scope: Scope, login: str, password: str) -> User | None:
        """Set a password and end that login's sessions; None when there is no such login.

        Raises DirectoryError (``password``), and AccessError for a scope of less than the whole tenant.
        """
        ...

    # --- directory --------------------------------------------------------------------------
    async def items(self, scope: Scope, kind: Kind, *, ended: bool = False) -> Sequence[Item]:
        """All entries of a kind in scope, in the order in which people look for them."""
        ...

    async def item(self, scope: Scope, kind: Kind, key: str) -> Item | None:
        """One entry, or None when there is none in scope."""
        ...

    async def create(self, scope: Scope, kind: Kind, fields: Mapping[str, Any]) -> Item:
        """Make an entry. Raises DirectoryError."""
        ...

    async def change(self, scope: Scope, kind: Kind, key: str, fields: Mapping[str, Any]) -> Item | None:
        """Change the given fields; None when there is no such entry in scope. Raises DirectoryError."""
        ...

    async def end(self, scope: Scope, kind: Kind, key: str, at: int | None = None) -> Item | None:
        """End an entry (nothing is deleted); None when there is none in scope. Raises DirectoryError."""
        ...

    async def ward_of(self, scope: Scope, patient: str) -> str | None:
        """The ward now responsible for a patient."""
        ...

    # --- what was measured and decided --------------------------------------------------------
    async def readings(self, scope: Scope, query: ReadingQuery) -> Sequence[Value]:
        """Readings in order of their time."""
        ...

    async def newest(self, scope: Scope, patient: str) -> Sequence[Value]:
        """The newest value of each metric, by metric: by hand, or of the devices of the present stay.

        A device that was taken off meanwhile, or is on somebody else by now, keeps what it measured before.
        One put aside (measured nobody knows when, or not valid) stands beside the newest if it came later.
        """
        ...

    async def enter(self, scope: Scope, patient: str, draft: Draft, *, author: str) -> Sequence[Value] | None:
        """Enter observations by hand for ``author`` (a user's id); returns them once they are decided on.

        None when there is no such patient in scope. Raises EntryError (nothing of it is entered) and
        StoreUnavailable.
        """
        ...

    async def alarms(self, scope: Scope, query: AlarmQuery) -> Sequence[Alarm]:
        """Alarms, newest first."""
        ...

    async def alarm(self, scope: Scope, key: str) -> AlarmDetail | None:
        """One alarm with its transitions, who was told, what is shown under it, what is switched off."""
        ...

    # --- audit ----------------------------------------------------------------------------------
    async def audit(
        self,
        principal: Principal,
        action: str,
        kind: str,
        *,
        target: str = "",
        outcome: str = "done",
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        """Append one line to the audit log."""
        ...

    async def audit_entries(self, scope: Scope, *, limit: int = 200) -> Sequence[AuditEntry]:
        """The audit log, newest first."""
        ...

    # --- live -----------------------------------------------------------------------------------
    async def roster(self, scope: Scope) -> Sequence[RosterEntry]:
        """Every patient with an open encounter and the devices that are on them."""
        ...

    async def latest(self, scope: Scope, devices: Collection[str] | None = None) -> Sequence[VitalSample]:
        """The newest value of every metric of every device, or of these, to start the live cache from."""
        ...

    async def last_seen(self, scope: Scope) -> Mapping[str, int]:
        """When the newest reading of each device was received."""
        ...

    def subscribe(self) -> AbstractAsyncContextManager[AsyncIterator[LiveEvent]]:
        """Everything that happens from entering on, all tenants; ends when the product stops."""
        ...

    async def ready(self) -> Mapping[str, str]:
        """What is not well: part -> reason; empty when ready to serve."""
        ...
