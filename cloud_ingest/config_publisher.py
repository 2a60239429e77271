"""Configuration documents: made from the directory, versioned when they change, published retained."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from cloud_ingest.documents import RulesToSend, bodies
from cloud_ingest.feed import GatewayState
from cloud_ingest.records import Records
from cloud_ingest.records.models import ConfigDocumentRow, Gateway
from cloud_ingest.sources.base import FrameSource
from firmware_profiles import Catalog
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import UplinkError
from hearthward.core.telemetry import Telemetry
from hearthward.core.wire import MAX_FRAME_BYTES, ConfigDocument, topic
from hearthward.trust.keys import SigningKey
from rules.rule import RuleSet

__all__ = ["ConfigPublisher"]

log = logging.getLogger(__name__)

LARGE_BYTES: Final = MAX_FRAME_BYTES // 2
"""A document of this size is told of: gateways refuse one of twice as many bytes."""
VERSIONS_KEPT: Final = 100
"""So many versions before the present one are known by their digests."""
FIRST_AGAIN_S: Final = 2.0
LAST_AGAIN_S: Final = 60.0
"""A gateway that is online and does not run its document gets it again after this time, and then after twice
as long each time: a broker may lose a retained message whose storing and a subscription meet."""


class ConfigPublisher:
    """Keeps each gateway's document in step with the directory of one tenant."""

    def __init__(
        self,
        tenant: str,
        records: Records,
        source: FrameSource,
        *,
        catalog: Catalog,
        clock: Clock,
        telemetry: Telemetry,
        key: SigningKey | None = None,
    ) -> None:
        self._tenant = tenant
        self._records = records
        self._source = source
        self._catalog = catalog
        self._clock = clock
        self._telemetry = telemetry
        self._key = key or SigningKey.new()
        self._documents: dict[str, ConfigDocument] = {}
        self._turn = asyncio.Lock()
        self._strange: dict[str, str] = {}
        self._offered: dict[str, tuple[int, float]] = {}
        self._versions: dict[tuple[str, str], int] | None = None
        self._rules = RulesToSend.of(RuleSet())

    def set_rules(self, rules: RuleSet) -> None:
        """The rules in force from the next ``refresh`` on."""
        self._rules = RulesToSend.of(rules)

    def document(self, gateway: str) -> ConfigDocument | None:
        """The document that a gateway shall run."""
        return self._documents.get(gateway)

    def version_of(self, gateway: str, digest: str) -> int | None:
        """The version behind a digest that a gateway reports, if it was issued here."""
        return (self._versions or {}).get((gateway, digest))

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
            if self._versions is None:
                self._versions = await self._records.read(lambda s: _versions(s, self._tenant))
            documents = await self._records.run(
                lambda s: _documents(s, self._tenant, self._made(s, now), self._documents, now, newest, anew)
            )
            changed = [g for g, document in documents.items() if self._documents.get(g) is not document]
            self._documents = documents
            for gateway in changed:
                document = documents[gateway]
                self._versions[gateway, document.digest] = document.version
                await self._publish(document)
            return changed

    def _made(self, session: Session, now: int) -> dict[str, dict[str, Any]]:
        return bodies(session, self._tenant, now, self._catalog, self._rules)

    async def publish_all(self) -> None:
        """Publish every document again: after a connect the broker may know none of them."""
        for document in list(self._documents.values()):
            await self._publish(document)

    async def publish_again(self, gateways: Iterable[GatewayState]) -> None:
        """Publish the documents of those that are online and run others; to be called every second or so.

        Each after ``FIRST_AGAIN_S`` in which that was so, then after twice as long, ``LAST_AGAIN_S`` at most.
        The broker may have forgotten what it acknowledged, and a gateway may not have been able to keep it.
        """
        now = self._clock.monotonic_ns()
        for state in list(gateways):
            document = self._documents.get(state.gateway)
            if document is None or not state.online or state.config == document.digest:
                self._offered[state.gateway] = now, FIRST_AGAIN_S
                continue
            at, wait = self._offered.setdefault(state.gateway, (now, FIRST_AGAIN_S))
            if now - at >= wait * SECOND:
                self._telemetry.count("config_republished_total")
                await self._publish(document, min(2 * wait, LAST_AGAIN_S))

    async def _publish(self, document: ConfigDocument, again_s: float = FIRST_AGAIN_S) -> None:
        if not self._source.connected:
            return  # the next connect publishes all
        self._offered[document.gateway] = self._clock.monotonic_ns(), again_s
        payload = _signed(document, self._key).encode()
        if not self._fits(document.gateway, len(payload)):
            return
        try:
            await self._source.publish(topic(self._tenant, document.gateway, "config"), payload, retain=True)
        except UplinkError as error:
            log.warning("configuration of %s not published: %s", document.gateway, error)
            self._telemetry.count("config_publish_failed_total")
        else:
            self._telemetry.count("config_published_total")

    def _fits(self, gateway: str, size: int) -> bool:
        """Whether a gateway would read a document of ``size`` bytes; a large one is told of."""
        self._telemetry.gauge("config_document_bytes", size, gateway=gateway)
        if size > LARGE_BYTES:
            log.error(
                "configuration of %s has %d bytes, over %d cannot be sent: give it fewer patients or rules",
                gateway,
                size,
                MAX_FRAME_BYTES,
            )
        if size <= MAX_FRAME_BYTES:
            return True
        self._telemetry.count("config_oversized_total")
        return False


