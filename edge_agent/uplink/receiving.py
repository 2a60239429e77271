"""What arrives from the cloud: receipts, believed or refused, and configuration documents, one at a time.

A document that cannot be kept now (a full disk) is tried again until it can, or a newer one has come.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from edge_agent.trust_store import CloudTrust
from edge_agent.uplink.sending import Sender
from edge_agent.uplink.sent import Verdict
from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import DecodeError, HearthwardError
from hearthward.core.messages import ConfigDocument, Receipt
from hearthward.core.telemetry import Telemetry

__all__ = ["OnConfig", "Receiver"]

log = logging.getLogger(__name__)

SAID_AGAIN_S: Final = 60.0
"""A refused receipt of one kind is logged once in this time; all are counted."""
SHOWN_S: Final = 600.0
"""The status shows for so long that receipts were refused."""
HARMLESS: Final = frozenset({"session", "boot", "no-key"})
"""Reasons that come of a gateway's own start: what was sent before it is sent, and receipted, again."""
RETRY_FIRST_S: Final = 1.0
RETRY_MOST_S: Final = 60.0
MOST_SIGNERS: Final = 4
"""Before the first document is in force others than the cloud may have sent theirs; each has one waiting."""

OnConfig = Callable[[ConfigDocument], Awaitable[None]]


class Receiver:
    """Believes only what ``trust`` does; ``changed`` is called when the gateway's status has."""

    def __init__(
        self,
        sender: Sender,
        trust: CloudTrust,
        *,
        clock: Clock,
        telemetry: Telemetry,
        on_config: OnConfig,
        changed: Callable[[], None],
    ) -> None:
        self.config_hash = ""
        self._sender, self._trust = sender, trust
        self._clock, self._telemetry = clock, telemetry
        self._on_config, self._changed = on_config, changed
        self._documents: dict[bytes, ConfigDocument] = {}
        self._news = asyncio.Event()
        self._said: dict[str, int] = {}
        self._refused: Counter[str] = Counter()
        self._refused_at = -(2**62)

    def trouble(self) -> dict[str, str]:
        """``{"receipts": "digest 2, never-sent 1"}``: how many were refused since the start, and why.

        For ten minutes after the last one; those that a start of this gateway accounts for are no trouble.
        """
        if self._clock.monotonic_ns() - self._refused_at >= SHOWN_S * SECOND:
            return {}
        return {"receipts": ", ".join(f"{reason} {n}" for reason, n in sorted(self._refused.items()))}

    # --- receipts

    def take_receipt(self, payload: bytes) -> None:
        """Check a receipt and have deleted what it names; counts ``receipts_refused_total`` by reason."""
        try:
            receipt = Receipt.decode(payload)
        except DecodeError as error:
            self._refuse_receipt("malformed", str(error))
            return
        if (refusal := self._disbelieved(receipt)) is not None:
            self._refuse_receipt(*refusal)
            return
        found = self._sender.take_receipt(receipt)
        for verdict in (Verdict.DIGEST, Verdict.NEVER):
            if n := found.get(verdict):
                why = f"{n} of its blocks and gaps are not what was sent ({verdict.value})"
                self._refuse_receipt(verdict.value, why)
        if set(found) == {Verdict.REPEATED}:
            self._telemetry.count("receipts_repeated_total")

    def _disbelieved(self, receipt: Receipt) -> tuple[str, str] | None:
        """Reason and words for not believing a receipt as a whole; None: believe it."""
        sender = self._sender
        if receipt.gateway != sender.gateway:
            return "gateway", f"it names gateway {receipt.gateway}"
        if receipt.boot != sender.boot:
            return "boot", f"it names boot {receipt.boot}"
        if receipt.session != sender.session:
            return "session", "it is for what another process sent: those frames are sent again"
        if (reason := self._trust.check_receipt(receipt)) is not None:
            self._changed()
            return reason, "it is not signed by this gateway's cloud"
        return None

    def _refuse_receipt(self, reason: str, why: str) -> None:
        self._telemetry.count("receipts_refused_total", reason=reason)
        now = self._clock.monotonic_ns()
        last = self._said.get(reason)
        if reason not in HARMLESS:
            self._refused[reason] += 1
            self._refused_at = now
        again = last is None or now - last >= SAID_AGAIN_S * SECOND
        if again:
            self._said[reason] = now
        level = logging.WARNING if again else logging.DEBUG
        log.log(level, "a receipt for gateway %s is refused: %s", self._sender.gateway, why)

    # --- configuration documents

    def take_config(self, payload: bytes, *, retained: bool) -> None:
        """Check a document and have it put in force next, instead of an older one that waits."""
        try:
            document = ConfigDocument.decode(payload)
        except DecodeError as error:
            self._refuse_config(error.reason, str(error))
            return
        if document.gateway != self._sender.gateway:
            self._refuse_config("gateway", f"it is for gateway {document.gateway}")
            return
        try:
            self._trust.check_document(document)
        except HearthwardError as error:
            self._refuse_config(str(error.details.get("reason")), str(error))
            self._changed()
            return
        if not retained:  # the cloud has just connected, and missed what was sent before
            self._sender.hurry()
        if document.digest == self.config_hash and self._trust.key is not None:
            self._changed()
            return
        waits = self._documents.get(document.key)
        if waits is None and len(self._documents) >= MOST_SIGNERS:
            self._refuse_config("full", "documents of several others wait")
        elif waits is not None and document.version < waits.version:
            self._refuse_config("older", f"version {waits.version} waits")
        elif document != waits:
            self._documents[document.key] = document
            self._news.set()

    def _refuse_config(self, reason: str, why: str) -> None:
        self._telemetry.count("config_refused_total", reason=reason)
        log.warning("a configuration document for gateway %s is refused: %s", self._sender.gateway, why)

    async def configure(self) -> None:
        """Hand documents over one at a time; the hash is reported only once one is in force."""
        pause = RETRY_FIRST_S
        while True:
            while not self._documents:
                self._news.clear()
                await self._news.wait()
            self._news.clear()
            key, document = next(iter(self._documents.items()))
            if await self._settled(document):
                pause = RETRY_FIRST_S
                if self._documents[key] is document:
                    del self._documents[key]
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._news.wait()
            pause = min(RETRY_MOST_S, 2 * pause)

    async def _settled(self, document: ConfigDocument) -> bool:
        """Put a document in force; False: that failed, but may succeed later."""
        try:
            self._trust.check_document(document)  # one before it may have been the first
            await self._on_config(document)
            if await self._trust.keep(document):
                self._sender.hurry()  # receipts were not believed until now
        except HearthwardError as error:
            self._refuse_config(str(error.details.get("reason") or "apply"), str(error))
            return not error.retry
        self.config_hash = document.digest
        self._telemetry.count("config_applied_total")
        log.info("configuration %d (%s) is in force", document.version, document.digest)
        self._changed()
        return True
