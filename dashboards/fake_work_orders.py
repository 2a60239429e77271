"""The fake's work orders, with the same refusals as the real ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from cloud_ingest.device_health.asking import AskedOrders
from cloud_ingest.device_health.judging import Upkeep
from cloud_ingest.device_health.ordering import RULES, OrderRules
from dashboards.backend import DirectoryError
from dashboards.fleet_models import FindingView, OrderDraft, OrderNote, OrderPage, OrderRule, WorkOrder
from dashboards.fleet_views import draft_text, note_text, rules_view
from dashboards.models import Device, Ward
from hearthward.core.clock import Clock, iso
from hearthward.core.ids import Ids
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["FakeWorkOrders"]

NEVER: Final = 1 << 62


class FakeWorkOrders:
    """The part of ``FakeFleet`` that is about work on devices."""

    clock: Clock
    ids: Ids

    def __init__(self) -> None:
        self._findings: defaultdict[str, dict[str, FindingView]] = defaultdict(dict)
        self._serviced: defaultdict[str, dict[str, Upkeep]] = defaultdict(dict)
        self.work_rules: OrderRules = RULES
        self._work: defaultdict[str, dict[str, WorkOrder]] = defaultdict(dict)

    # of the fake itself
    def _visible(self, scope: Scope, kind: Any, row: Any) -> bool:
        raise NotImplementedError

    def _name(self, tenant: str, user: str | None) -> str | None:
        raise NotImplementedError

    def _device_in(self, scope: Scope, key: str) -> Device | None:
        raise NotImplementedError

    def _gateway_ward(self, tenant: str, device: Device) -> Ward | None:
        raise NotImplementedError

    def put_work_order(self, tenant: str, order: WorkOrder) -> None:
        """Set a work order."""
        self._work[tenant][order.id] = order

    def _orders_of(self, tenant: str, device: str) -> list[WorkOrder]:
        found = [o for o in self._work[tenant].values() if o.device == device]
        return sorted(found, key=lambda o: (-o.opened, o.id))

    def _orders_in(self, scope: Scope) -> list[WorkOrder]:
        every = self._work[scope.tenant].values()
        return [o for o in every if self._device_in(scope, o.device) is not None]

    async def work_orders(self, scope: Scope, asked: AskedOrders) -> OrderPage:
        """See the port."""
        every = self._orders_in(scope)
        found = [o for o in every if _fits(o, asked)]
        found.sort(key=_order)
        return OrderPage(
            items=found[asked.offset : asked.offset + asked.limit],
            total=len(found),
            states=Counter(o.state for o in every),
        )

    async def order_rules(self, scope: Scope) -> Sequence[OrderRule]:
        """See the port."""
        del scope
        return rules_view(self.work_rules)

    async def work_order(self, scope: Scope, key: str) -> WorkOrder | None:
        """See the port."""
        return next((o for o in self._orders_in(scope) if o.id == key), None)

    async def open_work_order(self, who: Principal, draft: OrderDraft) -> WorkOrder:
        """See the port."""
        scope, tenant = scope_of(who), who.tenant
        device = self._device_in(scope, draft.device)
        if device is None or device.ended is not None:
            raise DirectoryError(field="device", code="unknown", value=draft.device)
        finding = self._findings[tenant].get(draft.finding or "")
        if draft.finding and (finding is None or finding.device != draft.device):
            raise DirectoryError(field="finding", code="unknown", value=draft.finding)
        if finding is not None and any(
            o.finding == finding.id and o.state != "done" for o in self._work[tenant].values()
        ):
            raise DirectoryError(field="finding", code="taken", value=finding.id)
        text = draft_text(draft, None if finding is None else finding.text)
        assignee = self._assignee(tenant, draft.assignee) if draft.assignee else ""
        ward = self._gateway_ward(tenant, device)
        order = WorkOrder(
            id=self.ids.new("wo"),
            device=device.id,
            label=device.label,
            ward=ward.id if ward else None,
            ward_name=ward.name if ward else "",
            kind="other" if finding is None else finding.kind,
            finding=None if finding is None else finding.id,
            text=text,
            state="assigned" if assignee else "open",
            due=draft.due or (finding.proposed if finding else None),
            opened=self.clock.now_ns(),
            opened_by=who.name,
            assignee=draft.assignee or None,
            assignee_name=assignee,
            assigned=self.clock.now_ns() if assignee else None,
            notes=[self._note(who, "open")] + ([self._note(who, "assign", assignee)] if assignee else []),
        )
        self._work[tenant][order.id] = order
        if finding is not None:
            self._findings[tenant][finding.id] = finding.model_copy(update={"work_order": order.id})
        return order

    def _assignee(self, tenant: str, user: str) -> str:
        name = self._name(tenant, user)
        if name is None:
            raise DirectoryError(field="assignee", code="unknown", value=user)
        return name

    def _note(self, who: Principal, do: Any, text: str = "", before: str = "") -> OrderNote:
        return OrderNote(at=self.clock.now_ns(), by=who.name, do=do, text=text, before=before)

    async def _changed(self, who: Principal, key: str, note: OrderNote, **marks: Any) -> WorkOrder | None:
        order = await self.work_order(scope_of(who), key)
        if order is None:
            return None
        if order.state == "done" and note.do != "comment":
            raise DirectoryError(field="id", code="state", value="done")
        order = order.model_copy(update={**marks, "notes": [*order.notes, note]})
        self._work[who.tenant][key] = order
        return order

    async def assign_work_order(
        self, who: Principal, key: str, assignee: str, instead_of: str | None = None
    ) -> WorkOrder | None:
        """See the port."""
        name = self._assignee(who.tenant, assignee)
        order = await self.work_order(scope_of(who), key)
        former = None if order is None or order.state == "done" else order.assignee
        if order is not None and former == assignee:
            return order
        if order is not None and former not in {None, who.user, instead_of}:
            held = f"{order.assignee_name} ({former}) has it since {iso(order.assigned or order.opened)}"
            raise DirectoryError(field="assignee", code="held", value=held)
        do = "take" if former is not None and assignee == who.user else "assign"
        note = self._note(who, do, name, order.assignee_name if order and former else "")
        return await self._changed(
            who, key, note, state="assigned", assignee=assignee, assignee_name=name, assigned=note.at
        )

    async def finish_work_order(
        self, who: Principal, key: str, text: str = "", *, serviced: bool = True
    ) -> WorkOrder | None:
        """See the port."""
        note = self._note(who, "done", note_text(text, needed=False))
        order = await self._changed(who, key, note, state="done", done=note.at, done_by=who.name)
        if order is not None and order.kind == "service" and serviced:
            known = self._serviced[who.tenant].get(order.device, Upkeep(None))
            self._serviced[who.tenant][order.device] = replace(known, done=note.at)
        return order

    async def comment_work_order(self, who: Principal, key: str, text: str) -> WorkOrder | None:
        """See the port."""
        return await self._changed(who, key, self._note(who, "comment", note_text(text, needed=True)))


def _fits(order: WorkOrder, asked: AskedOrders) -> bool:
    state = order.state != "done" if not asked.state else asked.state in {"all", order.state}
    return (
        state
        and asked.device in {"", order.device}
        and asked.ward in {"", order.ward}
        and asked.assignee in {"", order.assignee}
    )


def _order(order: WorkOrder) -> tuple[int, int, int, str]:
    if order.state == "done":
        return (1, -(order.done or 0), 0, order.id)
    return (0, NEVER if order.due is None else order.due, order.opened, order.id)
