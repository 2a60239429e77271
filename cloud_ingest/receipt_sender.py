"""Receipts, signed and sent to the gateways: only they let an edge delete."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from cloud_ingest.intake import Answer
from hearthward.core.errors import UplinkError
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import Receipt, topic
from hearthward.trust.keys import SigningKey

__all__ = ["Publish", "ReceiptSender"]

Publish = Callable[[str, bytes], Awaitable[None]]


class ReceiptSender:
    """Signs with ``key`` and sends by ``publish``; one that is lost is asked for again by the edge."""

    def __init__(self, tenant: str, publish: Publish, key: SigningKey, telemetry: Telemetry) -> None:
        self._tenant, self._publish, self._key, self._telemetry = tenant, publish, key, telemetry

    async def send(self, answers: Mapping[tuple[str, str, str], Answer]) -> None:
        """Tell each (gateway, boot, session) what of it is committed."""
        for (gateway, boot, session), answer in answers.items():
            receipt = Receipt(gateway, boot, session, tuple(answer.blocks), tuple(answer.gaps))
            receipt = receipt.signed(self._key.sign(receipt.signed_part()))
            try:
                await self._publish(topic(self._tenant, gateway, "receipt"), receipt.encode())
            except UplinkError:
                # the edge sends again when it is back, and gets its receipt then
                self._telemetry.count("receipts_failed_total")
            else:
                self._telemetry.count("receipts_sent_total")
