"""A flood of dead letters is an alarm: what is refused by the hundred is no single bad reading any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cloud_ingest.facts import FAILING, Facts
from cloud_ingest.intake import Dead
from cloud_ingest.records.models import DeadLetter
from hearthward.core.clock import SECOND, Clock
from rules.model import subject_key

__all__ = ["DEAD_LETTERS", "Flood", "of_last_hour"]

DEAD_LETTERS: Final = subject_key("component", "dead-letters")
WINDOW_NS: Final = 3600 * SECOND
READINGS: Final = 1_000
"""Readings refused within an hour: a quarter of what one signal gives once a second."""
LETTERS: Final = 100
_MINUTE: Final = 60 * SECOND


class Flood:
    """Counts what was refused within the last hour, and tells the rules when that is too much."""

    def __init__(self, clock: Clock, facts: Facts) -> None:
        self._clock, self._facts = clock, facts
        self._minutes: deque[list[int]] = deque()

    def begin(self, letters: int, readings: int) -> None:
        """What the last hour has seen before this start counts as of now."""
        self._add(letters, readings)
        self.look()

    def add(self, dead: Sequence[Dead]) -> None:
        """More was refused."""
        if dead:
            self._add(len(dead), sum(letter.readings for letter in dead))
            self.look()

    def look(self) -> None:
        """Forget what is older than an hour, and tell how it is now."""
        edge = self._clock.monotonic_ns() - WINDOW_NS
        while self._minutes and self._minutes[0][0] < edge:
            self._minutes.popleft()
        letters = sum(n for _, n, _ in self._minutes)
        readings = sum(n for _, _, n in self._minutes)
        flooded = letters >= LETTERS or readings >= READINGS
        if flooded or self._facts.get(DEAD_LETTERS, FAILING) is not None:
            self._facts.put(DEAD_LETTERS, FAILING, float(flooded))

    def _add(self, letters: int, readings: int) -> None:
        mono = self._clock.monotonic_ns()
        if not self._minutes or mono - self._minutes[-1][0] >= _MINUTE:
            self._minutes.append([mono, 0, 0])
        self._minutes[-1][1] += letters
        self._minutes[-1][2] += readings


def of_last_hour(session: Session, tenant: str, now: int) -> tuple[int, int]:
    """How many letters there are of the hour before ``now`` (UTC ns), and the readings in them."""
    query = select(func.count(), func.coalesce(func.sum(DeadLetter.readings), 0))
    row = session.execute(query.where(DeadLetter.tenant == tenant, DeadLetter.at >= now - WINDOW_NS)).one()
    return int(row[0]), int(row[1])
