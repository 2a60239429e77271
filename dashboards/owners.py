"""Who looks after whom, by name: for the wall's tiles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dashboards.backend import RosterEntry
from dashboards.people_port import PeoplePort
from hearthward.trust.access import Scope

__all__ = ["owners_of", "with_owners"]


async def with_owners(people: PeoplePort, scope: Scope, entries: Sequence[RosterEntry]) -> list[RosterEntry]:
    """The entries with who is assigned to each patient."""
    owners = await owners_of(people, scope)
    return [replace(e, owners=owners.get(e.patient, ())) for e in entries] if owners else list(entries)


async def owners_of(people: PeoplePort, scope: Scope) -> Mapping[str, tuple[str, ...]]:
    """Who is assigned to each patient: persons before teams."""
    assigned = await people.assignments(scope)
    if not assigned:
        return {}
    names = {s.id: s.name for s in await people.staff(scope)}
    teams = {t.id: t.name for t in await people.teams(scope)}
    owners: dict[str, list[str]] = {}
    for a in sorted(assigned, key=lambda a: a.user is None):
        name = names.get(a.user or "") or teams.get(a.team or "")
        if name:
            owners.setdefault(a.patient, []).append(name)
    return {patient: tuple(found) for patient, found in owners.items()}
