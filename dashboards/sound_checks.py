"""Whether a wall is heard is asked of people when a shift begins; what they said is in the audit.

A wall's sound can be on in the browser and come out of nothing: a cable, a volume knob. Only somebody who
stands there knows. Who begins a shift is asked to play the alarm tone and to say whether it was heard; a wall
that was not heard counts as silent until somebody hears it, whoever is on duty then, so that the ward's
technical alarm for that follows and stays.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from dashboards.backend import Backend
from dashboards.directory_port import AskedAudit
from dashboards.models import AuditEntry, Instant
from hearthward.core.clock import SECOND
from hearthward.trust.access import Principal, Scope

__all__ = ["CHECK_SOUND", "SoundCheck", "SoundChecks"]

CHECK_SOUND: Final = "check_sound"
"""The audit's word for it; the kind is ``wall`` and the target the wall's login."""
EARLY: Final = 2 * 3600 * SECOND
"""A check so long before a shift counts for it: not everybody of a ward begins at the same minute."""
KEPT: Final = 20 * SECOND
"""So long an answer is taken as it was: walls report every few seconds."""
ROLES: Final = frozenset({"nurse", "charge"})


class SoundCheck(BaseModel):
    """A check that is due."""

    model_config = ConfigDict(frozen=True)

    since: Instant = Field(
        description="when the shift began; of a failed check with nobody on duty, its time"
    )
    failed: bool = Field(default=False, description="the last one was made, and the wall was not heard")


class SoundChecks:
    """What is due at which wall."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._kept: dict[tuple[str, str], tuple[int, SoundCheck | None]] = {}
        self._last: dict[tuple[str, str], tuple[int, AuditEntry | None]] = {}
        """Each wall's last check, and up to when the audit has been looked through for it."""

    async def due(self, wall: Principal) -> SoundCheck | None:
        """The check that is due at the wall of this login; with nobody on duty only one that failed."""
        now = self._backend.clock.monotonic_ns()
        key = wall.tenant, wall.user
        at, found = self._kept.get(key, (0, None))
        if key not in self._kept or now - at > KEPT:
            found = await self._ask(wall)
            self._kept = {k: kept for k, kept in self._kept.items() if now - kept[0] <= KEPT}
            self._kept[key] = now, found
        return found

    async def _ask(self, wall: Principal) -> SoundCheck | None:
        now = self._backend.clock.now_ns()
        turns = await self._backend.shifts(Scope(wall.tenant, wall.wards), now, now + 1)
        since = max((t.start for t in turns if t.role in ROLES and t.start <= now < t.end), default=None)
        last = await self._newest(wall)
        if last is not None and last.outcome != "done":
            return SoundCheck(since=last.at if since is None else since, failed=True)
        if since is None or (last is not None and last.at >= since - EARLY):
            return None
        return SoundCheck(since=since)

    async def _newest(self, wall: Principal) -> AuditEntry | None:
        """The wall's last check, however long ago; of the audit only what is new since then is read."""
        key, scope = (wall.tenant, wall.user), Scope.system(wall.tenant)
        since, found = self._last.get(key, (None, None))
        end = (await self._backend.audit_page(scope, AskedAudit(limit=1))).items
        asked = AskedAudit(action=CHECK_SOUND, kind="wall", target=wall.user, since=since, limit=1)
        checks = (await self._backend.audit_page(scope, asked)).items
        found = checks[0] if checks else found
        if end:
            self._last[key] = end[0].at, found
        return found

    async def made(self, wall: Principal, who: Principal, *, heard: bool) -> None:
        """Keep what somebody said who stands there."""
        outcome = "done" if heard else "failed"
        via = {} if who == wall else {"via": wall.user}
        await self._backend.audit(who, CHECK_SOUND, "wall", target=wall.user, outcome=outcome, detail=via)
        self._kept.pop((wall.tenant, wall.user), None)
