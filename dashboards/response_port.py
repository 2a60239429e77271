"""The port of the web through which people answer alarms, switch them off for a while, and walls report."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from dashboards.models import Alarm, AlarmNote, Inactivation
from dashboards.response_models import Act, WallState
from hearthward.trust.access import Principal, Scope

__all__ = ["ResponsePort"]


class ResponsePort(Protocol):
    """Answers of people, all written by the alarms' owner."""

    async def answer(self, scope: Scope, alarm: str, act: Act) -> Alarm | None:
        """Do what somebody decided about an alarm; returns it once committed, None: none in scope.

        Raises RuleError (details ``code``).
        """
        ...

    async def notes(self, scope: Scope, alarms: Collection[str]) -> Sequence[AlarmNote]:
        """What people wrote about these alarms, as far as they are in scope, in order of time."""
        ...

    async def switch(self, scope: Scope, subject: str, act: Act) -> bool:
        """Switch signals of a patient, ``device:ID`` or ``gateway:ID`` off, or on again.

        False when there is no such subject in scope. Raises RuleError (details ``code``).
        """
        ...

    async def inactivations(
        self, scope: Scope, *, subject: str | None = None, ended: bool = False
    ) -> Sequence[Inactivation]:
        """What is switched off now (or with ``ended`` also what was), the newest first."""
        ...

    async def person_by_badge(self, badge: str, *, wall: str) -> Principal | None:
        """Whose badge was read at a ``wall`` (its user's id); None: nobody's. Raises Throttled."""
        ...

    async def person_by_pin(self, login: str, pin: str) -> Principal | None:
        """Who is known by this login and PIN; None when either is wrong. Raises Throttled."""
        ...

    async def person(self, user: str) -> Principal | None:
        """Who a user is now; None: nobody who works here (any more), or disabled."""
        ...

    async def wall_seen(
        self,
        wall: str,
        wards: frozenset[str] | None,
        *,
        audible: bool,
        closed: bool = False,
        counts: bool = True,
    ) -> Sequence[WallState]:
        """A wall of these wards (None: all) is there, or is being ``closed``; the state of these wards.

        One that does not ``counts`` is only told the state: nobody can rely on its being heard in a ward.
        """
        ...
