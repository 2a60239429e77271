"""Work orders go out to other systems: by the webhooks of the settings, where there are any."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cloud_ingest.channels.base import ENDPOINT, Message
from cloud_ingest.reach import Reach
from cloud_ingest.records import Records
from cloud_ingest.records.fleet_models import WorkOrder
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DeliveryError, DeliveryPermanent
from hearthward.core.telemetry import Telemetry
from hearthward.trust.access import Scope

__all__ = ["KIND", "OrderTelling"]

log = logging.getLogger(__name__)

CHANNEL: Final = "webhook"
KIND: Final = "work_order"
RECENT_NS: Final = 86_400 * SECOND
"""What no receiver took for a day stays on the pages only."""
MOST: Final = 1000
"""Orders that are looked at."""
BUSY_NS: Final = 5 * SECOND
"""So long a receiver is given orders in one look, that links are looked at in between."""
REST_MOST: Final = 64
"""Looks that a receiver which does not answer is left alone at most: half an hour."""


@dataclass(slots=True)
class _Rest:
    """A receiver that did not answer: how many looks it is left alone, and how many of them are left."""

    looks: int
    left: int


class OrderTelling:
    """Each order once to each receiver; one that does not answer is tried again until the order is a day old.

    It is left alone for longer and longer, and no other waits for it. After a restart an order that some took
    and others did not goes to all again: receivers know it by its id. What a receiver refuses for good it is
    not asked again.
    """

    def __init__(
        self, tenant: str, records: Records, reach: Callable[[], Reach], clock: Clock, telemetry: Telemetry
    ) -> None:
        self._tenant, self._records, self._reach = tenant, records, reach
        self._clock, self._telemetry = clock, telemetry
        self._taken: set[tuple[str, str]] = set()
        self._rests: dict[str, _Rest] = {}

    async def look(self) -> int:
        """Tell of what is new; how many orders went out. Raises StoreUnavailable."""
        reach = self._reach()
        ends = reach.endpoints.get(CHANNEL, ())
        if CHANNEL not in reach.channels or not ends:
            return 0
        scope, since = Scope.system(self._tenant), self._clock.now_ns() - RECENT_NS
        orders = await self._records.read(
            lambda s: [_plain(row) for row in self._records.fleet(s).untold(scope, since, MOST)]
        )
        known = {key for key, _ in orders}
        self._taken = {(key, end) for key, end in self._taken if key in known}
        for end in ends:
            await self._tell_all(end, [order for order in orders if (order[0], end) not in self._taken])
        sent = [key for key in known if all((key, end) in self._taken for end in ends)]
        if sent:
            await self._records.run(lambda s: self._records.fleet(s).mark_told(scope, sent))
        return len(sent)

    async def _tell_all(self, end: str, orders: Sequence[tuple[str, str]]) -> None:
        """Give a receiver these until it does not answer, or enough time has gone."""
        rest = self._rests.get(end)
        if rest is not None and rest.left:
            rest.left -= 1
            return
        begun = self._clock.monotonic_ns()
        for key, text in orders:
            if self._clock.monotonic_ns() - begun > BUSY_NS:
                return
            if not await self._tell(end, key, text):
                looks = 0 if rest is None else min(max(1, 2 * rest.looks), REST_MOST)
                self._rests[end] = _Rest(looks, looks)
                return
            self._taken.add((key, end))
            self._rests.pop(end, None)

    async def _tell(self, end: str, key: str, text: str) -> bool:
        """Whether it need not be told again."""
        channel, url = self._reach().channels[CHANNEL], self._reach().public_url
        message = Message(
            id=key,
            target=f"{ENDPOINT}{end}",
            text=text,
            language="en",
            priority="low",
            kind=KIND,
            subject="Work order",
            link=None if url is None else f"{url.rstrip('/')}/fleet/orders/{key}",
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


def _plain(row: WorkOrder) -> tuple[str, str]:
    return row.id, f"{row.device}: {row.text.get('en', '')}"
