"""The port of the web that is about the loss ledger."""

from __future__ import annotations

from typing import Protocol

from cloud_ingest.balance import AskedLedger, LedgerReport
from dashboards.ledger_models import WriteOff
from hearthward.trust.access import Principal, Scope

__all__ = ["LedgerPort"]


class LedgerPort(Protocol):
    """What the web needs of the loss ledger. Refusals are DirectoryError (field, code, value)."""

    async def ledger(self, scope: Scope, asked: AskedLedger) -> LedgerReport:
        """The counts of the scope's gateways, and their outboxes by numbers.

        Gateways that are in no ward, or unknown, belong to a scope of the whole tenant only.
        """
        ...

    async def write_off(self, who: Principal, gateway: str, boot: str, reason: str) -> WriteOff:
        """Close the books on what is unaccounted for of an outbox.

        Refused: ``boot`` unknown (none in scope that is told of) or state (nothing is unaccounted for),
        ``reason`` required or invalid.
        """
        ...
