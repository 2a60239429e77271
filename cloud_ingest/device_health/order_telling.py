"""What becomes of work orders goes out to other systems: by the webhooks of the settings, if any."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_ingest.channels.base import ENDPOINT, Message
from cloud_ingest.reach import Reach
from cloud_ingest.records import Records
from cloud_ingest.records.fleet_models import WorkNote, WorkOrder
from cloud_ingest.records.work_orders import WorkOrders
from hearthward.core.clock import SECOND, Clock, iso
from hearthward.core.errors import DeliveryError, DeliveryPermanent
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope

__all__ = ["KIND", "KINDS", "OrderTelling", "Step", "step_of", "steps_of"]

log = logging.getLogger(__name__)

CHANNEL: Final = "webhook"
KIND: Final = "work_order"
KINDS: Final[Mapping[str, str]] = {
    "open": KIND,
    "assign": "work_order_assigned",
    "take": "work_order_reassigned",
    "done": "work_order_done",
    "gone": "work_order_gone",
    "again": "work_order_again",
}
"""The message's kind, by what was done; of what somebody else had it is ``work_order_reassigned``."""
SUBJECTS: Final[Mapping[str, str]] = {
    KIND: "Work order",
    "work_order_assigned": "Work order assigned",
    "work_order_reassigned": "Work order reassigned",
    "work_order_done": "Work order done",
    "work_order_gone": "Work order: no longer found",
    "work_order_again": "Work order: found again",
}
RECENT_NS: Final = 86_400 * SECOND
"""What no receiver took for a day stays on the pages only."""
MOST: Final = 1000
"""Steps that are looked at, besides those that some receiver has taken and another has not."""
BUSY_NS: Final = 5 * SECOND
"""So long a receiver is told in one look, that links are looked at in between."""
REST_MOST: Final = 64
"""Looks that a receiver which does not answer is left alone at most: half an hour."""


@dataclass(slots=True)
class _Rest:
    """A receiver that did not answer: how many looks it is left alone, and how many of them are left."""

    looks: int
    left: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was done with a work order, ready to be told; ``key``: the order, its note's number."""

    key: tuple[str, int]
    kind: str
    text: str
    work: Mapping[str, str | int | None]

    @property
    def ident(self) -> str:
        """The same whenever it is told; that of the opening is the order's own."""
        work, number = self.key
        return work if self.kind == KIND else f"{work}.{number}"


def steps_of(fleet: WorkOrders, scope: Scope, since: int, most: int) -> list[Step]:
    """What was done since then with orders and is not told everywhere, oldest first."""
    found = fleet.untold(scope, since, most)
    notes = fleet.notes(scope, {order.id for _, order in found})
    names = fleet.named(scope, {note.by for note, _ in found})
    return [step_of(note, order, notes[order.id], names) for note, order in found]


def step_of(note: WorkNote, order: WorkOrder, notes: Sequence[WorkNote], names: Mapping[str, str]) -> Step:
    """What a note of an order tells; ``notes`` are all of the order's, ``names`` by user."""
    given = [n.text for n in notes if n.do in {"assign", "take"} and n.number <= note.number]
    by = None if note.by is None else names.get(note.by, note.by)
    kind = KINDS["take"] if note.before is not None else KINDS[note.do]
    work: dict[str, str | int | None] = {
        "id": order.id,
        "step": note.do,
        "number": note.number,
        "at": iso(note.at),
        "by": by,
        "state": "done" if note.do == "done" else "assigned" if given else "open",
        "assignee": given[-1] if given else None,
        "before": note.before,
        "note": note.text if note.do == "done" else "",
        "device": order.device,
        "about": order.kind,
        "due": None if order.due is None else iso(order.due),
    }
    said = _said(note, by)
    text = order.text.get("en", "")
    return Step((order.id, note.number), kind, f"{order.device}: {said}{text}", work)


def _said(note: WorkNote, by: str | None) -> str:
    """Before what is to be done: what was done with it."""
    if note.do == "assign":
        return f"given to {note.text}{f' instead of {note.before}' if note.before else ''}: "
    if note.do == "take":
        return f"taken over by {note.text} from {note.before}: "
    if note.do == "done":
        return f"done by {by}{f' ({note.text})' if note.text else ''}: "
    return {"gone": "no longer found: ", "again": "found again: "}.get(note.do, "")


class OrderTelling:
    """Each step once to each receiver, in their order; one that does not answer is tried again for a day.

    It is left alone for longer and longer, and no other waits for it. After a restart a step that some took
    and others did not goes to all again: receivers know it by its id. What a receiver refuses for good it is
    not asked again.
    """

    def __init__(
        self, tenant: str, records: Records, reach: Callable[[], Reach], clock: Clock, telemetry: Telemetry
    ) -> None:
        self._tenant, self._records, self._reach = tenant, records, reach
        self._clock, self._telemetry = clock, telemetry
        self._taken: set[tuple[tuple[str, int], str]] = set()
        self._rests: dict[str, _Rest] = {}

    async def look(self) -> int:
        """Tell of what is new; how many steps went out everywhere. Raises StoreUnavailable."""
        reach = self._reach()
        ends = reach.endpoints.get(CHANNEL, ())
        if CHANNEL not in reach.channels or not ends:
            return 0
        scope, since = Scope.system(self._tenant), self._clock.now_ns() - RECENT_NS
        most = MOST + len({key for key, _ in self._taken})
        steps = await self._records.read(lambda s: steps_of(self._records.fleet(s), scope, since, most))
        known = {step.key for step in steps}
        self._taken = {(key, end) for key, end in self._taken if key in known}
        for end in ends:
            await self._tell_all(end, [step for step in steps if (step.key, end) not in self._taken])
        sent = [key for key in known if all((key, end) in self._taken for end in ends)]
        if sent:
            await self._records.run(lambda s: self._records.fleet(s).mark_told(scope, sent))
        return len(sent)

    async def _tell_all(self, end: str, steps: Sequence[Step]) -> None:
        """Give a receiver these until it does not answer, or enough time has gone."""
        rest = self._rests.get(end)
        if rest is not None and rest.left:
            rest.left -= 1
            return
        begun = self._clock.monotonic_ns()
        for step in steps:
            if self._clock.monotonic_ns() - begun > BUSY_NS:
                return
            if not await self._tell(end, step):
                looks = 0 if rest is None else min(max(1, 2 * rest.looks), REST_MOST)
                self._rests[end] = _Rest(looks, looks)
                return
            self._taken.add((step.key, end))
            self._rests.pop(end, None)

    async def _tell(self, end: str, step: Step) -> bool:
        """Whether it need not be told again."""
        channel, url = self._reach().channels[CHANNEL], self._reach().public_url
        message = Message(
            id=step.ident,
            target=f"{ENDPOINT}{end}",
            text=step.text,
            language="en",
            priority="low",
            kind=step.kind,
            subject=SUBJECTS[step.kind],
            link=None if url is None else f"{url.rstrip('/')}/fleet/orders/{step.key[0]}",
            work=step.work,
        )
        try:
            await channel.send(message)
        except DeliveryPermanent as error:
            self._telemetry.count("work_orders_refused_total")
            log.warning("the webhook %s refuses work orders: %s", end, error)
        except DeliveryError:
            self._telemetry.count("work_orders_untold_total")
            return False
        return True
