"""Work orders go out to other systems: by the webhooks of the settings, where there are any."""

from __future__ import annotations

import logging
from collections.abc import Callable
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
MOST: Final = 50


class OrderTelling:
    """Each order once to each receiver; one that does not answer is tried again until the order is a day old.

    When some took it and others did not, all get it again: receivers know it by its id. A receiver that
    refuses it for good is not asked again.
    """

    def __init__(
        self, tenant: str, records: Records, reach: Callable[[], Reach], clock: Clock, telemetry: Telemetry
    ) -> None:
        self._tenant, self._records, self._reach = tenant, records, reach
        self._clock, self._telemetry = clock, telemetry

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
        sent = [key for key, text in orders if await self._tell(key, text, ends)]
        if sent:
            await self._records.run(lambda s: self._records.fleet(s).mark_told(scope, sent))
        return len(sent)

    async def _tell(self, key: str, text: str, ends: tuple[str, ...]) -> bool:
        channel, url = self._reach().channels[CHANNEL], self._reach().public_url
        taken = True
        for end in ends:
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
                taken = False
        return taken


def _plain(row: WorkOrder) -> tuple[str, str]:
    return row.id, f"{row.device}: {row.text.get('en', '')}"
