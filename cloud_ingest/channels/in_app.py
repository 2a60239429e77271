"""In-app: the walls and pages that are open; always on, never the only way to be told."""

from __future__ import annotations

from collections.abc import Callable

from cloud_ingest.channels.base import Handover, Message
from hearthward.core.errors import DeliveryTemporary

__all__ = ["InAppChannel"]


class InAppChannel:
    """Publishes to whoever is connected; ``publish`` must not block.

    Whether somebody saw it shows when the alarm is accepted, not here.
    """

    name = "in_app"
    confirms = True

    def __init__(self, publish: Callable[[Message], None]) -> None:
        self._publish = publish

    async def send(self, message: Message) -> Handover:
        """Publish the message. Raises DeliveryTemporary when the feed does not take it."""
        try:
            self._publish(message)
        except Exception as error:
            msg = f"the live feed did not take the message: {type(error).__name__}"
            raise DeliveryTemporary(msg, channel=self.name) from error
        return Handover(reference=f"feed:{message.id}")

    async def check(self) -> None:
        """The feed is this process: it is there. Whether walls are is asked of the walls."""

    async def close(self) -> None:
        """Nothing is held."""
