"""The fake's schedule: rows as the records keep them, by the same times and the same refusals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from cloud_ingest.records.models import Shift
from cloud_ingest.records.rota import WEEK_NS, overlap, times
from cloud_ingest.records.shifts import ROLES
from dashboards.backend import DirectoryError, LiveEvent
from dashboards.fake_telling import tells
from dashboards.models import User
from dashboards.people_port import ShiftDraft
from dashboards.staff_models import Turn
from hearthward.core.clock import SECOND, Clock, iso
from hearthward.core.ids import Ids
from hearthward.trust.access import Principal, Scope

__all__ = ["FakeShifts"]

AHEAD_NS = 8 * WEEK_NS
LONGEST_NS = 31 * 24 * 3600 * SECOND


def turn_of(row: Shift, start: int, end: int) -> Turn:
    """One time of a row."""
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


class FakeShifts(ABC):
    """The part of ``FakeStaff`` that is about shifts."""

    clock: Clock
    ids: Ids

    def __init__(self) -> None:
        self._rota: dict[str, dict[str, Shift]] = {}

    @abstractmethod
    def _publish(self, event: LiveEvent) -> None: ...

    @abstractmethod
    def _users(self, tenant: str) -> dict[str, User]: ...

    @abstractmethod
    def _check_ward(self, scope: Scope, ward: str | None) -> None: ...

    @abstractmethod
    def _check_user(self, scope: Scope, name: str, key: str, ward: str | None = None) -> User: ...

    def _shift_rows(self, tenant: str) -> dict[str, Shift]:
        return self._rota.setdefault(tenant, {})

    async def shifts(self, scope: Scope, start: int, end: int) -> Sequence[Turn]:
        """See the port."""
        rows = [r for r in self._shift_rows(scope.tenant).values() if _visible(scope, r)]
        found = [turn_of(row, *at) for row in rows for at in times(row, start, end)]
        return sorted(found, key=lambda t: (t.start, t.user, t.role, t.id))

    @tells
    async def add_shift(self, scope: Scope, draft: ShiftDraft, *, who: Principal) -> Turn:
        """See the port."""
        del who
        return self._put_shift(scope, self._shift_made(scope, draft, self.ids.new("shf")))

    def _shift_made(self, scope: Scope, draft: ShiftDraft, key: str) -> Shift:
        return Shift(
            tenant=scope.tenant,
            id=key,
            user=draft.user,
            role=draft.role,
            ward=draft.ward,
            start=draft.start,
            end=draft.end,
            timezone=draft.timezone,
            weekly=draft.weekly,
            until=draft.until,
            skipped=[],
            cancelled=None,
        )

    def _put_shift(self, scope: Scope, row: Shift) -> Turn:
        self._check_shift(scope, row)
        self._shift_rows(scope.tenant)[row.id] = row
        return turn_of(row, row.start, row.end)

    def _check_shift(self, scope: Scope, row: Shift) -> None:
        if row.role not in ROLES:
            raise DirectoryError(field="role", code="unknown", value=row.role)
        self._check_ward(scope, row.ward)
        user = self._check_user(scope, "user", row.user, row.ward)
        if row.ward is None and user.wards is not None:
            raise DirectoryError(field="user", code="elsewhere", value=user.name)
        if ROLES[row.role] not in user.roles:
            raise DirectoryError(field="role", code="lacks", value=ROLES[row.role])
        longest = WEEK_NS if row.weekly else LONGEST_NS
        if not row.start < row.end <= row.start + longest:
            raise DirectoryError(field="end", code="period", value=iso(row.end))
        if not row.weekly and row.end <= self.clock.now_ns():
            raise DirectoryError(field="end", code="past", value=iso(row.end))
        if row.until is not None and not row.weekly:
            raise DirectoryError(field="until", code="invalid", value=iso(row.until))
        if row.until is not None and row.until <= max(row.start, self.clock.now_ns()):
            raise DirectoryError(field="until", code="past", value=iso(row.until))
        for other in self._shift_rows(scope.tenant).values():
            same = (other.user, other.role, other.ward) == (row.user, row.role, row.ward)
            both = overlap(row, other) if same and other.id != row.id else None
            if both is not None:
                raise DirectoryError(field="user", code="overlap", value=iso(both[0]))

    @tells
    async def change_shift(self, scope: Scope, key: str, draft: ShiftDraft, *, who: Principal) -> Turn | None:
        """See the port."""
        del who
        row, now = self._shift_row(scope, key), self.clock.now_ns()
        if row is None:
            return None
        self._refuse_cancelled(row)
        if row.weekly and row.start <= now:
            over = max((end for _, end in times(row, now, now + 1)), default=now)
            following = self._shift_made(scope, draft, self.ids.new("shf"))
            coming = [t for t in times(following, over, over + AHEAD_NS) if t[0] >= over]
            if not coming:
                raise DirectoryError(field="start", code="past", value=iso(draft.start))
            following.start, following.end = coming[0]
            before, row.cancelled = row.cancelled, over
            try:
                return self._put_shift(scope, following)
            except DirectoryError:
                row.cancelled = before
                raise
        changed = self._shift_made(scope, draft, key)
        same = all(
            getattr(row, n) == getattr(changed, n) for n in ("user", "role", "ward", "start", "weekly")
        )
        if row.start <= now and not same:
            raise DirectoryError(field="shift", code="begun", value=iso(row.start))
        return self._put_shift(scope, changed)

    @tells
    async def cancel_shift(
        self, scope: Scope, key: str, at: int | None = None, *, who: Principal
    ) -> Turn | None:
        """See the port."""
        del who
        row, now = self._shift_row(scope, key), self.clock.now_ns()
        if row is None:
            return None
        self._refuse_cancelled(row)
        if at is not None and row.weekly:
            return self._skip(row, at)
        left = times(row, now, max(now + AHEAD_NS, row.end))
        if not left:
            raise DirectoryError(field="shift", code="ended", value=key)
        row.cancelled = now
        return turn_of(row, *left[0])

    def _refuse_cancelled(self, row: Shift) -> None:
        if row.cancelled is not None and row.cancelled <= self.clock.now_ns():
            raise DirectoryError(field="shift", code="ended", value=iso(row.cancelled))

    def _skip(self, row: Shift, at: int) -> Turn:
        """Take one time, or what is left of it, out of a row."""
        now = self.clock.now_ns()
        found = next((t for t in times(row, at, at + 1) if t[0] == at), None)
        if found is None:
            raise DirectoryError(field="at", code="unknown", value=iso(at))
        if found[1] <= now:
            raise DirectoryError(field="at", code="past", value=iso(at))
        if row.weekly:
            row.skipped = [*row.skipped, [at, max(at, now)]]
        else:
            row.cancelled = now
        return turn_of(row, max(at, now), found[1])

    @tells
    async def swap_shift(
        self, scope: Scope, key: str, at: int, *, to: str, back: tuple[str, int] | None, who: Principal
    ) -> Turn | None:
        """See the port."""
        del who
        row = self._shift_row(scope, key)
        if row is None:
            return None
        self._refuse_cancelled(row)
        if to == row.user:
            raise DirectoryError(field="to", code="invalid", value=to)
        other = None if back is None else self._shift_row(scope, back[0])
        if back is not None and (other is None or other.user != to):
            raise DirectoryError(field="back", code="unknown", value=back[0])
        rows = self._shift_rows(scope.tenant)
        kept = {k: (list(r.skipped), r.cancelled) for k, r in rows.items()}
        try:
            if other is not None and back is not None:
                self._give(scope, other, back[1], row.user)
            return self._give(scope, row, at, to)
        except DirectoryError:
            for k in set(rows) - set(kept):
                del rows[k]
            for k, (skipped, cancelled) in kept.items():
                rows[k].skipped, rows[k].cancelled = skipped, cancelled
            raise

    def _give(self, scope: Scope, row: Shift, at: int, to: str) -> Turn:
        turn = self._skip(row, at)
        draft = ShiftDraft(to, row.role, row.ward, turn.start, turn.end, row.timezone)
        return self._put_shift(scope, self._shift_made(scope, draft, self.ids.new("shf")))

    def _shift_row(self, scope: Scope, key: str) -> Shift | None:
        row = self._shift_rows(scope.tenant).get(key)
        return row if row is not None and _visible(scope, row) else None


def _visible(scope: Scope, row: Shift) -> bool:
    return scope.patient is None and (scope.wards is None or row.ward is None or row.ward in scope.wards)
