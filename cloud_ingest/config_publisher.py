"""Configuration documents: made from the directory, versioned when they change, published retained."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import Any

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from cloud_ingest.attribution import Attribution, load_attribution
from cloud_ingest.records import Records
from cloud_ingest.records.models import ConfigDocumentRow, Device, Gateway
from cloud_ingest.sources.base import FrameSource
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import UplinkError
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import ConfigDocument, topic

__all__ = ["ConfigPublisher"]

log = logging.getLogger(__name__)


class ConfigPublisher:
    """Keeps each gateway's document in step with the directory of one tenant."""

    def __init__(
        self, tenant: str, records: Records, source: FrameSource, *, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._tenant = tenant
        self._records = records
        self._source = source
        self._clock = clock
        self._telemetry = telemetry
        self._documents: dict[str, ConfigDocument] = {}
        self._turn = asyncio.Lock()
        self._strange: dict[str, str] = {}
        self.rules_hash = ""

    def document(self, gateway: str) -> ConfigDocument | None:
        """The document that a gateway shall run."""
        return self._documents.get(gateway)

    def version_of(self, gateway: str, digest: str) -> int | None:
        """The version behind a digest that a gateway reports, if it is the present one."""
        document = self._documents.get(gateway)
        return document.version if document is not None and document.digest == digest else None

    async def runs(self, gateway: str, digest: str) -> None:
        """A gateway reports what it runs: if that was never issued here, its document gets a newer version.

        It is so after this cloud's records were lost or restored from an old copy: the gateway would take
        the document at hand for an older one, and refuse it. Done once per digest, so that a gateway which
        cannot run what it is given does not make versions for ever.
        """
        known = self._documents.get(gateway)
        if not digest or known is None or digest in {known.digest, self._strange.get(gateway)}:
            return
        if await self._records.read(lambda s: _issued(s, self._tenant, gateway, digest)):
            return
        self._strange[gateway] = digest
        log.warning("gateway %s runs a configuration (%s) that is not of these records", gateway, digest)
        self._telemetry.count("config_strange_total")
        await self.refresh(anew=gateway)

    async def refresh(self, *, anew: str | None = None) -> list[str]:
        """Make the documents anew, keep and publish those whose content changed; returns their gateways.

        ``anew`` names a gateway whose document gets a new version in any case.
        """
        async with self._turn:
            now, newest = self._clock.now_ns(), self._records.wall.now_ns() // SECOND
            documents = await self._records.run(
                lambda s: _documents(s, self._tenant, self.rules_hash, now, newest, anew)
            )
            changed = [g for g, document in documents.items() if self._documents.get(g) != document]
            self._documents = documents
            for gateway in changed:
                await self._publish(documents[gateway])
            return changed

    async def publish_all(self) -> None:
        """Publish every document again: after a connect the broker may know none of them."""
        for document in list(self._documents.values()):
            await self._publish(document)

    async def _publish(self, document: ConfigDocument) -> None:
        if not self._source.connected:
            return  # the next connect publishes all
        try:
            await self._source.publish(
                topic(self._tenant, document.gateway, "config"), document.encode(), retain=True
            )
        except UplinkError as error:
            log.warning("configuration of %s not published: %s", document.gateway, error)
            self._telemetry.count("config_publish_failed_total")
        else:
            self._telemetry.count("config_published_total")


def _documents(
    session: Session, tenant: str, rules_hash: str, now: int, newest: int, anew: str | None
) -> dict[str, ConfigDocument]:
    """The documents in force; changed ones get a version of their own, at least ``newest``.

    That is real time in seconds, so that also a cloud whose records were made anew gives versions that are
    newer than whatever its gateways have stored.
    """
    attribution = load_attribution(session, tenant)
    devices: defaultdict[str, list[Device]] = defaultdict(list)
    present = select(Device).where(Device.tenant == tenant, Device.ended.is_(None)).order_by(Device.id)
    for device in session.scalars(present):
        devices[device.gateway].append(device)
    last = _last_documents(session, tenant)
    out = {}
    for gateway in session.scalars(select(Gateway).where(Gateway.tenant == tenant).order_by(Gateway.id)):
        if gateway.ended is not None and gateway.id not in last:
            continue
        mine = devices[gateway.id] if gateway.ended is None else []
        body = _body(gateway, mine, attribution, rules_hash, now)
        document = last.get(gateway.id)
        if document is None or gateway.id == anew or _content(document.body) != _content(body):
            version = newest if document is None else max(document.version + 1, newest)
            document = ConfigDocument(gateway.id, version, body)
            session.add(_row(tenant, document, now))
        out[gateway.id] = document
    return out


def _body(
    gateway: Gateway, devices: list[Device], attribution: Attribution, rules_hash: str, now: int
) -> dict[str, Any]:
    return {
        "tenant": gateway.tenant,
        "timezone": gateway.timezone,
        "devices": [
            {
                "id": device.id,
                "transport": device.transport,
                "address": device.address,
                "profile": device.profile,
                "timezone": device.timezone,
                "interval_s": device.interval_s,
                "patient": attribution.patient(device.id, now),
            }
            for device in devices
        ],
        "rules": {"hash": rules_hash},
        "issued": now,
    }


def _content(body: dict[str, Any]) -> dict[str, Any]:
    """What makes a new version: everything but the time of issue."""
    return {key: value for key, value in body.items() if key != "issued"}


def _issued(session: Session, tenant: str, gateway: str, digest: str) -> bool:
    row = ConfigDocumentRow
    mine = exists().where(row.tenant == tenant, row.gateway == gateway, row.digest == digest)
    return bool(session.scalar(select(mine)))


def _last_documents(session: Session, tenant: str) -> dict[str, ConfigDocument]:
    newest = (
        select(ConfigDocumentRow.gateway, func.max(ConfigDocumentRow.version).label("version"))
        .where(ConfigDocumentRow.tenant == tenant)
        .group_by(ConfigDocumentRow.gateway)
        .subquery()
    )
    rows = session.scalars(
        select(ConfigDocumentRow)
        .join(
            newest,
            (ConfigDocumentRow.gateway == newest.c.gateway) & (ConfigDocumentRow.version == newest.c.version),
        )
        .where(ConfigDocumentRow.tenant == tenant)
    )
    return {row.gateway: ConfigDocument(row.gateway, row.version, row.body) for row in rows}


def _row(tenant: str, document: ConfigDocument, now: int) -> ConfigDocumentRow:
    return ConfigDocumentRow(
        tenant=tenant,
        gateway=document.gateway,
        version=document.version,
        digest=document.digest,
        body=document.body,
        created=now,
    )
