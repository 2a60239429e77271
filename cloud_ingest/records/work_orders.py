"""Work on devices in the records: opened by people or a rule, given to somebody, done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import ColumnElement, Select, case, func, select

from cloud_ingest.device_health.asking import AskedOrders
from cloud_ingest.records.fleet_models import DeviceFinding, WorkNote, WorkOrder
from cloud_ingest.records.models import Device, Gateway, User, Ward
from cloud_ingest.records.scoping import refuse_code
from cloud_ingest.records.upkeep import UpkeepBook
from hearthward.core.clock import iso
from hearthward.trust.access import Scope

__all__ = ["Note", "OrderLine", "WorkOrders"]

Note = Literal["open", "assign", "take", "comment", "done", "gone", "again"]
"""``take``: somebody took over what another had."""
TOLD: Final = ("open", "assign", "take", "done", "gone", "again")
"""The steps that other systems are told of."""
DONE: Final = "done"
OTHER: Final = "other"
SERVICE: Final = "service"


class OrderLine(NamedTuple):
    """A work order with its device."""

    order: WorkOrder
    device: Device
    ward: Ward | None


class WorkOrders(UpkeepBook):
    """Of the devices of a scope. Refusals are ConfigError with ``field`` and ``code``."""

    def _joined(self, scope: Scope, *columns: Any) -> Select[Any]:
        near = Gateway.tenant == Device.tenant, Gateway.id == Device.gateway
        query = (
            select(*columns)
            .select_from(WorkOrder)
            .join(Device, (Device.tenant == WorkOrder.tenant) & (Device.id == WorkOrder.device))
            .outerjoin(Gateway, near[0] & near[1])
            .outerjoin(Ward, (Ward.tenant == Gateway.tenant) & (Ward.id == Gateway.ward))
        )
        limits = [Device.tenant == scope.tenant, *self._device_limit(Device.id, Device.gateway, scope)]
        return query.where(*limits) if scope.patient is None else query.where(WorkOrder.id.is_(None))

    def orders(self, scope: Scope, asked: AskedOrders) -> tuple[list[OrderLine], int]:
        """One page: those due first, done ones last and newest first; and how many there are."""
        where = _where(asked)
        total = self.session.scalar(self._joined(scope, func.count()).where(*where)) or 0
        order = (
            case((WorkOrder.state == DONE, 1), else_=0),
            WorkOrder.done.desc(),
            WorkOrder.due.is_(None),
            WorkOrder.due,
            WorkOrder.opened,
            WorkOrder.id,
        )
        query = self._joined(scope, WorkOrder, Device, Ward).where(*where).order_by(*order)
        rows = self.session.execute(query.offset(asked.offset).limit(asked.limit))
        return [OrderLine(*row) for row in rows], total

    def order_states(self, scope: Scope) -> Counter[str]:
        """How many there are of each state."""
        query = self._joined(scope, WorkOrder.state, func.count()).group_by(WorkOrder.state)
        return Counter(dict(self.session.execute(query).all()))

    def order(self, scope: Scope, key: str) -> OrderLine | None:
        """One in scope."""
        query = self._joined(scope, WorkOrder, Device, Ward).where(WorkOrder.id == key)
        row = self.session.execute(query).one_or_none()
        return None if row is None else OrderLine(*row)

    def orders_of(self, scope: Scope, device: str, limit: int = 200) -> list[OrderLine]:
        """A device's, the newest first."""
        query = self._joined(scope, WorkOrder, Device, Ward).where(WorkOrder.device == device)
        rows = self.session.execute(query.order_by(WorkOrder.opened.desc(), WorkOrder.id).limit(limit))
        return [OrderLine(*row) for row in rows]

    def notes(self, scope: Scope, orders: Collection[str]) -> dict[str, list[WorkNote]]:
        """What was done with these, oldest first."""
        found: dict[str, list[WorkNote]] = {key: [] for key in orders}
        query = select(WorkNote).where(WorkNote.tenant == scope.tenant, WorkNote.work.in_(sorted(orders)))
        for note in self.session.scalars(query.order_by(WorkNote.work, WorkNote.number)):
            found[note.work].append(note)
        return found

    def named(self, scope: Scope, users: Collection[str | None]) -> dict[str, str]:
        """The names of these users."""
        ids = sorted({user for user in users if user})
        query = select(User.id, User.name).where(User.tenant == scope.tenant, User.id.in_(ids))
        return dict(self.session.execute(query).all()) if ids else {}

    # --- changes ------------------------------------------------------------------------------------
    def open_order(
        self,
        scope: Scope,
        device: str,
        *,
        by: str | None,
        text: Mapping[str, str] | None = None,
        finding: str | None = None,
        assignee: str | None = None,
        due: int | None = None,
    ) -> WorkOrder:
        """Open one; without ``text`` it says what its finding says. ``by`` None: a rule."""
        line = self.device(scope, device)
        if line is None or line.device.ended is not None:
            refuse_code("device", "unknown", device, "there is no such device in use here")
        found = None if finding is None else self.session.get(DeviceFinding, (scope.tenant, finding))
        if finding is not None and (found is None or found.device != device):
            refuse_code("finding", "unknown", finding, "there is no such finding of this device")
        if found is not None and self._standing_for(scope, found.id):
            refuse_code("finding", "taken", finding, "a work order stands for it", "conflict")
        words = dict(text or {}) or (dict(found.text) if found is not None else {})
        if not words:
            refuse_code("text", "required", "", "say what is to be done")
        name = None if assignee is None else self._assignee(scope, assignee)
        row = WorkOrder(
            tenant=scope.tenant,
            id=self.ids.new("wo"),
            device=device,
            kind=OTHER if found is None else found.kind,
            finding=finding,
            text=words,
            state="open" if assignee is None else "assigned",
            due=due if due is not None or found is None else found.proposed,
            opened=self.now,
            opened_by=by,
            assignee=assignee,
            assigned=None if assignee is None else self.now,
        )
        self.session.add(row)
        self.session.flush()
        self._note(row, by, "open")
        if name is not None:
            self._note(row, by, "assign", name)
        if found is not None:
            found.work_order = row.id
        self.session.flush()
        return row

    def _standing_for(self, scope: Scope, finding: str) -> bool:
        query = select(WorkOrder.id).where(
            WorkOrder.tenant == scope.tenant, WorkOrder.finding == finding, WorkOrder.state != DONE
        )
        return self.session.scalars(query).first() is not None

    def _assignee(self, scope: Scope, user: str) -> str:
        row = self.session.get(User, (scope.tenant, user))
        if row is None or row.disabled is not None:
            refuse_code("assignee", "unknown", user, "there is no such user")
        return row.name

    def assign(
        self, scope: Scope, key: str, assignee: str, by: str, instead_of: str | None = None
    ) -> WorkOrder | None:
        """Give it to somebody; None when there is none in scope. Who has it already keeps it.

        What another than ``by`` has is taken from nobody but ``instead_of``: else it is refused as held, with
        whose it is and since when, also where it has changed hands meanwhile.
        """
        name = self._assignee(scope, assignee)
        row = self._undone(scope, key)
        if row is None or row.assignee == assignee:
            return row
        former = row.assignee
        before = None if former is None else self.named(scope, [former]).get(former, former)
        if former is not None and former not in {by, instead_of}:
            since = "" if row.assigned is None else f" since {iso(row.assigned)}"
            held = f"{before} ({former}) has it{since}"
            refuse_code("assignee", "held", held, f"{held}; to take it over say instead_of", "conflict")
        row.state, row.assignee, row.assigned = "assigned", assignee, self.now
        taken = former is not None and assignee == by
        self._note(row, by, "take" if taken else "assign", name, before)
        return row

    def finish(
        self, scope: Scope, key: str, text: str, by: str, *, serviced: bool = True
    ) -> WorkOrder | None:
        """It is done; None as above. Of a service the hours of use count anew where it was ``serviced``."""
        row = self._undone(scope, key)
        if row is not None:
            row.state, row.done, row.done_by = DONE, self.now, by
            self._note(row, by, "done", text)
            if row.kind == SERVICE and serviced:
                known = self.service(scope, row.device)
                self.serve(scope, row.device, self.now, None if known is None else known.every_hours, by)
        return row

    def comment(self, scope: Scope, key: str, text: str, by: str) -> WorkOrder | None:
        """Write about it; None as above."""
        line = self.order(scope, key)
        if line is None:
            return None
        self._note(line.order, by, "comment", text)
        return line.order

    def finding_gone(self, scope: Scope, order: str) -> None:
        """Note on an order that its finding holds no longer; whether the work is done people say."""
        row = self.session.get(WorkOrder, (scope.tenant, order))
        if row is not None and row.state != DONE:
            self._note(row, None, "gone")

    def finding_again(self, scope: Scope, order: str) -> None:
        """Note on an order whose finding was gone that it is found again, where that is not noted yet."""
        seen = [note.do for note in self.notes(scope, [order])[order] if note.do in {"gone", "again"}]
        row = self.session.get(WorkOrder, (scope.tenant, order))
        if row is not None and row.state != DONE and seen[-1:] == ["gone"]:
            self._note(row, None, "again")

    def untold(self, scope: Scope, since: int, limit: int = 50) -> list[tuple[WorkNote, WorkOrder]]:
        """Steps since then that not every webhook has been told of yet, oldest first, each with its order."""
        query = (
            select(WorkNote, WorkOrder)
            .join(WorkOrder, (WorkOrder.tenant == WorkNote.tenant) & (WorkOrder.id == WorkNote.work))
            .where(
                WorkNote.tenant == scope.tenant,
                WorkNote.at >= since,
                WorkNote.told.is_(None),
                WorkNote.do.in_(TOLD),
            )
            .order_by(WorkNote.at, WorkNote.work, WorkNote.number)
        )
        return [(note, order) for note, order in self.session.execute(query.limit(limit))]

    def mark_told(self, scope: Scope, steps: Collection[tuple[str, int]]) -> None:
        """Other systems have been told of these: an order and the number of its note each."""
        for key, number in sorted(steps):
            row = self.session.get(WorkNote, (scope.tenant, key, number))
            if row is not None:
                row.told = self.now

    def _undone(self, scope: Scope, key: str) -> WorkOrder | None:
        line = self.order(scope, key)
        if line is not None and line.order.state == DONE:
            refuse_code("id", "state", DONE, "this work is done already", "conflict")
        return None if line is None else line.order

    def _note(
        self, row: WorkOrder, by: str | None, do: Note, text: str = "", before: str | None = None
    ) -> None:
        query = select(func.coalesce(func.max(WorkNote.number), 0)).where(
            WorkNote.tenant == row.tenant, WorkNote.work == row.id
        )
        number = (self.session.scalar(query) or 0) + 1
        note = WorkNote(tenant=row.tenant, work=row.id, number=number, at=self.now, by=by, do=do, text=text)
        note.before = before
        self.session.add(note)
        self.session.flush()


def _where(asked: AskedOrders) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if not asked.state:
        found.append(WorkOrder.state != DONE)
    elif asked.state != "all":
        found.append(WorkOrder.state == asked.state)
    same = (
        (asked.device, WorkOrder.device),
        (asked.ward, Gateway.ward),
        (asked.assignee, WorkOrder.assignee),
    )
    return found + [column == wanted for wanted, column in same if wanted]
