"""The fake's schedule: rows as the records keep them, one for all times of a weekly shift."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dashboards.backend import DirectoryError
from dashboards.people_port import ShiftDraft
from dashboards.shift_times import times_of
from dashboards.staff_models import SHIFT_ROLES, Turn
from hearthward.core.clock import Clock
from hearthward.core.ids import Ids
from hearthward.trust.access import Principal, Scope

__all__ = ["FakeShifts", "ShiftRow", "turns_of"]

FOREVER = 2**63 - 1
WEEK_NS = 7 * 86_400 * 1_000_000_000


@dataclass(slots=True)
class ShiftRow:
    """A shift; from ``cancelled`` (UTC ns) on nothing of it holds."""

    id: str
    draft: ShiftDraft
    cancelled: int | None = None


def turns_of(row: ShiftRow, since: int, before: int) -> list[Turn]:
    """The times of a row within [since, before)."""
    d, stop = row.draft, FOREVER if row.cancelled is None else row.cancelled
    found = times_of(
        d.start, d.end, d.timezone, weekly=d.weekly, until=d.until, since=since, before=min(before, stop)
    )
    return [_turn(row, start, min(end, stop)) for start, end in found]


def _turn(row: ShiftRow, start: int, end: int) -> Turn:
    d = row.draft
    return Turn(
        id=row.id,
        user=d.user,
        role=d.role,
        ward=d.ward,
        start=start,
        end=end,
        weekly=d.weekly,
        until=d.until,
        timezone=d.timezone,
    )


class FakeShifts(ABC):
    """The part of ``FakeStaff`` that is about shifts."""

    clock: Clock
    ids: Ids
    tenant: str

    @abstractmethod
    def _shift_rows(self, tenant: str) -> dict[str, ShiftRow]: ...

    @abstractmethod
    def _check_ward(self, scope: Scope, ward: str | None) -> None: ...

    @abstractmethod
    def _check_user(self, scope: Scope, name: str, key: str) -> None: ...

    async def shifts(self, scope: Scope, start: int, end: int) -> Sequence[Turn]:
        """See the port."""
        rows = [r for r in self._shift_rows(scope.tenant).values() if _visible(scope, r)]
        turns = [t for row in rows for t in turns_of(row, start, end)]
        return sorted(turns, key=lambda t: (t.start, t.end, t.user))

    async def add_shift(self, scope: Scope, draft: ShiftDraft, *, who: Principal) -> Turn:
        """See the port."""
        del who
        self._check_shift(scope, draft)
        return self._put_shift(scope, draft)

    def _put_shift(self, scope: Scope, draft: ShiftDraft) -> Turn:
        row = ShiftRow(self.ids.new("shf"), draft)
        self._shift_rows(scope.tenant)[row.id] = row
        return _turn(row, draft.start, draft.end)

    def _check_shift(self, scope: Scope, draft: ShiftDraft) -> None:
        self._check_ward(scope, draft.ward)
        self._check_user(scope, "user", draft.user)
        if draft.role not in SHIFT_ROLES:
            raise DirectoryError(field="role", code="unknown", value=draft.role)
        if not draft.start < draft.end <= draft.start + WEEK_NS:
            raise DirectoryError(field="end", code="period", value=draft.end)
        if draft.until is not None and (not draft.weekly or draft.until <= draft.start):
            raise DirectoryError(field="until", code="period", value=draft.until)

    async def change_shift(self, scope: Scope, key: str, draft: ShiftDraft, *, who: Principal) -> Turn | None:
        """See the port."""
        row = self._shift_row(scope, key)
        if row is None:
            return None
        self._check_shift(scope, draft)
        await self.cancel_shift(scope, key, who=who)
        return self._put_shift(scope, draft)

    async def cancel_shift(
        self, scope: Scope, key: str, at: int | None = None, *, who: Principal
    ) -> Turn | None:
        """See the port."""
        del who
        row, now = self._shift_row(scope, key), self.clock.now_ns()
        if row is None:
            return None
        if at is not None:
            return self._carve(scope, row, at)
        left = turns_of(row, now, FOREVER if not row.draft.weekly else now + 2 * WEEK_NS)
        if not left:
            raise DirectoryError(field="shift", code="ended", value=key)
        row.cancelled = now
        return left[0]

    def _carve(self, scope: Scope, row: ShiftRow, at: int) -> Turn:
        """Take one time, or what is left of it, out of a row; a weekly one goes on after it as a new row."""
        turn = next((t for t in turns_of(row, at, at + 1) if t.start == at), None)
        if turn is None:
            raise DirectoryError(field="at", code="unknown", value=at)
        if turn.end <= self.clock.now_ns():
            raise DirectoryError(field="at", code="ended", value=at)
        if row.draft.weekly:
            after = [t for t in turns_of(row, turn.end, turn.end + 2 * WEEK_NS) if t.start > at]
            if after:
                self._put_shift(scope, replace(row.draft, start=after[0].start, end=after[0].end))
        row.cancelled = max(at, self.clock.now_ns())
        return turn.model_copy(update={"start": row.cancelled})

    async def swap_shift(
        self, scope: Scope, key: str, at: int, *, to: str, back: tuple[str, int] | None, who: Principal
    ) -> Turn | None:
        """See the port."""
        row = self._shift_row(scope, key)
        if row is None:
            return None
        del who
        self._check_user(scope, "to", to)
        if to == row.draft.user:
            raise DirectoryError(field="to", code="invalid", value=to)
        other = None if back is None else self._shift_row(scope, back[0])
        if back is not None and (other is None or other.draft.user != to):
            raise DirectoryError(field="back", code="unknown", value=back[0])
        giver = row.draft.user
        if other is not None and back is not None:
            theirs = self._carve(scope, other, back[1])
            self._put_shift(scope, _once(other.draft, theirs, giver))
        mine = self._carve(scope, row, at)
        return self._put_shift(scope, _once(row.draft, mine, to))

    def _shift_row(self, scope: Scope, key: str) -> ShiftRow | None:
        row = self._shift_rows(scope.tenant).get(key)
        return row if row is not None and _visible(scope, row) else None


def _once(draft: ShiftDraft, turn: Turn, user: str) -> ShiftDraft:
    return replace(draft, user=user, start=turn.start, end=turn.end, weekly=False, until=None)


def _visible(scope: Scope, row: ShiftRow) -> bool:
    ward = row.draft.ward
    return scope.patient is None and (scope.wards is None or ward is None or ward in scope.wards)
