"""Which walls are connected, and whether they can be heard: who counts on one must know when it is gone.

A wall tells every few seconds that it is there. One that is not heard of for ten seconds is gone, whatever
its connection looks like. Which pages count as walls is decided by who reports them here: those of a display,
and of a person whose login is for some wards. Times are of the monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from cloud_ingest.records.models import Ward
from hearthward.core.clock import SECOND, Clock

__all__ = ["GONE_S", "Wall", "WallBoard", "wards_with_walls"]

GONE_S: Final = 10.0
MAX_WALLS: Final = 10_000
"""Beyond this, new ones are not counted: whoever may show a wall could invent any number."""


@dataclass(frozen=True, slots=True)
class Wall:
    """A connected wall: the wards that it shows (None: all), whether it sounds, when it was last heard of."""

    id: str
    wards: frozenset[str] | None
    audible: bool
    heard: int

    def shows(self, ward: str) -> bool:
        """Whether it shows a ward's alarms."""
        return self.wards is None or ward in self.wards


class WallBoard:
    """All walls that are connected now."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._walls: dict[str, Wall] = {}
        self._lost: dict[str | None, int] = {}

    def seen(self, wall: str, wards: frozenset[str] | None, *, audible: bool) -> None:
        """A wall says that it is there, and whether its sound is on."""
        now = self._clock.monotonic_ns()
        before = self._walls.get(wall)
        if before is None and len(self._walls) >= MAX_WALLS:
            self._forget(now)
            if len(self._walls) >= MAX_WALLS:
                return
        if before is not None and before.audible and not audible:
            self._note(before, now)
        self._walls[wall] = Wall(wall, wards, audible, now)

    def gone(self, wall: str) -> None:
        """A wall has said goodbye, or its connection has ended."""
        now = self._clock.monotonic_ns()
        self._forget(now)
        before = self._walls.pop(wall, None)
        if before is not None and before.audible:
            self._note(before, now)

    def of(self, ward: str) -> list[Wall]:
        """The walls of a ward that are connected, by id."""
        self._forget(self._clock.monotonic_ns())
        return sorted((w for w in self._walls.values() if w.shows(ward)), key=lambda w: w.id)

    def audible(self, ward: str) -> int:
        """How many walls of a ward can be heard now."""
        return sum(wall.audible for wall in self.of(ward))

    def last_audible(self, ward: str) -> int | None:
        """When one of a ward's walls was last known to be heard (monotonic ns); None: not since the start."""
        moments = [wall.heard for wall in self.of(ward) if wall.audible]
        moments += [at for key in (ward, None) if (at := self._lost.get(key)) is not None]
        return max(moments, default=None)

    def _forget(self, now: int) -> None:
        """Drop walls that are not heard of any more; they were last heard when they last said so."""
        late = now - int(GONE_S * SECOND)
        for wall in [w for w in self._walls.values() if w.heard <= late]:
            del self._walls[wall.id]
            if wall.audible:
                self._note(wall, wall.heard)

    def _note(self, wall: Wall, at: int) -> None:
        for ward in (None,) if wall.wards is None else wall.wards:
            self._lost[ward] = max(at, self._lost.get(ward, at))


def wards_with_walls(session: Session, tenant: str) -> frozenset[str]:
    """The wards in which a wall is expected to be heard."""
    query = select(Ward.id).where(Ward.tenant == tenant, Ward.wall_expected, Ward.ended.is_(None))
    return frozenset(session.scalars(query))
