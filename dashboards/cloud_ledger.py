"""The port's loss ledger over the real records."""

from __future__ import annotations

from cloud_ingest.balance import AskedLedger, LedgerReport
from cloud_ingest.service import CloudService
from dashboards.backend import DirectoryError
from dashboards.ledger_models import WriteOff
from hearthward.core.errors import ConfigError
from hearthward.trust.access import Principal, Scope, scope_of

__all__ = ["CloudLedger"]


class CloudLedger:
    """The part of ``CloudBackend`` that is about the loss ledger."""

    def __init__(self, service: CloudService) -> None:
        self._service = service

    async def ledger(self, scope: Scope, asked: AskedLedger) -> LedgerReport:
        """See the port."""
        records = self._service.records
        return await records.read(lambda s: records.ledger(s).report(scope, asked))

    async def write_off(self, who: Principal, gateway: str, boot: str, reason: str) -> WriteOff:
        """See the port."""
        records, scope = self._service.records, scope_of(who)
        try:
            row = await records.run(
                lambda s: records.ledger(s).write_off(scope, gateway, boot, reason, by=who.user)
            )
        except ConfigError as error:
            raise DirectoryError(
                str(error.details.get("field")),
                str(error.details.get("code")),
                error.details.get("value", ""),
            ) from error
        self._service.books.look_soon()
        return WriteOff(
            id=row.id,
            gateway=row.gateway,
            boot=row.boot,
            numbers=row.numbers,
            reason=row.reason,
            by=row.by,
            at=row.at,
        )
