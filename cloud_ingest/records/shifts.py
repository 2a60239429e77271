"""The on-call schedule: shifts, who is on duty when, and the holes in it.

What is past stays as it was: a shift that has begun is changed or cancelled from now on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict, Unpack

from sqlalchemy import ColumnElement, or_, select

from cloud_ingest.records.models import Shift, User, Ward
from cloud_ingest.records.rota import HOUR_NS, WEEK_NS, Interval, holes, overlap, times
from cloud_ingest.records.scoping import Repository, check_timezone, refuse_code, require_whole
from cloud_ingest.records.staff import works
from hearthward.core.clock import SECOND, iso
from hearthward.trust.access import Role, Scope

__all__ = ["ROLES", "DutyRole", "Hole", "Shifts", "Turn", "held"]

DutyRole = Literal["nurse", "charge", "doctor", "engineer"]
ROLES: Final[dict[str, Role]] = {
    "nurse": Role.NURSE,
    "charge": Role.NURSE,
    "doctor": Role.DOCTOR,
    "engineer": Role.ENGINEER,
}
"""What somebody can be on duty as (``charge`` is the nurse in charge), and the user's role that it needs."""
LONGEST_NS: Final = 31 * 24 * HOUR_NS
AHEAD_NS: Final = 8 * WEEK_NS
"""How far a shift's next time is looked for; weekly ones have one each week unless many are skipped."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One time on duty of a shift: [start, end), UTC ns."""

    shift: Shift
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Hole:
    """Nobody is on duty in a role during [start, end), UTC ns."""

    ward: str
    role: str
    start: int
    end: int


class ShiftFields(TypedDict, total=False):
    """What can be changed of a shift."""

    user: str
    role: str
    ward: str | None
    start: int
    end: int
    timezone: str
    weekly: bool
    until: int | None


