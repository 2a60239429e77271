"""Whether a wall is heard is asked of people when a shift begins; what they said is in the audit.

A wall's sound can be on in the browser and come out of nothing: a cable, a volume knob. Only somebody who
stands there knows. Who begins a shift is asked to play the alarm tone and to say whether it was heard; a wall
that was not heard counts as silent from then on, so that the ward's technical alarm for that follows.
"""

from __future__ import annotations

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from dashboards.backend import Backend
from dashboards.directory_port import AskedAudit
from dashboards.models import Instant
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

    since: Instant = Field(description="when the shift began")
    failed: bool = Field(default=False, description="it was made, and the wall was not heard")


class SoundChecks:
    """What is due at which wall."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._kept: dict[tuple[str, str], tuple[int, SoundCheck | None]] = {}

    async def due(self, wall: Principal) -> SoundCheck | None:
        """The check that is due at the wall of this login; None: none, or nobody is on duty by the rota."""
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
        if since is None:
            return None
        asked = AskedAudit(action=CHECK_SOUND, kind="wall", target=wall.user, since=since - EARLY, limit=1)
        last = (await self._backend.audit_page(Scope.system(wall.tenant), asked)).items
        if last and last[0].outcome == "done":
            return None
        return SoundCheck(since=since, failed=bool(last))

    async def made(self, wall: Principal, who: Principal, *, heard: bool) -> None:
        """Keep what somebody said who stands there."""
        outcome = "done" if heard else "failed"
        via = {} if who == wall else {"via": wall.user}
        await self._backend.audit(who, CHECK_SOUND, "wall", target=wall.user, outcome=outcome, detail=via)
        self._kept.pop((wall.tenant, wall.user), None)
