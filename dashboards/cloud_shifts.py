"""The port's schedule over the real records."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from sqlalchemy.orm import Session

from cloud_ingest.records import Records
from cloud_ingest.records.models import Shift
from cloud_ingest.records.rota import WEEK_NS, times
from cloud_ingest.records.scoping import refuse
from dashboards.backend import DirectoryError
from dashboards.people_port import ShiftDraft
from dashboards.staff_models import Turn
from hearthward.trust.access import Principal, Scope

__all__ = ["CloudShifts"]

T = TypeVar("T")


class CloudShifts(ABC):
    """The part of ``CloudStaff`` that is about shifts."""

    _records: Records

    @abstractmethod
    async def _changed(self, write: Callable[[Session], T]) -> T: ...

    @abstractmethod
    async def _changed_or_none(self, write: Callable[[Session], T], what: str) -> T | None: ...

    async def shifts(self, scope: Scope, start: int, end: int) -> Sequence[Turn]:
        """See the port."""
        found = await self._records.read(lambda s: self._records.shifts(s).turns(scope, start, end))
        return [_turn(t.shift, t.start, t.end) for t in found]

    async def add_shift(self, scope: Scope, draft: ShiftDraft, *, who: Principal) -> Turn:
        """See the port."""
        del who

        def write(session: Session) -> Turn:
            row = self._records.shifts(session).add(
                scope,
                user=draft.user,
                role=draft.role,
                ward=draft.ward,
                start=draft.start,
                end=draft.end,
                timezone=draft.timezone,
                weekly=draft.weekly,
                until=draft.until,
            )
            return _turn(row, row.start, row.end)

        return await self._changed(write)

    async def change_shift(self, scope: Scope, key: str, draft: ShiftDraft, *, who: Principal) -> Turn | None:
        """See the port."""
        del who

        def write(session: Session) -> Turn:
            row = self._records.shifts(session).change(
                scope,
                key,
                user=draft.user,
                role=draft.role,
                ward=draft.ward,
                start=draft.start,
                end=draft.end,
                timezone=draft.timezone,
                weekly=draft.weekly,
                until=draft.until,
            )
            return _turn(row, row.start, row.end)

        return await self._changed_or_none(write, "shift")

    async def cancel_shift(
        self, scope: Scope, key: str, at: int | None = None, *, who: Principal
    ) -> Turn | None:
        """See the port."""
        del who

        def write(session: Session) -> Turn:
            repository, now = self._records.shifts(session), self._records.clock.now_ns()
            row = repository.get(scope, key)
            first = now if at is None else at
            left = times(row, first, max(first, row.start) + 8 * WEEK_NS)
            row = repository.cancel(scope, key, at=at)
            return _turn(row, *(left[0] if left else (row.start, row.end)))

        return await self._changed_or_none(write, "shift")

    async def swap_shift(
        self, scope: Scope, key: str, at: int, *, to: str, back: tuple[str, int] | None, who: Principal
    ) -> Turn | None:
        """See the port."""
        del who

        def write(session: Session) -> Turn:
            repository = self._records.shifts(session)
            row = repository.get(scope, key)
            giver = row.user
            if to == giver:
                raise DirectoryError(field="to", code="invalid", value=to)
            if back is not None:
                theirs = repository.get(scope, back[0])
                if theirs.user != to:
                    refuse("back", "is not a shift of that person")
                repository.give(scope, back[0], at=back[1], to=giver)
            made = repository.give(scope, key, at=at, to=to)
            return _turn(made, made.start, made.end)

        return await self._changed_or_none(write, "shift")


def _turn(row: Shift, start: int, end: int) -> Turn:
    return Turn(
        id=row.id,
        user=row.user,
        role=row.role,
        ward=row.ward,
        start=start,
        end=end,
        weekly=row.weekly,
        until=row.until,
        timezone=row.timezone,
    )
