"""The port of the web that is about staff: contacts, teams, shifts, assignments, hand-over, escalation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dashboards.staff_models import Assignment, HandOver, PolicyVersion, StaffMember, Team, Turn
from hearthward.trust.access import Principal, Scope
from rules.response.duty import Duty

__all__ = ["HandOverDraft", "PeoplePort", "ShiftDraft", "TeamDraft"]


@dataclass(frozen=True, slots=True)
class TeamDraft:
    """A team as asked for; ``ward`` None: of the whole organisation."""

    name: str
    ward: str | None
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShiftDraft:
    """A shift as asked for; times in UTC ns. ``weekly``: at the same hours of ``timezone`` every week."""

    user: str
    role: str
    ward: str | None
    start: int
    end: int
    timezone: str
    weekly: bool = False
    until: int | None = None


@dataclass(frozen=True, slots=True)
class HandOverDraft:
    """A hand-over as it happened: ``by`` gave ``to`` these patients and alarms."""

    by: str
    to: str
    ward: str | None
    note: str
    patients: tuple[str, ...]
    alarms: tuple[str, ...]


class PeoplePort(Protocol):
    """What the web needs of staff. Refusals are DirectoryError (field, code, value) unless named.

    Every change counts for alarms from its return on. None as an answer: there is no such thing in scope.
    """

    # --- who can be told ------------------------------------------------------------------------
    async def staff(self, scope: Scope) -> Sequence[StaffMember]:
        """Everybody who can be on duty in a ward of the scope, by name."""
        ...

    async def staff_member(self, scope: Scope, user: str) -> StaffMember | None:
        """One person, a patient's login too."""
        ...

    async def set_contacts(
        self, scope: Scope, user: str, *, phone: str | None, email: str | None
    ) -> StaffMember | None:
        """Set by what somebody is reached; both at once."""
        ...

    async def set_pin(self, scope: Scope, user: str, pin: str | None) -> StaffMember | None:
        """Set the PIN for shared walls, or (None) take it away."""
        ...

    async def set_badge(self, scope: Scope, user: str, badge: str | None) -> StaffMember | None:
        """Set what the person's badge says when it is read, or (None) take it away."""
        ...

    async def duty(self, scope: Scope) -> Duty:
        """What decides who is told, as it stands; of the whole tenant: show only what is in scope."""
        ...

    # --- teams and assignments ----------------------------------------------------------------------
    async def teams(self, scope: Scope) -> Sequence[Team]:
        """The teams of the scope's wards and those of no ward, by name."""
        ...

    async def add_team(self, scope: Scope, draft: TeamDraft) -> Team:
        """Make a team."""
        ...

    async def change_team(self, scope: Scope, key: str, draft: TeamDraft) -> Team | None:
        """Change name, ward and members."""
        ...

    async def end_team(self, scope: Scope, key: str) -> Team | None:
        """End a team; what was assigned to it is assigned to nobody."""
        ...

    async def assignments(self, scope: Scope) -> Sequence[Assignment]:
        """Who looks after which patient now."""
        ...

    async def assign(
        self, scope: Scope, patient: str, *, user: str | None, team: str | None, who: Principal
    ) -> Assignment | None:
        """Assign a patient to a person or a team; what was assigned of the same kind before ends."""
        ...

    async def unassign(self, scope: Scope, key: str) -> Assignment | None:
        """End an assignment."""
        ...

    # --- shifts -------------------------------------------------------------------------------------
    async def shifts(self, scope: Scope, start: int, end: int) -> Sequence[Turn]:
        """Every time on duty that lies at least partly in [start, end) (UTC ns), by start."""
        ...

    async def add_shift(self, scope: Scope, draft: ShiftDraft, *, who: Principal) -> Turn:
        """Add a shift; the answer is its first time."""
        ...

    async def change_shift(self, scope: Scope, key: str, draft: ShiftDraft, *, who: Principal) -> Turn | None:
        """Change a shift from now on; what is past stays as it was."""
        ...

    async def cancel_shift(
        self, scope: Scope, key: str, at: int | None = None, *, who: Principal
    ) -> Turn | None:
        """Cancel one time (the one that starts ``at``), or all that are not over."""
        ...

    async def swap_shift(
        self, scope: Scope, key: str, at: int, *, to: str, back: tuple[str, int] | None, who: Principal
    ) -> Turn | None:
        """Give one time of a shift to somebody else, against one of theirs (``back``: key and start)."""
        ...

    # --- escalation ---------------------------------------------------------------------------------
    async def policies(self, scope: Scope) -> Sequence[PolicyVersion]:
        """The policies in force, by id."""
        ...

    async def policy(self, scope: Scope, key: str) -> Sequence[PolicyVersion] | None:
        """All versions of a policy, the newest first."""
        ...

    async def draft_policy(self, scope: Scope, text: str, *, who: Principal) -> PolicyVersion:
        """Enter a version of a policy (YAML); not in force yet. Refused: ``text`` with what is wrong."""
        ...

    async def activate_policy(
        self, scope: Scope, key: str, version: int, *, who: Principal
    ) -> PolicyVersion | None:
        """Put a version in force."""
        ...

    # --- hand-over ----------------------------------------------------------------------------------
    async def hand_over(self, scope: Scope, draft: HandOverDraft, *, who: Principal) -> HandOver:
        """Record a hand-over, and re-assign the patients to the one who took them."""
        ...

    async def hand_overs(self, scope: Scope, *, limit: int = 50, reader: str = "") -> Sequence[HandOver]:
        """Past hand-overs, the newest first: of the scope's wards, and of ``reader``'s (a user's id) own.

        One of several wards or none only if the scope covers all its patients, of whom there is one at least.
        """
        ...