def _signed(document: ConfigDocument, key: SigningKey) -> ConfigDocument:
    """The document with this cloud's key and signature."""
    named = document.signed(key.public, b"")
    return document.signed(key.public, key.sign(named.signed_part()))


def _documents(
    session: Session,
    tenant: str,
    made: Mapping[str, dict[str, Any]],
    before: Mapping[str, ConfigDocument],
    now: int,
    newest: int,
    anew: str | None,
) -> dict[str, ConfigDocument]:
    """The documents in force; changed ones get a version of their own, at least ``newest``.

    That is real time in seconds, so that also a cloud whose records were made anew gives versions that are
    newer than whatever its gateways have stored. ``before`` has those known to be in the records.
    """
    last = {**before, **_last_documents(session, tenant, [g for g in made if g not in before])}
    ended = select(Gateway.id).where(Gateway.tenant == tenant, Gateway.ended.is_not(None))
    gone = set(session.scalars(ended)) - last.keys()
    out = {}
    for gateway, body in made.items():
        if gateway in gone:
            continue
        document = last.get(gateway)
        if document is None or gateway == anew or _content(document.body) != _content(body):
            version = newest if document is None else max(document.version + 1, newest)
            document = ConfigDocument(gateway, version, body)
            _keep(session, tenant, document, now)
        out[gateway] = document
    return out


def _content(body: dict[str, Any]) -> dict[str, Any]:
    """What makes a new version: everything but the time of issue."""
    return {key: value for key, value in body.items() if key != "issued"}


def _issued(session: Session, tenant: str, gateway: str, digest: str) -> bool:
    row = ConfigDocumentRow
    mine = exists().where(row.tenant == tenant, row.gateway == gateway, row.digest == digest)
    return bool(session.scalar(select(mine)))


def _last_documents(session: Session, tenant: str, gateways: Sequence[str]) -> dict[str, ConfigDocument]:
    out = {}
    for gateway in gateways:
        row = session.scalars(
            select(ConfigDocumentRow)
            .where(ConfigDocumentRow.tenant == tenant, ConfigDocumentRow.gateway == gateway)
            .order_by(ConfigDocumentRow.version.desc())
            .limit(1)
        ).first()
        if row is not None:
            out[gateway] = ConfigDocument(gateway, row.version, row.body)
    return out


def _keep(session: Session, tenant: str, document: ConfigDocument, now: int) -> None:
    """Add a version; of those before only number and digest are kept, and not for ever."""
    row = ConfigDocumentRow
    mine = (row.tenant == tenant, row.gateway == document.gateway)
    session.execute(update(row).where(*mine).values(body={}))
    oldest = session.scalar(
        select(row.version).where(*mine).order_by(row.version.desc()).offset(VERSIONS_KEPT).limit(1)
    )
    if oldest is not None:
        session.execute(delete(row).where(*mine, row.version <= oldest))
    session.add(
        ConfigDocumentRow(
            tenant=tenant,
            gateway=document.gateway,
            version=document.version,
            digest=document.digest,
            body=document.body,
            created=now,
        )
    )


def _versions(session: Session, tenant: str) -> dict[tuple[str, str], int]:
    row = ConfigDocumentRow
    found = session.execute(
        select(row.gateway, row.digest, row.version).where(row.tenant == tenant).order_by(row.version)
    )
    return {(gateway, digest): version for gateway, digest, version in found}
