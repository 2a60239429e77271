"""The port of the web that is about finding one's way in a large directory, and in the audit."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cloud_ingest.records.audit_query import AskedAudit
from cloud_ingest.records.lookup import AskedItems
from dashboards.models import Association, AuditEntry, Item, Kind, Patient
from hearthward.trust.access import Scope

__all__ = ["MOST_NAMED", "AskedAudit", "AskedItems", "AuditPage", "DirectoryPort", "ItemPage", "Names"]

Names = Mapping[tuple[Kind, str], str]
"""What people call an entry: (kind, id) -> text."""
MOST_NAMED = 10
"""So many are shown when a name fits several."""


@dataclass(frozen=True, slots=True)
class ItemPage:
    """A page of entries, how many there are in all, and what the things that they name are called."""

    items: Sequence[Item]
    total: int
    names: Names = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some lines of the audit; ``next`` is the ``before`` of those that follow, None at the end."""

    items: Sequence[AuditEntry]
    next: int | None = None


class DirectoryPort(Protocol):
    """What the web needs to look things up; nothing outside of the scope is found."""

    async def item_page(self, scope: Scope, asked: AskedItems) -> ItemPage:
        """One page of entries."""
        ...

    async def item_counts(self, scope: Scope) -> Mapping[Kind, int]:
        """How many present entries of each kind there are."""
        ...

    async def item_names(self, scope: Scope, keys: Mapping[Kind, Collection[str]]) -> Names:
        """What these are called, as far as they are in scope; ended ones too."""
        ...

    async def items_named(self, scope: Scope, kind: Kind, text: str) -> Sequence[Item]:
        """The present ones that are called exactly so, at most ``MOST_NAMED``.

        By id (then it is one), name or label, address of a device, hospital number or bed of a patient.
        """
        ...

    async def adrift(self, scope: Scope, limit: int) -> Sequence[Patient]:
        """Patients who wear a device, but have no stay: their values and alarms are on no tile."""
        ...

    async def worn(self, scope: Scope, device: str) -> tuple[Association | None, bool]:
        """What a device is in now, and whether it is on somebody: outside of the scope that is not shown."""
        ...

    async def give_device(self, scope: Scope, device: str, patient: str, *, was: str | None) -> Association:
        """Give a device to a patient from now on; with ``was`` it is taken off in that association first.

        Raises DirectoryError: it is with somebody else than ``was`` says, or one of them is out of use.
        """
        ...

    async def seen_at(self, scope: Scope, devices: Sequence[str]) -> Mapping[str, int]:
        """When the newest reading of each of these devices was received."""
        ...

    async def site_zone(self, scope: Scope) -> str | None:
        """The time zone of the scope's wards: that of most gateways that have one. None: none has."""
        ...

    async def audit_page(self, scope: Scope, asked: AskedAudit) -> AuditPage:
        """Lines of the audit. Raises AccessError for a scope of less than the whole tenant."""
        ...
