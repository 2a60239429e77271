"""Whom a gateway believes: the public key by which its cloud signs documents and receipts.

The key is given (``edge.cloud_key``, or by who starts both in one process), or it is that of the first
document that this gateway put in force, kept in a file beside it. What another key signed, or nobody, is
refused and shows in the gateway's status until it has stopped.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Final

from hearthward.core.clock import SECOND, Clock
from hearthward.core.errors import ConfigError, StoreUnavailable
from hearthward.core.files import keep_durably
from hearthward.core.messages import ConfigDocument, Receipt
from hearthward.core.sightings import Ask
from hearthward.trust.keys import fingerprint, verify

__all__ = ["CloudTrust", "forget_cloud", "kept_cloud"]

log = logging.getLogger(__name__)

KEY_BYTES: Final = 32
REMEMBERED_S: Final = 600.0
"""How long after the last refusal the status shows it; longer where nothing was believed since."""
SAID_AGAIN_S: Final = 600.0
"""A refusal of one kind is logged as a warning once in this time."""


class CloudTrust:
    """The key of this gateway's cloud, what it has refused, and what it says of that.

    Reasons of refusal: ``unsigned``, ``key`` (signed by another), ``signature`` (by nobody we know), and for
    receipts before any key is known ``no-key``.
    """

    def __init__(self, path: Path, *, clock: Clock, key: bytes | None = None) -> None:
        self._path = path
        self._clock = clock
        self._given = key
        self._key = key
        self._believed = -(2**62)
        self._refused: dict[str, tuple[str, int]] = {}
        self._said: dict[tuple[str, str], int] = {}

    @property
    def key(self) -> bytes | None:
        """The public key; None until the first document."""
        return self._key

    async def load(self) -> None:
        """Read the kept key, unless one was given. Raises StoreUnavailable."""
        if self._given is None:
            self._key = await asyncio.to_thread(kept_cloud, self._path)

    def check_document(self, document: ConfigDocument) -> None:
        """Whether the cloud of this gateway signed it. Raises ConfigError with ``details["reason"]``."""
        reason = self._document_reason(document)
        if reason is None:
            if self._key is not None:
                self._believed = self._clock.monotonic_ns()
            return
        self._refuse("document", reason)
        msg = f"a configuration document is {_SAID[reason]}"
        if reason == "key" and self._key is not None:
            msg += f" ({fingerprint(document.key)}; this gateway's cloud has {fingerprint(self._key)})"
        raise ConfigError(msg, reason=reason)

    def _document_reason(self, document: ConfigDocument) -> str | None:
        if not document.signature:
            return "unsigned"
        if not verify(document.key, document.signed_part(), document.signature):
            return "signature"
        return None if self._key in {None, document.key} else "key"

    def check_receipt(self, receipt: Receipt) -> str | None:
        """Why a receipt is not believed; None: the cloud of this gateway signed it."""
        if self._key is None:
            return "no-key"  # no document yet: nothing to compare with, and nothing to be alarmed about
        if verify(self._key, receipt.signed_part(), receipt.signature):
            self._believed = self._clock.monotonic_ns()
            return None
        self._refuse("receipt", "signature")
        return "signature"

    def check_ask(self, ask: Ask) -> str | None:
        """Why what is asked is not done; None: the cloud of this gateway signed it."""
        if self._key is None:
            return "no-key"
        if verify(self._key, ask.signed_part(), ask.signature):
            return None
        self._refuse("request", "signature")
        return "signature"

    async def keep(self, document: ConfigDocument) -> bool:
        """Believe the cloud whose document is the first in force; False when there is a key already.

        Raises StoreUnavailable: then the next document is the first.
        """
        if self._key is not None:
            return False
        text = f"{document.key.hex()} {fingerprint(document.key)}\n".encode()
        try:
            await keep_durably(self._path, text)
        except OSError as error:
            raise _unavailable(self._path, "kept", error) from error
        self._key = document.key
        self._believed = self._clock.monotonic_ns()
        log.warning(
            "this gateway believes from now on the cloud whose key has the fingerprint %s: compare it with "
            "`hearthward cloud-key` there, or set edge.cloud_key",
            fingerprint(document.key),
        )
        return True

    def trouble(self) -> dict[str, str]:
        """``{"trust": reason}`` while this gateway refuses what claims to come from its cloud."""
        now = self._clock.monotonic_ns()
        for kind in ("document", "receipt"):
            reason, at = self._refused.get(kind, ("", 0))
            if reason and (now - at < REMEMBERED_S * SECOND or self._believed < at):
                return {"trust": reason}
        return {}

    def _refuse(self, kind: str, reason: str) -> None:
        now = self._clock.monotonic_ns()
        self._refused[kind] = reason, now
        last = self._said.get((kind, reason))
        if last is None or now - last >= SAID_AGAIN_S * SECOND:
            self._said[kind, reason] = now
            ours = "no cloud yet" if self._key is None else f"the cloud of key {fingerprint(self._key)}"
            log.warning("a %s is refused: it is %s; this gateway believes %s", kind, _SAID[reason], ours)


_SAID: Final = {
    "unsigned": "not signed",
    "signature": "not signed by who it says",
    "key": "signed by another cloud's key",
}


def kept_cloud(path: Path) -> bytes | None:
    """The key in a file that ``CloudTrust.keep`` wrote; None when there is none. Blocking.

    A damaged one counts as none and is moved aside: the next document is then the first one. Raises
    StoreUnavailable when it cannot be read.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unavailable(path, "read", error) from error
    try:
        key, check = text.decode("ascii").split()
        public = bytes.fromhex(key)
    except ValueError:
        public, check = b"", ""
    if len(public) == KEY_BYTES and fingerprint(public) == check:
        return public
    aside = path.with_name(f"{path.name}.garbled")
    path.replace(aside)
    log.error("%s is damaged; moved to %s: the next signed document is believed", path, aside)
    return None


def forget_cloud(path: Path) -> bytes | None:
    """Drop the kept key, so that the next cloud's document is the first; returns it. Blocking.

    Raises StoreUnavailable.
    """
    key = kept_cloud(path)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _unavailable(path, "removed", error) from error
    return key


def _unavailable(path: Path, what: str, error: OSError) -> StoreUnavailable:
    return StoreUnavailable(f"the cloud's key {path} cannot be {what}: {error.strerror}", path=str(path))
