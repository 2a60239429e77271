"""Who looks after whom, by name: for the wall's tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from dashboards.backend import RosterEntry
from dashboards.people_port import PeoplePort
from hearthward.trust.access import Scope

__all__ = ["with_owners"]


async def with_owners(people: PeoplePort, scope: Scope, entries: Sequence[RosterEntry]) -> list[RosterEntry]:
    """The entries with who is assigned to each patient: persons before teams."""
    assigned = await people.assignments(scope)
    if not assigned:
        return list(entries)
    names = {s.id: s.name for s in await people.staff(scope)}
    teams = {t.id: t.name for t in await people.teams(scope)}
    owners: dict[str, list[str]] = {}
    for a in sorted(assigned, key=lambda a: a.user is None):
        name = names.get(a.user or "") or teams.get(a.team or "")
        if name:
            owners.setdefault(a.patient, []).append(name)
    return [replace(e, owners=tuple(owners.get(e.patient, ()))) for e in entries]
