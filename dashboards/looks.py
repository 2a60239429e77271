"""Who looked at a patient's data, out of lines of the audit log, as the patient may know it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from dashboards.consent_models import Look
from hearthward.core.clock import SECOND

__all__ = ["Person", "Read", "looks_of"]

TOGETHER_S: Final = 3600
"""Looks of one person that follow each other within this time are told as one."""
STAFF: Final = ("doctor", "nurse", "admin", "engineer", "display")
"""Roles as they are told, the first that somebody has."""
Who = Literal["self", "relative", "nurse", "doctor", "admin", "engineer", "display", "other"]


@dataclass(frozen=True, slots=True)
class Read:
    """One line of the audit log: somebody was shown something."""

    at: int
    actor: str
    action: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who an actor is; ``patient`` is whom a patient's or relative's login is about."""

    name: str
    roles: frozenset[str]
    patient: str | None = None


@dataclass(slots=True)
class _Visit:
    who: Who
    name: str
    first: int
    last: int
    times: int = 1
    what: dict[str, None] = field(default_factory=dict)


def _known_as(patient: str, person: Person | None) -> tuple[Who, str]:
    """How the patient is told of somebody: a relative by name, staff by role."""
    if person is None:
        return "other", ""
    if person.patient == patient:
        return ("self", "") if "patient" in person.roles else ("relative", person.name)
    role: Who = next((r for r in STAFF if r in person.roles), "other")
    return role, ""


def looks_of(patient: str, reads: Iterable[Read], people: Mapping[str, Person]) -> list[Look]:
    """The visits, the newest first; ``reads`` in any order, ``people`` by the id of the actor."""
    done: list[_Visit] = []
    open_visits: dict[str, _Visit] = {}
    for read in sorted(reads, key=lambda r: r.at):
        visit = open_visits.get(read.actor)
        if visit is None or read.at - visit.last > TOGETHER_S * SECOND:
            who, name = _known_as(patient, people.get(read.actor))
            visit = open_visits[read.actor] = _Visit(who, name, read.at, read.at, 0)
            done.append(visit)
        visit.last = read.at
        visit.times += 1
        visit.what[read.action] = None
    done.sort(key=lambda v: v.last, reverse=True)
    return [
        Look(first=v.first, last=v.last, times=v.times, who=v.who, name=v.name, what=list(v.what))
        for v in done
    ]