class Shifts(Repository):
    """The shifts of the wards, and those for all of them (``ward`` None)."""

    def add(  # noqa: PLR0913 - the columns
        self,
        scope: Scope,
        *,
        user: str,
        role: str,
        ward: str | None,
        start: int,
        end: int,
        timezone: str = "UTC",
        weekly: bool = False,
        until: int | None = None,
        ident: str | None = None,
    ) -> Shift:
        """Put somebody on duty during [start, end) (UTC ns), or ``weekly`` at those local times.

        Raises ConfigError with a code: wrong role or ward for this person, times, already on duty there.
        """
        row = Shift(
            tenant=scope.tenant,
            id=self._new_id(Shift, scope, ident, "shf", "shift"),
            user=user,
            role=role,
            ward=ward,
            start=start - start % SECOND,
            end=end - end % SECOND,
            weekly=weekly,
            until=until,
            timezone=check_timezone(timezone) or "UTC",
            skipped=[],
        )
        self._check(scope, row)
        self.session.add(row)
        self.session.flush()
        return row

    def change(self, scope: Scope, shift: str, **fields: Unpack[ShiftFields]) -> Shift:
        """Change a shift from now on; returns the shift that holds then.

        One that has not begun changes as it is. Of one time that has begun only the end can be changed. A
        weekly one that has begun ends after the present time, and another follows it from its next time on.
        """
        row = self._own(scope, shift)
        if row.cancelled is not None:
            refuse_code("shift", "cancelled", iso(row.cancelled), "is cancelled from then on", "conflict")
        changes = {name: value for name, value in fields.items() if value != getattr(row, name)}
        if row.weekly and row.start <= self.now:
            return self._follow(scope, row, changes)
        changed = self._changed(row, row.id, changes)
        if row.start <= self.now and set(changes) - {"end", "timezone"}:
            text = "has begun: change when it ends, or cancel the rest and enter another"
            refuse_code("shift", "begun", iso(row.start), text, "conflict")
        self._check(scope, changed)
        self._change(row, {name: getattr(changed, name) for name in (*_FIELDS, "skipped")})
        return row

    def cancel(self, scope: Scope, shift: str, *, at: int | None = None) -> Shift:
        """Cancel what is not over of a shift, or of a weekly one only the time that starts ``at``."""
        row = self._own(scope, shift)
        if at is not None and row.weekly:
            self._turn(row, at)
            self._change(row, {"skipped": [*row.skipped, [at, max(at, self.now)]]})
            return row
        if row.start <= self.now and not times(row, self.now, self.now + AHEAD_NS):
            refuse_code("shift", "ended", "", "is over already", "conflict")
        self._change(row, {"cancelled": self.now})
        return row

    def give(self, scope: Scope, shift: str, *, at: int, to: str) -> Shift:
        """Give the time that starts ``at`` to somebody else (what is left of it, if it has begun)."""
        row = self._own(scope, shift)
        turn = self._turn(row, at)
        self.cancel(scope, shift, at=at)
        return self.add(
            scope,
            user=to,
            role=row.role,
            ward=row.ward,
            start=max(at, self.now),
            end=turn.end,
            timezone=row.timezone,
        )

    def get(self, scope: Scope, shift: str) -> Shift:
        """One shift. Raises ConfigError (``not_found``)."""
        return self._find(Shift, scope, shift, "shift", *self._staff_limit(Shift.ward, scope))

    def list(
        self, scope: Scope, *, ward: str | None = None, user: str | None = None, over: bool = False
    ) -> Sequence[Shift]:
        """The shifts by start; ``ward``: those that count there. Those that are over only when asked for."""
        query = select(Shift).where(Shift.tenant == scope.tenant, *self._staff_limit(Shift.ward, scope))
        if ward is not None:
            query = query.where(or_(Shift.ward == ward, Shift.ward.is_(None)))
        if user is not None:
            query = query.where(Shift.user == user)
        rows = self.session.scalars(query.order_by(Shift.start, Shift.user, Shift.id)).all()
        ahead = self.now + AHEAD_NS
        return [r for r in rows if over or times(r, self.now, max(ahead, r.start + 1))]

    def turns(
        self, scope: Scope, first: int, last: int, *, ward: str | None = None, user: str | None = None
    ) -> Sequence[Turn]:
        """Every time on duty that has a moment of [first, last) (UTC ns), by start; also past ones."""
        query = select(Shift).where(
            Shift.tenant == scope.tenant,
            *self._staff_limit(Shift.ward, scope),
            Shift.start < last,
            or_(Shift.weekly, Shift.end > first),
            or_(Shift.cancelled.is_(None), Shift.cancelled > first),
        )
        if ward is not None:
            query = query.where(or_(Shift.ward == ward, Shift.ward.is_(None)))
        if user is not None:
            query = query.where(Shift.user == user)
        found = [Turn(row, *at) for row in self.session.scalars(query) for at in times(row, first, last)]
        return sorted(found, key=lambda t: (t.start, t.shift.user, t.shift.role, t.shift.id))

    def on_duty(
        self, scope: Scope, ward: str, *, at: int | None = None, role: str | None = None
    ) -> Sequence[Turn]:
        """Who is on duty in a ward (by its schedule) at a time, in the order in which they came on."""
        moment = self.now if at is None else at
        here = self.turns(scope, moment, moment + 1, ward=ward)
        return [t for t in here if role is None or t.shift.role == role]

    def holes(
        self, scope: Scope, ward: str, first: int, last: int, *, roles: Collection[str] = ()
    ) -> Sequence[Hole]:
        """When nobody who can log in is on duty in a ward during [first, last) (UTC ns), by start and role.

        ``roles`` default to those that the ward's schedule ever had. A ward without a schedule has no holes:
        there everybody of the ward counts.
        """
        self._find(Ward, scope, ward, "ward", *self._ward_limit(Ward.id, scope))
        had = select(Shift.role).where(Shift.tenant == scope.tenant, Shift.ward == ward, held()).distinct()
        scheduled = set(self.session.scalars(had))
        if not scheduled:
            return []
        active = set(
            self.session.scalars(select(User.id).where(User.tenant == scope.tenant, User.disabled.is_(None)))
        )
        covered: dict[str, list[Interval]] = {role: [] for role in roles or scheduled}
        for turn in self.turns(scope, first, last, ward=ward):
            if turn.shift.role in covered and turn.shift.user in active:
                covered[turn.shift.role].append((turn.start, turn.end))
        found = [Hole(ward, role, *at) for role in covered for at in holes(covered[role], first, last)]
        return sorted(found, key=lambda h: (h.start, h.role))

    # -- the checks

    def _own(self, scope: Scope, shift: str) -> Shift:
        """A shift that the scope may change: all see the organisation's, few change them."""
        row = self.get(scope, shift)
        if row.ward is None:
            require_whole(scope, "a shift for all wards")
        if row.cancelled is not None and row.cancelled <= self.now:
            refuse_code("shift", "cancelled", iso(row.cancelled), "is cancelled already", "conflict")
        return row

    def _turn(self, row: Shift, at: int) -> Turn:
        """The time of a shift that starts ``at`` and is not over."""
        found = [t for t in times(row, at, at + 1) if t[0] == at]
        if not found:
            refuse_code("at", "no_turn", iso(at), f"no time of this shift starts at {iso(at)}", "not_found")
        if found[0][1] <= self.now:
            refuse_code("at", "past", iso(at), "this time is over already", "conflict")
        return Turn(row, *found[0])

    def _changed(self, row: Shift, ident: str, changes: Mapping[str, object]) -> Shift:
        """A shift like ``row`` with other values, not added to the session."""
        values: dict[str, Any] = {name: getattr(row, name) for name in _FIELDS} | dict(changes)
        for name in ("start", "end"):
            values[name] -= values[name] % SECOND
        values["timezone"] = check_timezone(values["timezone"]) or "UTC"
        moved = not {"start", "end", "timezone", "weekly"}.isdisjoint(changes)
        return Shift(**values, tenant=row.tenant, id=ident, skipped=[] if moved else [*row.skipped])

    def _follow(self, scope: Scope, row: Shift, changes: Mapping[str, object]) -> Shift:
        """End a weekly shift after its present time; the same with ``changes`` from the next one on."""
        over = max((end for _, end in times(row, self.now, self.now + 1)), default=self.now)
        following = self._changed(row, self.ids.new("shf"), changes)
        coming = [t for t in times(following, over, over + AHEAD_NS) if t[0] >= over]
        if not coming:
            refuse_code("start", "past", iso(following.start), "has no time to come", "conflict")
        following.start, following.end = coming[0]
        self._change(row, {"cancelled": over})
        self._check(scope, following)
        self.session.add(following)
        self.session.flush()
        return following

    def _check(self, scope: Scope, row: Shift) -> None:
        """Raise ConfigError unless such a shift may be."""
        if row.role not in ROLES:
            text = f"{row.role!r} is no role on duty; choose of {', '.join(ROLES)}"
            refuse_code("role", "unknown", row.role, text)
        self._check_ward(scope, row.ward)
        person = self._find(User, scope, row.user, "user")
        wards = None if row.ward is None else {row.ward}
        here = works(person, wards) and (row.ward is not None or person.wards is None)
        if person.disabled is not None or not here:
            text = f"{person.name} does not work in this ward; choose another person or ward"
            refuse_code("user", "ward", person.name, text)
        if ROLES[row.role] not in person.roles:
            text = (
                f"{person.name} has not the role {ROLES[row.role]}, which it takes to be {row.role} on duty"
            )
            refuse_code("role", "role", ROLES[row.role], text)
        _check_times(row, self.now)
        self._check_free(row, person)

    def _check_ward(self, scope: Scope, ward: str | None) -> None:
        if ward is None:
            require_whole(scope, "a shift for all wards")
        elif self._find(Ward, scope, ward, "ward", *self._ward_limit(Ward.id, scope)).ended is not None:
            refuse_code("ward", "ended", ward, f"the ward {ward!r} is closed; choose another", "conflict")

    def _check_free(self, row: Shift, person: User) -> None:
        others = select(Shift).where(
            Shift.tenant == row.tenant,
            Shift.user == row.user,
            Shift.role == row.role,
            Shift.ward.is_(None) if row.ward is None else Shift.ward == row.ward,
            Shift.id != row.id,
            or_(Shift.weekly, Shift.end > row.start),
            or_(Shift.cancelled.is_(None), Shift.cancelled > row.start),
        )
        with self.session.no_autoflush:
            for other in self.session.scalars(others):
                both = overlap(row, other)
                if both is not None:
                    text = f"{person.name} is on duty there already from {iso(both[0])} to {iso(both[1])}"
                    refuse_code("start", "overlap", iso(both[0]), text, "conflict")


def held() -> ColumnElement[bool]:
    """Whether a shift ever held or will: it was not cancelled before it began."""
    return or_(Shift.cancelled.is_(None), Shift.cancelled > Shift.start)


def _check_times(row: Shift, now: int) -> None:
    longest = WEEK_NS if row.weekly else LONGEST_NS
    if row.end <= row.start:
        refuse_code("end", "order", iso(row.end), "must be after the start")
    if row.end - row.start > longest:
        days = longest // (24 * HOUR_NS)
        refuse_code("end", "long", days, f"give at most {days} days at a time")
    if not row.weekly and row.end <= now:
        refuse_code("end", "past", iso(row.end), f"{iso(row.end)} has passed already")
    if row.until is None:
        return
    if not row.weekly:
        refuse_code("until", "weekly", iso(row.until), "is for a weekly shift; leave it empty")
    if row.until <= max(row.start, now):
        refuse_code("until", "past", iso(row.until), "must be after the start, and not past")


_FIELDS: Final = tuple(ShiftFields.__annotations__)
